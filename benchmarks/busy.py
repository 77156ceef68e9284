"""Measure a training step on an idle machine and beside busy programs, as it was, as it is, and in other ways.

Each figure comes from a kernel of its own, started as JupyterLab starts one, and each round starts new ones: where the
system puts the memory of a process changes its steps by more than a few hundredths.
"""

import json
import math
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median

from jupyter_client.manager import start_new_kernel
from tqdm.auto import tqdm

from benchmarks.record import entries_with, measure_once, processor_name
from helpers.config import ROOT
from helpers.device import cores, get_device, may_be_faster_in_bfloat16
from helpers.machine import markdown_table
from startup.openmp_settings import SETTINGS

NETWORKS = ["FashionCNN", "BatchNormCNN", "LeanCNN", "SimpleCNN"]
BUSY = [0, 1, 2, 4]
ROUNDS = 5
IDLE_ROUNDS = 10  # where a few hundredths count
COPIES = 5  # of a network in a kernel, each elsewhere in memory
SECONDS = 0.2  # of steps of a copy, in each round
AS_IT_WAS, WITH_SETTING, FEWER_THREADS, PASSIVE = "as it was", "with the setting", "fewer threads", "passive"
# What a user would have set before `jupyter lab`. With a number of threads, a kernel has as many as when it is idle.
ALL_CORES = {"OMP_NUM_THREADS": str(cores())}
WAYS = {
    AS_IT_WAS: ALL_CORES | {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"},  # OpenMP's own where nothing is set
    WITH_SETTING: ALL_CORES,
    FEWER_THREADS: {},
    PASSIVE: ALL_CORES | {"OMP_WAIT_POLICY": "passive"},
}

KEEP_MEMORY = "from helpers.device import keep_freed_memory; keep_freed_memory()\n"  # as `fit` does
BUILD = """
import json, time
from statistics import median
import torch
from benchmarks.speed import BATCH_SIZES, make_step
from helpers import models
steps = {{
    name: [
        make_step(getattr(models, name)(), BATCH_SIZES[name], torch.{dtype}, torch.channels_last)
        for _ in range({copies})
    ]
    for name in {networks}
}}
"""
MEASURE = """
medians = []
for step in steps[{name!r}]:
    ends, milliseconds = time.perf_counter() + {seconds}, []
    while time.perf_counter() < ends or len(milliseconds) < 3:
        milliseconds.append(step(1))
    medians.append(median(milliseconds))
print(json.dumps(median(medians)))
"""


@contextmanager
def busy_programs(number: int):
    """Keep so many other programs busy, as a browser or another student's training would."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def execute(client, code: str) -> str:
    """Execute code in a kernel and return what it printed; what goes wrong there goes wrong here."""
    printed, failed = [], []

    def note(message):
        printed.append(message["content"].get("text", ""))
        failed.extend(message["content"].get("traceback", []))

    client.execute_interactive(code, output_hook=note, timeout=600)
    if failed:
        raise RuntimeError("\n".join(failed))
    return "".join(printed)


@contextmanager
def kernel(way: str, dtype: str):
    """Start a kernel of this environment, as JupyterLab does, for a user whose threads wait in one of the ways."""
    decided = {*SETTINGS, "OMP_WAIT_POLICY", "KMP_LIBRARY", "OMP_NUM_THREADS"}
    started_by = {name: value for name, value in os.environ.items() if name not in decided} | WAYS[way]
    manager, client = start_new_kernel(kernel_name="python3", env=started_by, cwd=str(ROOT), startup_timeout=120)
    try:
        build = BUILD.format(networks=NETWORKS, copies=COPIES, dtype=dtype)
        execute(client, (KEEP_MEMORY if way != AS_IT_WAS else "") + build)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def measure_beside(number: int, seconds: float = SECONDS, rounds: int = ROUNDS) -> dict:
    """Measure the steps beside so many busy programs, the ways in turn.

    Returns
    -------
    dict
        "milliseconds": by way of waiting and network, the median of each round; "dtype": the number format that `fit`
        takes for these networks where it may; "setting".
    """
    dtype = "bfloat16" if may_be_faster_in_bfloat16(get_device()) else "float32"
    measured = {way: {name: [] for name in NETWORKS} for way in WAYS}
    for _ in tqdm(range(rounds), desc=f"beside {number} busy programs"):
        with ExitStack() as opened:
            opened.enter_context(busy_programs(number))
            clients = {way: opened.enter_context(kernel(way, dtype)) for way in WAYS}
            for name in NETWORKS:
                for way, client in clients.items():
                    milliseconds = json.loads(execute(client, MEASURE.format(name=name, seconds=seconds)))
                    measured[way][name].append(round(milliseconds, 2))
    return {"milliseconds": measured, "dtype": dtype, "setting": SETTINGS}


def measure() -> None:
    """Measure what is missing of this machine's processor."""
    for number in BUSY:
        rounds = ROUNDS if number else IDLE_ROUNDS
        key = {"processor": processor_name(), "busy_programs": number}
        measure_once("busy", key, partial(measure_beside, number, rounds=rounds))


def processors() -> list[str]:
    """Return the names of the processors that were measured both idle and beside one busy program."""
    measured = [{entry["processor"] for entry in entries_with("busy", busy_programs=number)} for number in (0, 1)]
    return sorted(set.intersection(*measured))


def measured_on(processor: str) -> str:
    """Return in words the number format of the steps measured on a processor, and the short wait of its threads."""
    measured = entries_with("busy", processor=processor)
    [(dtype, wait)] = {(entry["dtype"], entry["setting"]["GOMP_SPINCOUNT"]) for entry in measured}
    return f"in {dtype}, with a short wait of {wait} rounds"


def beside(processor: str, number: int, way: str, name: str) -> float:
    """Return the recorded median milliseconds of a step; NaN if it was not measured in that way."""
    [entry] = entries_with("busy", processor=processor, busy_programs=number)
    return median(entry["milliseconds"].get(way, {}).get(name, [math.nan]))


def idle_cost(processor: str, name: str) -> float:
    """Return how many times as long an idle step takes with the setting as before, the median of the rounds."""
    [entry] = entries_with("busy", processor=processor, busy_programs=0)
    found = entry["milliseconds"]
    return median(a / b for a, b in zip(found[WITH_SETTING][name], found[AS_IT_WAS][name], strict=True))


def busy_table() -> str:
    """Return a table in Markdown of each processor's steps, and below it what one busy program and the setting cost."""
    parts = []
    for processor in processors():
        rows = []
        for number in sorted(entry["busy_programs"] for entry in entries_with("busy", processor=processor)):
            for way in WAYS:
                steps = [beside(processor, number, way, name) for name in NETWORKS]
                # With nothing else at work there are not fewer threads.
                if not math.isnan(steps[0]) and (number or way != FEWER_THREADS):
                    rows.append([number or "none", way, *(f"{step:.1f}" for step in steps)])
        idle = [idle_cost(processor, name) for name in NETWORKS]
        parts += [
            f"On {processor}, {measured_on(processor)}:",
            markdown_table(["busy programs", "way", *(f"{name} (ms)" for name in NETWORKS)], rows),
            f"With nothing else at work, a step takes {min(idle):.2f} to {max(idle):.2f} times as long with the "
            f"setting and kept memory as before. {one_busy_program([processor])}",
        ]
    return "\n\n".join(parts)


def one_busy_program(measured: list[str] | None = None) -> str:
    """Return in a sentence what one busy program costs on some processors, or on all that were measured."""
    said = {}
    for way, idle_way in {FEWER_THREADS: WITH_SETTING, WITH_SETTING: WITH_SETTING, AS_IT_WAS: AS_IT_WAS}.items():
        times = [
            beside(processor, 1, way, name) / beside(processor, 0, idle_way, name)
            for processor in measured or processors()
            for name in NETWORKS
        ]
        if times := [ratio for ratio in times if not math.isnan(ratio)]:
            said[way] = f"{min(times):.1f} to {max(times):.1f}"
    there = f"{said[FEWER_THREADS]} if that was there before the kernel, " if FEWER_THREADS in said else ""
    return (
        "Beside one busy program, a training step takes this many times as long as with nothing else at work: "
        f"{there}{said[WITH_SETTING]} if it came later (without the project's settings: {said[AS_IT_WAS]})."
    )
