"""Mark a class with nbgrader: nobody's notebook stops the marking of the others, and stderr costs no points.

    .venv/bin/python -m build_tools.marking COURSE ASSIGNMENT [STUDENT ...]

nbgrader does the marking. Two of its preprocessors are replaced, and what it cannot mark is explained.
"""

import argparse
import asyncio
import contextlib
import copy
import glob
import io
import logging
import multiprocessing
import os
import re
import subprocess
import sysconfig
import threading
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TextIO

import nbformat
import psutil
from jupyter_core.paths import jupyter_runtime_dir
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.baseapp import NbGrader
from nbgrader.converters import Autograde, GenerateFeedback
from nbgrader.plugins import CsvExportPlugin
from nbgrader.preprocessors import DeduplicateIds, Execute, NbGraderPreprocessor
from nbgrader.utils import is_grade, temp_attrs
from traitlets import Bool, Integer, Unicode

from helpers import config
from helpers.machine import free_memory

# Of one cell, in characters. An endless loop that prints would fill the memory of this process and of every browser.
MOST_OUTPUT = 1_000_000
LEFT_OUT = "... the rest of the output was left out when marking ...\n"
# nbgrader looks for folders with glob, and writes its table of marks without quotes.
USABLE = re.compile(r"[^\s,\[\]*?]([^,\[\]*?]*[^\s,\[\]*?])?")
STOPPED = (DeadKernelError, CellTimeoutError)
TROUBLES = {
    "DeadKernelError": "ended the kernel (os._exit, a crash, or too little memory)",
    "CellTimeoutError": "took longer than the time limit (an endless loop?)",
    "MemoryError": "asked for more memory than the limit",
}
# How Python, NumPy and PyTorch say it.
TOO_LITTLE_MEMORY = re.compile(r"MemoryError|DefaultCPUAllocator|std::bad_alloc")
# exit() and quit() end a kernel after their cell, and with it every exercise below.
IGNORE_EXIT = 'get_ipython().ask_exit = lambda: print("exit() is ignored when marking")'
# Of Linux alone. What a library reserves and does not use is not counted, in contrast to RLIMIT_AS.
LIMIT_MEMORY = "import resource as r; r.setrlimit(r.RLIMIT_DATA, ({bytes}, {bytes})); del r"
# Of the processes that mark. They are forked from one which has imported nbgrader and starts no threads.
PROCESSES = multiprocessing.get_context("spawn" if os.name == "nt" else "forkserver")
ENDED = (
    "NOT MARKED: the process that marked it was ended, probably by the code in it (os.kill?). "
    "Look at the notebook, or mark it by hand."
)


class RestoreMetadata(NbGraderPreprocessor):
    """Give each cell of the assignment the metadata that the gradebook has for it, and others none.

    JupyterLab copies a cell with its metadata. nbgrader's own preprocessor leaves an empty entry at the copy, takes
    it for an old format, and stops the marking of the class.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Restore the metadata of a notebook. Of several copies the last one counts, as in nbgrader."""
        names = resources["nbgrader"]
        with Gradebook(names["db_url"]) as gradebook:
            assigned = gradebook.find_notebook(names["notebook"], names["assignment"])
            cells = {cell.name: cell for cell in assigned.source_cells}
            points = {cell.name: cell.max_score for cell in [*assigned.grade_cells, *assigned.task_cells]}
            checked = {cell.name for cell in assigned.grade_cells}
            answered = {cell.name for cell in assigned.solution_cells}
            tasks = {cell.name for cell in assigned.task_cells}
            for cell in reversed(nb.cells):
                name = grade_id(cell)
                cell.metadata.pop("nbgrader", None)
                if name not in cells:
                    continue
                source = cells.pop(name)
                cell.metadata["nbgrader"] = {
                    "grade": name in checked,
                    "grade_id": name,
                    "locked": source.locked,
                    "schema_version": 3,
                    "solution": name in answered,
                    "task": name in tasks,
                }
                if name in points:
                    cell.metadata.nbgrader["points"] = points[name]
                if source.cell_type == "code":
                    cell.pop("attachments", None)  # of a code cell that was made a text cell; code cells have none
        return nb, resources


