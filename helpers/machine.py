"""Look at this machine before the first lesson: packages, memory, disk, device and data, each as right or not yet."""

# What is no part of Python is imported inside the functions: a missing package must become a cross, no failed import.

import json
import math
import os
import platform
import re
import shutil
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from helpers.home import how_to_choose, other_project

ROOT = Path(__file__).resolve().parent.parent
CGROUPS = Path("/sys/fs/cgroup")
MY_CGROUPS = Path("/proc/self/cgroup")
NEEDED_DISK = 0.5  # GB, for the data, the trained models and the logs
INSTALL = "In the project's folder run `python -m pip install -r requirements.txt`, then restart the kernel."
NAMED = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "scikit-learn", "jupyterlab", "ipywidgets")


class Check(NamedTuple):
    """One row of the machine's table: what was looked at, what was found, and what to do if it is not fine."""

    what: str
    found: str
    fine: bool
    advice: str = ""


def not_looked_at(what: str, error: ImportError) -> Check:
    """Return the row of a check that could not be made, since a package is missing."""
    return Check(what, f"not looked at, since a package cannot be loaded: {error}", False, INSTALL)


def check_helpers() -> Check:
    """Compare the copy of the project that this notebook belongs to with the one whose helpers it got."""
    if project := other_project(Path.cwd()):
        return Check(
            "helpers", f"they are those of {ROOT}, the notebook is of {project}", False, how_to_choose(project)
        )
    return Check("helpers", f"those of {ROOT.name}", True)


