"""Where a notebook of the project is opened, and whether it can keep its results; standard library only."""

import os
import shutil
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ON = ("1", "true", "yes", "on")
OFF = ("", "0", "false", "no", "off")
NEEDED_BYTES = 50_000_000  # the largest trained network with its optimizer, and an executed notebook


def switched_on(name: str) -> bool:
    """Read a switch from the environment.

    Parameters
    ----------
    name : str
        Of an environment variable. Without it the switch is off.

    Returns
    -------
    bool

    Raises
    ------
    SystemExit
        If the variable holds another word than those of `ON` and `OFF`.
    """
    word = os.environ.get(name, "")
    if word.strip().lower() in ON + OFF:
        return word.strip().lower() in ON
    raise SystemExit(
        f"The environment variable {name} is {word!r}, which is neither on nor off. "
        f"Set it to one of {', '.join(ON)} (on) or {', '.join(OFF[1:])} (off), or remove it, and start again."
    )


def folder_for_runs(name: str) -> Path:
    """Return the folder below `runs/` that a run writes to.

    Parameters
    ----------
    name : str
        A plain folder name: anything that leads elsewhere could overwrite files that are none of the project's.

    Raises
    ------
    SystemExit
        If the name is not plain.
    """
    # A backslash and a colon lead elsewhere on Windows, which also ignores dots and spaces at the end of a name.
    if name.startswith(".") or name.endswith((".", " ")) or any(sign in name for sign in "/\\:\0"):
        raise SystemExit(
            f"The environment variable RUN_NAME is {name!r}, but must be a plain folder name, such as trial-2: "
            "the run's results go to the folder of this name in runs/. Change or remove it, and start again."
        )
    return ROOT / "runs" / name


def other_project(folder: Path) -> Path | None:
    """Return the copy of this project that a folder belongs to, if it is another copy than that of these helpers.

    Parameters
    ----------
    folder : Path
        Where a notebook runs.

    Returns
    -------
    Path or None
        None where the folder belongs to this copy, or to no copy with helpers of its own.
    """
    for inside in (folder, *folder.parents):
        project = inside.parent
        if inside.name == "notebooks" and (project / "helpers" / "config.py").is_file():
            return None if project.samefile(ROOT) else project
    return None


def how_to_choose(project: Path) -> str:
    """Say how to get the helpers that belong to the notebooks of a project."""
    return (
        "Two copies of the project need an environment each. Close this notebook, open a terminal in the folder "
        f"{project}, and open JupyterLab there with `make lab`; without make, create an environment there as the "
        "README says, and choose it under Kernel, Change Kernel."
    )


def cannot_keep(folder: Path) -> str:
    """Return why a folder cannot take the results of a run and what to do, or nothing if it can.

    Parameters
    ----------
    folder : Path
        It need not exist yet.
    """
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return (
            f"What is trained here could not be saved, since {there} cannot be written. Copy the whole project "
            "to a folder of your own and open the notebooks there."
        )
    if (free := shutil.disk_usage(there).free) < NEEDED_BYTES:
        return (
            f"What is trained here could not be saved, since the disk is full: {free / 1e6:.0f} MB are free, and "
            f"{NEEDED_BYTES / 1e6:.0f} MB are needed. Empty the bin or delete files that you do not need, then restart "
            "the kernel."
        )
    return ""


def check_notebook(runs: Path) -> None:
    """Stop a notebook of this project in its first cell if what it trains would be lost or land elsewhere.

    Elsewhere, as in a folder of submissions or in a script, nothing is looked at.

    Parameters
    ----------
    runs : Path
        Where results go.

    Raises
    ------
    SystemExit
        With one message that says what to do. Jupyter shows it without the lines of code that led to it.
    """
    warnings.filterwarnings("ignore", message="To exit: use 'exit'")  # what IPython adds to each SystemExit
    try:
        here = Path.cwd()
    except OSError:
        return  # the folder was deleted
    if project := other_project(here):
        raise SystemExit(
            f"This notebook is part of {project}, but its helpers are those of {ROOT}. {how_to_choose(project)}"
        )
    if ROOT / "notebooks" in (here.resolve(), *here.resolve().parents) and (message := cannot_keep(runs)):
        raise SystemExit(message)
