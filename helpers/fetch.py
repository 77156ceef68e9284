"""Bring Fashion-MNIST to this machine, by the first route that works, and check what came."""

import gzip
import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from helpers import config

# SHA-256 of the uncompressed files: the archives of different mirrors are compressed differently.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
SIZE = {
    "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}
# The handwritten digits of MNIST come under the same file names, with the same sizes.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("usr/share/datasets/fashion-mnist")
TIMEOUT = 30  # seconds a silent server may take before the next route is tried


class DataError(RuntimeError):
    """The data set is missing or is not Fashion-MNIST; the message says what to do."""


def raw_dir() -> Path:
    """Return the folder of the four files, the one that torchvision reads."""
    return config.DATA_DIR / "FashionMNIST" / "raw"


def find_problem(name: str, content: bytes) -> str | None:
    """Say what is wrong with one uncompressed file of the data set.

    Parameters
    ----------
    name : str
        One of the four names in `SHA256`.
    content : bytes
        What the file holds.

    Returns
    -------
    str or None
        None if the content is exactly Fashion-MNIST's, else one sentence.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest == SHA256[name]:
        return None
    if digest == MNIST_SHA256[name]:
        return f"{name} holds the handwritten digits of MNIST, not Fashion-MNIST"
    if len(content) < SIZE[name]:
        return f"{name} is truncated: {len(content):,} of {SIZE[name]:,} bytes"
    return f"{name} was altered: its SHA-256 is {digest[:12]}…, expected {SHA256[name][:12]}…"


def read_folder(folder: Path) -> dict[str, bytes]:
    """Read the four files of a folder, compressed (.gz) or not.

    Raises
    ------
    DataError
        If a file is missing, damaged or not Fashion-MNIST's.
    """
    contents = {}
    for name in SHA256:
        plain, packed = folder / name, folder / f"{name}.gz"
        try:
            content = plain.read_bytes() if plain.is_file() else gzip.decompress(packed.read_bytes())
        except FileNotFoundError:
            raise DataError(f"{folder} has no {name} or {name}.gz") from None
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{folder}: {name} cannot be read ({error})") from None
        if problem := find_problem(name, content):
            raise DataError(f"{folder}: {problem}")
        contents[name] = content
    return contents


def from_system() -> dict[str, bytes]:
    """Read a copy that is on this machine: $FASHION_MNIST_DIR, or Debian's installed package."""
    if chosen := os.environ.get("FASHION_MNIST_DIR"):
        return read_folder(Path(chosen).expanduser())
    return read_folder(Path("/") / DEBIAN_FOLDER)


def from_torchvision() -> dict[str, bytes]:
    """Download with torchvision, from the mirror of the data set's authors."""
    from torchvision.datasets import FashionMNIST  # takes a second to import, and the data is here already as a rule

    old_timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            FashionMNIST(root=folder, download=True)
            return read_folder(Path(folder) / "FashionMNIST" / "raw")
    finally:
        socket.setdefaulttimeout(old_timeout)


def from_debian() -> dict[str, bytes]:
    """Fetch Debian's package with apt and unpack it without installing; needs no root."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise DataError("this system has no apt-get")
    with tempfile.TemporaryDirectory() as folder:
        # Lists and cache of its own, so that nothing on the system is touched.
        for needed in ("lists/partial", "cache/archives/partial"):
            (Path(folder) / needed).mkdir(parents=True)
        options = [
            f"-oDir::State::lists={folder}/lists",
            f"-oDir::Cache={folder}/cache",
            f"-oAcquire::http::Timeout={TIMEOUT}",
            "-oAcquire::Retries=1",
            "-oAPT::Sandbox::User=",
            "-oDebug::NoLocking=1",
        ]
        commands = [
            ["apt-get", *options, "-q", "update"],
            ["apt-get", *options, "-q", "download", DEBIAN_PACKAGE],
        ]
        complaints = []
        for command in commands:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
            complaints += done.stderr.strip().splitlines()
            if done.returncode:
                # When no mirror answers, `update` only warns and `download` fails: the first complaint is the cause.
                raise DataError(f"apt-get failed: {complaints[0] if complaints else 'no message'}")
        archive = next(Path(folder).glob("*.deb"))
        subprocess.run(["dpkg", "-x", archive, folder], check=True, capture_output=True)
        return read_folder(Path(folder) / DEBIAN_FOLDER)


ROUTES: dict[str, Callable[[], dict[str, bytes]]] = {
    "a copy on this machine ($FASHION_MNIST_DIR or Debian's package)": from_system,
    "torchvision's download": from_torchvision,
    f"Debian's package {DEBIAN_PACKAGE}, by apt": from_debian,
}


def write_files(contents: dict[str, bytes]) -> None:
    """Write the files under temporary names, then rename, so that no half file is ever seen."""
    try:
        raw_dir().mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            handle, part = tempfile.mkstemp(dir=raw_dir(), prefix=f"{name}-", suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                os.chmod(part, 0o644)
                os.replace(part, raw_dir() / name)
            finally:
                Path(part).unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"The data set was found but cannot be written to {raw_dir()}: {error.strerror or error}.\n"
            "Make this folder writable or free some disk space (it needs 55 MB), then run\n"
            "    python -m helpers.data"
        ) from None


def fetch() -> str:
    """Make sure that `data/` holds Fashion-MNIST, exactly as published.

    Returns
    -------
    str
        One sentence for the student: where the data came from.

    Raises
    ------
    DataError
        If no route works, or the folder cannot be written; the message says what to do.
    """
    if os.path.isdir(raw_dir()):
        try:
            contents = read_folder(raw_dir())
            # torchvision reads the unpacked files only, and a student may have copied the .gz ones here.
            if not all((raw_dir() / name).is_file() for name in SHA256):
                write_files(contents)
            return f"Fashion-MNIST is in {raw_dir()} and is right (SHA-256 checked)."
        except DataError as error:
            first_problem = str(error)
            # Files that are there but wrong are replaced below; a student should know why.
            if any(os.path.exists(raw_dir() / name) for name in SHA256):
                print(f"The files in data/ cannot be used: {first_problem}. Fetching them anew.")
    failures = []
    for route, bring in ROUTES.items():
        try:
            contents = bring()
        except (DataError, OSError, RuntimeError, subprocess.SubprocessError, http.client.HTTPException) as error:
            # In one line: torchvision names the cause below its first line.
            reason = " ".join(str(error).split()) or type(error).__name__
            failures.append(f"  - {route}: {reason}")
            continue
        write_files(contents)
        return f"Fashion-MNIST was brought to {raw_dir()} (SHA-256 checked) by: {route}."
    raise DataError(
        "Fashion-MNIST could not be brought to this machine. What was tried:\n"
        + "\n".join(failures)
        + "\nWhat to do: go online and run `python -m helpers.data` again, or copy the four files\n"
        + "  "
        + ", ".join(f"{name}.gz" for name in SHA256)
        + "\n"
        "from another machine into a folder and run it with FASHION_MNIST_DIR set to that folder."
    )
