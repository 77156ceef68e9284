"""Marking a class with nbgrader: whatever a submission does, the others are marked, and right answers have points."""

import asyncio
import contextlib
import copy
import csv
import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import threading
import time
from collections import Counter
from functools import partial
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.converters import GenerateAssignment

from build_tools import marking
from helpers import config
from helpers.machine import needed_memory

CONFIGURATION = """\
c = get_config()
c.CourseDirectory.course_id = "fashion"
c.ExecutePreprocessor.timeout = 8
c.ExecuteToTheEnd.iopub_timeout = 4
c.ExecuteToTheEnd.memory_limit = 600
"""
NAME = "numbers.ipynb"
DOUBLE = "def double(number):\n    return 2 * number"
TRIPLE = "def triple(number):\n    return 3 * number"


def marked_cell(name, source, **marks):
    metadata = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3, **marks}
    return new_code_cell(source, metadata={"nbgrader": {"grade_id": name, **metadata}})


def assignment():
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [
        new_code_cell("numbers = [1, 2]"),
        marked_cell("double", DOUBLE, solution=True),
        marked_cell("check_double", "assert [double(n) for n in numbers] == [2, 4]", grade=True, locked=True, points=2),
        marked_cell("triple", TRIPLE, solution=True),
        marked_cell("check_triple", "assert [triple(n) for n in numbers] == [3, 6]", grade=True, locked=True, points=3),
    ]
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def answered(double):
    """Return the notebook of a student with this answer in the first exercise and a right one in the second."""
    notebook = assignment()
    notebook.cells[1].source = double
    return notebook


def with_copied_cells_and_spoilt_metadata():
    notebook = answered(DOUBLE)
    notebook.cells[1].metadata.nbgrader.schema_version = 1
    notebook.cells[2].metadata.nbgrader.solution = True  # which nbgrader would no longer restore
    notebook.cells[2].source = "pass"
    del notebook.cells[4].metadata.nbgrader["points"]
    notebook.cells[0].metadata["nbgrader"] = {"grade_id": ["double"]}
    notebook.cells.insert(1, copy.deepcopy(notebook.cells[1]))
    notebook.cells.append(marked_cell("of_another_lesson", "1 + 1", solution=True))
    return notebook


def without_a_check():
    notebook = answered(DOUBLE)
    del notebook.cells[2]
    return notebook