class ExecuteToTheEnd(Execute):
    """Execute every cell, with a new kernel where one has ended or hangs, and take stderr for ordinary output.

    nbgrader gives no points where a check writes to stderr. A progress bar, a log and a warning of a C++ library
    write there, too, and say nothing about the answer; a check that fails raises an error.
    """

    timeout = Integer(300, allow_none=True, help="Seconds for a cell; some train a network.").tag(config=True)
    iopub_timeout = Integer(30, help="Seconds to wait for what a cell has printed.").tag(config=True)
    shutdown_kernel = Unicode("immediate", help="A kernel that hangs does not end when asked to.").tag(config=True)
    memory_limit = Integer(4000, help="Megabytes that a kernel may have (Linux).").tag(config=True)
    store_widget_state = Bool(False, help="Widgets are not part of a feedback page.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Execute a notebook."""
        self.written = Counter()
        return super().preprocess(nb, resources)

    def start_new_kernel(self, **options: object) -> None:
        """Start a kernel that does not write between the lines for the teacher."""
        folder = Path(jupyter_runtime_dir())
        address = str(folder / f"marking-{uuid.uuid4().hex[:12]}")
        if os.name != "nt" and len(address) < 100:  # of the 107 letters that Linux allows
            # A free network port may be taken by another worker's kernel before this one opens it.
            folder.mkdir(parents=True, exist_ok=True)
            self.km.transport, self.km.ip = "ipc", address
        super().start_new_kernel(stderr=subprocess.DEVNULL, **options)

    def start_new_kernel_client(self) -> object:
        """Connect to a new kernel, make it survive exit(), and limit its memory."""
        client = super().start_new_kernel_client()
        for code in (IGNORE_EXIT, LIMIT_MEMORY.format(bytes=self.memory_limit * 1_000_000)):
            self.wait_for_reply(client.execute(code, silent=True))
        return client

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int) -> tuple[NotebookNode, dict]:
        """Execute a cell; if it ends or fills the kernel, note that in its output and go on with a new one."""
        try:
            cell, resources = super().preprocess_cell(cell, resources, index)
        except STOPPED as error:
            cell.outputs.append(stopped(type(error).__name__))
        if trouble(cell) == TROUBLES["CellTimeoutError"] and self.memory_is_full():
            cell.outputs.append(stopped("MemoryError"))
        if trouble(cell):
            self.start_again(index)
        return cell, resources

    def memory_is_full(self) -> bool:
        """Say whether the kernel has used up its memory (Linux): without any, its threads can stand still."""
        with contextlib.suppress(psutil.NoSuchProcess):
            used = getattr(psutil.Process(self.km.provisioner.pid).memory_info(), "data", 0)
            return used > 0.95 * self.memory_limit * 1_000_000
        return False

    def start_again(self, index: int) -> None:
        """Start a new kernel and execute what stands above a cell, but for checks and cells that ended a kernel."""
        self._cleanup_kernel()
        self.create_kernel_manager()
        self.start_new_kernel()
        self.start_new_kernel_client()
        for number, cell in enumerate(self.nb.cells[:index]):
            if cell.cell_type != "code" or is_grade(cell) or trouble(cell):
                continue
            try:
                self.execute_cell(copy.deepcopy(cell), number)
            except STOPPED as error:
                cell.outputs.append(stopped(type(error).__name__))
                return self.start_again(index)
            finally:
                self.nb.cells[number] = cell  # with the outputs of the first time

    def output(self, outs: list, msg: dict, display_id: str | None, cell_index: int) -> NotebookNode | None:
        """Add an output to a cell: stderr as stdout, and no more than there is room for."""
        content = msg["content"]
        if msg["msg_type"] == "error":
            # Without its error a wrong answer would have its points, so it is shortened and never left out.
            content["evalue"] = content["evalue"][:MOST_OUTPUT]
            content["traceback"] = [line[:MOST_OUTPUT] for line in content["traceback"]]
            return super().output(outs, msg, display_id, cell_index)
        if msg["msg_type"] == "stream":
            content["name"] = "stdout"
        room = MOST_OUTPUT - self.written[cell_index]
        size = len(str(content))
        self.written[cell_index] += size
        if self.written[cell_index] > 100 * MOST_OUTPUT >= self.written[cell_index] - size:
            # What is not yet read waits in the memory of this process.
            self.interruption = asyncio.ensure_future(self.km.interrupt_kernel())
        # A small result may be the points that a check gives for half an answer.
        if size > room and not (msg["msg_type"] == "execute_result" and size < 1_000):
            if room < 0:
                return None
            text = content["text"][:room] if msg["msg_type"] == "stream" else ""
            msg["msg_type"] = msg["header"]["msg_type"] = "stream"
            msg["content"] = {"name": "stdout", "text": f"{text}\n{LEFT_OUT}"}
        return super().output(outs, msg, display_id, cell_index)


