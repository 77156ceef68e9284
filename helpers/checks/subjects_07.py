"""What the checks of lesson 07 try answers on: a made-up machine, and small networks."""

import torch
import torch.nn.functional as F
from torch import nn


class Machine:
    """A made-up machine with a clock of its own, which notes who was called. A round takes as long as it is told."""

    def __init__(self, first: list[float], second: list[float]):
        self.seconds = {"1": first, "2": second}
        self.now, self.calls, self.reads = 5.0, "", 0

    def work(self, name: str) -> None:
        done = self.calls.count(name)
        self.now += self.seconds[name][min(done, len(self.seconds[name]) - 1)]
        self.calls += name

    def first(self) -> None:
        self.work("1")

    def second(self) -> None:
        self.work("2")

    def clock(self) -> float:
        self.reads += 1
        return self.now


class Twice(nn.Module):
    """Call the same convolution twice, one call after the other."""

    def __init__(self, channels: int):
        super().__init__()
        self.inside = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inside(x + self.inside(x))


def networks() -> list[tuple[str, nn.Module, tuple[int, ...]]]:
    """Return a description, a network and the shape of its images."""
    pooled = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.Flatten(), nn.Linear(864, 10)]
    strided = [nn.Conv2d(3, 5, (3, 2), stride=(2, 1), padding=(2, 1), bias=False), nn.BatchNorm2d(5), nn.ReLU()]
    strided += [nn.Conv2d(5, 2, (1, 4), stride=3), nn.Flatten(), nn.Linear(36, 7, bias=False)]
    nested = [nn.Conv2d(2, 3, 3, padding=1), Twice(3), nn.Flatten(), nn.Sequential(nn.Dropout(0.5), nn.Linear(90, 4))]
    linear = [nn.Flatten(), nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 5)]
    return [
        ("two convolutions and a linear layer", nn.Sequential(*pooled), (1, 28, 28)),
        ("convolutions with strides", nn.Sequential(*strided), (3, 11, 20)),
        ("layers inside of layers", nn.Sequential(*nested), (2, 6, 5)),
        ("two linear layers", nn.Sequential(*linear), (1, 5, 6)),
    ]


def passes(model: nn.Module, shape: tuple[int, ...]) -> list[tuple[nn.Module, tuple, tuple]]:
    """Return each call of a convolution or a linear layer: the layer, and the shapes of its input and output."""
    calls, handles = [], []

    def note(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        calls.append((layer, tuple(inputs[0].shape), tuple(output.shape)))

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            handles.append(layer.register_forward_hook(note))
    with torch.no_grad():
        model(torch.zeros(1, *shape))
    for handle in handles:
        handle.remove()
    return calls


class Witness(nn.Module):
    """A small network that tells in which way it was asked."""

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6)
        self.dropout, self.linear = nn.Dropout(0.5), nn.Linear(24, 4)
        for tensor in [*self.parameters(), self.norm.running_mean]:
            tensor.data.normal_(generator=generator)
        self.norm.running_var.uniform_(0.2, 1.2, generator=generator)
        self.modes, self.gradients = set(), set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.modes |= {module.training for module in self.modules()}
        self.gradients.add(torch.is_grad_enabled())
        maps = F.adaptive_avg_pool2d(self.norm(self.convolution(x)).relu(), 2)
        return self.linear(self.dropout(maps.flatten(1)))
