"""Execute the solutions and make the students' exercises of them, with nbgrader's own preprocessors."""

import shutil
from pathlib import Path

import nbformat
from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import SaveCells

from build_tools import series
from helpers import config

SOLUTIONS = config.NOTEBOOKS_DIR / "solutions"
EXERCISES = config.NOTEBOOKS_DIR / "exercises"
# Begins the last part of a notebook of solutions: the answers to what has no check, such as "Think first".
ANSWERS = "## Answers to"


def solution_paths() -> list[Path]:
    """Return the notebooks of the solutions in order."""
    return [SOLUTIONS / f"{name}.ipynb" for name in config.LESSONS]


def student_version(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the notebook that a student gets: no solutions, no answers, no outputs, the check cells locked.

    The preprocessors are those of `nbgrader generate_assignment`, in its order, but for the one that
    writes to the gradebook.
    """
    exercise = nbformat.from_dict(solution)
    exercise.metadata = nbformat.from_dict({key: solution.metadata[key] for key in ("kernelspec", "language_info")})
    begins = [number for number, cell in enumerate(exercise.cells) if cell.source.startswith(ANSWERS)]
    exercise.cells = exercise.cells[: begins[0]] if begins else exercise.cells
    for preprocessor in GenerateAssignment().preprocessors:
        if preprocessor is not SaveCells:
            exercise, _ = preprocessor().preprocess(exercise, {})
    return exercise


def generate() -> None:
    """Write the student's notebook of every solution."""
    EXERCISES.mkdir(exist_ok=True)
    for path in solution_paths():
        nbformat.write(student_version(nbformat.read(path, as_version=4)), EXERCISES / path.name)
        print(f"notebooks/exercises/{path.name}")


def main() -> None:
    """Execute every solution, keep its outputs, and generate the exercises."""
    for path in solution_paths():
        print(path.stem, flush=True)
        series.execute(path)
        shutil.copy(series.executed_copy(path), path)
    generate()


if __name__ == "__main__":
    main()
