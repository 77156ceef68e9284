"""Install the packages into the environment whose Python runs this; `make` calls it. It needs nothing but Python."""

import argparse
import http.client
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DRIVER = Path("/proc/driver/nvidia/version")
CHOICES = ("auto", "cpu", "cuda")
SECONDS = 4  # for a look at an index; a network that swallows everything must not hold up the set-up
# Sums of the wheels' sizes, measured in November 2026 under Python 3.11.
CPU_SIZE, CUDA_SIZE, OTHER_SIZE = "0.4 GB", "3.2 GB", "0.3 GB"
# What would mix packages of other places with those of the index that is asked for.
MIXING = ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS")


def usual_size() -> str:
    """Return how much is downloaded with the usual builds."""
    return CUDA_SIZE if sys.platform == "linux" else OTHER_SIZE


def wants_cpu_builds(choice: str) -> bool:
    """Tell whether PyTorch is to come from the index of its CPU builds.

    Parameters
    ----------
    choice : str
        "cpu" or "cuda" as somebody decided by hand, or "auto".
    """
    if sys.platform == "darwin":
        return False  # the usual builds have no CUDA there
    if choice != "auto":
        return choice == "cpu"
    driver = shutil.which("nvidia-smi") or DRIVER.exists()
    return sys.platform == "linux" and platform.machine() == "x86_64" and not driver


def what_is_wrong_with(index: str) -> str:
    """Look at a package index, and return why it cannot be used, "" if it answers."""
    wrong = [f"it gave no answer in {SECONDS} seconds"]

    def look() -> None:
        try:
            with urllib.request.urlopen(f"{index.rstrip('/')}/torch/"):
                wrong[0] = ""
        except (OSError, ValueError, http.client.HTTPException) as error:
            wrong[0] = str(error)

    # A thread, since a time limit of urlopen would not hold while a name is looked up.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return wrong[0]


def version_of_torch() -> str:
    """Return the version of PyTorch in this environment, "" if there is none."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def install(*words: str, index: str = "") -> bool:
    """Install with uv where it is, else with pip, and tell whether it worked.

    Parameters
    ----------
    *words : str
        What to install.
    index : str, optional
        The only index to take it from. By default the usual one.
    """
    uv = shutil.which("uv")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    # With bytecode, as pip does it: where Python may not write any, each process would compile PyTorch anew.
    command = [uv, "pip", "install", "--compile-bytecode", "--python", sys.executable] if uv else pip
    environment = dict(os.environ)
    if index:
        command += ["--default-index" if uv else "--index-url", index]
        environment = {name: value for name, value in environment.items() if name not in MIXING}
        environment |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    return subprocess.run([*command, *words], cwd=ROOT, env=environment).returncode == 0


def torch_and_torchvision() -> list[str]:
    """Return the lines of requirements.txt that name the two packages of which there are several builds."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.split("[<>=!~ ]", line)[0] in ("torch", "torchvision")]


def install_cpu_builds(index: str, *options: str) -> str:
    """Install torch and torchvision from one index, within the bounds of requirements.txt; return why not, else ""."""
    if wrong := what_is_wrong_with(index):
        return wrong
    installed = install(*options, *torch_and_torchvision(), index=index)
    return "" if installed else "it has no versions that fit here, as is said above"


def install_requirements(choice: str, index: str) -> None:
    """Install what requirements.txt names.

    Parameters
    ----------
    choice : str
        "cpu" or "cuda" decide by hand which builds of PyTorch are taken; "auto" takes what suits this machine.
    index : str
        The package index with PyTorch's CPU builds.

    Raises
    ------
    SystemExit
        If it cannot be done; the message says why, and what to do.
    """
    if choice not in CHOICES:
        raise SystemExit(f"TORCH={choice} is not known. Try TORCH=cpu, TORCH=cuda, or leave it out.")
    cpu, there = wants_cpu_builds(choice), version_of_torch()
    replaced = bool(choice != "auto" and there and there.endswith("+cpu") != cpu)
    # Downloaded before the other builds are removed: without a network those must stay.
    options = ["--force-reinstall", "--no-deps"] if replaced else []
    if replaced:
        print(f"PyTorch {there} is replaced, since TORCH={choice} was given.", flush=True)
    if replaced or not there:
        print(f"It downloads about {CPU_SIZE if cpu else usual_size()} and takes some minutes.", flush=True)
    # What is there already and fits stays.
    if cpu and (wrong := install_cpu_builds(index, *options)):
        failed = f"PyTorch's CPU builds could not be had from {index}: {wrong}."
        if choice == "cpu":
            raise SystemExit(f"{failed} Try again, name another index with TORCH_CPU_INDEX=..., or take TORCH=cuda.")
        if not there:
            print(f"{failed} The usual builds are taken, about {usual_size()} with CUDA.", flush=True)
    exchanged = install(*options, *torch_and_torchvision()) if replaced and not cpu else True
    if not (exchanged and install("-r", "requirements.txt")):
        raise SystemExit(
            "The packages could not be installed; it is said above why. If no torch was found, there is none for this "
            "system or this version of Python: see 'Where it installs' in README.md. Otherwise go online and try again."
        )


def main(words: list[str] | None = None) -> None:
    """Install the requirements, or one extra of pyproject.toml."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--cpu-index", default="", help="the package index with PyTorch's CPU builds")
    parser.add_argument("--extra", help="install this extra of pyproject.toml instead")
    given = parser.parse_args(words)
    if given.extra is None:
        install_requirements(given.torch, given.cpu_index)
    elif not install("-e", f".[{given.extra}]"):
        raise SystemExit(
            f"The packages for '{given.extra}' could not be installed; it is said above why. Go online and try again."
        )


if __name__ == "__main__":
    main()
