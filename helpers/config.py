"""Paths, class names, seed and device: the settings that every lesson shares."""

import os
import random
from pathlib import Path

import numpy as np
import torch

from helpers.home import check_notebook, folder_for_runs, switched_on

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = ROOT / "data"
NOTEBOOKS_DIR = ROOT / "notebooks"

# The series, in order. Other notebooks that lie beside these are a student's own, and no command touches them.
LESSONS = [
    "01_data_exploration",
    "02_mlp_baseline",
    "03_cnn_dropout",
    "04_batchnorm_cnn",
    "05_error_analysis",
    "06_training_diagnostics",
    "07_train_faster",
]

CLASS_NAMES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
NUM_CLASSES = len(CLASS_NAMES)

SEED = 0

# FAST=1 makes every split a small stratified subset and caps the epochs of `fit`.
# It exists so that all lessons can be executed in minutes, to see that they run.
FAST = switched_on("FAST")
FAST_SIZES = {"train": 4_000, "validation": 1_000, "test": 1_000}
FAST_EPOCHS = 2

# Bars that move would leave their remains in executed notebooks. tqdm's notebook bar does not read its own variable.
SHOW_PROGRESS_BARS = not switched_on("TQDM_DISABLE")

# What a short run or a test trains must never stand in for the real thing, so each has its own folder.
RUNS_DIR = folder_for_runs(os.environ.get("RUN_NAME") or ("fast" if FAST else "full"))
check_notebook(RUNS_DIR)


def set_seed(seed: int = SEED) -> None:
    """Fix the random numbers of Python, NumPy and PyTorch.

    Parameters
    ----------
    seed : int
        Any whole number from 0 to 2**32 - 1. The same seed on the same machine, in the same number format,
        gives the same weights, the same dropout and so the same training history.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    # On NVIDIA GPUs the fastest convolution algorithms may round differently from run to run.
    torch.backends.cudnn.deterministic = True


def get_device() -> torch.device:
    """Return the fastest device of this machine: CUDA, then Apple's MPS, then the CPU.

    Returns
    -------
    torch.device
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
