"""Setting up with make: what a user reads where it cannot work."""

import shutil
import subprocess

import pytest

from helpers import config


@pytest.mark.parametrize(("status", "told"), [(1, True), (0, False)])
def test_where_no_pytorch_is_to_be_had_the_last_words_say_so(status, told, tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(config.ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *"pip install"*) echo "ERROR: No matching distribution"; exit {status};; esac\n'
    )
    python.chmod(0o755)
    # In place of Python a script that fails where pip would.
    command = ["make", f"PYTHON={python}", f"BIN={tmp_path}", ".venv/.ready"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode != 0) is told
    last = done.stdout.rstrip().splitlines()[-1]
    assert last.startswith("The packages could not be installed") is told
    assert ("README.md" in last) is told and (tmp_path / ".venv" / ".ready").exists() is not told


def test_the_readme_says_where_it_runs():
    readme = " ".join((config.ROOT / "README.md").read_text(encoding="utf-8").split())
    for system in ("64-bit Linux", "Apple silicon", "Intel processor", "Windows on ARM", "32-bit", "Alpine"):
        assert system in readme
    assert "No matching distribution found for torch" in readme
