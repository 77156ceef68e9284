"""Freed memory: with the setting, Linux hands out far fewer new pages to a program that frees and asks again."""

import platform
import subprocess
import sys

import pytest

from helpers import config, device

# Without huge pages, which Linux gives or not as the memory lies at that moment: one of them stands for 512 pages.
PROGRAM = """
import ctypes, resource, sys
import numpy as np
PR_SET_THP_DISABLE = 41
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
from helpers.device import keep_freed_memory
if sys.argv[1] == "keep":
    print(keep_freed_memory())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc")
def test_kept_memory_needs_far_fewer_new_pages():
    faults = {}
    for word in ("keep", "give back"):
        command = [sys.executable, "-c", PROGRAM, word]
        lines = subprocess.run(command, cwd=config.ROOT, check=True, capture_output=True, text=True).stdout.split()
        faults[word] = int(lines[-1])
        assert lines[:-1] == (["True"] if word == "keep" else [])
    assert faults["keep"] < faults["give back"] / 4


def test_without_glibc_nothing_is_changed(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(device.ctypes, "CDLL", missing)
    assert device.keep_freed_memory() is False
