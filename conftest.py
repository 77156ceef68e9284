"""What every test run needs, of the helpers and of the notebooks: short runs, in a folder of their own."""

import os
import shutil
import tempfile
from pathlib import Path

from helpers.home import cannot_keep

RUNS = Path(__file__).resolve().parent / "runs"

# Set before `helpers.config` is imported, and inherited by the kernels that execute the notebooks.
os.environ.setdefault("FAST", "1")
os.environ["TQDM_DISABLE"] = "1"
# Processes of pytest-xdist share the cores; more threads than cores would wait for each other.
if (processes := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))) > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count() // processes)))
# A new folder, whatever RUN_NAME says: a lesson cannot lean on what an older run left, two runs at once do not disturb
# each other, nor do the processes of pytest-xdist, and what is removed at the end is what this run made.
if message := cannot_keep(RUNS):
    raise SystemExit(message)
RUNS.mkdir(exist_ok=True)
os.environ["RUN_NAME"] = Path(tempfile.mkdtemp(prefix="test-", dir=RUNS)).name

FOLDER = RUNS / os.environ["RUN_NAME"]


def pytest_unconfigure():
    """Remove the folder of this run."""
    shutil.rmtree(FOLDER, ignore_errors=True)


def pytest_ignore_collect(collection_path):
    """Leave the notebooks alone that are not of the series: they are a student's own."""
    if collection_path.suffix != ".ipynb":
        return None
    from helpers.config import APPENDICES, LAB_CASES, LESSONS, NOTEBOOKS_DIR

    names = ["00_start_here", *LESSONS, *APPENDICES]
    series = [folder / f"{name}.ipynb" for folder in (NOTEBOOKS_DIR, NOTEBOOKS_DIR / "solutions") for name in names]
    lab = NOTEBOOKS_DIR / "impossible"
    series += [lab / "00_read_me_first.ipynb", *(lab / "solutions" / f"{name}.ipynb" for name in LAB_CASES)]
    return None if collection_path.resolve() in series else True


def pytest_collection_modifyitems(items):
    """Execute the last lesson first: each must run alone, whatever ran before it.

    The notebooks come before all other tests, which are short, so that all processes end at about the same time.
    """
    notebooks = sorted({item.path for item in items if item.path.suffix == ".ipynb"}, reverse=True)
    items.sort(key=lambda item: notebooks.index(item.path) if item.path in notebooks else len(notebooks))
