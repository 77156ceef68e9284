"""What every test run needs, of the helpers and of the notebooks: short runs, in a folder of their own."""

import os
import shutil
from pathlib import Path

# Set before `helpers` is imported, and inherited by the kernels that execute the notebooks.
os.environ.setdefault("FAST", "1")
os.environ.setdefault("RUN_NAME", "test-full" if os.environ["FAST"] in ("", "0") else "test-fast")
os.environ["TQDM_DISABLE"] = "1"


def pytest_sessionstart(session):
    """Start without any trained model, so that a lesson cannot lean on what an older run left."""
    shutil.rmtree(Path(__file__).parent / "runs" / os.environ["RUN_NAME"], ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Execute the last lesson first: each must run alone, whatever ran before it."""
    notebooks = sorted({item.path for item in items if item.path.suffix == ".ipynb"}, reverse=True)
    items.sort(key=lambda item: notebooks.index(item.path) if item.path in notebooks else -1)
