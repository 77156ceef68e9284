"""A class at a real JupyterHub: Unix users who log in, work and hand in. A test and a benchmark let it happen.

It needs root on Linux, since it makes the users, and removes them at the end.
"""

import grp
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import requests
import websocket

from build_tools.hub import DEPLOY, closed_folder, install_proxy
from helpers import config

GROUPS = STUDENTS, TEACHERS = "fm-students", "fm-teachers"  # as in jupyterhub_config.py
COPY = "fashion-mnist-lessons"
NO_MOUNT = "the right to mount folders, and its Python or this project lies in a folder that is closed to students"
SECONDS = 300  # for whatever a crowded machine takes

# The hub of the class is that of deploy/jupyterhub, on free ports and in the short mode.
CONFIGURATION = """\
load_subconfig({config!r})
c.JupyterHub.bind_url = "http://127.0.0.1:{ports[0]}"
c.JupyterHub.hub_port = {ports[1]}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.Spawner.environment |= {environment!r}
"""


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Wait until a function returns something true.

    Raises
    ------
    TimeoutError
        If it does not in time; the message has the words for what was waited for.
    """
    deadline = time.monotonic() + SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {SECONDS} s for {what}.")
        time.sleep(0.2)


class KernelEnded(RuntimeError):
    """The kernel ended while it executed something."""


class Kernel(NamedTuple):
    """A kernel on a student's server, reached through the hub's proxy."""

    person: "Person"
    identity: str

    def run(self, *codes: str, seconds: float = SECONDS) -> str:
        """Execute one code after the other and return what they print and show as text.

        Raises
        ------
        RuntimeError
            If one raises; the message is the error's.
        KernelEnded
            If the kernel ends meanwhile.
        TimeoutError
            If the kernel is silent for about so many seconds and does not end a code.
        """
        path = f"api/kernels/{self.identity}/channels?session_id={uuid.uuid4().hex}"
        with closing(self.person.open_channel(path)) as channel:
            return "".join(text for code in codes for text in execute(channel, code, seconds))


def execute(channel: websocket.WebSocket, code: str, seconds: float = SECONDS) -> Iterator[str]:
    """Execute code in the kernel at the other end and give its texts as they come; it raises as `Kernel.run` does."""
    identity = uuid.uuid4().hex
    header = {"msg_id": identity, "msg_type": "execute_request", "username": "", "session": "", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    channel.send(json.dumps(message))
    waiting = {"execute_reply", "idle"}
    channel.settimeout(10)  # shorter than the server's pings, behind which a kernel could be silent for ever
    deadline = time.monotonic() + seconds
    while waiting:
        try:
            message = json.loads(channel.recv())
        except websocket.WebSocketTimeoutException:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Waited {seconds} s for the kernel's answer.") from None
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "status" and content["execution_state"] in ("restarting", "autorestarting", "dead"):
            raise KernelEnded(f"the kernel is {content['execution_state']}")
        if message["parent_header"].get("msg_id") != identity:
            continue
        if kind == "error":
            raise RuntimeError(f"{content['ename']}: {content['evalue']}")
        if kind == "stream":
            yield content["text"]
        elif kind in ("execute_result", "display_data"):
            yield content["data"].get("text/plain", "")
        waiting -= {kind, content.get("execution_state")}


class Person(NamedTuple):
    """Somebody with an account on the machine, who works through the hub's address."""

    name: str
    password: str
    address: str
    token: str = ""

    def log_in(self) -> "Person":
        """Log in at the hub's page with name and password, as a browser does.

        Returns
        -------
        Person
            The same, with a token that stands for the login from then on.

        Raises
        ------
        PermissionError
            If the hub does not let this person in.
        """
        with requests.Session() as browser:
            page = f"{self.address}/hub/login"
            browser.get(page, timeout=SECONDS)
            form = {"username": self.name, "password": self.password, "_xsrf": browser.cookies["_xsrf"]}
            browser.post(page, data=form, timeout=SECONDS, allow_redirects=False)
            headers = {"X-XSRFToken": browser.cookies.get("_xsrf", path="/hub/"), "Referer": f"{self.address}/hub/home"}
            answer = browser.post(f"{self.address}/hub/api/users/{self.name}/tokens", headers=headers, timeout=SECONDS)
        if answer.status_code != 201:
            raise PermissionError(f"The hub does not let {self.name} in (status {answer.status_code}).")
        return self._replace(token=answer.json()["token"])

    def ask(self, method: str, path: str, **more: object) -> requests.Response:
        """Send a request to an address of the hub, as this person."""
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(method, f"{self.address}/{path}", headers=headers, timeout=SECONDS, **more)

    def ask_server(self, method: str, path: str, **more: object) -> object:
        """Send a request to one's own Jupyter server, and return its answer."""
        answer = self.ask(method, f"user/{self.name}/{path}", **more)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def open_channel(self, path: str) -> websocket.WebSocket:
        """Open a connection to one's own Jupyter server that stays open."""
        address = f"{self.address.replace('http', 'ws', 1)}/user/{self.name}/{path}"
        header = {"Authorization": f"token {self.token}"}
        return websocket.create_connection(address, header=header, timeout=SECONDS)

    def has_server(self) -> bool:
        """Tell whether one's server is running, or is being started or stopped."""
        user = self.ask("GET", f"hub/api/users/{self.name}").json()
        return bool(user["server"] or user["pending"])

    def server_is_ready(self) -> bool:
        """Tell whether one's server answers."""
        return bool(self.ask("GET", f"hub/api/users/{self.name}").json()["server"])

    def start_server(self) -> float:
        """Start one's Jupyter server and wait for it; return how many seconds that took."""
        started = time.monotonic()
        self.ask("POST", f"hub/api/users/{self.name}/server").raise_for_status()
        wait_until(self.server_is_ready, f"the server of {self.name} to start")
        return time.monotonic() - started

    def stop_server(self) -> None:
        """Stop one's Jupyter server and wait until all of one's processes have ended."""
        self.ask("DELETE", f"hub/api/users/{self.name}/server").raise_for_status()
        wait_until(lambda: not self.has_server() and not processes_of([self]), f"the server of {self.name} to end")

    def open_kernel(self, path: str) -> Kernel:
        """Start a kernel for a notebook of one's copy of the project."""
        session = {"path": path, "name": Path(path).name, "type": "notebook", "kernel": {"name": "python3"}}
        return Kernel(self, self.ask_server("POST", "api/sessions", json=session)["kernel"]["id"])

    def in_terminal(self, commands: str) -> str:
        """Type lines into a new terminal of JupyterLab, and return what it shows.

        Raises
        ------
        RuntimeError
            If a line fails; the message is what the terminal shows.
        """
        name = self.ask_server("POST", "api/terminals")["name"]
        shown = ""
        with closing(self.open_channel(f"terminals/websocket/{name}")) as channel:
            # The terminal echoes what is typed, so the words at the end are put together only when they are printed.
            channel.send(json.dumps(["stdin", f"(set -e; {commands}); echo ended' with' $?\r"]))
            while not (end := re.search(r"ended with (\d+)", shown)):
                kind, *content = json.loads(channel.recv())
                shown += content[0] if kind == "stdout" else ""
        self.ask_server("DELETE", f"api/terminals/{name}")
        if end[1] != "0":
            raise RuntimeError(shown)
        return shown

    def read_notebook(self, path: str) -> dict:
        """Open a notebook."""
        return self.ask_server("GET", f"api/contents/{path}")["content"]

    def save_notebook(self, path: str, notebook: dict) -> None:
        """Save a notebook."""
        self.ask_server("PUT", f"api/contents/{path}", json={"type": "notebook", "content": notebook})

    def run_notebook(self, path: str) -> tuple[Kernel, float]:
        """Open a notebook and execute it from the top.

        Returns
        -------
        Kernel
            Still running.
        float
            Seconds from the kernel's start to the last cell.
        """
        cells = self.read_notebook(path)["cells"]
        started = time.monotonic()
        kernel = self.open_kernel(path)
        kernel.run(*[cell["source"] for cell in cells if cell["cell_type"] == "code"])
        return kernel, time.monotonic() - started

    @property
    def home(self) -> Path:
        """The home folder."""
        return Path(pwd.getpwnam(self.name).pw_dir)


