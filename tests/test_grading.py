"""The exercises in the hands of the real nbgrader: it releases what is committed, and gives full marks and none."""

import os
import subprocess
import sys
import sysconfig

import nbformat
import pytest
from committed import read_committed
from nbgrader.api import Gradebook
from test_exercises import SOLUTIONS, answers, checks

from build_tools import exercises
from helpers import config

# nbgrader takes seconds for each; `make test-full` has it release all.
RELEASED = SOLUTIONS[:2] if config.FAST else SOLUTIONS
# That the checks of all lessons pass is seen where the notebooks are executed; that blank ones fail, in test_exercises.
STUDENTS = {"full": SOLUTIONS[:1], "blank": SOLUTIONS[:1]}
CONFIGURATION = """\
c = get_config()
c.CourseDirectory.course_id = "fashion"
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Let nbgrader make the assignment, hand in a right and a blank submission, and mark both as the guide says."""
    course = tmp_path_factory.mktemp("a course")
    exercises.write_source([path.stem for path in RELEASED], course / "source" / "exercises")
    (course / "nbgrader_config.py").write_text(CONFIGURATION)
    run(course, "nbgrader", "generate_assignment", "exercises")
    for student, paths in STUDENTS.items():
        folder = course / "submitted" / student / "exercises"
        folder.mkdir(parents=True)
        for path in paths:
            notebook = read_committed(course / "release" / "exercises" / path.name)
            if student == "full":
                for grade_id, cell in answers(read_committed(path)).items():
                    answers(notebook)[grade_id].source = cell.source
            nbformat.write(notebook, folder / path.name)
    run(config.ROOT, "build_tools.marking", str(course), "exercises")
    return course


def run(folder, module, *arguments):
    # nbgrader calls the command `alembic`, which is found only where the environment is activated.
    environment = os.environ | {"PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", RELEASED, ids=[path.stem for path in RELEASED])
def test_nbgrader_releases_what_is_committed(path, course):
    released = read_committed(course / "release" / "exercises" / path.name)
    committed = read_committed(exercises.EXERCISES / path.name)
    assert [cell.source for cell in released.cells] == [cell.source for cell in committed.cells]
    assert [cell.metadata for cell in released.cells] == [cell.metadata for cell in committed.cells]


@pytest.mark.parametrize("student", STUDENTS)
def test_nbgrader_gives_full_marks_and_none(course, student):
    handed_in = {path.stem for path in STUDENTS[student]}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "fashion") as gradebook:
        submission = gradebook.find_submission("exercises", student)
        marked = [notebook for notebook in submission.notebooks if notebook.name in handed_in]
        assert len(marked) == len(handed_in)
        for notebook in marked:
            points = sum(
                cell.metadata.nbgrader.points
                for cell in checks(read_committed(exercises.SOLUTIONS / f"{notebook.name}.ipynb")).values()
            )
            assert notebook.max_score == points
            assert notebook.score == (points if student == "full" else 0), notebook.name
