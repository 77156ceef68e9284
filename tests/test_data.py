"""The data in memory: what is loaded, how it is split, scaled and batched, and the test set's door."""

import csv

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset
from torchvision.datasets import FashionMNIST

from helpers import config, data


@pytest.fixture
def real_raw(monkeypatch):
    """Bring the real data where it is missing, and give its folder."""
    monkeypatch.setattr(config, "FAST", False)
    data.fetch()
    return config.DATA_DIR / "FashionMNIST" / "raw"


@pytest.fixture
def numbered(monkeypatch, home):
    """Replace the published images by 60,000 that carry their own number, with labels number % 10."""
    number = torch.arange(60_000)
    images = torch.stack([number // 256, number % 256], dim=1).to(torch.uint8).reshape(-1, 1, 1, 2)
    monkeypatch.setattr(data, "load_images", lambda train: (images, number % 10))


def read_numbers(dataset):
    images = dataset.tensors[0].long()
    return images[:, 0, 0, 0] * 256 + images[:, 0, 0, 1]


def test_class_names_are_in_the_order_of_torchvision():
    assert FashionMNIST.classes == config.CLASS_NAMES


@pytest.mark.parametrize(("train", "prefix", "count"), [(True, "train", 60_000), (False, "t10k", 10_000)])
def test_images_and_labels_are_those_of_the_published_bytes(real_raw, train, prefix, count):
    images, labels = data.load_images(train)
    pixel_bytes = (real_raw / f"{prefix}-images-idx3-ubyte").read_bytes()[16:]
    label_bytes = (real_raw / f"{prefix}-labels-idx1-ubyte").read_bytes()[8:]
    assert images.shape == (count, 1, 28, 28) and images.dtype == torch.uint8
    assert labels.shape == (count,) and labels.dtype == torch.int64
    assert images.numpy().tobytes() == pixel_bytes
    assert labels.tolist() == list(label_bytes)
    assert torch.bincount(labels).tolist() == [count // 10] * 10


def test_real_parts_are_stratified_and_give_the_normalisation_constants(real_raw):
    train, validation = data.load_split("train"), data.load_split("validation")
    assert torch.bincount(train.tensors[1]).tolist() == [5_000] * 10
    assert torch.bincount(validation.tensors[1]).tolist() == [1_000] * 10
    counts = torch.bincount(train.tensors[0].flatten(), minlength=256).numpy()
    grey = np.arange(256) / 255
    mean = (grey * counts).sum() / counts.sum()
    std = np.sqrt(((grey - mean) ** 2 * counts).sum() / counts.sum())
    assert (round(mean, 4), round(std, 4)) == (data.TRAIN_MEAN, data.TRAIN_STD)


def test_split_overlaps_nowhere_and_covers_everything():
    train, validation = data.split_indices(torch.arange(1_000) % 10, 200)
    assert (len(train), len(validation)) == (800, 200)
    assert sorted(train.tolist() + validation.tolist()) == list(range(1_000))


def test_split_gives_each_class_its_share():
    labels = torch.tensor([0] * 500 + [1] * 300 + [2] * 200)
    _, validation = data.split_indices(labels, 100)
    assert torch.bincount(labels[validation]).tolist() == [50, 30, 20]


def test_split_is_the_same_in_every_run_and_sorted():
    labels = torch.arange(500) % 10
    np.random.seed(1)
    first = data.split_indices(labels, 100)
    np.random.seed(2)
    second = data.split_indices(labels, 100)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, one.sort().values)
    assert not torch.equal(first[1], torch.arange(400, 500))  # drawn at random, not cut off the end


@pytest.mark.parametrize("validation_size", [10_000, 15_000])
def test_load_split_gives_disjoint_parts_with_their_own_labels(numbered, validation_size):
    parts = [data.load_split(name, validation_size) for name in ("train", "validation")]
    numbers = [read_numbers(part) for part in parts]
    assert [len(part) for part in parts] == [60_000 - validation_size, validation_size]
    assert not set(numbers[0].tolist()) & set(numbers[1].tolist())
    for part, number in zip(parts, numbers, strict=True):
        assert torch.equal(part.tensors[1], number % 10)


@pytest.mark.parametrize("size", [0.2, None, 9, 59_991, 60_000, "10000", True])
def test_a_validation_part_has_a_number_of_images_that_leaves_some_of_each_class(numbered, size):
    with pytest.raises(
        (TypeError, ValueError), match=r"load_split wants validation_size|one of each class has to be left"
    ):
        data.load_split("train", size)
    for size in (10, 59_990):
        assert len(data.load_split("validation", size)) == size


def test_fast_takes_a_small_stratified_subset_and_says_so(numbered, monkeypatch, capsys):
    whole = set(read_numbers(data.load_split("validation")).tolist())
    monkeypatch.setattr(config, "FAST", True)
    train, validation = data.load_split("train"), data.load_split("validation")
    assert torch.bincount(train.tensors[1]).tolist() == [400] * 10
    assert torch.bincount(validation.tensors[1]).tolist() == [50] * 10
    assert set(read_numbers(validation).tolist()) < whole
    assert not set(read_numbers(train).tolist()) & whole
    assert torch.equal(train.tensors[1], read_numbers(train) % 10)
    assert "FAST=1: 4,000 of 50,000 train images." in capsys.readouterr().out


def test_test_set_is_no_split_and_the_message_shows_its_door(home):
    with pytest.raises(ValueError, match=r"open_test_set\(reason\)"):
        data.load_split("test")


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_test_set_stays_closed_without_a_reason(numbered, home, reason):
    with pytest.raises(ValueError, match="what the test set is opened for"):
        data.open_test_set(reason)
    assert not (home / "runs").exists()


def test_each_opening_of_the_test_set_is_printed_and_recorded(monkeypatch, home, capsys):
    asked = []
    images = torch.zeros(20, 1, 28, 28, dtype=torch.uint8)
    monkeypatch.setattr(data, "load_images", lambda train: asked.append(train) or (images, torch.arange(20) % 10))
    assert len(data.open_test_set("final accuracy of the MLP")) == 20
    data.open_test_set("final accuracy, with a comma")
    with open(config.RUNS_DIR / "test_set_openings.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert [row[1] for row in rows] == ["final accuracy of the MLP", "final accuracy, with a comma"]
    assert rows[0][0].startswith("20")  # a date
    assert "Test set opened: final accuracy of the MLP" in capsys.readouterr().out
    assert asked == [False, False]


def test_normalize_scales_by_the_constants_of_the_training_part():
    black_and_white = data.normalize(torch.tensor([[0, 255]], dtype=torch.uint8))
    expected = [(0 - data.TRAIN_MEAN) / data.TRAIN_STD, (1 - data.TRAIN_MEAN) / data.TRAIN_STD]
    assert black_and_white.dtype == torch.float32 and black_and_white.shape == (1, 2)
    assert black_and_white[0].tolist() == pytest.approx(expected)
    assert black_and_white[0].tolist() == pytest.approx([-0.81, 2.02], abs=0.01)


def test_loader_gives_whole_batches_in_order_and_a_smaller_last_one(stripes):
    dataset = stripes(25)
    batches = list(data.make_loader(dataset, 10))
    assert [len(labels) for _, labels in batches] == [10, 10, 5]
    assert torch.equal(torch.cat([images for images, _ in batches]), dataset.tensors[0])
    assert torch.equal(torch.cat([labels for _, labels in batches]), dataset.tensors[1])


def test_shuffled_loader_has_a_new_order_each_epoch_and_the_same_for_the_same_seed():
    number = torch.arange(50)
    dataset = TensorDataset(number, number)

    def orders(seed):
        loader = data.make_loader(dataset, 8, shuffle=True, seed=seed)
        return [torch.cat([labels for _, labels in loader]).tolist() for _ in range(2)]

    first, second = orders(seed=1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert orders(seed=1) == [first, second]
    assert orders(seed=2)[0] != first


def test_a_loader_shuffles_when_asked_to_and_by_the_seed_of_the_series():
    def order(**options):
        loader = data.make_loader(TensorDataset(torch.arange(50)), 20, **options)
        return torch.cat([batch[0] for batch in loader]).tolist()

    assert order() == list(range(50))
    assert order(shuffle=True) == order(shuffle=True, seed=config.SEED) != order(shuffle=True, seed=config.SEED + 3)


def test_shuffled_images_keep_their_labels(stripes):
    for images, labels in data.make_loader(stripes(40), 7, shuffle=True):
        for image, label in zip(images, labels, strict=True):
            assert (image[0, 2 * label : 2 * label + 2] == 255).all()
