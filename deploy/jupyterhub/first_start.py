"""Copy the project to a student's home, unless there is a copy: `first_start.py PROJECT COPY`, run as the student."""

import shutil
import sys
from pathlib import Path

# What belongs to the shared project alone, by its place in it.
LEFT_OUT = {".git", ".venv", ".pytest_cache", ".ruff_cache", "runs", "data/FashionMNIST"}


def copy_project(project: Path, copy: Path) -> None:
    """Copy the project under another name and rename it, so that a copy that was interrupted is begun again.

    Parameters
    ----------
    project : Path
        The shared one; its data set becomes a link in the copy.
    copy : Path
        Where it goes. What stands there already is left alone.
    """

    def left_out(folder: str, names: list[str]) -> list[str]:
        inside = Path(folder).relative_to(project)
        return [name for name in names if (inside / name).as_posix() in LEFT_OUT or name == "__pycache__"]

    if copy.exists():
        return
    part = copy.with_name(f".{copy.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(project, part, ignore=left_out)
    (part / "data" / "FashionMNIST").symlink_to(project / "data" / "FashionMNIST")
    # Python finds `helpers` here and nothing else: a student's own random.py beside it would hide Python's.
    (part / ".python").mkdir()
    (part / ".python" / "helpers").symlink_to("../helpers")
    part.rename(copy)


if __name__ == "__main__":
    place = Path(sys.argv[2])
    try:
        place.parent.chmod(0o700)  # the home: nobody reads what others write
        copy_project(Path(sys.argv[1]), place)
    except OSError as problem:
        sys.exit(f"{problem.strerror or problem} ({problem.filename or place}).")