HANG = """\
def double(number):
    while True:
        try:
            while True:
                pass
        except KeyboardInterrupt:
            pass
"""
PRINT = DOUBLE.replace("return", "print(3_000_000 * 'x')\n    return")
WRITE = PRINT.replace("return", "logging.warning('called'); os.write(2, b'a C++ library')\n    return")
# The kernel ends a little after the cell, so the check must take a while to notice.
EXIT = "import time\n\n" + DOUBLE.replace("return", "time.sleep(0.5)\n    return") + "\n\nexit()"
# In pieces that leave the kernel's other threads some memory: without any they can stand still until the time is over.
EAT = "eaten = []\n\ndef double(number):\n    while True:\n        eaten.append(bytearray(10_000_000))"
# What is global stays in a kernel, but not in the new one that marks the next exercise.
EATEN = answered(EAT)
EATEN.cells[3].source = "def triple(number):\n    return 0 if eaten else 3 * number"
# Stands still without memory, as a kernel does when another of its threads meets the limit.
HOLD = """\
eaten = []

def double(number):
    try:
        while True:
            eaten.append(bytearray(10_000_000))
    except MemoryError:
        eaten.pop()  # some is left to tell of the interruption
        while True:
            pass
"""
# Of the processes that mark: the kernel is the child of a worker, which is the child of a process for all workers.
DO_TO_PARENT = "import os, psutil, signal\nworker = psutil.Process(os.getppid())\n{}\n\n" + DOUBLE
TEXT = nbformat.writes(assignment())
SUBMISSIONS = {  # student: (what is handed in, points)
    "0012": (answered(EXIT), 5),
    "copies": (with_copied_cells_and_spoilt_metadata(), 5),
    "deletes": (without_a_check(), 3),
    "eats": (EATEN, 3),
    "hangs": (answered(HANG), 3),
    "holds": (answered(HOLD), 3),
    "kills": (answered("import os\n\ndef double(number):\n    os._exit(1)"), 3),
    "raises": (answered(PRINT.replace("return", "raise SystemExit  #")), 3),
    "suspends": (answered(DO_TO_PARENT.format("worker.suspend()")), 5),
    "uproots": (answered(DO_TO_PARENT.format("worker.parent().kill()")), 5),
    "writes": (answered("import logging, os\nlogging.basicConfig()\nlogging.warning('imported')\n\n" + WRITE), 5),
    "zoe": (answered(DOUBLE), 5),
}
UNREADABLE = {
    "binary": b"\x00\xff\xfe",
    "empty": b"",
    "half": TEXT[: len(TEXT) // 2].encode(),
    "list": b"[]",
    "object": b"{}",
    "page": b"<html></html>",
}
NOT_MARKED = {  # student: what the line contains
    **dict.fromkeys(UNREADABLE, "Ask for it again"),
    "ends": "the process that marked it was ended",
    "Doe, Jane": "Rename the folder",
    "group [1]": "Rename the folder",
    "loose.ipynb": "Move it to submitted/STUDENT/numbers/numbers.ipynb",
    "nothing": "no folder numbers in submitted/nothing; there is nothing",
    "other folder": '"exercise/numbers.ipynb"',
    "renamed": '"numbers (1).ipynb"',
}
REMARKS = {
    "copies": "double is in the notebook 2 times",
    "deletes": "check_double was deleted",
    # Where Python cannot say it, because another thread met the limit, the kernel ends.
    "eats": ("check_double asked for more memory than the limit", "check_double ended the kernel"),
    "hangs": "check_double took longer than the time limit",
    "holds": "check_double asked for more memory than the limit",
    "kills": "check_double ended the kernel",
    "raises": "check_double printed a lot",
    "writes": "check_double printed a lot",
}


def hand_in(course, student, content, folder="numbers", name=NAME):
    path = course / "submitted" / student / folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else nbformat.writes(content).encode())


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Return a course with its assignment in the gradebook and all submissions, not yet marked."""
    course = tmp_path_factory.mktemp("a course")
    (course / "nbgrader_config.py").write_text(CONFIGURATION)
    source = course / "source" / "numbers"
    source.mkdir(parents=True)
    nbformat.write(assignment(), source / NAME)
    for student, (notebook, _) in SUBMISSIONS.items():
        hand_in(course, student, notebook)
    hand_in(course, "ends", answered(DO_TO_PARENT.format("worker.kill()")))
    for student, content in UNREADABLE.items():
        hand_in(course, student, content)
    hand_in(course, "other folder", assignment(), folder="exercise")
    hand_in(course, "renamed", assignment(), name="numbers (1).ipynb")
    hand_in(course, "Doe, Jane", assignment())
    hand_in(course, "group [1]", assignment())
    # The name of a module that the kernel and numpy import.
    (course / "submitted" / "zoe" / "numbers" / "random.py").write_text("raise ImportError")
    (course / "submitted" / "nothing").mkdir()
    (course / "submitted" / "loose.ipynb").write_text(TEXT, encoding="utf-8")
    (course / "submitted" / ".DS_Store").write_bytes(b"\x00\x80")
    return course


def run(course, *arguments):
    """Run the command as in an environment that is not activated; return what it says and how it ends."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        for name, value in {"PATH": "/usr/bin:/bin", "PYTHONPATH": "", "FAST": "1"}.items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", ["marking", str(course), *arguments])
        try:
            marking.main()
        except SystemExit as end:
            return said.getvalue(), str(end)
    return said.getvalue(), ""