def check_python(version: str | None = None) -> Check:
    """Compare Python's version with the bound in pyproject.toml."""
    version = version or platform.python_version()
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError as error:
        return not_looked_at("Python", error)
    # Read without tomllib, which an older Python does not have.
    needed = re.search('requires-python = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    advice = f"Install a Python {needed}, set the project up again with it, and choose it under Kernel, Change Kernel."
    return Check("Python", f"{version} on {platform.system()}", SpecifierSet(needed).contains(version), advice)


def check_packages(requirements: Iterable[str] | None = None) -> list[Check]:
    """Compare the installed packages with the bounds in requirements.txt.

    Parameters
    ----------
    requirements : iterable of str, optional
        Lines such as "torch>=2.15". By default those of requirements.txt.

    Returns
    -------
    list of Check
        One for all packages that are right, and one for each that is missing or too old.
    """
    if requirements is None:
        lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
        requirements = [line for line in lines if line and line[0] not in "#-"]
    try:
        from packaging.requirements import Requirement
    except ImportError as error:
        return [not_looked_at("packages", error)]
    right, wrong = {}, []
    for needed in map(Requirement, requirements):
        try:
            version = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            wrong.append(Check(needed.name, f"missing; needed is {needed.specifier or 'any version'}", False, INSTALL))
            continue
        if needed.specifier.contains(version, prereleases=True):
            right[needed.name] = version
        else:
            wrong.append(Check(needed.name, f"{version}; needed is {needed.specifier}", False, INSTALL))
    named = ", ".join(f"{name} {right[name]}" for name in NAMED if name in right)
    return [Check("packages", f"{len(right)} are right: {named}", True), *wrong] if right else wrong


def my_groups(kind: str) -> list[Path]:
    """Return the folder of this process's control group, and those of all groups around it.

    Parameters
    ----------
    kind : str
        "memory" for control groups of version 1, "" for version 2.
    """
    try:
        lines = [line.split(":", 2) for line in MY_CGROUPS.read_text().splitlines()]
    except OSError:
        lines = []  # no Linux
    top = CGROUPS / kind
    mine = [top / path.lstrip("/") for _, kinds, path in lines if kind in kinds.split(",")]
    return [top, *(group for folder in mine for group in (folder, *folder.parents) if top in group.parents)]


def left_in_group(limit: Path, used: Path) -> float:
    """Return how much of a control group's memory limit is left, in bytes; infinity without a limit."""
    try:
        left = int(limit.read_text()) - int(used.read_text())
    except (OSError, ValueError):
        return math.inf  # no such file, or the word "max"
    try:
        sizes = dict(line.split() for line in (limit.parent / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return left
    # Copies of files on the disk count as used here, but are dropped as soon as a program needs the room.
    # In version 1 the lines "total_…" include the groups inside.
    total = "total_" if "total_inactive_file" in sizes else ""
    return left + sum(int(sizes.get(total + name, 0)) for name in ("inactive_file", "active_file"))


def free_memory() -> float:
    """Return how much memory is free, in GB, within the limit of a container if there is one."""
    import psutil

    # The system's figure is that of the whole computer, also for a student who was given a small share of it.
    free = psutil.virtual_memory().available
    for group in my_groups(""):
        free = min(free, left_in_group(group / "memory.max", group / "memory.current"))
    for group in my_groups("memory"):
        free = min(free, left_in_group(group / "memory.limit_in_bytes", group / "memory.usage_in_bytes"))
    return max(free, 0) / 1e9


def needed_memory() -> float:
    """Return the most memory that a lesson took when the series was recorded, in GB, rounded up to a tenth."""
    recorded = json.loads((ROOT / "notebooks" / "run_times.json").read_text(encoding="utf-8"))
    return math.ceil(10 * max(recorded["peak_memory"].values())) / 10


def check_memory(free: float | None = None) -> Check:
    """Compare the free memory, in GB, with what the greediest lesson takes."""
    try:
        free = round(free_memory() if free is None else free, 1)
    except ImportError as error:
        return not_looked_at("memory", error)
    found = f"{free:.1f} GB are free; a lesson needs up to {needed_memory():.1f} GB"
    advice = "Close other programs and browser tabs, and shut down other kernels, then run this cell again."
    return Check("memory", found, free >= needed_memory(), advice)


def check_disk(free: float | None = None, writable: bool | None = None) -> Check:
    """Compare the free disk space, in GB, with what data and models take, and see whether the folder can be written."""
    free = shutil.disk_usage(ROOT).free / 1e9 if free is None else free
    writable = os.access(ROOT, os.W_OK) if writable is None else writable
    if not writable:
        advice = "Copy the whole project to a folder of your own and open the notebooks there."
        return Check("disk", "the project's folder cannot be written", False, advice)
    found = f"{free:.1f} GB are free; the series needs {NEEDED_DISK} GB"
    return Check("disk", found, free >= NEEDED_DISK, "Empty the bin or delete files that you do not need.")


def check_device() -> Check:
    """Say on which device the networks will train. Any will do."""
    try:
        import torch

        from helpers.device import get_device
    except ImportError as error:
        return Check("device", f"PyTorch cannot be loaded: {error}", False, INSTALL)
    except SystemExit as error:  # config's own words
        return Check("device", "not looked at", False, str(error))
    device = get_device().type
    name = torch.cuda.get_device_name() if device == "cuda" else torch.backends.cpu.get_cpu_capability()
    return Check("device", f"{device} ({name}), {os.cpu_count()} cores, {torch.get_num_threads()} used", True)


def check_data() -> Check:
    """Bring the data if it is not here yet, and say whether it is right."""
    try:
        from helpers.fetch import DataError, fetch
    except ImportError as error:
        return not_looked_at("data", error)
    except SystemExit as error:
        return Check("data", "not looked at", False, str(error))
    try:
        fetch()
    except DataError as error:
        return Check("data", "Fashion-MNIST is missing", False, str(error))
    return Check("data", "Fashion-MNIST is here, exactly as published (SHA-256)", True)


def check_machine() -> list[Check]:
    """Make all checks; with the helpers of another copy of the project only that one."""
    helpers = check_helpers()
    return (
        [helpers]
        if not helpers.fine
        else [check_python(), *check_packages(), check_memory(), check_disk(), check_device(), check_data()]
    )


def markdown_table(header: list[str], rows: list[list]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(item) for item in line) + " |" for line in lines)


def checks_table(checks: list[Check]) -> str:
    """Return the checks as a table in Markdown, and a last line that says whether all is well."""
    rows = []
    for check in checks:
        texts = [check.what, check.found, "nothing" if check.fine else check.advice]
        texts = [text.replace("|", "\\|").replace("\n", "<br>") for text in texts]
        rows.append(["✓&nbsp;right" if check.fine else "✗&nbsp;**not&nbsp;yet**", *texts])
    wrong = sum(not check.fine for check in checks)
    last = f"**{wrong} to put right.** Do what the last column says, then run this cell again."
    table = markdown_table(["", "what", "found", "what to do"], rows)
    return f"{table}\n\n{last if wrong else '**This machine is ready.**'}"
