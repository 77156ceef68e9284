"""Make `.venv` work again after the project's folder was renamed, moved or copied; `make` calls this where needed."""

import os
import subprocess
import sys
import venv
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def write_scripts(folder: Path) -> None:
    """Write the commands of all installed packages, such as `jupyter-lab`: each names its Python by its full path.

    Parameters
    ----------
    folder : Path
        Where the commands go. Those that are there are replaced.
    """
    from pip._vendor.distlib.scripts import ScriptMaker  # what pip itself writes them with

    maker = ScriptMaker(None, str(folder))
    maker.variants, maker.clobber, maker.set_mode = {""}, True, True
    for entry in entry_points(group="console_scripts"):
        maker.make(f"{entry.name} = {entry.value}")


def main() -> None:
    """Write what holds the environment's path once more: commands, `activate`, and where `helpers` lies."""
    scripts = Path(sys.executable).parent
    venv.create(sys.prefix, symlinks=os.name != "nt")
    write_scripts(scripts)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-e", "."]
    subprocess.run(install, cwd=ROOT, check=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"The environment could not be adapted to this folder: {error}") from None
