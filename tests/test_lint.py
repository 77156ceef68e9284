"""The style of the committed code and notebooks: ruff finds nothing, with the settings of pyproject.toml."""

import subprocess
import sys

import pytest
from committed import CHANGED, git

from helpers import config


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_finds_nothing(words):
    if CHANGED is None:
        pytest.skip("looked at in a checkout with git only, where a student's changes can be told from the project's")
    tracked = git("ls-files", "-z", "*.py", "*.ipynb").split("\0")
    paths = [name for name in tracked if name and config.ROOT / name not in CHANGED and (config.ROOT / name).is_file()]
    assert len(paths) > 50
    command = [sys.executable, "-m", "ruff", *words, *paths]
    done = subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