def grade_id(cell: NotebookNode) -> str | None:
    """Return the name by which nbgrader knows a cell, or None."""
    metadata = cell.metadata.get("nbgrader")
    name = metadata.get("grade_id") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def stopped(name: str) -> NotebookNode:
    """Return the output that stands for a kernel that has ended, hung or used up its memory: an error of that name."""
    return nbformat.v4.new_output("error", ename=name, evalue="", traceback=[f"This cell {TROUBLES[name]}."])


def trouble(cell: NotebookNode) -> str | None:
    """Say what a cell did to its kernel, or None."""
    errors = [output for output in cell.get("outputs", []) if output.output_type == "error"]
    if any(TOO_LITTLE_MEMORY.search(f"{error.ename} {error.evalue}") for error in errors):
        return TROUBLES["MemoryError"]
    return next((TROUBLES[error.ename] for error in errors if error.ename in TROUBLES), None)


def cell_name(cell: NotebookNode) -> str:
    """Return a cell's name for a message: that of nbgrader, or its first line."""
    return grade_id(cell) or f"the cell `{cell.source.strip().splitlines()[0][:60]}`"


def open_course(course: Path, assignment: str) -> NbGrader:
    """Return nbgrader with the configuration of a course, and the replaced preprocessors in it."""
    with contextlib.chdir(course):  # where nbgrader looks for its configuration
        app = NbGrader()
        app.initialize([], root=str(course))
    app.coursedir.assignment_id = assignment
    if app.coursedir.db_url.startswith("sqlite:"):
        app.coursedir.db_url += "?timeout=300"  # seconds to wait while another process writes; usual are 5
    replaced = {DeduplicateIds: RestoreMetadata, Execute: ExecuteToTheEnd}
    usual = Autograde(config=app.config)
    app.config.Autograde.sanitize_preprocessors = [replaced.get(one, one) for one in usual.sanitize_preprocessors]
    app.config.Autograde.autograde_preprocessors = [replaced.get(one, one) for one in usual.autograde_preprocessors]
    return app


def convert(converter: Autograde | GenerateFeedback, log: TextIO) -> str:
    """Let nbgrader convert what its course directory names.

    Parameters
    ----------
    converter : Autograde or GenerateFeedback
        Will overwrite what it has written before.
    log : text file
        Gets what nbgrader says.

    Returns
    -------
    str
        The last error in what nbgrader said, or nothing if there was none.
    """
    said = io.StringIO()
    converter.log.handlers = [logging.StreamHandler(said)]
    converter.force = True
    try:
        converter.start()
    except Exception as error:  # whatever it is, the others are still to be marked
        raised = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception|Entry)\b.*", said.getvalue(), flags=re.MULTILINE)
        return raised[-1] if raised else f"{type(error).__name__}: {error}"
    finally:
        log.write(said.getvalue())
        log.flush()
    return ""


