"""What would a learner pick instead? Recipes of well-known courses and benchmarks, and ours, on the same cores.

Each peer is the published recipe, written anew from its facts: the network, the optimizer, the batches, the epochs and
the scaling of the pixels. It trains in plain PyTorch or scikit-learn, in float32, on images that lie in memory as one
tensor: that is faster than the loaders of the sources, which favours the peers. Every answer is a single look at each
test image, ours too, and the test set is opened after the last epoch only.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import mean

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR, OneCycleLR
from torch.utils.data import TensorDataset
from torchvision.transforms import v2
from tqdm.auto import tqdm

from benchmarks.race import run_recipe
from benchmarks.record import entries_with, in_own_process, measure_once, percent, read, start
from helpers import config
from helpers.alt_text import describe_figure
from helpers.augment import random_flip, random_shift
from helpers.data import load_images, open_test_set
from helpers.deep import multiply_adds
from helpers.device import get_device, set_seed
from helpers.evaluation import accuracy
from helpers.ladder import (
    OURS,
    WITH_NETWORK,
    WITHOUT_NETWORK,
    name_of_peer,
    peer_points,
    peers_in_words,
    plot_peers,
    seconds_to_reach,
)
from helpers.machine import markdown_table
from helpers.models import count_parameters
from helpers.plotting import use_theme
from helpers.recipes import PUBLISHED_IMAGES, RECIPES, train_recipe

SEEDS = 3
WARM_UP_IMAGES = 1_000
PICTURE = config.ROOT / "benchmarks" / "peers.svg"
# Ours: each a whole recipe of its own, whose learning rate falls to nothing at its end.
OWN = [("sprint", 1), ("sprint", 2), ("sprint", 3), ("sprint", 5), ("marathon", 8), ("marathon", 22)]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A published recipe.

    Attributes
    ----------
    source : str
        Title and address, in Markdown.
    open : str
        What the source leaves open or is done otherwise here, and what was chosen.
    reported : float
        Test accuracy that the source gives, a fraction; None if it gives none.
    images : int
        The first so many of the 60,000 training images; fewer where the source holds some out.
    seeds : int
        One for what takes more than about four minutes, or is the same with every seed.
    long : bool
        Whether it takes more than 20 minutes on two cores: trained after all others.
    """

    source: str
    open: str
    reported: float | None = None
    images: int = PUBLISHED_IMAGES
    seeds: int = SEEDS
    long: bool = False


@dataclass(frozen=True, kw_only=True)
class Network(Peer):
    """A network, trained by batches.

    Attributes
    ----------
    make : callable
        Builds it with its first weights.
    epochs, batch_size : int
        Passes over the training images, and images in a batch.
    optimizer : callable
        Takes the parameters.
    schedule : callable
        Takes the optimizer, the epochs and the batches in each; its result is stepped after each batch.
    scale : callable
        Turns uint8 images into what the network takes.
    change : callable
        Does that for a training batch, with random changes.
    parameters : int
        As the source counts them; None if it does not.
    """

    make: Callable[[], nn.Module]
    epochs: int
    batch_size: int
    optimizer: Callable[..., torch.optim.Optimizer]
    schedule: Callable | None = None
    scale: Callable[[torch.Tensor], torch.Tensor]
    change: Callable[[torch.Tensor], torch.Tensor] | None = None
    parameters: int | None = None


@dataclass(frozen=True, kw_only=True)
class Classic(Peer):
    """A classifier of scikit-learn.

    Attributes
    ----------
    make : callable
        Builds it from a seed.
    features : callable
        Turns uint8 images into float32 rows.
    size : callable
        Of the fitted classifier: numbers that it keeps, and multiply-adds for one image (None if it compares instead).
    learns : bool
        Whether fitting is the work. If not, answering the test images is timed with it.
    """

    make: Callable[[int], object]
    features: Callable[[torch.Tensor], np.ndarray]
    size: Callable[[object], tuple[int, int | None]]
    learns: bool = True


def unit(images: torch.Tensor) -> torch.Tensor:
    """Return grey levels from 0 to 1, float32, the shape of the images."""
    return images.float() / 255


