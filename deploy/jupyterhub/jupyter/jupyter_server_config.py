"""Every student's Jupyter server, beside what jupyterhub_config.py says."""

c = get_config()  # noqa: F821 (Jupyter provides it)

# The outputs of a kernel go through files that only its owner may open. By default they go through a port of the
# machine, on which every other user could listen.
c.KernelManager.transport = "ipc"

# A notebook that nobody has used for an hour gives its memory back, even if its page is still open somewhere.
c.MappingKernelManager.cull_idle_timeout = 3600
c.MappingKernelManager.cull_connected = True

# As in the notebooks, `python` and `nbgrader` are those of the class. A login shell would forget where they are.
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash"]}

# Of nbgrader's panels only the list of assignments. Its formgrader marks in a way that OPERATIONS.md advises against.
c.ServerApp.jpserver_extensions = {
    "nbgrader.server_extensions.formgrader": False,
    "nbgrader.server_extensions.validate_assignment": False,
    "nbgrader.server_extensions.course_list": False,
}