def why_not(folder: Path, expected: list[str]) -> str:
    """Say why a submission cannot be marked as it lies in its folder and what to do, or nothing.

    Parameters
    ----------
    folder : Path
        submitted/STUDENT/ASSIGNMENT.
    expected : list of str
        The file names of the assignment's notebooks.
    """
    student, assignment = folder.parent.name, folder.name
    if not USABLE.fullmatch(student):
        return "nbgrader takes no comma, [, ], * or ? in a name, and no space at its ends. Rename the folder."
    if folder.parent.is_file():
        return f"it lies in submitted/ itself. Move it to submitted/STUDENT/{assignment}/{expected[0]}"
    if not folder.is_dir():
        return (
            f"there is no folder {assignment} in submitted/{student}; there is {listing(folder.parent)}. "
            "If the assignment is handed in, rename what holds it."
        )
    present = [name for name in expected if (folder / name).is_file()]
    if not present:
        return (
            f"there is no {' or '.join(expected)} in submitted/{student}/{assignment}; there is {listing(folder)}. "
            "If the right notebook is among it, rename or move it; if not, ask for it."
        )
    for name in present:
        try:
            nbformat.read(folder / name, as_version=4)
        except Exception as error:  # not JSON, not a notebook, not UTF-8, empty: each raises its own
            return f"{name} is damaged or not a notebook ({type(error).__name__}). Ask for it again."
    return ""


def listing(folder: Path) -> str:
    """Name a few files below a folder for a message."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return ", ".join(f'"{name}"' for name in found[:5]) or "nothing"


def remarks(submitted: Path, marked: Path, gradebook: Gradebook, assignment: str) -> list[str]:
    """Say what a teacher should know about a notebook that was marked.

    Parameters
    ----------
    submitted, marked : Path
        The notebook as it was handed in, and as nbgrader executed it.
    gradebook : Gradebook
        Knows the cells of the assignment.
    assignment : str
        Its name.
    """
    if not submitted.is_file():
        return [f"{submitted.name} was not handed in: 0 points for it"]
    found = []
    copies = Counter(grade_id(cell) for cell in nbformat.read(submitted, as_version=4).cells)
    cells = nbformat.read(marked, as_version=4).cells
    present = {grade_id(cell) for cell in cells}
    assigned = gradebook.find_notebook(marked.stem, assignment)
    for cell in assigned.source_cells:
        if copies[cell.name] > 1:
            found.append(
                f"{cell.name} is in the notebook {copies[cell.name]} times: all were executed, the last one counts"
            )
    for cell in assigned.grade_cells:
        if cell.name not in present:
            found.append(f"{cell.name} was deleted: 0 points for it; ask for the notebook with this cell in it")
    for cell in cells:
        if trouble(cell):
            found.append(f"{cell_name(cell)} {trouble(cell)}; the rest was marked without it")
        text = "".join(output.get("text", "") for output in cell.get("outputs", []))
        if LEFT_OUT in text or "... Output truncated ..." in text:  # the latter is nbgrader's, after 1000 lines
            found.append(f"{cell_name(cell)} printed a lot: only the beginning is in the feedback")
    return found


def outcome(app: NbGrader, student: str, expected: list[str], log: TextIO) -> list[str]:
    """Mark one student; return the points and what to know about them, or why there are none."""
    coursedir, assignment = app.coursedir, app.coursedir.assignment_id
    folder = Path(coursedir.format_path(coursedir.submitted_directory, student, assignment))
    marked = Path(coursedir.format_path(coursedir.autograded_directory, student, assignment))
    reason = why_not(folder, expected)
    if not reason:
        with temp_attrs(coursedir, student_id=student):
            error = convert(Autograde(coursedir=coursedir, parent=app), log)
            no_page = "" if error else convert(GenerateFeedback(coursedir=coursedir, parent=app), log)
        if error:
            reason = f"nbgrader stopped with {error}. Look at the notebook (marking.log says more), or mark it by hand."
    if reason:
        return [f"NOT MARKED: {reason}"]
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        submission = gradebook.find_submission(assignment, student)
        said = [remark for name in expected for remark in remarks(folder / name, marked / name, gradebook, assignment)]
        said += [f"there is no page for feedback: nbgrader stopped with {no_page}"] if no_page else []
        return [f"{submission.score:g} of {submission.max_score:g} points", *said]


def mark_student(
    student: str, answer: Connection, course: Path, assignment: str, expected: list[str], environment: dict
) -> None:
    """Mark one student in a process of its own, and send what to say, the points first or why there are none.

    Parameters
    ----------
    student : str
        The name.
    answer : Connection
        Takes the lines.
    course : Path
        nbgrader's folder of the course.
    assignment : str
        Its name.
    expected : list of str
        The file names of the assignment's notebooks.
    environment : dict
        The variables. The process that this one is forked from has those of the time when it was started.
    """
    os.environ.clear()
    os.environ.update(environment)
    warnings.simplefilter("ignore")  # of nbformat and SQLAlchemy, which a teacher can do nothing about
    if os.name != "nt":
        os.setsid()  # so that Ctrl-C reaches the command alone, which then ends this process
    threading.Thread(target=end_without_the_command, daemon=True).start()
    try:
        with (course / "marking.log").open("a", encoding="utf-8") as log, contextlib.chdir(course):
            lines = outcome(open_course(course, assignment), student, expected, log)
    except KeyboardInterrupt:  # not of Ctrl-C, which does not come here
        lines = [ENDED]
    except Exception as error:  # whatever it is, the line says whose
        lines = [f"NOT MARKED: {type(error).__name__}: {error}. Look at what was handed in, or mark it by hand."]
    answer.send(lines)


def end_without_the_command() -> None:
    """Wait for the end of the command, and then end this process: nobody would hear of its mark."""
    wait([multiprocessing.parent_process().sentinel])
    end(os.getpid())


def end(number: int) -> None:
    """End a process and those that it started, whatever they are doing."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(number)
        for one in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def start_process(*arguments: object) -> multiprocessing.Process:
    """Start a process that marks a student."""
    for attempt in (1, 2):
        process = PROCESSES.Process(target=mark_student, args=arguments)
        try:
            process.start()
            return process
        except (OSError, EOFError):  # the process that it is forked from was killed just now; the next has a new one
            if attempt == 2:
                raise


