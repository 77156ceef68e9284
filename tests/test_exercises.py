"""The exercises: made of the solutions by nbgrader, without a solution in them."""

import re

import nbformat
import pytest
from committed import CHANGED, read_committed

from build_tools import exercises, series
from helpers import config

SOLUTIONS = exercises.solution_paths()
NAMES = [path.stem for path in SOLUTIONS]
LAB = series.case_paths()
SOLUTION = r"### BEGIN SOLUTION\n(.*?)### END SOLUTION"
each_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
each_of_all = pytest.mark.parametrize("path", [*SOLUTIONS, *LAB], ids=[*NAMES, *config.LAB_CASES])


def answers(notebook):
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if is_marked(cell, "solution")}


def checks(notebook):
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if is_marked(cell, "grade")}


def is_marked(cell, mark):
    return cell.metadata.get("nbgrader", {}).get(mark, False)


def without_solution(cell):
    return re.sub(SOLUTION, "", cell.source, flags=re.DOTALL)


def solution_lines(cell):
    """Return the lines between the marks, without comments, blanks and lines too short to tell anything."""
    [inside] = re.findall(SOLUTION, cell.source, flags=re.DOTALL)
    lines = [line.strip() for line in inside.split("\n")]
    return [line for line in lines if len(line) > 12 and not line.startswith("#")]


def test_every_lesson_has_its_exercises():
    assert NAMES == config.LESSONS
    assert all(exercises.student_path(path).is_file() for path in [*SOLUTIONS, *LAB])


@each_of_all
def test_exercises_are_what_the_solutions_give(path):
    if CHANGED is None or CHANGED & {path, exercises.student_path(path)}:
        pytest.skip(f"{path.name} differs from the last commit, or git does not know; looked at when it is committed")
    expected = nbformat.writes(exercises.student_notebook(path))
    committed = exercises.student_path(path).read_text(encoding="utf-8")
    assert committed.rstrip("\n") == expected.rstrip("\n"), "run make exercises"


@each_of_all
def test_no_solution_leaks_into_the_exercises(path):
    solution, exercise = read_committed(path), read_committed(exercises.student_path(path))
    text = "\n".join(cell.source for cell in exercise.cells)
    # A repaired function shares lines with the broken one, which the student sees.
    shown = "\n".join(without_solution(cell) for cell in exercises.before_answers(solution))
    assert "SOLUTION" not in text and "HIDDEN" not in text
    assert exercises.ANSWERS not in text
    assert all(not cell.outputs and cell.execution_count is None for cell in exercise.cells if cell.cell_type == "code")
    for grade_id, cell in answers(solution).items():
        assert "raise NotImplementedError()" in answers(exercise)[grade_id].source
        for line in solution_lines(cell):
            assert text.count(line) == shown.count(line), f"{grade_id}: {line}"


@each_solution
def test_an_exercise_has_its_form(path):
    notebook = read_committed(path)
    lesson = read_committed(config.NOTEBOOKS_DIR / path.name)
    title = lesson.cells[0].source.split("\n")[0].removeprefix("# ")
    assert notebook.cells[0].source.startswith(f"# Exercises {title}\n")
    assert f"[{title}](../{path.name})" in notebook.cells[0].source
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    numbers = re.findall(r"^## Exercise (\d) · \S", text, flags=re.MULTILINE)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)] and 3 <= len(numbers) <= 5
    assert [f"check_{name}" for name in answers(notebook)] == list(checks(notebook))
    assert len(checks(notebook)) >= len(numbers)
    for cell in checks(notebook).values():
        assert 1 <= cell.metadata.nbgrader.points <= 3
    assert f"(exercises/{path.name})" in lesson.cells[-1].source


@each_of_all
def test_the_committed_solutions_were_run_and_belong_to_their_code(path):
    notebook = read_committed(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert notebook.metadata["series"] == {"code_sha256": series.code_hash(notebook), "fast": False}, "make exercises"
    for cell in checks(notebook).values():
        assert cell.outputs[0].text.startswith("✓ ")
