"""Measure how many submissions of lesson 02 a minute are marked by one worker and by two; three of them misbehave."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from functools import partial

import nbformat
from nbformat.v4 import new_code_cell

from benchmarks.record import entries_with, measure_once, start
from helpers import config
from helpers.machine import markdown_table

LESSON, ASSIGNMENT = "02_mlp_baseline", "mlp_baseline"
COURSE = config.ROOT / "runs" / "marking"
SUBMISSIONS, BLOCK = 100, 10  # a block is marked at once, by each number of workers in turn
WORKERS = (1, 2)
SECONDS = 120  # for a cell, which is what a submission that hangs costs
CONFIGURATION = f"""\
c = get_config()
c.CourseDirectory.course_id = "fashion_mnist"
c.ExecutePreprocessor.timeout = {SECONDS}
"""
HANG = """\
def step_in_pieces(model, optimizer, images, labels, size):
    while True:
        try:
            while True:
                pass
        except KeyboardInterrupt:
            pass
"""
EAT = "eaten = []\n\ndef step_in_pieces(*arguments):\n    while True:\n        eaten.append(torch.ones(1_000_000))"
KILL = "import os\n\ndef step_in_pieces(*arguments):\n    os._exit(1)"
AWKWARD = {"hangs": HANG, "eats memory": EAT, "kills its kernel": KILL}


def awkward_places(number: int) -> dict[int, str]:
    """Return which submissions misbehave, and how: far from each other."""
    return {(2 * place + 1) * number // 6: what for place, what in enumerate(AWKWARD)}


def student_name(place: int) -> str:
    """Return the name of a folder of a submission."""
    return f"student_{place:04}"


def submission(place: int, awkward: str | None) -> nbformat.NotebookNode:
    """Return the right solution in the words of a student, or with an answer that misbehaves."""
    notebook = nbformat.read(config.NOTEBOOKS_DIR / "solutions" / f"{LESSON}.ipynb", as_version=4)
    for cell in notebook.cells:
        marks = cell.metadata.get("nbgrader", {})
        if marks.get("solution") and cell.cell_type == "code":
            cell.source = f"# {student_name(place)}\n{cell.source}"
            if awkward and marks["grade_id"] == "step_in_pieces":
                cell.source = AWKWARD[awkward]
    tried = new_code_cell(f"image, label = validation[{place}]\nprint(CLASS_NAMES[label], image.shape)")
    notebook.cells.insert(2 + place % 8, tried)
    return notebook


def make_class(number: int) -> None:
    """Write a new course with its gradebook and so many submissions."""
    from build_tools.exercises import write_source  # needs nbgrader, which writing the tables does not

    shutil.rmtree(COURSE, ignore_errors=True)
    write_source([LESSON], COURSE / "source" / ASSIGNMENT)
    (COURSE / "nbgrader_config.py").write_text(CONFIGURATION)
    environment = os.environ | {"PATH": sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")}
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", ASSIGNMENT]
    subprocess.run(command, cwd=COURSE, env=environment, check=True, capture_output=True)
    awkward = awkward_places(number)
    for place in range(number):
        path = COURSE / "submitted" / student_name(place) / ASSIGNMENT / f"{LESSON}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(submission(place, awkward.get(place)), path)


def mark_block(students: list[str], workers: int) -> dict:
    """Mark some students with the command that a teacher uses.

    Returns
    -------
    dict
        "seconds"; "points": by student, a number; "remarks": by student, what the command said beside the points.

    Raises
    ------
    SystemExit
        If the command marks somebody not at all, or says something about more than the three: nothing is recorded.
    """
    command = [sys.executable, "-m", "build_tools.marking", str(COURSE), ASSIGNMENT, *students]
    started = time.perf_counter()
    done = subprocess.run([*command, "--workers", str(workers)], cwd=config.ROOT, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    found = re.findall(r"^(\w+): ([\d.]+) of [\d.]+ points((?:\n    .*)*)", done.stdout, flags=re.MULTILINE)
    if done.returncode or sum(bool(remark) for _, _, remark in found) > len(AWKWARD):
        raise SystemExit(f"Not everyone was marked as expected; is the machine busy?\n{done.stdout}")
    return {
        "seconds": round(seconds, 1),
        "points": {student: float(points) for student, points, _ in sorted(found)},
        "remarks": {student: remark.strip() for student, _, remark in sorted(found) if remark},
    }


def marking_table() -> str:
    """Return what was measured as tables in Markdown: the pace, and what became of those that misbehave."""
    rows, remarks = [], {}
    number = max((entry["submissions"] for entry in entries_with("marking")), default=0)
    awkward = {student_name(place): what for place, what in awkward_places(number).items()}
    for workers in WORKERS:
        entries = entries_with("marking", workers=workers, submissions=number)
        if not entries:
            continue
        points = {student: value for entry in entries for student, value in entry["points"].items()}
        others = [value for student, value in points.items() if student not in awkward]
        remarks |= {student: remark for entry in entries for student, remark in entry["remarks"].items()}
        minutes = sum(entry["seconds"] for entry in entries) / 60
        pace = f"{len(points) / minutes:.1f}"
        rows.append([workers, len(points), f"{minutes:.1f}", pace, f"{min(others):g} to {max(others):g}"])
    header = ["workers", "submissions marked", "minutes", "submissions a minute", "points of all but three"]
    said = [[f"one that {what}", remarks.get(student, "–")] for student, what in awkward.items()]
    return f"{markdown_table(header, rows)}\n\n{markdown_table(['the three', 'what the command says'], said)}"


def marking_in_words() -> str:
    """Return in a sentence how many submissions a minute were marked."""
    number = max(entry["submissions"] for entry in entries_with("marking"))
    paces = []
    for workers in WORKERS:
        entries = entries_with("marking", workers=workers, submissions=number)
        marked = sum(len(entry["points"]) for entry in entries)
        pace = 60 * marked / sum(entry["seconds"] for entry in entries)
        paces.append(f"{pace:.1f} a minute by {workers} worker{'s' if workers > 1 else ''}")
    cores = entries[0]["conditions"]["cores"]
    return f"{number} submissions of lesson 02 were marked on {cores} cores: {' and '.join(paces)}."


def main() -> None:
    """Mark a class block by block, by one worker and by two in turn, unless that is done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.marking", description=__doc__)
    parser.add_argument("submissions", type=int, nargs="?", default=SUBMISSIONS)
    number = parser.parse_args().submissions
    make_class(number)
    for first in range(0, number, BLOCK):
        students = [student_name(place) for place in range(first, min(first + BLOCK, number))]
        turn = WORKERS if first // BLOCK % 2 == 0 else WORKERS[::-1]
        for workers in turn:
            key = {"submissions": number, "from": first, "workers": workers}
            measure_once("marking", key, partial(mark_block, students, workers))
    print(marking_table())


if __name__ == "__main__":
    start(main)