def at_once(action: Callable[[Person], object], people: list[Person]) -> list:
    """Let everybody do something at the same time, and return what came of it."""
    with ThreadPoolExecutor(len(people)) as pool:
        return list(pool.map(action, people))


def processes_of(people: list[Person]) -> list[psutil.Process]:
    """Return the processes that run as these users."""
    users = {pwd.getpwnam(person.name).pw_uid for person in people}
    return [process for process in psutil.process_iter() if is_owned(process, users)]


def is_owned(process: psutil.Process, users: set[int]) -> bool:
    """Tell whether a process runs as one of these users, False if it has ended."""
    try:
        return process.uids().real in users and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Class(NamedTuple):
    """A hub that is running, and who may log in there; nobody has yet."""

    students: list[Person]
    teacher: Person
    stranger: Person  # a user of the machine who does not belong to the class
    folder: Path  # of all that belongs to this hub; `state` is its STATE, `hub.log` its log


def missing() -> str:
    """Return what this machine lacks for a class, "" if nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "root on Linux, which makes the students' accounts"
    lacking = [tool for tool in ("useradd", "chpasswd", "npm", "node") if shutil.which(tool) is None]
    if lacking:
        return f"{' and '.join(lacking)} (Debian: apt-get install passwd npm)"
    return "" if may_mount() or not closed_folder(*needed_by_all()) else NO_MOUNT


def may_mount() -> bool:
    """Tell whether root may mount folders here, as it may on a machine of its own and in few containers."""
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


def needed_by_all() -> set[Path]:
    """Return the folders that every user of the hub needs: Python's, Node's and the project's."""
    return {Path(sys.base_prefix).resolve(), Path(shutil.which("node")).resolve().parent, config.ROOT}


