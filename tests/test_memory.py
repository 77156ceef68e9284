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
if sys.argv[1] == "keep":
    from helpers.device import keep_freed_memory
    print(keep_freed_memory())
if sys.argv[1] == "train":
    import torch
    from torch.utils.data import TensorDataset
    from helpers.models import MLP
    from helpers.training import fit
    model, images = MLP(), torch.zeros(8, 1, 28, 28, dtype=torch.uint8)
    fit(model, TensorDataset(images, torch.arange(8)), None, torch.optim.Adam(model.parameters()), 1, 8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc")
def test_kept_memory_needs_far_fewer_new_pages():
    faults = {}
    for word in ("keep", "train", "give back"):
        command = [sys.executable, "-c", PROGRAM, word]
        lines = subprocess.run(command, cwd=config.ROOT, check=True, capture_output=True, text=True).stdout.split()
        faults[word] = int(lines[-1])
        assert word == "train" or lines[:-1] == (["True"] if word == "keep" else [])
    assert max(faults["keep"], faults["train"]) < faults["give back"] / 4


def test_without_glibc_nothing_is_changed(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(device.ctypes, "CDLL", missing)
    assert device.keep_freed_memory() is False
