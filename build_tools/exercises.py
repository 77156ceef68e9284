"""Execute the solutions and make the students' exercises of them, with nbgrader's own preprocessors."""

import argparse
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


def student_path(path: Path) -> Path:
    """Return where the student's notebook of a solution lies: those of the lab are in the folder above."""
    return (series.LAB if path in series.case_paths() else EXERCISES) / path.name


def before_answers(solution: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the cells of a notebook of solutions down to the answers to what has no check."""
    begins = [number for number, cell in enumerate(solution.cells) if cell.source.startswith(ANSWERS)]
    return solution.cells[: begins[0]] if begins else solution.cells


def student_version(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the notebook that a student gets: no solutions, no answers, no outputs, the check cells locked.

    The preprocessors are those of `nbgrader generate_assignment`, in its order, but for the one that
    writes to the gradebook.
    """
    exercise = nbformat.from_dict(solution)
    exercise.metadata = nbformat.from_dict({key: solution.metadata[key] for key in ("kernelspec", "language_info")})
    exercise.cells = before_answers(exercise)
    for preprocessor in GenerateAssignment().preprocessors:
        if preprocessor is not SaveCells:
            exercise, _ = preprocessor().preprocess(exercise, {})
    return exercise


def student_notebook(path: Path) -> nbformat.NotebookNode:
    """Return the student's notebook of a solution, with links that lead on from where it lies."""
    exercise = student_version(nbformat.read(path, as_version=4))
    if student_path(path).parent == series.LAB:  # one folder above its solution
        for cell in exercise.cells:
            cell.source = cell.source.replace("](../", "](")
    return exercise


def generate() -> None:
    """Write the student's notebook of every solution, to the exercises and to the lab."""
    EXERCISES.mkdir(exist_ok=True)
    for path in [*solution_paths(), *series.case_paths()]:
        nbformat.write(student_notebook(path), student_path(path))
        print(student_path(path).relative_to(config.ROOT).as_posix())


def write_source(names: list[str], folder: Path) -> None:
    """Write the solutions as nbgrader takes them for an assignment, without the answers that no check asks for.

    Parameters
    ----------
    names : list of str
        Of the lessons and of the cases of the lab; all lessons if there is none.
    folder : Path
        Of the assignment, `source/ASSIGNMENT` in the folder of the course.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*solution_paths(), *series.case_paths()]:
        if path.stem in (names or config.LESSONS):
            solution = nbformat.read(path, as_version=4)
            solution.cells = before_answers(solution)
            nbformat.write(solution, folder / path.name)


def main(only: list[str]) -> None:
    """Execute the solutions, all or those named, keep their outputs, and generate the exercises."""
    for path in solution_paths():
        if only and path.stem not in only:
            continue
        print(path.stem, flush=True)
        series.execute(path)
        shutil.copy(series.executed_copy(path), path)
    generate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, metavar="FOLDER", help="only write nbgrader's source there; run nothing")
    arguments = series.named_lessons(parser)
    if arguments.source:
        write_source(arguments.only, arguments.source)
    else:
        main(arguments.only)