def standard(average: float, spread: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function that scales to 0..1, subtracts the average and divides by the spread."""
    return lambda images: (unit(images) - average) / spread


def rows(images: torch.Tensor) -> np.ndarray:
    """Return each image as 784 grey levels from 0 to 1, float32."""
    return unit(images).flatten(1).numpy()


def hog(images: torch.Tensor) -> np.ndarray:
    """Return histograms of oriented gradients (Dalal and Triggs, 2005).

    Nine directions without sign, cells of 4 × 4 pixels, blocks of 2 × 2 cells that overlap, each scaled to length 1,
    cut at 0.2 and scaled again.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).

    Returns
    -------
    np.ndarray
        float32, (N, 1296).
    """
    parts = []
    for part in images.split(2_000):  # the votes of all images at once would take gigabytes
        padded = F.pad(unit(part), (1, 1, 1, 1), mode="replicate")
        across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        strength = torch.hypot(across, down)
        place = torch.atan2(down, across).remainder(math.pi) / math.pi * 9 - 0.5  # between two directions' middles
        lower = place.floor()
        share = place - lower
        votes = torch.zeros(len(part), 9, *part.shape[2:])
        for direction, weight in ((lower, 1 - share), (lower + 1, share)):
            votes.scatter_add_(1, direction.long() % 9, weight * strength)
        blocks = F.unfold(F.avg_pool2d(votes, 4), kernel_size=2)  # (N, 4 cells of 9, 36 blocks)
        parts.append(F.normalize(F.normalize(blocks, dim=1).clamp(max=0.2), dim=1).flatten(1))
    return torch.cat(parts).numpy()


def start_layers(model: nn.Module, weights: Callable, zero_biases: bool = True) -> nn.Module:
    """Draw the first weights of all convolutions and linear layers anew, and return the network."""
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            weights(layer.weight)
            if zero_biases:
                nn.init.zeros_(layer.bias)
    return model


def xavier(model: nn.Module) -> nn.Module:
    """Start as Keras does where nothing is said: Xavier's uniform weights, biases of 0."""
    return start_layers(model, nn.init.xavier_uniform_)


def mlp(*widths: int) -> nn.Sequential:
    """Return linear layers of these widths on 784 pixels, with ReLU between them."""
    layers = [nn.Flatten()]
    for before, width in zip((784, *widths[:-1]), widths, strict=True):
        layers += [nn.Linear(before, width), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def lenet() -> nn.Sequential:
    """Return the LeNet of Dive into Deep Learning, with its first weights."""
    model = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.Sigmoid(),
        nn.AvgPool2d(2),  # (N, 16, 5, 5)
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )
    return start_layers(model, nn.init.xavier_uniform_, zero_biases=False)


