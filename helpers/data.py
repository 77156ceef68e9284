"""Load Fashion-MNIST as tensors, split it, draw batches from it, and guard the test set."""

import csv
import datetime
import weakref

import torch
from sklearn.model_selection import train_test_split
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

from helpers import config
from helpers.fetch import DataError, fetch, raw_dir
from helpers.inputs import as_tensor_dataset, check_grey_levels, check_number
from helpers.unfinished import how_far

# Mean and standard deviation of all pixels of the 50,000 training images, scaled to 0..1.
# Lesson 01 computes them and checks that they are these.
TRAIN_MEAN = 0.2857
TRAIN_STD = 0.3528

# Of the split alone: another seed for a training must not change which images it is judged on.
SPLIT_SEED = 0

# What `open_test_set` gave out in this session, so that a prediction on it is known as one.
_TEST_SETS: weakref.WeakSet = weakref.WeakSet()


def read_idx(name: str) -> torch.Tensor:
    """Read one file of the data set: a header of numbers, of which the fourth byte counts the sizes, then the bytes.

    Parameters
    ----------
    name : str
        Of a file of the data set, uncompressed.

    Returns
    -------
    torch.Tensor
        uint8, shape (N, 28, 28) of images or (N,) of labels: as torchvision reads it, which takes a second to import.
    """
    content = bytearray((raw_dir() / name).read_bytes())
    header = 4 + 4 * content[3]
    sizes = [int.from_bytes(content[place : place + 4], "big") for place in range(4, header, 4)]
    return torch.frombuffer(content, dtype=torch.uint8, offset=header).reshape(sizes)


