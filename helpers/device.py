"""What this process computes on and how: random numbers, device, threads, number format, memory."""

import copy
import ctypes
import hashlib
import json
import math
import os
import platform
import random
import time
from functools import cache
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import psutil
import torch
from torch import nn

from helpers import config
from helpers.files import write_json
from helpers.inputs import outputs_of

# bfloat16 must be clearly faster, so that noise does not change the choice from run to run.
NEEDED_SPEEDUP = 1.1
TRIAL_STEPS = 8
TRIAL_SECONDS = 0.5  # at least; the system counts the processor's time in hundredths of a second
# Other programs that take more than this share of one of the cores that a training needs may decide a trial.
BUSY_CORES = 0.3
MOST_IMAGES = 512  # in a step of the trial, which no progress bar shows
LOOK_SECONDS = 0.2
LOOKS = 5  # as many must find a core busy before it is left alone: a moment of a browser is not enough
CPUINFO = Path("/proc/cpuinfo")
# What this process has chosen, None where a trial was disturbed, so that a training that is repeated gives the same.
_CHOSEN = {}

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the numbers of these settings in glibc's malloc.h
ONE_GB = 2**30


def set_seed(seed: int = config.SEED) -> None:
    """Fix the random numbers of Python, NumPy and PyTorch.

    Parameters
    ----------
    seed : int
        Any whole number from 0 to 2**32 - 1. The same seed on the same machine, in the same number format and with
        as many threads, gives the same weights, the same dropout and so the same training history.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    # On NVIDIA GPUs the fastest convolution algorithms may round differently from run to run.
    torch.backends.cudnn.deterministic = True


def get_device() -> torch.device:
    """Return the fastest device of this machine: CUDA, then Apple's MPS, then the CPU.

    If that is the CPU, the first call leaves the cores that other programs keep busy to them (`leave_busy_cores`).

    Returns
    -------
    torch.device
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    leave_busy_cores()
    return torch.device("cpu")


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which the forward pass runs in `dtype`; weights stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def step_seconds(model: nn.Module, images: torch.Tensor, dtype: torch.dtype) -> float:
    """Time one forward and backward pass; the tensors' device tells where."""
    started = time.perf_counter()
    with autocast(images.device, dtype):
        outputs = outputs_of(model, images)
    outputs.float().logsumexp(dim=1).sum().backward()
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def processor_seconds_of_others() -> float:
    """Return the seconds that the cores have worked for other programs, since some moment in the past."""
    times = psutil.cpu_times()
    everything = sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "steal"))
    return everything - time.process_time()


def cores_taken_while(action) -> float:
    """Call a function without arguments and return how many cores worked for other programs meanwhile."""
    started, before = time.perf_counter(), processor_seconds_of_others()
    action()
    return (processor_seconds_of_others() - before) / (time.perf_counter() - started)


def cores() -> int:
    """Return the number of this machine's cores; two threads that one core runs in turn count once."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count()


@cache
def leave_busy_cores() -> int:
    """Let PyTorch compute in fewer threads if other programs keep cores busy that it would take, and say so.

    The threads of a training step wait for each other hundreds of times. Once another program has taken the core of
    one of them, all wait for that one, so that fewer threads are faster. A sum comes out with other last digits when
    more or fewer threads compute it. So that a training that is repeated gives the same, the first call decides for
    the rest of this process. A number that the user has set, `OMP_NUM_THREADS`, stays.

    Returns
    -------
    int
        How many threads fewer there are than PyTorch would have taken. 0 under FAST=1.
    """
    if config.FAST or "OMP_NUM_THREADS" in os.environ:
        return 0
    threads, left = torch.get_num_threads(), 1
    for _ in range(LOOKS):
        left = max(left, round(cores() - cores_taken_while(lambda: time.sleep(LOOK_SECONDS))))
        if left >= threads:
            return 0
    torch.set_num_threads(left)
    print(
        f"Other programs keep this machine busy. Until the kernel is restarted, PyTorch computes in {left} "
        f"{'thread' if left == 1 else 'threads'} instead of {threads}, which is faster beside them."
    )
    return threads - left


def measure_speedups(model: nn.Module, batch_size: int, device: torch.device) -> list[float]:
    """Return how many times faster a training step is in bfloat16 than in float32: a ratio for each round.

    A round times the two one after the other, on a copy of the model, so that both meet the same machine.
    """
    trial = copy.deepcopy(model).to(device, memory_format=torch.channels_last).train()
    images = torch.zeros(min(batch_size, MOST_IMAGES), 1, 28, 28, device=device).contiguous(
        memory_format=torch.channels_last
    )
    for _ in range(2):  # the first steps of each pay for warming up
        for dtype in (torch.float32, torch.bfloat16):
            step_seconds(trial, images, dtype)
    ratios, ends = [], time.perf_counter() + TRIAL_SECONDS
    while len(ratios) < TRIAL_STEPS or time.perf_counter() < ends:
        seconds = step_seconds(trial, images, torch.float32)
        ratios.append(seconds / step_seconds(trial, images, torch.bfloat16))
    return ratios


def decide(ratios: list[float]) -> str | None:
    """Return "bfloat16" or "float32" if at least three quarters of the rounds agree; None if they do not.

    Parameters
    ----------
    ratios : list of float
        As from `measure_speedups`; at least two.
    """
    lower, _, upper = quantiles(ratios, n=4, method="inclusive")
    if lower >= NEEDED_SPEEDUP:
        return "bfloat16"
    return "float32" if upper < NEEDED_SPEEDUP else None


def try_out(model: nn.Module, batch_size: int, device: torch.device) -> str | None:
    """Return the faster number format; None if other programs take its cores, or if the rounds do not agree."""
    room = math.inf
    if device.type == "cpu":
        # On a server with many cores the neighbours are always at work; they disturb where they leave too few.
        threads = leave_busy_cores() + torch.get_num_threads()
        room = max(cores() - threads, 0) + BUSY_CORES
    if cores_taken_while(lambda: time.sleep(LOOK_SECONDS)) > room:
        return None
    ratios = []
    taken = cores_taken_while(lambda: ratios.extend(measure_speedups(model, batch_size, device)))
    return None if taken > room else decide(ratios)


def may_be_faster_in_bfloat16(device: torch.device) -> bool:
    """Tell whether a device may compute faster in bfloat16; only of processors without instructions for it, it is not.

    Linux lists them in /proc/cpuinfo: avx512_bf16 and amx_bf16 of Intel and AMD, bf16 of ARM.
    """
    if device.type != "cpu":
        return device.type != "mps"
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:  # not Linux
        return True
    told = [line for line in lines if line.startswith(("flags", "Features"))]
    return not told or "bf16" in told[0]


def processor() -> str:
    """Return what tells this processor from others, also from those of the same name, as a short text."""
    kinds = (
        "vendor_id",
        "cpu family",
        "model",
        "model name",
        "stepping",
        "cache size",
        "flags",
        "Features",
        "CPU part",
    )
    try:
        first = CPUINFO.read_text().split("\n\n")[0].splitlines()
        told = [line for line in first if line.split(":")[0].strip() in kinds]
    except OSError:  # not Linux
        told = []
    told += [platform.machine(), platform.processor(), torch.backends.cpu.get_cpu_capability(), str(os.cpu_count())]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def describe_processor() -> str:
    """Return this machine's cores, architecture and best vector instructions, such as "2 cores, x86_64, AVX2"."""
    return f"{os.cpu_count()} cores, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def describe_seconds(seconds: float) -> str:
    """Return a time as a reader wants it: 'about 40 seconds', 'about 7 minutes'; rounded up."""
    if seconds <= 90:
        return f"about {-(-int(seconds) // 10) * 10 or 10} seconds"
    return f"about {-(-int(seconds) // 60)} minutes"


