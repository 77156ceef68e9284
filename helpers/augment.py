"""Change training images at random in ways that keep their class, and average predictions over mirror images."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from helpers.evaluation import Predictions, predict
from helpers.inputs import check_dataset


def random_flip(images: torch.Tensor) -> torch.Tensor:
    """Mirror about half of the images, left to right.

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, 28, 28).

    Returns
    -------
    torch.Tensor
        uint8, the same shape; each image is as it was or mirrored.
    """
    mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def random_shift(images: torch.Tensor, most: int = 1) -> torch.Tensor:
    """Move each image by up to `most` pixels up or down and left or right; black comes in at the edge.

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, 28, 28).
    most : int
        Pixels, from 0 to 27.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    number, size, device = len(images), images.shape[-1], images.device
    padded = F.pad(images, (most, most, most, most))
    top = torch.randint(2 * most + 1, (number, 1, 1), device=device)
    left = torch.randint(2 * most + 1, (number, 1, 1), device=device)
    rows = top + torch.arange(size, device=device).reshape(1, size, 1)
    columns = left + torch.arange(size, device=device).reshape(1, 1, size)
    which = torch.arange(number, device=device).reshape(number, 1, 1)
    return padded[which, 0, rows, columns].unsqueeze(1)


def random_erase(images: torch.Tensor, side: int = 8, share: float = 0.5) -> torch.Tensor:
    """Paint a black square on some of the images, at a random place, partly outside now and then.

    A simple form of cutout (DeVries and Taylor, 2017) and random erasing (Zhong et al., 2017).

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, 28, 28).
    side : int
        Of the square, in pixels.
    share : float
        Of the images that get one, 0 to 1.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    number, size, device = len(images), images.shape[-1], images.device
    pixels = torch.arange(size, device=device)
    # The square's first row and column, so that its middle is anywhere in the image.
    top = torch.randint(-(side // 2), size - side // 2, (number, 1), device=device)
    left = torch.randint(-(side // 2), size - side // 2, (number, 1), device=device)
    rows = (pixels >= top) & (pixels < top + side)
    columns = (pixels >= left) & (pixels < left + side)
    chosen = torch.rand(number, 1, 1, device=device) < share
    square = rows.unsqueeze(2) & columns.unsqueeze(1) & chosen
    return images.masked_fill(square.unsqueeze(1), 0)


def predict_with_flips(model: nn.Module, dataset: TensorDataset) -> Predictions:
    """Predict each image and its mirror image, and average the two probabilities.

    Parameters
    ----------
    model, dataset
        As for `predict`. It helps models that were trained with `random_flip`.

    Returns
    -------
    Predictions
        labels, predictions, probabilities, as from `predict`.
    """
    images, labels = check_dataset("predict_with_flips", dataset).tensors
    plain = predict(model, dataset)
    mirrored = predict(model, TensorDataset(images.flip(3), labels))
    probabilities = (plain.probabilities + mirrored.probabilities) / 2
    return Predictions(plain.labels, probabilities.argmax(axis=1), probabilities)


def predict_with_flips_and_shifts(model: nn.Module, dataset: TensorDataset) -> Predictions:
    """Average the probabilities of 18 views of each image: moved by up to a pixel each way, and mirrored.

    Parameters
    ----------
    model, dataset
        As for `predict`. It helps models that were trained with `random_flip` and `random_shift`.

    Returns
    -------
    Predictions
        labels, predictions, probabilities, as from `predict`.
    """
    images, labels = check_dataset("predict_with_flips_and_shifts", dataset).tensors
    size, padded = images.shape[-1], F.pad(images, (1, 1, 1, 1))
    places = [(top, left) for top in range(3) for left in range(3)]
    views = [
        predict_with_flips(model, TensorDataset(padded[:, :, top : top + size, left : left + size], labels))
        for top, left in places
    ]
    probabilities = sum(view.probabilities for view in views) / len(views)
    return Predictions(views[0].labels, probabilities.argmax(axis=1), probabilities)
