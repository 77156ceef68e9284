"""Choose float32 or bfloat16 for training by a short timed trial, once for each machine."""

import copy
import json
import os
import platform
import time

import torch
from torch import nn

from helpers import config

# bfloat16 must be clearly faster, so that noise does not change the choice from run to run.
NEEDED_SPEEDUP = 1.2
TRIAL_STEPS = 8


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which the forward pass runs in `dtype`; weights stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def step_seconds(model: nn.Module, images: torch.Tensor, dtype: torch.dtype) -> float:
    """Time one forward and backward pass; the tensors' device tells where."""
    started = time.perf_counter()
    with autocast(images.device, dtype):
        outputs = model(images)
    outputs.float().logsumexp(dim=1).sum().backward()
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure_speedup(model: nn.Module, batch_size: int, device: torch.device) -> float:
    """Return how many times faster a training step is in bfloat16 than in float32.

    The two are timed in turn on a copy of the model and the fastest of each is taken, which other
    work on the machine disturbs least.
    """
    trial = copy.deepcopy(model).to(device, memory_format=torch.channels_last).train()
    images = torch.zeros(batch_size, 1, 28, 28, device=device).contiguous(memory_format=torch.channels_last)
    seconds = {torch.float32: [], torch.bfloat16: []}
    for _ in range(TRIAL_STEPS):
        for dtype, measured in seconds.items():
            measured.append(step_seconds(trial, images, dtype))
    # The first steps of each pay for warming up.
    return min(seconds[torch.float32][2:]) / min(seconds[torch.bfloat16][2:])


def choose_precision(model: nn.Module, batch_size: int, device: torch.device) -> torch.dtype:
    """Choose the number format in which a model trains fastest on this machine.

    The choice is kept in `runs/precision.json`; delete that file to try again.

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
        torch.bfloat16 if that is at least 1.2 times as fast, else torch.float32.
    """
    has_convolution = any(isinstance(layer, nn.Conv2d) for layer in model.modules())
    if device.type == "mps" or not has_convolution:
        return torch.float32
    path = config.ROOT / "runs" / "precision.json"
    try:
        choices = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        choices = {}
    machine = torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    layers = "-".join(str(tuple(p.shape)) for p in model.parameters())
    key = f"{platform.node()} {machine} {torch.get_num_threads()} threads, torch {torch.__version__}, "
    key += f"{type(model).__name__} {layers}, batch {batch_size}"
    if key not in choices:
        choices[key] = "bfloat16" if measure_speedup(model, batch_size, device) >= NEEDED_SPEEDUP else "float32"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(choices, indent=1))
        os.replace(part, path)
    return getattr(torch, choices[key])
