"""Settings and small data sets that the tests share."""

import filecmp
import shutil
import weakref

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from contrast import faint_marks, faint_texts
from torch import nn
from torch.utils.data import TensorDataset

from helpers import config, device, fetch, plotting, unfinished

# Not by the environment: the notebooks' kernels need their own inline backend.
matplotlib.use("Agg")


class Spy(nn.Module):
    """A linear model that notes its mode and its inputs at every forward pass."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(784, 10)
        self.modes, self.inputs = [], []

    def forward(self, x):
        self.modes.append(self.training)
        self.inputs.append(x.detach().clone())
        return self.linear(x.flatten(1))


@pytest.fixture(autouse=True)
def no_figures_left():
    """Close the figures of a test, so that the next one of its process counts its own alone."""
    yield
    plt.close("all")


@pytest.fixture
def figures_can_be_seen():
    """Look at the contrast of what a test has drawn."""
    plotting.use_theme()
    yield
    for figure in map(plt.figure, plt.get_fignums()):
        assert faint_texts(figure) == [] and faint_marks(figure) == []


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Send everything that helpers write, runs and data, to a fresh folder."""
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "DATA_DIR", tmp_path / "data")
    monkeypatch.setattr(config, "RUNS_DIR", tmp_path / "runs" / "full")
    monkeypatch.setattr(config, "FAST", False)
    # Models that other tests stopped are none of this one's.
    monkeypatch.setattr(unfinished, "_HOW_FAR", weakref.WeakKeyDictionary())
    monkeypatch.setattr(unfinished, "_LAST_STOPPED", {})
    monkeypatch.setattr(unfinished, "_STOPPED_IN", {})
    monkeypatch.setattr(device, "_CHOSEN", {})
    return tmp_path


@pytest.fixture(scope="session")
def real():
    """Bring the real data where it is missing, and give its folder."""
    fetch.fetch()
    return fetch.raw_dir()


@pytest.fixture
def raw(real, home, monkeypatch):
    """Start without network or data: give the empty data folder, and remove what lands in it afterwards."""

    def no_network(**arguments):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nName or service not known")

    monkeypatch.setattr("torchvision.datasets.FashionMNIST", no_network)
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    monkeypatch.setenv("FASHION_MNIST_DIR", str(home / "no such folder"))
    yield fetch.raw_dir()
    shutil.rmtree(home)


@pytest.fixture
def copy(real, raw, home, monkeypatch):
    """Put a copy of the real data into $FASHION_MNIST_DIR."""
    folder = home / "copy"
    shutil.copytree(real, folder)
    monkeypatch.setenv("FASHION_MNIST_DIR", str(folder))
    return folder


@pytest.fixture
def assert_right(real):
    """Make the check that the data folder holds the four files, exactly as published."""

    def check():
        raw = fetch.raw_dir()
        # A system may add hidden files of its own, such as .DS_Store.
        found = {path.name for path in raw.iterdir() if path.suffix != ".part" and not path.name.startswith(".")}
        assert found == set(fetch.SHA256)
        assert all(filecmp.cmp(raw / name, real / name, shallow=False) for name in fetch.SHA256)

    return check


@pytest.fixture
def fetch_fails(raw):
    """Make a call of `fetch` that has to fail and gives its message."""

    def call():
        with pytest.raises(fetch.DataError) as caught:
            fetch.fetch()
        return str(caught.value)

    return call


@pytest.fixture
def stripes():
    """Make data sets that a linear model learns at once: the class decides which two rows are white."""

    def make(number: int = 60, seed: int = 0) -> TensorDataset:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 60, (number, 1, 28, 28), dtype=torch.uint8, generator=generator)
        labels = torch.arange(number) % 10
        for image, label in zip(images, labels, strict=True):
            image[0, 2 * label : 2 * label + 2] = 255
        return TensorDataset(images, labels)

    return make


@pytest.fixture
def pixels():
    """Make black images of which pixel c of the first row has the grey level 0 to 255 asked for."""

    def make(grey_levels: list[list[int]], labels: list[int]) -> TensorDataset:
        images = torch.zeros(len(labels), 1, 28, 28, dtype=torch.uint8)
        images[:, 0, 0, :10] = torch.tensor(grey_levels, dtype=torch.uint8)
        return TensorDataset(images, torch.tensor(labels))

    return make


@pytest.fixture
def pixel_reader():
    """Make a model with a known answer: logit c is the normalised pixel c of the first row."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[:, :10] = torch.eye(10)
    return model


@pytest.fixture
def linear():
    """Make a linear model whose first weights depend on the seed alone."""

    def make(seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    return make


@pytest.fixture
def spy():
    """Make a model that tells how it was used."""
    return Spy()


@pytest.fixture
def six_samples():
    """Six samples with errors known by heart: two Shirts called T-shirt/top, one Coat called Pullover."""
    labels = np.array([6, 6, 6, 4, 0, 2])
    predictions = np.array([0, 0, 6, 2, 0, 2])
    return labels, predictions


@pytest.fixture
def ax():
    """Give an empty Axes."""
    return plt.subplots()[1]
