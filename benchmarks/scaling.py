"""Measure how time and memory of a training grow as images, epochs and width double."""

import math
import resource
import sys
import time

import torch
from torch.utils.data import TensorDataset
from tqdm.auto import tqdm

from benchmarks.record import in_own_process, measure_once, read
from helpers.data import load_images
from helpers.device import get_device, set_seed
from helpers.machine import markdown_table
from helpers.models import LeanCNN
from helpers.training import fit

FACTORS = (1, 2, 4)
IMAGES, EPOCHS, WIDTH = 15_000, 1, 16


def peak_memory() -> float:
    """Return the most memory that this process has held so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB on Linux, bytes on macOS
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def train_once(images: int, epochs: int, width: int) -> dict:
    """Train `LeanCNN` of this width in this process; return seconds, and MB before and at the peak."""
    pixels, labels = load_images(train=True)
    set_seed()
    model = LeanCNN(widths=(width, 2 * width, 4 * width)).to(get_device())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    before = peak_memory()
    train = TensorDataset(pixels[:images].clone(), labels[:images].clone())
    started = time.perf_counter()
    fit(model, train, None, optimizer, epochs, batch_size=128)
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "mb_before": round(before),
        "mb_peak": round(peak_memory()),
    }


def exponent(factors: list[float], values: list[float]) -> float:
    """Return the slope of log(value) against log(factor): 1 if a value doubles with its factor, 2 if it quadruples."""
    x, y = [math.log(value) for value in factors], [math.log(value) for value in values]
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    products = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    return products / sum((a - x_mean) ** 2 for a in x)


def measure_growth(what: str) -> dict:
    """Double one of images, epochs and width twice, and return the seconds, the memory and their exponents."""
    runs = []
    for factor in tqdm(FACTORS, desc=f"doubling the {what}"):
        settings = {"images": IMAGES, "epochs": EPOCHS, "width": WIDTH}
        settings[what] *= factor
        runs.append({what: settings[what]} | in_own_process(train_once, *settings.values()))
    return {
        "runs": runs,
        "time_exponent": round(exponent(FACTORS, [run["seconds"] for run in runs]), 2),
        "memory_exponent": round(exponent(FACTORS, [run["mb_peak"] for run in runs]), 2),
    }


def measure() -> None:
    """Measure what is missing."""
    for what in ("images", "epochs", "width"):
        measure_once("scaling", {"doubled": what}, lambda what=what: measure_growth(what))


def scaling_table() -> str:
    """Return the recorded growth as a table in Markdown."""
    rows = []
    for entry in read("scaling").values():
        what = entry["doubled"]
        series = [" → ".join(f"{run[key]:,}" for run in entry["runs"]) for key in (what, "seconds", "mb_peak")]
        rows.append([what, *series, entry["time_exponent"], entry["memory_exponent"]])
    header = ["what doubles", "from, to", "seconds", "peak memory (MB)", "time exponent", "memory exponent"]
    return markdown_table(header, rows)
