"""Keep what a benchmark measures, with the conditions, so that an interrupted run goes on where it stopped."""

import datetime
import functools
import json
import multiprocessing
import os
import platform
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean, median, stdev

import torch
import torchvision

from helpers import config
from helpers.device import get_device
from helpers.files import write_json

RESULTS = config.ROOT / "benchmarks" / "results"


def processor_name() -> str:
    """Return the processor's name, where Linux tells them its family and model, and the GPU's name if there is one."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        told = {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in first.splitlines())}
        # A virtual machine may call all generations "AMD EPYC".
        name = "{model name} (family {cpu family}, model {model})".format_map(told)
    except (OSError, ValueError, KeyError):
        name = platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}{gpu}"


@functools.cache  # what runs is the code as it was when the benchmark started
def commit() -> str:
    """Return the commit of the measured code, with a plus sign if files of it differ from the commit."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=config.ROOT, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "helpers", ":!helpers/checks", "benchmarks/*.py")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def conditions() -> dict:
    """Return when, where and with what a figure is measured."""
    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": get_device().type,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "commit": commit(),
    }


def read(name: str) -> dict[str, dict]:
    """Return what a benchmark has measured so far: its entries by key; empty if there are none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(name: str, entries: dict[str, dict]) -> None:
    """Write all entries of a benchmark."""
    write_json(RESULTS / f"{name}.json", entries)


def measure_once(name: str, key: dict, measure: Callable[[], dict]) -> dict:
    """Return the recorded entry of that key; if there is none, measure it and record it.

    Parameters
    ----------
    name : str
        The benchmark, such as "sources": its file is benchmarks/results/sources.json.
    key : dict
        What tells the entry from others, such as {"recipe": "FashionCNN", "seed": 0}. It is part of the entry.
    measure : callable
        Returns plain numbers, strings, lists and dicts. The conditions are added to them.

    Returns
    -------
    dict
        The entry.
    """
    label = ", ".join(f"{word} {value}" for word, value in key.items())
    entries = read(name)
    if label in entries:
        print(f"{label}: measured on {entries[label]['conditions']['date']} already, kept.", flush=True)
        return entries[label]
    print(f"\n{label}", flush=True)
    found_under = conditions()
    entry = {**key, **measure(), "conditions": found_under}
    write(name, {**read(name), label: entry})
    return entry


def entries_with(name: str, **fields) -> list[dict]:
    """Return the recorded entries of a benchmark whose fields have these values."""
    return [entry for entry in read(name).values() if fields.items() <= entry.items()]


def summary(measured: dict[str, list[float]], numerator: str, denominator: str) -> dict:
    """Return the medians of both sides, and median, lowest and highest of the ratios of the rounds."""
    ratios = [a / b for a, b in zip(measured[numerator], measured[denominator], strict=True)]
    return {
        **{name: float(f"{median(values):.4g}") for name, values in measured.items()},
        "ratio": [round(value, 2) for value in (median(ratios), min(ratios), max(ratios))],
        "rounds": len(ratios),
    }


def percent(values: list[float]) -> str:
    """Return mean and standard deviation of fractions, in percent."""
    return f"{100 * mean(values):.2f} ± {100 * stdev(values):.2f}" if len(values) > 1 else f"{100 * values[0]:.2f}"


def mean_and_range(values: list[float]) -> str:
    """Return 'mean (lowest to highest)' of losses; a single one stands alone."""
    return f"{mean(values):.3f}" + (f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else "")


def spread(values: list[float], unit: str = "") -> str:
    """Return 'median (lowest to highest)' of three numbers."""
    return f"{values[0]:g}{unit} ({values[1]:g} to {values[2]:g}{unit})"


def described_conditions(name: str) -> str:
    """Return in a sentence when and with what a benchmark was measured, a part for each different setting."""
    found = {}
    for entry in read(name).values():
        conditions = entry["conditions"]
        setting = (
            f"{conditions['processor']}, {conditions['cores']} cores, {conditions['device']}; "
            f"Python {conditions['python']}, PyTorch {conditions['torch']}"
        )
        dates, commits = found.setdefault(setting, (set(), set()))
        dates.add(conditions["date"])
        commits.add(conditions["commit"])
    parts = [f"{', '.join(sorted(d))} ({setting}; commit {', '.join(sorted(c))})" for setting, (d, c) in found.items()]
    return f"Measured on {' and on '.join(parts)}."


def in_own_process(function: Callable[..., dict], *arguments) -> dict:
    """Call a function of a benchmark in a new process: settings and peak of the memory belong to a whole process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def start(main: Callable[[], None]) -> None:
    """Run a benchmark from the command line; stopping it loses nothing that was measured."""
    if config.FAST:
        raise SystemExit("A benchmark is a full run: do not set FAST.")
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\nStopped. What was measured is kept; the same command goes on from there.") from None