def expected_seconds(
    model: nn.Module, batch_size: int, batches: int, device: torch.device, dtype: torch.dtype
) -> float:
    """Predict how long a training takes on this machine, from a few steps of a copy of the model.

    Parameters
    ----------
    model, batch_size, dtype
        As for `choose_precision`, which returns `dtype`. The model is left as it is.
    batches : int
        Training batches of all epochs together.
    device : torch.device
        Where it will train.

    Returns
    -------
    float
        Seconds of the training batches alone: without the validation images, and at the pace of this moment.
    """
    trial = copy.deepcopy(model).to(device, memory_format=torch.channels_last).train()
    images = torch.zeros(batch_size, 1, 28, 28, device=device).contiguous(memory_format=torch.channels_last)
    step_seconds(trial, images, dtype)  # the first pays for warming up
    return batches * median(step_seconds(trial, images, dtype) for _ in range(5))


def choose_precision(model: nn.Module, batch_size: int, device: torch.device) -> torch.dtype:
    """Choose the number format in which a model trains fastest on this machine.

    A choice is kept in `precision.json` beside the trained models; delete that file and restart the kernel to try
    again. A trial that other programs disturb keeps nothing and says so: the network stays in float32 until the kernel
    is restarted, so that a training that is repeated gives the same. A processor that has no instructions for bfloat16
    is spared the trial, which would take it seconds for each network.

    Parameters
    ----------
    model : nn.Module
        Left as it is. One without a convolution always trains in float32.
    batch_size : int
        Images in a training batch.
    device : torch.device
        Where it will train. On Apple's MPS it is always float32.

    Returns
    -------
    torch.dtype
        torch.bfloat16 if that is clearly at least 1.1 times as fast, else torch.float32.
    """
    has_convolution = any(isinstance(layer, nn.Conv2d) for layer in model.modules())
    if not has_convolution or not may_be_faster_in_bfloat16(device):
        return torch.float32
    path = config.RUNS_DIR / "precision.json"
    machine = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    layers = "-".join(str(tuple(p.shape)) for p in model.parameters())
    key = f"{platform.node()} {processor()} {machine} {torch.get_num_threads()} threads, torch {torch.__version__}, "
    key += f"{type(model).__name__} {layers}, batch {batch_size}"
    if (path, key) not in _CHOSEN:
        try:
            choices = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            choices = {}
        chosen = choices.get(key) or try_out(model, batch_size, device)
        if chosen is not None and key not in choices:
            write_json(path, choices | {key: chosen})
        _CHOSEN[path, key] = chosen
    chosen = _CHOSEN[path, key]
    if chosen is None:
        print(
            "Whether bfloat16 is clearly faster here could not be told: other programs are using the processor, or it "
            "makes little difference. Until the kernel is restarted, this network trains in float32."
        )
        return torch.float32
    return getattr(torch, chosen)


def keep_freed_memory() -> bool:
    """Tell the C library not to give freed memory back to Linux; for the rest of this process.

    Every training step needs the same large tensors and frees them again. Memory that was given back must be asked for
    again, and Linux fills each page with zeros before it hands it out.

    Returns
    -------
    bool
        Whether the C library is glibc, as on most Linux systems, and took the setting. Elsewhere nothing changes.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return False
    return bool(libc.mallopt(TRIM_THRESHOLD, ONE_GB) and libc.mallopt(MMAP_THRESHOLD, ONE_GB))
