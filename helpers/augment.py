"""Change training images at random in ways that keep their class, and average predictions over mirror images."""

from itertools import product

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


def random_shift(images: torch.Tensor, padding: int = 1) -> torch.Tensor:
    """Move each image by up to `padding` pixels up or down and left or right; black comes in at the edge.

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, 28, 28).
    padding : int
        Pixels, from 0 to 27.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    number, size, device = len(images), images.shape[-1], images.device
    padded = F.pad(images, (padding,) * 4)
    top = torch.randint(2 * padding + 1, (number, 1, 1), device=device)
    left = torch.randint(2 * padding + 1, (number, 1, 1), device=device)
    rows = top + torch.arange(size, device=device).reshape(1, size, 1)
    columns = left + torch.arange(size, device=device).reshape(1, 1, size)
    which = torch.arange(number, device=device).reshape(number, 1, 1)
    return padded[which, 0, rows, columns].unsqueeze(1)


def random_erase(images: torch.Tensor, size: int = 8, p: float = 0.5) -> torch.Tensor:
    """Paint a black square on some of the images, at a random place, partly outside now and then.

    A simple form of cutout (DeVries and Taylor, 2017) and random erasing (Zhong et al., 2017).

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, 28, 28).
    size : int
        Side of the square, in pixels.
    p : float
        Probability with which an image gets one, 0 to 1.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    number, width, device = len(images), images.shape[-1], images.device
    pixels = torch.arange(width, device=device)
    # The square's first row and column, so that its middle is anywhere in the image.
    top = torch.randint(-(size // 2), width - size // 2, (number, 1), device=device)
    left = torch.randint(-(size // 2), width - size // 2, (number, 1), device=device)
    rows = (pixels >= top) & (pixels < top + size)
    columns = (pixels >= left) & (pixels < left + size)
    chosen = torch.rand(number, 1, 1, device=device) < p
    square = rows.unsqueeze(2) & columns.unsqueeze(1) & chosen
    return images.masked_fill(square.unsqueeze(1), 0)


def predict_tta(model: nn.Module, dataset: TensorDataset, shifts: bool = False) -> Predictions:
    """Predict several views of each image, and average their probabilities: test-time augmentation.

    Parameters
    ----------
    model, dataset
        As for `predict`. It helps models that were trained with `random_flip`.
    shifts : bool
        Whether the views are 18, moved by up to a pixel each way and mirrored, for models that were trained with
        `random_shift` too; otherwise they are 2, the image and its mirror image.

    Returns
    -------
    Predictions
        labels, predictions, probabilities, as from `predict`.
    """
    images, labels = check_dataset("predict_tta", dataset).tensors
    size, padding = images.shape[-1], 1 if shifts else 0
    padded = F.pad(images, (padding,) * 4)
    probabilities = []
    for top, left in product(range(2 * padding + 1), repeat=2):
        view = padded[:, :, top : top + size, left : left + size]
        for mirrored in (view, view.flip(3)):
            found = predict(model, TensorDataset(mirrored, labels))
            probabilities.append(found.probabilities)
    mean = sum(probabilities) / len(probabilities)
    return Predictions(found.labels, mean.argmax(axis=1), mean)
