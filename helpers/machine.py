"""Look at this machine before the first lesson: packages, memory, disk, device and data, each as right or not yet."""

# Whatever needs torch is imported inside the functions: a missing package must become a cross, not a failed import.

import os
import platform
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
CGROUPS = Path("/sys/fs/cgroup")
NEEDED_MEMORY = 3.0  # GB, the most that a lesson takes
NEEDED_DISK = 0.5  # GB, for the data, the trained models and the logs
INSTALL = "In the project's folder run `python -m pip install -r requirements.txt`, then restart the kernel."
NAMED = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "scikit-learn", "jupyterlab", "ipywidgets")


class Check(NamedTuple):
    """One row of the machine's table: what was looked at, what was found, and what to do if it is not fine."""

    what: str
    found: str
    fine: bool
    advice: str = ""


def check_python(version: str | None = None) -> Check:
    """Compare Python's version with the bound in pyproject.toml."""
    version = version or platform.python_version()
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
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


def free_memory() -> float:
    """Return how much memory is free, in GB, within the limit of a container if there is one."""
    free = psutil.virtual_memory().available
    # The system's figure is that of the whole computer, also for a student who was given a small share of it.
    for limit, used in [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ]:
        try:
            free = min(free, int((CGROUPS / limit).read_text()) - int((CGROUPS / used).read_text()))
        except (OSError, ValueError):
            continue  # no such file, or the word "max": there is no limit
    return free / 1e9


def check_memory(free: float | None = None) -> Check:
    """Compare the free memory, in GB, with what the greediest lesson takes."""
    free = free_memory() if free is None else free
    found = f"{free:.1f} GB are free; a lesson needs up to {NEEDED_MEMORY:.0f} GB"
    advice = "Close other programs and browser tabs, and shut down other kernels, then run this cell again."
    return Check("memory", found, free >= NEEDED_MEMORY, advice)


def check_disk(free: float | None = None, writable: bool | None = None) -> Check:
    """Compare the free disk space, in GB, with what data and models take, and see whether the folder can be written."""
    free = psutil.disk_usage(str(ROOT)).free / 1e9 if free is None else free
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

        from helpers import config
    except ImportError as error:
        return Check("device", f"PyTorch cannot be loaded: {error}", False, INSTALL)
    device = config.get_device().type
    name = torch.cuda.get_device_name() if device == "cuda" else torch.backends.cpu.get_cpu_capability()
    return Check("device", f"{device} ({name}), {os.cpu_count()} cores, {torch.get_num_threads()} used", True)


def check_data() -> Check:
    """Bring the data if it is not here yet, and say whether it is right."""
    try:
        from helpers.fetch import DataError, fetch
    except ImportError as error:
        return Check("data", f"not looked at, since a package cannot be loaded: {error}", False, INSTALL)
    try:
        fetch()
    except DataError as error:
        return Check("data", "Fashion-MNIST is missing", False, str(error))
    return Check("data", "Fashion-MNIST is here, exactly as published (SHA-256)", True)


def check_machine() -> list[Check]:
    """Make all checks."""
    return [check_python(), *check_packages(), check_memory(), check_disk(), check_device(), check_data()]


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
