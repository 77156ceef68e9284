"""Writing the data: refused, on a full disk, by two runs at once, and killed half-way."""

import errno
import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from torchvision.datasets import FashionMNIST

from helpers import fetch

IMAGES = "train-images-idx3-ubyte"
PROJECT = Path(__file__).resolve().parent.parent
# Waits for a line on standard input, so that two runs start together; "half" makes it stop within the second file.
CHILD = """
import os, sys, time
from pathlib import Path
from helpers import config, fetch

config.DATA_DIR = Path(sys.argv[1])
opened, real_fdopen = [], os.fdopen

class HalfFile:
    def __init__(self, *arguments):
        self.file = real_fdopen(*arguments)
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.file.close()
    def write(self, content):
        opened.append(1)
        if len(opened) == 1:
            return self.file.write(content)
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        print("half", flush=True)
        time.sleep(60)

if sys.argv[2:] == ["half"]:
    os.fdopen = HalfFile
print("ready", flush=True)
sys.stdin.readline()
print(fetch.fetch(), flush=True)
"""


def start_child(folder, real, *arguments):
    environment = os.environ | {"FASHION_MNIST_DIR": str(real), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(folder), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=PROJECT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_a_folder_that_cannot_be_written_gets_a_clear_message(raw, copy, monkeypatch, fetch_fails):
    def refuse(**arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    message = fetch_fails()
    assert f"cannot be written to {raw}: Permission denied" in message
    assert "Make this folder writable" in message and "python -m helpers.data" in message


def test_a_file_in_place_of_the_folder_gets_a_clear_message(raw, copy, home, fetch_fails):
    (home / "data").write_text("not a folder")
    assert f"cannot be written to {raw}" in fetch_fails()


def test_a_full_disk_leaves_no_half_file(raw, copy, monkeypatch, fetch_fails):
    def disk_full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", disk_full)
    assert "No space left on device" in fetch_fails()
    assert list(raw.iterdir()) == []


def test_a_path_with_spaces_works_up_to_torchvision(copy, home, monkeypatch, assert_right):
    monkeypatch.setattr(fetch.config, "DATA_DIR", home / "my course" / "data")
    fetch.fetch()
    assert_right()
    assert len(FashionMNIST(root=fetch.config.DATA_DIR, train=False, download=False)) == 10_000


def test_two_runs_at_once_both_end_in_the_right_data(raw, copy, real, home, assert_right):
    child = start_child(home / "data", real)
    assert child.stdout.readline() == "ready\n"
    child.stdin.write("\n")
    child.stdin.flush()
    assert "SHA-256 checked" in fetch.fetch()  # the second run is this process
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0 and "SHA-256 checked" in out, err
    assert_right()
    assert not list(raw.glob("*.part"))


def test_a_run_killed_in_the_middle_leaves_no_half_file_and_the_next_completes_it(raw, copy, real, home, assert_right):
    child = start_child(home / "data", real, "half")
    child.stdin.write("\n")
    child.stdin.flush()
    assert [child.stdout.readline() for _ in range(2)] == ["ready\n", "half\n"]
    child.kill()
    child.communicate()
    half = next(raw.glob("*.part"))
    finished = [name for name in fetch.SHA256 if (raw / name).exists()]
    assert finished == [IMAGES] and half.name.startswith("train-labels")
    assert filecmp.cmp(raw / IMAGES, real / IMAGES, shallow=False)
    fetch.fetch()
    assert_right()