def mark_all(students: list[str], workers: int, *common: object) -> Iterator[tuple[str, list[str]]]:
    """Mark students, several at the same time, and yield each with the lines about them when they are marked.

    A process for each keeps its trouble from the others. They write to the same gradebook, in turn, as SQLite has it.

    Parameters
    ----------
    students : list of str
        Whom to mark.
    workers : int
        How many at the same time.
    *common
        What `mark_student` takes behind the student and the connection.
    """
    PROCESSES.set_forkserver_preload(["nbgrader.apps"])
    waiting, running = list(students), {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                student = waiting.pop(0)
                receiver, sender = PROCESSES.Pipe(duplex=False)
                running[receiver] = student, start_process(student, sender, *common)
                sender.close()
            for receiver in wait(list(running), timeout=1):
                student, process = running.pop(receiver)
                try:
                    lines = receiver.recv()
                except (EOFError, OSError):
                    lines = [ENDED]
                yield student, lines
                process.join()
            for _, process in running.values():
                with contextlib.suppress(psutil.NoSuchProcess):
                    psutil.Process(process.pid).resume()  # a student's code may have suspended it
    finally:
        for _, process in running.values():
            if process.is_alive():
                end(process.pid)


def usable_cores() -> int:
    """Return on how many cores this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_workers(memory_limit: int) -> int:
    """Return how many to mark at the same time: one for each core, as far as the memory goes.

    Parameters
    ----------
    memory_limit : int
        Megabytes that a kernel may have.
    """
    return max(1, min(usable_cores(), int(1000 * free_memory() / memory_limit)))


def mark(course: Path, assignment: str, students: list[str], workers: int | None = None) -> list[str]:
    """Mark an assignment, and write the feedback and the table of marks.

    Parameters
    ----------
    course : Path
        nbgrader's folder of the course.
    assignment : str
        As it was generated with nbgrader.
    students : list of str
        Whom to mark; if empty, everyone in submitted/.
    workers : int, optional
        How many to mark at the same time. By default one for each core, as far as the memory goes.

    Returns
    -------
    list of str
        The students who could not be marked.

    Raises
    ------
    SystemExit
        If there is no such course, assignment or student. The message says what to do.
    """
    if not course.is_dir():
        raise SystemExit(f"There is no folder {course}. Give the folder of the course, with submitted/ in it.")
    if glob.escape(str(course)) != str(course):
        raise SystemExit(f"nbgrader takes no [, ], * or ? in the path {course}. Rename the folder.")
    app = open_course(course, assignment)
    with Gradebook(app.coursedir.db_url, app.coursedir.course_id) as gradebook:
        try:
            expected = [f"{notebook.name}.ipynb" for notebook in gradebook.find_assignment(assignment).notebooks]
        except MissingEntry:
            there = ", ".join(one.name for one in gradebook.assignments) or "none"
            raise SystemExit(
                f"The gradebook of {course} has no assignment {assignment}; it has: {there}. "
                f"Enter it first: in the folder of the course, nbgrader generate_assignment {assignment}"
            ) from None
    submitted = course / app.coursedir.submitted_directory
    everyone = sorted(path.name for path in submitted.glob("[!.]*") if path.is_dir() or path.suffix.lower() == ".ipynb")
    unknown = set(students) - set(everyone)
    if unknown or not everyone:
        raise SystemExit(
            f"There is no folder of a student {', '.join(sorted(unknown))} in {submitted}. "
            f"A submission belongs in {submitted}/STUDENT/{assignment}/{expected[0]}"
        )
    (course / "marking.log").unlink(missing_ok=True)
    left = dict.fromkeys(students or everyone)
    workers = workers or usual_workers(ExecuteToTheEnd(config=app.config).memory_limit)
    # The threads of a kernel wait for each other, in vain where another kernel has their cores. One that fills a GPU
    # would leave nothing for the others.
    shared = {"OMP_NUM_THREADS": str(max(1, usable_cores() // workers)), "CUDA_VISIBLE_DEVICES": ""}
    try:
        for student, lines in mark_all(list(left), workers, course, assignment, expected, shared | os.environ):
            # Before the line is out: whoever reads it may press Ctrl-C at once.
            if not lines[0].startswith("NOT MARKED"):
                del left[student]
            print(f"{student}: {lines[0]}", *lines[1:], sep="\n    ", flush=True)
    except KeyboardInterrupt:
        print("\nStopped. Whoever has points above is marked.", flush=True)
    with contextlib.chdir(course), Gradebook(app.coursedir.db_url, app.coursedir.course_id) as gradebook:
        CsvExportPlugin(parent=app).export(gradebook)  # writes grades.csv here
    return list(left)


def main() -> None:
    """Read the command line and mark."""
    parser = argparse.ArgumentParser(prog="python -m build_tools.marking", description=__doc__.split("\n")[0])
    parser.add_argument("course", type=Path, help="the folder with nbgrader_config.py and submitted/")
    parser.add_argument("assignment", help="the name of the assignment")
    parser.add_argument("students", nargs="*", metavar="student", help="mark only these students, in place of everyone")
    parser.add_argument(
        "--workers", type=int, help="how many to mark at the same time (one for each core, as far as the memory goes)"
    )
    arguments = parser.parse_args()
    if arguments.workers is not None and arguments.workers < 1:
        parser.error("--workers takes a number from 1")
    # nbgrader calls the command `alembic`, which is found without this only where the environment is activated.
    os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")
    # For the kernels. An empty part would be the folder of the submission, where a random.py hides the package.
    paths = [str(config.ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ.setdefault("FAST", "1")  # the checks bring small inputs of their own, so the marks are the same
    warnings.simplefilter("ignore")  # of nbformat and SQLAlchemy, which a teacher can do nothing about
    left = mark(arguments.course.resolve(), arguments.assignment, arguments.students, arguments.workers)
    print(f"The marks are in {arguments.course / 'grades.csv'}, a page for each student in feedback/.", flush=True)
    if left:
        raise SystemExit(
            f"Not marked: {', '.join(left)}. Do what the lines above say, then run the command again with these names."
        )


if __name__ == "__main__":
    main()
