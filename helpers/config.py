"""Paths, names of lessons and classes, the seed and the short mode: what all share. Standard library only."""

import os
from pathlib import Path

from helpers.home import check_notebook, folder_for_runs, switched_on

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = ROOT / "data"
NOTEBOOKS_DIR = ROOT / "notebooks"

# The series, in order. Other notebooks that lie beside these are a student's own, and no command touches them.
LESSONS = [
    "00_tensors_in_ten_minutes",
    "01_data_exploration",
    "02_mlp_baseline",
    "03_cnn_dropout",
    "04_batchnorm_cnn",
    "05_error_analysis",
    "06_training_diagnostics",
    "07_train_faster",
    "08_augmentation",
    "09_deeper_networks",
    "10_tuning",
    "11_can_you_trust_it",
    "12_data_audit",
    "13_your_own_photo",
]
PART_TWO = LESSONS[8:]
# Executed, recorded and tested like lessons, but outside their order and without exercises.
APPENDICES = ["appendix_b_what_costs_time"]
# The lab of impossible results: notebooks that students mend, made of solutions as the exercises are.
LAB_CASES = [f"case_{number}" for number in range(1, 6)]

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

# FAST=1 makes every split a small stratified subset, and a longer training of `fit` two epochs of at most 2,000 images.
# It exists so that all lessons can be executed in minutes, to see that they run.
FAST = switched_on("FAST")
FAST_SIZES = {"train": 4_000, "validation": 500, "test": 500}
FAST_EPOCHS = 2
FAST_IMAGES = 2_000

# REPLAY=1 shows recorded trainings and experiments in place of those that take long, for a class that cannot wait.
REPLAY = switched_on("REPLAY")
# The lesson whose experiments are recorded: `make notebooks` says it to the kernel.
RECORD_AS = os.environ.get("RECORD_AS")

# Bars that move would leave their remains in executed notebooks. tqdm's notebook bar does not read its own variable.
SHOW_PROGRESS_BARS = not switched_on("TQDM_DISABLE")

# What a short run or a test trains must never stand in for the real thing, so each has its own folder.
RUNS_DIR = folder_for_runs(os.environ.get("RUN_NAME") or ("fast" if FAST else "full"))
check_notebook(RUNS_DIR)
