"""Look inside a network: its layers by name, ReLUs that never fire, and a mean that makes a noisy loss readable."""

import numpy as np
import torch
from torch import nn

from helpers.data import normalize


def weight_layers(model: nn.Sequential) -> dict[str, nn.Module]:
    """Return the layers that have weights, from the first to the last.

    Parameters
    ----------
    model : nn.Sequential
        Of convolutions, linear layers and others.

    Returns
    -------
    dict of str to nn.Module
        Named "conv 1", "conv 2", … and "linear 1", "linear 2", …
    """
    found, counts = {}, {"conv": 0, "linear": 0}
    for layer in model:
        kind = {nn.Conv2d: "conv", nn.Linear: "linear"}.get(type(layer))
        if kind:
            counts[kind] += 1
            found[f"{kind} {counts[kind]}"] = layer
    return found


@torch.inference_mode()
def dead_relus(model: nn.Sequential, images: torch.Tensor) -> dict[str, float]:
    """Return which share of the units behind each ReLU is 0 for every one of the images.

    A unit is one number behind a linear layer, and one whole map behind a convolution. The model is run in evaluation
    mode and left in the mode in which it came.

    Parameters
    ----------
    model : nn.Sequential
        On any device.
    images : torch.Tensor
        uint8, (N, 1, 28, 28). The more there are, the surer is the verdict that a unit never fires.

    Returns
    -------
    dict of str to float
        By the layer before the ReLU, named as by `weight_layers`; from 0 to 1. NaN where the outputs are no numbers.
    """
    names = {id(layer): name for name, layer in weight_layers(model).items()}
    was_training = model.training
    model.eval()
    x = normalize(images).to(next(model.parameters()).device)
    shares, name = {}, ""
    for layer in model:
        x = layer(x)
        name = names.get(id(layer), name)
        if isinstance(layer, nn.ReLU):
            highest = x.flatten(2).amax(dim=(0, 2)) if x.dim() > 2 else x.amax(dim=0)
            dead = (highest <= 0).float()
            shares[name] = torch.where(highest.isnan(), torch.nan, dead).mean().item()
    model.train(was_training)
    return shares


def smooth(losses: list[float], memory: float = 0.9) -> np.ndarray:
    """Return the running mean of a noisy series, in which older values fade.

    The first values are not pulled towards 0, where such a mean begins.

    Parameters
    ----------
    losses : list of float
        Such as the loss of each batch.
    memory : float
        From 0, no smoothing, to just below 1.

    Returns
    -------
    np.ndarray
        float, of the same length.
    """
    mean, smoothed = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = memory * mean + (1 - memory) * loss
        smoothed.append(mean / (1 - memory**step))
    return np.array(smoothed)
