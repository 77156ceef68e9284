"""The networks of the series. Each takes float32 images (N, 1, 28, 28) and returns (N, 10)."""

import torch
import torch.nn.functional as F
from torch import nn


class LogisticRegression(nn.Sequential):
    """One linear layer from the 784 pixels to the 10 logits (lesson 02)."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 10))


class MLP(nn.Sequential):
    """Two hidden layers of 512 and 256 units with dropout 0.2 (lesson 02). Returns logits."""

    def __init__(self):
        super().__init__(
            nn.Flatten(),
            nn.Linear(784, 512),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(256, 10),
        )


class FashionNet(nn.Module):
    """Two convolutions, max-pooling, dropout 0.25 and 0.5, two linear layers (lesson 03).

    Returns log-probabilities, so its loss is `F.nll_loss`. Softmax of them gives probabilities,
    as softmax of logits does. Source: the FashionNet project, whose text leaves the widths open.
    """

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3)  # (N, 32, 26, 26)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3)  # (N, 64, 24, 24)
        self.dropout1 = nn.Dropout(0.25)
        self.fc1 = nn.Linear(64 * 12 * 12, 128)
        self.dropout2 = nn.Dropout(0.5)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(x))
        x = self.conv2(x)
        x = F.relu(F.max_pool2d(x, 2))  # (N, 64, 12, 12), the same numbers as ReLU first, sooner
        x = self.dropout1(x)
        x = x.flatten(1)
        x = F.relu(self.fc1(x))
        x = self.dropout2(x)
        return F.log_softmax(self.fc2(x), dim=1)


class FashionCNN(nn.Sequential):
    """Convolutions 1-32-64, each with ReLU and max-pooling, then 128 units with dropout (lesson 03).

    Returns logits. Source: the FashionCNN project; the text leaves the hidden width open.

    Parameters
    ----------
    dropout : float
        Share of the 128 hidden units that training switches off, from 0 to 1.
    """

    def __init__(self, dropout: float = 0.5):
        super().__init__(
            nn.Conv2d(1, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 32, 14, 14)
            nn.Conv2d(32, 64, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 64, 7, 7)
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 128),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(128, 10),
        )


class BatchNormCNN(nn.Sequential):
    """Convolutions 32-32-pool-64-64-pool, each with ReLU then batch norm, then 512 units (lesson 04).

    Returns logits. Source: the "Classification of Fashion MNIST using PyTorch" project.

    Parameters
    ----------
    batch_norm : bool
        False leaves the batch-norm layers out, for comparison.
    relu_first : bool
        True as in the source: convolution, ReLU, batch norm. False swaps the last two.
    width : int
        Filters of the first convolution; the other layers widen or narrow with it.
    """

    def __init__(self, batch_norm: bool = True, relu_first: bool = True, width: int = 32):
        def block(in_channels: int, out_channels: int) -> list[nn.Module]:
            after = [nn.ReLU(), nn.BatchNorm2d(out_channels)] if batch_norm else [nn.ReLU()]
            convolution = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
            return [convolution, *(after if relu_first else reversed(after))]

        super().__init__(
            *block(1, width),
            *block(width, width),
            nn.MaxPool2d(2),  # (N, 32, 14, 14), if width is 32
            *block(width, 2 * width),
            *block(2 * width, 2 * width),
            nn.MaxPool2d(2),  # (N, 64, 7, 7)
            nn.Flatten(),
            nn.Linear(2 * width * 7 * 7, 16 * width),
            nn.ReLU(),
            nn.Linear(16 * width, 10),
        )


class SimpleCNN(nn.Sequential):
    """Filters 20-46-70 with kernels 5-4-3, max-pooling after each, then 630-512-10 (lesson 06).

    Returns logits. Source: the "pytorch-image-classifier" project. Its text gives the 3 x 3 maps
    before the linear layers but not the padding; 2, 2 and 1 lead there.
    """

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 20, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 20, 14, 14)
            nn.Conv2d(20, 46, kernel_size=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 46, 7, 7)
            nn.Conv2d(46, 70, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 70, 3, 3)
            nn.Flatten(),
            nn.Linear(70 * 3 * 3, 512),
            nn.ReLU(),
            nn.Linear(512, 10),
        )


class LeanCNN(nn.Sequential):
    """Convolutions 1-16-48-96 with batch norm and no hidden linear layer: little arithmetic an image (lesson 07).

    The first two pool before they normalise, so that batch norm and ReLU work on a quarter of the numbers. The last
    layer is a convolution as large as the map: a linear layer that takes the numbers in the order in which
    channels_last keeps them. Returns logits.

    Parameters
    ----------
    widths : tuple of int
        Filters of the three convolutions. Multiples of 16 suit a processor's vector registers.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 48, 96)):
        first, second, third = widths
        super().__init__(
            nn.Conv2d(1, first, kernel_size=3, padding=1, bias=False),
            nn.MaxPool2d(2),  # (N, 16, 14, 14)
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, kernel_size=3, padding=1, bias=False),
            nn.MaxPool2d(2),  # (N, 48, 7, 7)
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Conv2d(second, third, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(third),
            nn.ReLU(),  # (N, 96, 7, 7)
            nn.Conv2d(third, 10, kernel_size=7),  # (N, 10, 1, 1)
            nn.Flatten(),
        )


class Residual(nn.Sequential):
    """Layers whose output is added to their input, so that they need to learn the difference only (He et al., 2015)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x plus what the layers make of it; both have the same shape."""
        return x + super().forward(x)


class ResidualCNN(nn.Sequential):
    """Convolutions 1-32-64-128 with batch norm and a residual one of 128: for longer trainings (lesson 07).

    It pools first and ends in a convolution as large as its map, like `LeanCNN`. Returns logits.
    """

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 32, kernel_size=3, padding=1, bias=False),
            nn.MaxPool2d(2),  # (N, 32, 14, 14)
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=3, padding=1, bias=False),
            nn.MaxPool2d(2),  # (N, 64, 7, 7)
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Conv2d(64, 128, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),  # (N, 128, 7, 7)
            Residual(nn.Conv2d(128, 128, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU()),
            nn.MaxPool2d(2),  # (N, 128, 3, 3)
            nn.Conv2d(128, 10, kernel_size=3),  # (N, 10, 1, 1)
            nn.Flatten(),
        )


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers training may change."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_work(network: nn.Sequential) -> dict[str, int]:
    """Count a network's parameters, and for one image of 28 × 28 its multiplications and the numbers that it writes.

    Returns
    -------
    dict
        "parameters", "multiplications" (of convolutions and linear layers) and "numbers written" (what all layers
        give out; flattening writes nothing).
    """
    was_training, device = network.training, next(network.parameters()).device
    x, multiplications, written = torch.zeros(1, 1, 28, 28, device=device), 0, 0
    with torch.inference_mode():
        for layer in network.eval():
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                multiplications += layer.weight.numel() * x.shape[2] * x.shape[3]
            if isinstance(layer, nn.Linear):
                multiplications += layer.weight.numel()
            written += 0 if isinstance(layer, nn.Flatten) else x.numel()
    network.train(was_training)
    return {
        "parameters": count_parameters(network),
        "multiplications": multiplications,
        "numbers written": written,
    }