def enter_assignment(course):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", sysconfig.get_path("scripts"), prepend=os.pathsep)
        app = marking.open_course(course, "numbers")
        GenerateAssignment(coursedir=app.coursedir, parent=app).start()


@pytest.fixture(scope="module")
def marked(course):
    """Mark the class; return what was said of each student, and the last message."""
    enter_assignment(course)
    said, end = run(course, "numbers", "--workers", "2")
    (course / "first grades.csv").write_bytes((course / "grades.csv").read_bytes())
    return dict(re.findall(r"^(\S[^:\n]*): (.*(?:\n    .*)*)", said, flags=re.MULTILINE)), end


def points(path):
    with path.open(encoding="utf-8") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize("student", SUBMISSIONS)
def test_everyone_is_marked_and_right_answers_have_their_points(course, marked, student):
    expected = SUBMISSIONS[student][1]
    assert points(course / "first grades.csv")[student] == expected
    assert marked[0][student].startswith(f"{expected} of 5 points")
    assert (course / "feedback" / student / "numbers" / "numbers.html").is_file()


@pytest.mark.parametrize("student", SUBMISSIONS)
def test_what_a_teacher_should_know_is_said_and_nothing_else(marked, student):
    remarks = marked[0][student].split("\n    ")[1:]
    assert len(remarks) == (student in REMARKS)
    assert student not in REMARKS or remarks[0].startswith(REMARKS[student])


@pytest.mark.parametrize("student", NOT_MARKED)
def test_a_submission_that_cannot_be_marked_has_a_line_with_the_way_out(course, marked, student):
    line = marked[0][student]
    assert line.startswith("NOT MARKED: ") and NOT_MARKED[student] in line
    assert student in marked[1] and points(course / "first grades.csv").get(student, 0) == 0


def test_what_was_printed_is_in_the_feedback_up_to_a_limit(course, marked):
    [beginning] = re.findall(r"x+", cell_output(course, "raises", "stream"))
    assert 900_000 < len(beginning) <= 1_000_000
    assert "left out when marking" in cell_output(course, "raises", "stream")
    assert "SystemExit" in cell_output(course, "raises", "error")
    page = (course / "feedback" / "writes" / "numbers" / "numbers.html").read_text(encoding="utf-8")
    assert "WARNING:root:imported" in page and "a C++ library" in page


def test_the_points_that_a_check_returns_count_behind_much_output():
    executor = marking.ExecuteToTheEnd()
    executor.written, executor.clear_before_next_output = Counter({0: 2_000_000}), False
    for text, kept in {"0.5": 1, 2_000 * "x": 0}.items():
        content = {"data": {"text/plain": text}, "metadata": {}, "execution_count": 1}
        kind = "execute_result"
        message = {"msg_type": kind, "header": {"msg_type": kind}, "parent_header": {}, "content": content}
        outputs = []
        executor.output(outputs, message, None, 0)
        assert len(outputs) == kept


def test_an_endless_output_is_interrupted_once():
    interrupted = []

    async def interrupt_kernel():
        interrupted.append(True)

    async def print_much(count):
        executor = marking.ExecuteToTheEnd()
        executor.km = SimpleNamespace(interrupt_kernel=interrupt_kernel)
        executor.written, executor.clear_before_next_output = Counter(), False
        for _ in range(count):
            content = {"name": "stdout", "text": text}
            message = {"msg_type": "stream", "header": {"msg_type": "stream"}, "parent_header": {}, "content": content}
            executor.output([], message, None, 0)
        await asyncio.sleep(0.01)

    text = 10_000_000 * "x"
    asyncio.run(print_much(5))
    assert interrupted == []
    asyncio.run(print_much(15))
    assert interrupted == [True]


def cell_output(course, student, kind):
    notebook = nbformat.read(course / "autograded" / student / "numbers" / NAME, as_version=4)
    [output] = [output for output in notebook.cells[2].outputs if output.output_type == kind]
    return output.text if kind == "stream" else output.ename