def free_ports(number: int) -> list[int]:
    """Return ports on which nobody listens."""
    listeners = [socket.socket() for _ in range(number)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def opened(command: list[str], folder: Path) -> list[str]:
    """Return a command that sees what it needs in folders that are open to all, where they are closed to other users.

    A test may run with a Python in root's home, where no student could start it. A mount that only the command sees
    puts an open folder in the place of the closed one; nothing changes for anybody else.
    """
    lines, closed = [], set()
    for number, place in enumerate(needed_by_all()):
        if outermost := [parent for parent in place.parents if closed_folder(parent) == parent][-1:]:
            (folder / f"open-{number}").mkdir()
            lines.append(
                (
                    f"mount --bind '{place}' '{folder}/open-{number}'",
                    f"mkdir -p '{place}'",
                    f"mount --bind '{folder}/open-{number}' '{place}'",
                )
            )
            closed |= set(outermost)
    if not lines:
        return command
    first = [bind for bind, _, _ in lines] + [f"mount -t tmpfs -o mode=755 tmpfs '{one}'" for one in closed]
    script = "\n".join(["set -e", *first, *(line for _, *both in lines for line in both), 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "hub", *command]


@contextmanager
def accounts(names: dict[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """Make Unix users, and remove them with all that they have at the end.

    Parameters
    ----------
    names : dict of str to str
        The Unix group of each.
    folder : Path
        Takes their homes.

    Yields
    ------
    dict of str to str
        Their passwords.
    """
    there = {user.pw_name for user in pwd.getpwall()} & set(names)
    if there:
        raise RuntimeError(
            f"This machine has users {', '.join(sorted(there))} already. If they are left from a run that was "
            "stopped, remove them with userdel --remove; else run this on another machine."
        )
    new_groups = set(GROUPS) - {group.gr_name for group in grp.getgrall()}
    passwords = {name: secrets.token_hex(8) for name in names}
    quiet = {"check": True, "capture_output": True, "text": True}
    try:
        for group in new_groups:
            subprocess.run(["groupadd", group], **quiet)
        for name, group in names.items():
            # As Debian makes them: everybody may look into their homes.
            home = ["--create-home", "--base-dir", str(folder), "-K", "HOME_MODE=0755"]
            subprocess.run(["useradd", *home, "--groups", group, "--shell", "/bin/bash", name], **quiet)
        lines = "".join(f"{name}:{password}\n" for name, password in passwords.items())
        subprocess.run(["chpasswd"], input=lines, **quiet)
        yield passwords
    finally:
        for name in names:
            with suppress(KeyError):
                users = {pwd.getpwnam(name).pw_uid}
                for process in [one for one in psutil.process_iter() if is_owned(one, users)]:
                    with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                        process.kill()
                        process.wait(10)
                subprocess.run(["userdel", "--remove", name], capture_output=True)
        for group in new_groups:
            subprocess.run(["groupdel", group], capture_output=True)


@contextmanager
def running_class(students: int, **environment: str) -> Iterator[Class]:
    """Make the users of a class and run the hub of deploy/jupyterhub for them until the block ends.

    Parameters
    ----------
    students : int
        How many there are.
    **environment : str
        Further variables of their servers. FAST=1 is set anyway.

    Raises
    ------
    NpmError
        If there is no proxy and npm cannot bring it.
    RuntimeError
        If the hub does not answer; the message has the last lines of its log.
    """
    install_proxy()
    names = {f"fm-student-{number:02}": STUDENTS for number in range(1, students + 1)}
    names |= {"fm-teacher": TEACHERS, "fm-stranger": "nogroup"}
    folder = Path(tempfile.mkdtemp(prefix="fm-hub-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with accounts(names, folder) as passwords:
            ports = free_ports(3)
            address = f"http://127.0.0.1:{ports[0]}"
            people = [Person(name, password, address) for name, password in passwords.items()]
            settings = folder / "trial_config.py"
            (folder / "tmp").mkdir()
            (folder / "tmp").chmod(0o1777)
            variables = {"FAST": "1", "TMPDIR": str(folder / "tmp")} | environment
            real = str(DEPLOY / "jupyterhub_config.py")
            settings.write_text(CONFIGURATION.format(config=real, ports=ports, environment=variables))
            with running_hub(settings, address, folder):
                yield Class(people[:-2], *people[-2:], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_hub(settings: Path, address: str, folder: Path) -> Iterator[None]:
    """Run a hub with a file of settings until the block ends."""
    command = [sys.executable, "-m", "jupyterhub", "-f", str(settings)]
    environment = os.environ | {"FASHION_MNIST_HUB": str(folder / "state")}
    environment.pop("PYTHONPATH", None)
    with open(folder / "hub.log", "w") as log:
        process = subprocess.Popen(
            opened(command, folder), cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    started = []
    try:
        deadline = time.monotonic() + 60
        while True:
            with suppress(requests.RequestException):
                if requests.get(f"{address}/hub/api/health", timeout=5).ok:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                lines = "\n".join((folder / "hub.log").read_text().splitlines()[-15:])
                raise RuntimeError(f"The hub did not start. The last lines of its log:\n{lines}")
            time.sleep(0.2)
        yield
    finally:
        # A hub that is killed leaves its proxy and its services.
        with suppress(psutil.NoSuchProcess):
            started += psutil.Process(process.pid).children(recursive=True)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
        for left in started:
            with suppress(psutil.NoSuchProcess):
                left.kill()
