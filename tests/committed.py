"""Which files of the project differ from the last commit: what a student changed is no fault of the project."""

import os
import subprocess

import nbformat

from helpers import config


def git(*words):
    """Return what git says of this folder, or None if it knows nothing of it."""
    try:
        done = subprocess.run(["git", *words], cwd=config.ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return os.fsdecode(done.stdout)


def changed_files():
    """Return what differs from the last commit, or None without a repository of the project's own."""
    top = git("rev-parse", "--show-toplevel")
    if top is None or not config.ROOT.samefile(top.strip()):
        return None
    found = git("diff", "HEAD", "--name-only", "-z")
    return None if found is None else {config.ROOT / name for name in found.split("\0") if name}


CHANGED = changed_files()


def as_committed(path):
    """Return the text of a file as it was committed, or as it is without a repository."""
    committed = git("show", f"HEAD:{path.relative_to(config.ROOT).as_posix()}") if path in (CHANGED or ()) else None
    return path.read_text(encoding="utf-8") if committed is None else committed


def read_committed(path):
    """Return a notebook as it was committed, or as it is without a repository."""
    return nbformat.reads(as_committed(path), as_version=4)


def without_own_files(paths):
    """Leave out the files that the project does not know: a student's own."""
    found = None if CHANGED is None else git("ls-files", "--others", "-z")
    own = {config.ROOT / name for name in (found or "").split("\0") if name}
    return sorted(set(paths) - own)