def test_students_are_marked_again_alone_by_one_worker(course, marked):
    notebook = nbformat.writes(answered("def double(number):\n    return 0"))
    (course / "submitted" / "zoe" / "numbers" / NAME).write_text(notebook, encoding="utf-8")
    said, end = run(course, "numbers", "ends", "zoe", "--workers", "1")
    assert re.match(r"ends: NOT MARKED: the process .*\nzoe: 3 of 5 points\n", said) and "Not marked: ends." in end
    changed = {"zoe": 3.0}
    assert points(course / "grades.csv") == points(course / "first grades.csv") | changed


def test_a_worker_waits_while_another_process_writes_to_the_gradebook(course, marked):
    hand_in(course, "late", answered(DOUBLE))  # whom the worker enters into the gradebook as soon as it has begun
    log = course / "marking.log"
    log.unlink()
    other = sqlite3.connect(course / "gradebook.db", check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def let_go():
        while not log.exists():
            time.sleep(0.1)
        time.sleep(8)  # sqlite3 gives up after 5
        other.rollback()

    thread = threading.Thread(target=let_go)
    thread.start()
    said, end = run(course, "numbers", "late", "--workers", "1")
    thread.join()
    other.close()
    assert said.startswith("late: 5 of 5 points\n") and end == ""


def processes_in(course):
    """Return the processes that work in a folder of the course."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd().startswith(str(course)):
                found.append(process)
    return found


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_was_stopped_keeps_the_marks_and_leaves_nothing_running(course, marked, number):
    before = points(course / "grades.csv")
    # Longer than the test waits, so that it is the signal that ends the one that hangs.
    (course / "nbgrader_config.py").write_text(CONFIGURATION.replace("timeout = 8", "timeout = 200"))
    command = [sys.executable, "-m", "build_tools.marking", str(course), "numbers", "0012", "hangs", "--workers", "2"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    # Whatever a script starts in the background ignores Ctrl-C, and so would the command of these tests.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=config.ROOT, preexec_fn=listen, **options) as process:
        assert process.stdout.readline() == "0012: 5 of 5 points\n"
        assert processes_in(course)
        os.killpg(process.pid, number)  # as Ctrl-C in a terminal does: it reaches the whole group
        said, error = process.communicate(timeout=30)
    assert points(course / "grades.csv") == before
    if number == signal.SIGINT:
        assert "Stopped." in said and "Not marked: hangs. " in error
        assert "Traceback" not in error and "Warning" not in error
    ends = time.monotonic() + 10
    while processes_in(course) and time.monotonic() < ends:
        time.sleep(0.1)
    assert processes_in(course) == []
    executed = course / "autograded" / "hangs" / "numbers" / NAME
    assert "CellTimeoutError" not in executed.read_text(encoding="utf-8"), "it went on behind the teacher's back"


def test_as_many_are_marked_at_once_as_there_are_cores_and_room_for(monkeypatch):
    monkeypatch.setattr(marking, "usable_cores", lambda: 8)
    for free, workers in {100: 8, 21: 5, 1: 1}.items():
        monkeypatch.setattr(marking, "free_memory", lambda free=free: free)
        assert marking.usual_workers(4000) == workers
    assert marking.ExecuteToTheEnd().memory_limit >= 1500 * needed_memory()


def test_what_is_missing_has_a_message(course, marked, tmp_path):
    assert "There is no folder" in run(tmp_path / "none", "numbers")[1]
    # A new gradebook needs the command alembic, which is not in this PATH.
    assert "has no assignment numbers; it has: none" in run(tmp_path, "numbers")[1]
    assert "has no assignment number; it has: numbers" in run(course, "number")[1]
    ending = run(course, "numbers", "ana")[1]
    assert "There is no folder of a student ana in" in ending and f"submitted/STUDENT/numbers/{NAME}" in ending
    brackets = tmp_path / "course [2026]"
    brackets.mkdir()
    assert "Rename the folder" in run(brackets, "numbers")[1]