def load_images(train: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Load one of the two published parts of Fashion-MNIST, all of it.

    Parameters
    ----------
    train : bool
        True for the 60,000 images, False for the 10,000. Lessons reach the latter through
        `open_test_set` only.

    Returns
    -------
    images : torch.Tensor
        uint8, shape (N, 1, 28, 28), grey levels from 0 to 255.
    labels : torch.Tensor
        int64, shape (N,), class numbers from 0 to 9.

    Raises
    ------
    DataError
        If the data is not there and no route brings it.
    """
    fetch()
    part = "train" if train else "t10k"
    return read_idx(f"{part}-images-idx3-ubyte").unsqueeze(1), read_idx(f"{part}-labels-idx1-ubyte").long()


def split_indices(labels: torch.Tensor, validation_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Split sample numbers into training and validation, at random, each class in its share.

    Parameters
    ----------
    labels : torch.Tensor
        int64, shape (N,).
    validation_size : int
        How many samples go to validation, from 10 to N - 10.

    Returns
    -------
    train_indices, validation_indices : torch.Tensor
        int64, sorted, without a common element. The same for every run.
    """
    train_indices, validation_indices = train_test_split(
        torch.arange(len(labels)).numpy(),
        test_size=validation_size,
        stratify=labels.numpy(),
        random_state=SPLIT_SEED,
    )
    return torch.from_numpy(train_indices).sort().values, torch.from_numpy(validation_indices).sort().values


def subset(dataset: TensorDataset, name: str) -> TensorDataset:
    """Under FAST=1 return a small stratified subset and say so, else the data set itself."""
    if not config.FAST:
        return dataset
    images, labels = dataset.tensors
    _, kept = split_indices(labels, config.FAST_SIZES[name])
    print(f"FAST=1: {len(kept):,} of {len(labels):,} {name} images.")
    return TensorDataset(images[kept], labels[kept])


def load_split(name: str, validation_size: int = 10_000) -> TensorDataset:
    """Load the training or the validation part of the 60,000 published training images.

    Parameters
    ----------
    name : {"train", "validation"}
        Which part.
    validation_size : int
        Images in the validation part: 10,000 in most lessons, 15,000 in lesson 06.

    Returns
    -------
    TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).

    Raises
    ------
    TypeError, ValueError
        For any other name, or a size that leaves a class without images. The test set has a door of its own,
        `open_test_set`.
    """
    if name not in ("train", "validation"):
        raise ValueError(
            f"There is no split {name!r}: choose 'train' or 'validation'. "
            "The test set is opened with open_test_set(reason), once, at the end."
        )
    check_number("load_split", "validation_size", validation_size, lowest=config.NUM_CLASSES)
    images, labels = load_images(train=True)
    if validation_size > len(labels) - config.NUM_CLASSES:
        raise ValueError(
            f"Of {len(labels):,} published images {validation_size:,} cannot go to validation: one of each class has "
            "to be left for training."
        )
    train_indices, validation_indices = split_indices(labels, validation_size)
    chosen = train_indices if name == "train" else validation_indices
    return subset(TensorDataset(images[chosen], labels[chosen]), name)


def open_test_set(reason: str) -> TensorDataset:
    """Open the test set, print why, and note it in `runs/…/test_set_openings.csv`.

    Every decision that looks at the test set makes its figure less honest, so each model opens
    it once, when nothing about the model will change any more.

    Parameters
    ----------
    reason : str
        One sentence: what the opening is for.

    Returns
    -------
    TensorDataset
        Of images, uint8 (10000, 1, 28, 28), and labels, int64 (10000,).

    Raises
    ------
    ValueError
        If no reason is given.
    """
    if not reason.strip():
        raise ValueError("Say what the test set is opened for: open_test_set('final accuracy of …').")
    note_opening(reason)
    print(f"Test set opened: {reason}")
    test = subset(TensorDataset(*load_images(train=False)), "test")
    _TEST_SETS.add(test)
    return test


def note_opening(text: str) -> None:
    """Add a line to `runs/…/test_set_openings.csv`: the time, and what the test set was opened for."""
    config.RUNS_DIR.mkdir(parents=True, exist_ok=True)
    with open(config.RUNS_DIR / "test_set_openings.csv", "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([datetime.datetime.now().isoformat(timespec="seconds"), text])


def note_if_not_final(model: torch.nn.Module, dataset: TensorDataset) -> None:
    """Where a model whose training was stopped is measured on the test set, say so, and note it under the opening.

    `open_test_set` cannot: it does not know which model is going to be measured.
    """
    if not isinstance(dataset, TensorDataset) or dataset not in _TEST_SETS or how_far(model) is None:
        return
    note = f"Not final: the training of this {type(model).__name__} was stopped in {how_far(model)}"
    print(f"{note}. Its figures on the test set say nothing about the finished model.")
    note_opening(note)


def normalize(images: torch.Tensor) -> torch.Tensor:
    """Scale grey levels to mean 0 and standard deviation 1 over the training images.

    Parameters
    ----------
    images : torch.Tensor
        uint8, any shape, 0 to 255.

    Returns
    -------
    torch.Tensor
        float32, the same shape, about -0.81 (black) to 2.02 (white).

    Raises
    ------
    TypeError, ValueError
        For images of another type, such as floats, which were scaled before.
    """
    check_grey_levels(images)
    return (images.float() / 255 - TRAIN_MEAN) / TRAIN_STD


def make_loader(dataset: TensorDataset, batch_size: int, shuffle: bool = False, seed: int = config.SEED) -> DataLoader:
    """Draw batches by whole lists of indices, far faster than one image at a time.

    Parameters
    ----------
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,).
    batch_size : int
        Images in a batch; the last batch holds what remains.
    shuffle : bool
        True for training: a new order in every epoch, the same orders for the same seed.
    seed : int
        Fixes the orders.

    Returns
    -------
    DataLoader
        Yields images, uint8 (batch_size, 1, 28, 28), and labels, int64 (batch_size,).

    Raises
    ------
    TypeError, ValueError
        For a data set of another kind, with the way to the right one.
    """
    dataset = as_tensor_dataset("make_loader", dataset)
    check_number("make_loader", "batch_size", batch_size)
    generator = torch.Generator().manual_seed(seed)
    order = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
    return DataLoader(dataset, sampler=BatchSampler(order, int(batch_size), drop_last=False), batch_size=None)


if __name__ == "__main__":
    try:
        print(fetch())
    except DataError as error:
        raise SystemExit(str(error)) from None
