"""Fetch single files of packages from the npm registry, whole and unchanged, and keep them in runs/npm/."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

from helpers import config
from helpers.files import replacing

KEPT = config.ROOT / "runs" / "npm"
# Version, and the checksum that npm itself prints for it (`npm view onnxruntime-web@1.22.0 dist.integrity`).
PACKAGES = {
    # Later versions bring a larger program: 1.30.0 takes 3.7 MB packed, where this one takes 2.9.
    "onnxruntime-web": (
        "1.22.0",
        "sha512-Ud/+EBo6mhuaQWt/OjaOk0iNWjXqJoeeMFr6xQEERZdIZH2OWpGzuujz7lfuOBjUa6TEE/sc4nb7Da5dNL34fg==",
    ),
}


class NpmError(RuntimeError):
    """A package cannot be had; the message says why, and what to do."""


def integrity(path: Path) -> str:
    """Return the checksum of a file in the way npm writes it."""
    return f"sha512-{base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()}"


def fetch_package(name: str) -> Path:
    """Bring a package of `PACKAGES`, as an archive, and keep it for the next time.

    Parameters
    ----------
    name : str
        A key of `PACKAGES`.

    Returns
    -------
    Path
        The archive.

    Raises
    ------
    NpmError
        If npm is missing, cannot reach its registry, or brings something else than the version that is meant.
    """
    version, expected = PACKAGES[name]
    archive = KEPT / f"{name}-{version}.tgz"
    if archive.is_file() and integrity(archive) == expected:
        return archive
    npm = shutil.which("npm")  # on Windows npm.cmd
    if npm is None:
        raise NpmError(
            f"npm is missing, which fetches {name}. Install Node.js, which brings it (on Debian and Ubuntu: "
            "apt-get install npm), and try again."
        )
    KEPT.mkdir(parents=True, exist_ok=True)
    with replacing(archive) as part:
        folder = part.with_suffix(".folder")
        folder.mkdir()
        try:
            command = [npm, "pack", f"{name}@{version}", "--pack-destination", str(folder)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                reason = next((line for line in done.stderr.splitlines() if "code" in line), "it gave no reason")
                raise NpmError(
                    f"npm cannot fetch {name} {version} ({reason.removeprefix('npm error ')}). Look at the network "
                    "and at npm's registry (npm config get registry), and try again."
                )
            (folder / archive.name).rename(part)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if integrity(part) != expected:
            raise NpmError(
                f"npm brought {name} {version} with another content than was published. Look at which registry it "
                "asks (npm config get registry); nothing of it was kept."
            )
    return archive


def read_files(name: str, paths: list[str]) -> dict[str, bytes]:
    """Return files of a package of `PACKAGES`.

    Parameters
    ----------
    name : str
        A key of `PACKAGES`.
    paths : list of str
        Where they lie in the package.

    Returns
    -------
    dict of str to bytes
        By these paths.

    Raises
    ------
    NpmError
        As `fetch_package`.
    """
    with tarfile.open(fetch_package(name)) as archive:
        return {path: archive.extractfile(f"package/{path}").read() for path in paths}
