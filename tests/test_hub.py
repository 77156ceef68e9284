"""A class at a real JupyterHub: real Unix users work at once, hand in and are marked, and see nothing of each other."""

import os
import pwd
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import psutil
import pytest

from build_tools import classroom, hub
from helpers import config
from startup.openmp_settings import SETTINGS

MISSING = classroom.missing()
# What root can install must not be missing in CI; the rights of a container cannot be installed.
MUST = os.environ.get("CI") and os.geteuid() == 0 and MISSING != classroom.NO_MOUNT
# It takes minutes, so `make test` leaves it to `make test-class`, and CI calls both.
pytestmark = pytest.mark.skipif(
    config.FAST or (bool(MISSING) and not MUST),
    reason=f"JupyterHub is tested by make test-class, and this machine lacks {MISSING or 'nothing for it'}",
)
LESSON = "notebooks/02_mlp_baseline.ipynb"
ASSIGNMENT, EXERCISES = "tensors", "00_tensors_in_ten_minutes"
WHERE = "import os, torch, helpers; print(helpers.config.ROOT, torch.get_num_threads(), os.environ['GOMP_SPINCOUNT'])"


@pytest.fixture(scope="module")
def room():
    """Run the hub with three students and their teacher, all logged in and with a server of their own."""
    assert not MISSING, f"CI must test JupyterHub, but lacks {MISSING}"
    with classroom.running_class(3) as there:
        people = classroom.at_once(classroom.Person.log_in, [*there.students, there.teacher])
        classroom.at_once(classroom.Person.start_server, people)
        yield there._replace(students=people[:-1], teacher=people[-1])
    assert not {person.name for person in people} & {user.pw_name for user in pwd.getpwall()}
    assert not there.folder.exists()


@pytest.fixture(scope="module")
def kernels(room):
    """Let two students run a lesson at once, and give their kernels."""
    return [kernel for kernel, _ in classroom.at_once(lambda student: student.run_notebook(LESSON), room.students[:2])]


@pytest.fixture(scope="module")
def spy(room):
    """Give a kernel of the third student, who looks around."""
    return room.students[2].open_kernel("notebooks/spying.ipynb")


def answer_when_back(kernel, code):
    """Run code in a kernel that is on its way back, and may lose what comes before it is there."""
    answers = []

    def answered():
        try:
            answers.append(kernel.run(code, seconds=20))
        except (classroom.KernelEnded, TimeoutError):
            return False
        return True

    classroom.wait_until(answered, "the kernel to come back")
    return answers[0]


def test_the_hub_lets_in_who_belongs_to_the_class_and_knows_the_password(room):
    for person in (room.students[0]._replace(password="wrong"), room.stranger):
        with pytest.raises(PermissionError, match=f"does not let {person.name} in"):
            person.log_in()


def test_a_lesson_runs_at_once_for_two_each_in_a_copy_of_their_own(room, kernels):
    for student, kernel in zip(room.students, kernels, strict=False):
        copy = student.home / classroom.COPY
        assert kernel.run(f"import helpers.config\n{WHERE}").split() == [str(copy), "1", SETTINGS["GOMP_SPINCOUNT"]]
        assert [path.name for path in (copy / "runs").iterdir()] == ["fast"]
        assert any((copy / "runs" / "fast").rglob("*.pt"))
        assert (copy / "data" / "FashionMNIST").resolve() == config.ROOT / "data" / "FashionMNIST"


def test_a_killed_kernel_comes_back(kernels):
    kernel = kernels[0]
    pid = int(kernel.run("import os; print(os.getpid())"))
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(kernel.run, "while True: pass")
        time.sleep(1)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(classroom.KernelEnded):
            working.result()
    assert int(answer_when_back(kernel, "import os; print(os.getpid())")) != pid


def test_a_student_who_takes_too_much_gets_an_error_and_disturbs_nobody(kernels, spy):
    with pytest.raises(RuntimeError, match="MemoryError"):
        spy.run("kept = 1; bytearray(3 * 2**30)")
    assert spy.run("kept") == "1"
    try:
        said = spy.run("import threading\nwhile True: threading.Thread(target=threading.Event().wait).start()")
    except RuntimeError as error:
        said = str(error)
    # Without a thread to spare IPython cannot always word the error, and sometimes the kernel ends and comes back.
    assert "can't start new thread" in said or "restarting" in said
    assert kernels[1].run("1 + 1") == "2"
    spy.person.ask_server("POST", f"api/kernels/{spy.identity}/restart")
    assert answer_when_back(spy, "1 + 1") == "2"


def test_nobody_sees_what_another_writes(room, kernels, spy):
    student = room.students[0]
    kernels[0].run("open('secret.txt', 'w').write('mine')")
    for place in (
        student.home,
        student.home / classroom.COPY / "notebooks" / "secret.txt",
        room.folder / "state/private",
    ):
        with pytest.raises(RuntimeError, match="PermissionError"):
            spy.run(f"import os; os.listdir({str(place)!r}) if os.path.isdir({str(place)!r}) else open({str(place)!r})")
    for path in ("api/contents/notebooks/secret.txt", "api/sessions", "lab", "terminals/1"):
        assert spy.person.ask("GET", f"user/{student.name}/{path}").status_code == 403
        assert room.students[0].ask("GET", f"user/{student.name}/{path}").status_code in (200, 404)