def lenet_with_batch_norm() -> nn.Sequential:
    """Return the LeNet of the chapter on batch norm: that before each sigmoid, and no padding."""
    model = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5),
        nn.BatchNorm2d(6),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.BatchNorm2d(16),
        nn.Sigmoid(),
        nn.AvgPool2d(2),  # (N, 16, 4, 4)
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.BatchNorm1d(120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.BatchNorm1d(84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )
    return start_layers(model, nn.init.xavier_uniform_, zero_biases=False)


def tiny_vgg() -> nn.Sequential:
    """Return two blocks of two convolutions with ten filters, each block pooled, and a linear layer."""
    layers = []
    for before in (1, 10):
        layers += [nn.Conv2d(before, 10, kernel_size=3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(10, 10, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(490, 10))


def two_convolutions() -> nn.Sequential:
    """Return the network of 113,386 parameters in the list of the data set's authors."""
    model = nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, kernel_size=3),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, 32, 5, 5)
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(800, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )
    return xavier(model)


def authors_cnn() -> nn.Sequential:
    """Return the network of benchmark/convnet.py of the data set's authors."""
    model = nn.Sequential(
        nn.Conv2d(1, 32, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, 64, 7, 7)
        nn.Flatten(),
        nn.Linear(3136, 1024),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(1024, 10),
    )
    return xavier(model)


def geron_cnn() -> nn.Sequential:
    """Return five convolutions and three linear layers, with He's start but for the last."""
    layers = [nn.Conv2d(1, 64, kernel_size=7, padding=3), nn.ReLU(), nn.MaxPool2d(2)]
    for before, filters in ((64, 128), (128, 256)):
        layers += [nn.Conv2d(before, filters, kernel_size=3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(filters, filters, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(2304, 128), nn.ReLU(), nn.Dropout(0.5)]
    layers += [nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 10)]
    model = start_layers(nn.Sequential(*layers), lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"))
    nn.init.xavier_uniform_(model[-1].weight)
    return model


class ShiftedLeakyReLU(nn.Module):
    """ReLU with a slope of 0.1 below zero, minus 0.4, so that its mean is near 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the shape that came."""
        return F.leaky_relu(x, 0.1) - 0.4


class PooledResidual(nn.Module):
    """Two convolutions, and around them a 1 × 1 convolution, of means of 2 × 2 places where the map halves."""

    def __init__(self, before: int, filters: int, stride: int = 2, kernel_size: int = 3):
        super().__init__()
        options = {"kernel_size": kernel_size, "padding": kernel_size // 2}
        self.inner = nn.Sequential(
            nn.Conv2d(before, filters, **options),
            nn.BatchNorm2d(filters),
            ShiftedLeakyReLU(),
            nn.Conv2d(filters, filters, stride=stride, **options),
            nn.BatchNorm2d(filters),
        )
        halve = [] if stride == 1 else [nn.AvgPool2d(2, ceil_mode=True)]
        self.shortcut = nn.Sequential(*halve, nn.Conv2d(before, filters, kernel_size=1))
        self.activation = ShiftedLeakyReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take (N, before, H, W) and return (N, filters, H / stride, W / stride), rounded up."""
        return self.activation(self.inner(x) + self.shortcut(x))


def fastai_resnet(widths: tuple[int, ...], first_kernel: int) -> nn.Sequential:
    """Return a residual block for each width; all but the first halve the map, down to one place."""
    blocks = [PooledResidual(1, widths[0], stride=1, kernel_size=first_kernel)]
    blocks += [PooledResidual(before, after) for before, after in pairwise(widths)]
    model = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(widths[-1], 10, bias=False), nn.BatchNorm1d(10))
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=0.1)
    return model


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions with batch norm, around which the input is added (He et al., 2016)."""

    def __init__(self, before: int, filters: int, stride: int):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(before, filters, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
        )
        self.shortcut = nn.Identity()
        if before != filters:
            convolution = nn.Conv2d(before, filters, kernel_size=1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take (N, before, H, W) and return (N, filters, H / stride, W / stride)."""
        return F.relu(self.inner(x) + self.shortcut(x))


def resnet_20() -> nn.Sequential:
    """Return the residual network of 20 layers: nine blocks, 16, 32 and 64 filters."""
    layers = [nn.Conv2d(1, 16, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    before = 16
    for filters in (16, 32, 64):
        for _ in range(3):
            layers.append(BasicBlock(before, filters, stride=1 if before == filters else 2))
            before = filters
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return model


def sgd(**options) -> Callable:
    """Return the function that builds SGD with these options over a network's parameters."""
    return lambda parameters: torch.optim.SGD(parameters, **options)


def one_cycle(highest: float) -> Callable:
    """Return the function that builds a one-cycle schedule up to a learning rate, PyTorch's settings else."""
    return lambda optimizer, epochs, batches: OneCycleLR(optimizer, max_lr=highest, total_steps=epochs * batches)


def drops(*epochs: int) -> Callable:
    """Return the function that builds a schedule which divides the learning rate by ten after these epochs."""
    return lambda optimizer, _, batches: MultiStepLR(optimizer, [epoch * batches for epoch in epochs])


FASTAI_SCALE = standard(0.28, 0.35)
RESNET_SCALE = standard(0.1307, 0.3081)
CROP_AND_FLIP = v2.Compose([v2.RandomCrop(28, padding=1), v2.RandomHorizontalFlip()])  # one draw for a whole batch

D2L = "[Dive into Deep Learning, {}](https://d2l.ai/{}.html)"
GERON = "[Géron, Hands-On Machine Learning, chapter {}](https://github.com/ageron/handson-ml3/blob/main/{}.ipynb)"
FASTAI = "[fast.ai course part 2, {}](https://github.com/fastai/course22p2/blob/master/nbs/{}.ipynb)"
AUTHORS = "[Fashion-MNIST, {}](https://github.com/zalandoresearch/fashion-mnist/blob/master/{})"
GRID = AUTHORS.format("benchmark/baselines.json", "benchmark/baselines.json")
DEFAULT_START = "The first weights: PyTorch's."
KERAS_START = "The first weights: those of Keras, drawn by PyTorch."

# From the shortest to the longest on two cores.
PEERS: dict[str, Peer] = {
    "Softmax regression (d2l)": Network(
        source=D2L.format("softmax regression", "chapter_linear-classification/softmax-regression-concise"),
        open=DEFAULT_START,
        make=lambda: mlp(10),
        epochs=10,
        batch_size=256,
        optimizer=sgd(lr=0.1),
        scale=unit,
    ),
    "MLP (d2l)": Network(
        source=D2L.format("multilayer perceptrons", "chapter_multilayer-perceptrons/mlp-implementation"),
        open=f"{DEFAULT_START} Of its two programs we took the shorter.",
        make=lambda: mlp(256, 10),
        epochs=10,
        batch_size=256,
        optimizer=sgd(lr=0.1),
        scale=unit,
    ),
    "k-NN": Classic(
        source=GRID,
        open="Of its grid: 5 neighbours, weights by distance, Euclidean. It does not train: the seconds are those of "
        "answering the 10,000 test images. The same with every seed.",
        seeds=1,
        make=lambda seed: make_pipeline(StandardScaler(), KNeighborsClassifier(5, weights="distance")),
        features=rows,
        size=lambda fitted: (fitted[-1]._fit_X.size, fitted[-1]._fit_X.size),
        learns=False,
    ),
    "Logistic regression": Classic(
        source=GRID,
        open="Of its grid: C = 1, L2, multinomial. The solver: lbfgs, which stops after 100 iterations. The same with "
        "every seed.",
        seeds=1,
        make=lambda seed: make_pipeline(StandardScaler(), LogisticRegression()),
        features=rows,
        size=lambda fitted: (fitted[-1].coef_.size + 10, fitted[-1].coef_.size),
    ),
    "TinyVGG (Bourke)": Network(
        source="[Bourke, Learn PyTorch, notebook 03](https://github.com/mrdbourke/pytorch-deep-learning/blob/main/"
        "03_pytorch_computer_vision.ipynb)",
        open=f"{DEFAULT_START} Its figure is a mean of the accuracies of batches.",
        reported=0.8838,
        make=tiny_vgg,
        epochs=3,
        batch_size=32,
        optimizer=sgd(lr=0.1),
        scale=unit,
    ),
    "LeNet with batch norm (d2l)": Network(
        source=D2L.format("batch normalization", "chapter_convolutional-modern/batch-norm"),
        open="The first biases: PyTorch's.",
        make=lenet_with_batch_norm,
        epochs=10,
        batch_size=128,
        optimizer=sgd(lr=0.1),
        scale=unit,
    ),
    "LeNet (d2l)": Network(
        source=D2L.format("LeNet", "chapter_convolutional-neural-networks/lenet"),
        open="The first biases: PyTorch's.",
        make=lenet,
        epochs=10,
        batch_size=128,
        optimizer=sgd(lr=0.1),
        scale=unit,
        parameters=61_706,  # of the layers that its table of shapes shows
    ),
    "MLP (Géron)": Network(
        source=GERON.format(10, "10_neural_nets_with_keras"),
        open=KERAS_START,
        reported=0.8864,
        images=55_000,
        make=lambda: xavier(mlp(300, 100, 10)),
        epochs=30,
        batch_size=32,
        optimizer=sgd(lr=0.01),
        scale=unit,
        parameters=266_610,
    ),
    "Random forest": Classic(
        source=GRID,
        open="Of its grid: 100 trees, depth up to 100, Gini. The parameters are the nodes of its trees.",
        make=lambda seed: make_pipeline(
            StandardScaler(), RandomForestClassifier(100, max_depth=100, n_jobs=-1, random_state=seed)
        ),
        features=rows,
        size=lambda fitted: (sum(tree.tree_.node_count for tree in fitted[-1]), None),
    ),
    "Gradient boosting": Classic(
        source=GRID,
        open="Of its grid: 100 rounds, depth up to 10. We took scikit-learn's newer class, which sorts the grey levels "
        "into histograms and is many times as fast, at a learning rate of 0.1. The parameters are the nodes of its "
        "trees. The same with every seed.",
        seeds=1,
        make=lambda seed: make_pipeline(
            StandardScaler(), HistGradientBoostingClassifier(max_iter=100, max_depth=10, early_stopping=False)
        ),
        features=rows,
        size=lambda fitted: (sum(len(tree.nodes) for trees in fitted[-1]._predictors for tree in trees), None),
    ),
    "fast.ai ResNet, 5 epochs": Network(
        source=FASTAI.format("notebook 13", "13_resnet"),
        open="Nothing: notebook and library say all.",
        reported=0.928,
        make=lambda: fastai_resnet((8, 16, 32, 64, 128, 256), first_kernel=3),
        epochs=5,
        batch_size=1024,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=2e-2),
        schedule=one_cycle(2e-2),
        scale=FASTAI_SCALE,
        parameters=1_228_908,
    ),
    "Two convolutions, 113 K": Network(
        source="[abelusha/MNIST-Fashion-CNN](https://github.com/abelusha/MNIST-Fashion-CNN), in the list of the data "
        "set's authors",
        open=f"{KERAS_START} It holds out 12,000 images at random, we the last 12,000.",
        reported=0.9216,
        images=48_000,
        seeds=1,
        make=two_convolutions,
        epochs=50,
        batch_size=64,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3, eps=1e-7),
        scale=unit,
        parameters=113_386,
    ),
    "SVM on HOG": Classic(
        source="[Fashion-MNIST, issue 83](https://github.com/zalandoresearch/fashion-mnist/issues/83)",
        open="All settings. We took cells of 4 × 4 pixels, nine directions, blocks of 2 × 2 cells, and a radial kernel "
        "with C = 10. The same with every seed.",
        reported=0.926,
        seeds=1,
        make=lambda seed: SVC(C=10, cache_size=1000),  # megabytes
        features=hog,
        size=lambda fitted: (fitted.support_vectors_.size + fitted.dual_coef_.size,) * 2,
    ),
    "CNN (Géron)": Network(
        source=GERON.format(14, "14_deep_computer_vision_with_cnns"),
        open="Its start draws He's weights from a cut normal distribution, ours from a whole one. How NAdam's momentum "
        "rises: as in PyTorch.",
        reported=0.9117,
        images=55_000,
        seeds=1,
        long=True,
        make=geron_cnn,
        epochs=10,
        batch_size=32,
        optimizer=lambda parameters: torch.optim.NAdam(parameters, lr=1e-3, eps=1e-7),
        scale=unit,
    ),
    "fast.ai ResNet, 20 epochs": Network(
        source=FASTAI.format("notebook 14", "14_augment"),
        open="Nothing: notebook and library say all. Its 94.5 % with flips at test time is another figure.",
        reported=0.943,
        seeds=1,
        long=True,
        make=lambda: fastai_resnet((16, 32, 64, 128, 256, 512), first_kernel=5),
        epochs=20,
        batch_size=1024,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-2),
        schedule=one_cycle(1e-2),
        scale=FASTAI_SCALE,
        change=lambda images: CROP_AND_FLIP(FASTAI_SCALE(images)),
        parameters=4_907_588,
    ),
    "ResNet-20, 30 epochs": Network(
        source="[zhunzhong07/Random-Erasing](https://github.com/zhunzhong07/Random-Erasing), baseline without erasing",
        open="It trains 300 epochs; we took a tenth of them, and of the epochs at which its learning rate falls (150 "
        "and 225). Its figure is that of the 300; it says itself that today's data set gives a little less.",
        reported=0.9561,
        seeds=1,
        long=True,
        make=resnet_20,
        epochs=30,
        batch_size=128,
        optimizer=sgd(lr=0.1, momentum=0.9, weight_decay=5e-4),
        schedule=drops(15, 22),
        scale=RESNET_SCALE,
        change=lambda images: RESNET_SCALE(random_flip(random_shift(images, padding=4))),
    ),
    "CNN of the authors, 300 epochs": Network(
        source=AUTHORS.format("benchmark/convnet.py", "benchmark/convnet.py"),
        open=f"{KERAS_START} The list of the authors says more than 300 epochs.",
        reported=0.916,
        seeds=1,
        long=True,
        make=authors_cnn,
        epochs=300,
        batch_size=400,
        optimizer=sgd(lr=0.001),
        scale=unit,
    ),
}


def train_network(peer: Network, images: torch.Tensor, labels: torch.Tensor, seed: int) -> nn.Module:
    """Train a network by its recipe on uint8 images and int64 labels, and return it in evaluation mode."""
    set_seed(seed)
    device = get_device()
    model = peer.make().to(device).train()
    optimizer = peer.optimizer(model.parameters())
    schedule = peer.schedule and peer.schedule(optimizer, peer.epochs, math.ceil(len(images) / peer.batch_size))
    images, labels = images.to(device), labels.to(device)
    inputs = images if peer.change else peer.scale(images)
    for _ in tqdm(range(peer.epochs), desc="epochs", leave=False):
        for chosen in torch.randperm(len(inputs)).split(peer.batch_size):
            batch = inputs[chosen]
            loss = F.cross_entropy(model(peer.change(batch) if peer.change else batch), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule:
                schedule.step()
    return model.eval()


def train(peer: Peer, images: torch.Tensor, labels: torch.Tensor, seed: int) -> object:
    """Train a peer on uint8 images (N, 1, 28, 28) and int64 labels (N,), and return the trained classifier."""
    if isinstance(peer, Network):
        return train_network(peer, images, labels, seed)
    return peer.make(seed).fit(peer.features(images), labels.numpy())


@torch.inference_mode()
def answer(peer: Peer, trained: object, images: torch.Tensor) -> np.ndarray:
    """Return the class that a trained peer gives to each of the uint8 images, int64 (N,)."""
    if isinstance(peer, Classic):
        return trained.predict(peer.features(images))
    device = get_device()
    return torch.cat([trained(peer.scale(part.to(device))).argmax(1).cpu() for part in images.split(1000)]).numpy()


def size_of(peer: Peer, trained: object) -> dict:
    """Return how many parameters a trained peer has, and its multiply-adds for one image."""
    if isinstance(peer, Classic):
        return dict(zip(("parameters", "multiply_adds"), peer.size(trained), strict=True))
    return {"parameters": count_parameters(trained), "multiply_adds": multiply_adds(trained)}


def measure(name: str, seed: int) -> dict:
    """Train a peer with one seed and measure it on the test set, at the end.

    Returns
    -------
    dict
        group, parameters, multiply_adds, train_images, epochs (None without a network), seconds of training,
        answer_seconds for the 10,000 test images, and test_accuracy (a fraction).
    """
    peer = PEERS[name]
    images, labels = (tensor[: peer.images] for tensor in load_images(train=True))
    few = replace(peer, epochs=1) if isinstance(peer, Network) else peer
    train(few, images[:WARM_UP_IMAGES], labels[:WARM_UP_IMAGES], seed)
    started = time.perf_counter()
    trained = train(peer, images, labels, seed)
    seconds = time.perf_counter() - started
    test_images, test_labels = open_test_set(f"benchmark: {name}, seed {seed}, after its training").tensors
    started = time.perf_counter()
    answers = answer(peer, trained, test_images)
    answer_seconds = time.perf_counter() - started
    if isinstance(peer, Classic) and not peer.learns:
        seconds += answer_seconds
    return {
        "group": WITH_NETWORK if isinstance(peer, Network) else WITHOUT_NETWORK,
        **size_of(peer, trained),
        "train_images": len(images),
        "epochs": peer.epochs if isinstance(peer, Network) else None,
        "seconds": round(seconds, 2),
        "answer_seconds": round(answer_seconds, 2),
        "test_accuracy": accuracy(test_labels.numpy(), answers),
    }


def measure_own(name: str, epochs: int, seed: int) -> dict:
    """Train one of our recipes, after the same warm-up as the peers; returns what `run_recipe` does, and more."""
    recipe = RECIPES[name]
    few = TensorDataset(*(tensor[:WARM_UP_IMAGES] for tensor in load_images(train=True)))
    model, _ = train_recipe(replace(recipe, epochs=1), few)
    found = run_recipe(name, seed, epochs)
    return {"group": OURS, "multiply_adds": multiply_adds(model), "train_images": PUBLISHED_IMAGES} | found


def plan() -> list[dict]:
    """Return the key of each training in order: seed by seed ours and the short peers, at last the long ones."""
    keys = []
    for seed in range(SEEDS):
        keys += [{"own": name, "epochs": epochs, "seed": seed} for name, epochs in OWN]
        keys += [{"peer": name, "seed": seed} for name, peer in PEERS.items() if seed < peer.seeds and not peer.long]
    return keys + [{"peer": name, "seed": 0} for name, peer in PEERS.items() if peer.long]


def measure_planned(key: dict) -> dict:
    """Measure the training of a key of the plan, in a process of its own."""
    if "peer" in key:
        return in_own_process(measure, key["peer"], key["seed"])
    return in_own_process(measure_own, key["own"], key["epochs"], key["seed"])


def grouped(number: int | None) -> str:
    """Return a count with commas; a dash for None."""
    return "–" if number is None else f"{number:,}"


def peers_table() -> str:
    """Return the recorded peers and ours, from the quickest to the slowest, what is missing, and what is left open."""
    entries = list(read("peers").values())
    points = peer_points(entries)
    lines = []
    for name, point in points.iterrows():
        runs = [entry for entry in entries if name_of_peer(entry) == name]
        peer = PEERS.get(name)
        ours = seconds_to_reach(points, point["accuracy"])
        same = "–" if not peer else "not reached" if ours is None else f"{ours:.1f}"
        lines.append(
            [
                name if peer else f"**{name}**",
                len(runs),
                f"{runs[0]['train_images']:,}",
                runs[0]["epochs"] or "–",
                f"{point['seconds']:.1f}",
                percent([run["test_accuracy"] for run in runs]),
                f"{100 * point['low']:.2f} to {100 * point['high']:.2f}",
                f"{100 * peer.reported:.2f}" if peer and peer.reported else "–",
                grouped(round(mean(run["parameters"] for run in runs))),
                grouped(runs[0]["multiply_adds"]),
                same,
            ]
        )
    header = [
        "recipe",
        "seeds",
        "training images",
        "epochs",
        "seconds",
        "test accuracy (%)",
        "95 % interval",
        "source reports (%)",
        "parameters",
        "multiply-adds",
        "ours to the same accuracy (s)",
    ]
    sources = [[name, peer.source, peer.open] for name, peer in PEERS.items() if entries_with("peers", peer=name)]
    about = markdown_table(["peer", "source", "left open, or done otherwise"], sources)
    missing = [name for name in PEERS if not entries_with("peers", peer=name)]
    words = peers_in_words(points) + (f" Not trained yet: {'; '.join(missing)}." if missing else "")
    return f"{markdown_table(header, lines)}\n\n{words}\n\n{about}"


def draw_peers() -> Figure:
    """Return the chart of the recorded peers."""
    use_theme()
    figure, ax = plt.subplots(figsize=(10, 7))
    plot_peers(peer_points(list(read("peers").values())), ax=ax).set_title("What a learner might pick instead")
    plt.close(figure)
    return figure


def peers_picture() -> str:
    """Return the README's line that shows the chart."""
    return f"![{describe_figure(draw_peers())}](benchmarks/{PICTURE.name})"


def save_picture() -> None:
    """Write the chart of the recorded peers, if there are any."""
    if read("peers"):
        with plt.rc_context({"svg.hashsalt": "peers"}):  # the same ids in each run
            draw_peers().savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    """Measure what is missing, then print the table."""
    for key in plan():
        measure_once("peers", key, lambda key=key: measure_planned(key))
    print(f"\n{peers_table()}")


if __name__ == "__main__":
    start(main)