# Listen at every port of the machine as JupyterLab's server listens to its kernel.
LISTEN = """
import time, zmq
lines = [line.split() for line in open("/proc/net/tcp").readlines()[1:]]
ports = {int(words[1].split(":")[1], 16) for words in lines if words[3] == "0A"}
socket = zmq.Context().socket(zmq.SUB)
socket.subscribe(b"")
for port in ports:
    socket.connect(f"tcp://127.0.0.1:{port}")
heard, end = b"", time.monotonic() + 4
while time.monotonic() < end:
    if socket.poll(100):
        heard += b"".join(socket.recv_multipart())
print(len(ports) > 3, b"confidential" in heard)
"""


def test_nobody_hears_what_anothers_kernel_prints(kernels, spy):
    with ThreadPoolExecutor(1) as pool:
        speaking = pool.submit(
            kernels[1].run, "import time\nfor _ in range(50): print('confidential', flush=True); time.sleep(0.1)"
        )
        assert spy.run(LISTEN).split() == ["True", "False"]
        assert "confidential" in speaking.result()


def test_what_is_shared_cannot_be_changed(room, spy):
    shared = [config.ROOT / "helpers/config.py", config.ROOT / "data/FashionMNIST/raw/t10k-labels-idx1-ubyte"]
    for path in [*shared, config.ROOT / "new", hub.DEPLOY / "jupyter/nbgrader_config.py", sys.prefix + "/new"]:
        with pytest.raises(RuntimeError, match="PermissionError"):
            spy.run(f"open({str(path)!r}, 'a')")
    with pytest.raises(RuntimeError, match="PermissionError"):
        spy.run(f"import os; os.rename({str(room.folder / 'state/exchange')!r}, '/tmp/exchange')")


def answer(student, path):
    """Fill in the answers of the solutions, and return their points."""
    solutions = nbformat.read(config.NOTEBOOKS_DIR / "solutions" / f"{EXERCISES}.ipynb", as_version=4)
    marks = {cell.metadata.nbgrader.grade_id: cell for cell in solutions.cells if "nbgrader" in cell.metadata}
    notebook = student.read_notebook(path)
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = marks[cell["metadata"]["nbgrader"]["grade_id"]].source
    student.save_notebook(path, notebook)
    return sum(cell.metadata.nbgrader.get("points", 0) for cell in marks.values())


def test_an_assignment_goes_out_comes_back_and_is_marked(room, spy):
    able, idle = room.students[:2]
    which = {"course_id": "fashion_mnist", "assignment_id": ASSIGNMENT}
    room.teacher.in_terminal(
        f"cd ~/{classroom.COPY}; python -m build_tools.exercises --source ~/course/source/{ASSIGNMENT} {EXERCISES}; "
        f"cd ~/course; nbgrader generate_assignment {ASSIGNMENT}; nbgrader release_assignment {ASSIGNMENT}"
    )
    for student in (able, idle):
        listed = student.ask_server("POST", "assignments/fetch", json=which)["value"]
        assert [one["status"] for one in listed] == ["fetched"]
    most = answer(able, f"{ASSIGNMENT}/{EXERCISES}.ipynb")
    for student in (able, idle):
        assert student.ask_server("POST", "assignments/submit", json=which)["success"]
    inbound = room.folder / "state/exchange/fashion_mnist/inbound"
    assert len(list(inbound.iterdir())) == 2
    with pytest.raises(RuntimeError, match="PermissionError"):
        spy.run(f"import os; os.listdir({str(inbound)!r})")
    with pytest.raises(RuntimeError, match="PermissionError"):
        spy.run(f"os.rename({str(inbound.parent)!r}, {str(inbound.parent) + '2'!r})")
    shown = room.teacher.in_terminal(
        f"cd ~/course; nbgrader collect {ASSIGNMENT}; cd ~/{classroom.COPY}; "
        f"python -m build_tools.marking ~/course {ASSIGNMENT}; cd ~/course; nbgrader release_feedback {ASSIGNMENT}"
    )
    points = dict(re.findall(r"(fm-student-\d+): (\d+ of \d+) points", shown))
    assert points == {able.name: f"{most} of {most}", idle.name: f"0 of {most}"}
    able.ask_server("POST", "assignments/fetch_feedback", json=which)
    assert list((able.home / classroom.COPY / ASSIGNMENT / "feedback").rglob(f"{EXERCISES}.html"))


def test_a_restart_keeps_what_a_student_wrote(room):
    student = room.students[2]
    notebook = student.read_notebook(LESSON)
    notebook["cells"][0]["source"] = "# My own title"
    student.save_notebook(LESSON, notebook)
    # Named like a module of Python, where every program of the student could take it for that.
    student.ask_server("PUT", "api/contents/random.py", json={"type": "file", "format": "text", "content": "1 / 0"})
    student.stop_server()
    student.start_server()
    assert student.read_notebook(LESSON)["cells"][0]["source"] == "# My own title"
    assert student.open_kernel(LESSON).run("import random, helpers; random.random() < 1") == "True"


def test_the_hubs_own_culler_stops_idle_servers(room):
    cullers = [
        one for one in psutil.process_iter(["cmdline"]) if "jupyterhub_idle_culler" in (one.info["cmdline"] or [])
    ]
    [culler] = [one for one in cullers if str(room.folder) in one.cwd()]
    command = [word.replace("--timeout=3600", "--timeout=2") for word in culler.cmdline()]
    assert command != culler.cmdline()
    hasty = subprocess.Popen(command, env=culler.environ(), stderr=subprocess.DEVNULL)
    try:
        classroom.wait_until(lambda: not room.students[1].has_server(), "an idle server to be stopped")
    finally:
        hasty.kill()
        hasty.wait()
