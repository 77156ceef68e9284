"""Change images at random in ways that keep their class, mix two of them, and average predictions over views."""

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


def move(
    images: torch.Tensor,
    degrees: torch.Tensor | float = 0.0,
    size: torch.Tensor | float = 1.0,
    right: torch.Tensor | float = 0.0,
    down: torch.Tensor | float = 0.0,
) -> torch.Tensor:
    """Turn, enlarge and shift images, each by its own numbers if those are tensors; black comes in at the edge.

    The same as `torchvision.transforms.v2.functional.affine` with bilinear interpolation, but for a whole batch with
    different numbers for each image.

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, H, W).
    degrees : torch.Tensor or float
        Clockwise, about the middle of the image. A tensor, here and below, is float, shape (N,).
    size : torch.Tensor or float
        Above 0: 1 keeps the size, 0.5 halves height and width.
    right, down : torch.Tensor or float
        Pixels, after turning; negative to the left and up.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    number, device = len(images), images.device
    height, width = images.shape[2:]
    degrees, size, right, down = (
        torch.as_tensor(value, dtype=torch.float32, device=device).expand(number)
        for value in (degrees, size, right, down)
    )
    angle = torch.deg2rad(degrees).reshape(-1, 1, 1)
    # Each pixel of the result, counted from the middle, and the place in the image that it comes from.
    x = torch.arange(width, device=device) - (width - 1) / 2 - right.reshape(-1, 1, 1)
    y = (torch.arange(height, device=device) - (height - 1) / 2).reshape(1, -1, 1) - down.reshape(-1, 1, 1)
    cosine, sine = (part / size.reshape(-1, 1, 1) for part in (angle.cos(), angle.sin()))
    from_x, from_y = cosine * x + sine * y, cosine * y - sine * x
    grid = torch.stack([2 * from_x / width, 2 * from_y / height], dim=3)  # grid_sample counts in halves of an image
    moved = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.round().to(torch.uint8)


def relight(
    images: torch.Tensor, contrast: torch.Tensor | float = 1.0, lift: torch.Tensor | float = 0.0
) -> torch.Tensor:
    """Multiply the grey levels of images, then add to them; what passes 255 becomes 255.

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, H, W).
    contrast : torch.Tensor or float
        0 or more: 1 keeps the grey levels, 0.5 makes them half as bright. A tensor, here and below, is float, shape
        (N,), with a number for each image.
    lift : torch.Tensor or float
        Grey levels that are added, also to the black background.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    contrast, lift = (
        torch.as_tensor(value, dtype=torch.float32, device=images.device).reshape(-1, 1, 1, 1)
        for value in (contrast, lift)
    )
    return (images * contrast + lift).clamp(0, 255).to(torch.uint8)


def draw_between(
    low: float, high: float, images: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draw a number for each image, float32 (N,), uniformly from `low` to `high`."""
    numbers = torch.rand(len(images), generator=generator, device=images.device)
    return low + (high - low) * numbers


def random_move(
    images: torch.Tensor,
    degrees: float = 10,
    sizes: tuple[float, float] = (0.9, 1.1),
    pixels: float = 2,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Turn, resize and shift each image by small random amounts of its own.

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, H, W).
    degrees, pixels : float
        At most so far to either side.
    sizes : tuple of float
        Smallest and largest size; 1 keeps the size.
    generator : torch.Generator, optional
        On the images' device; without one PyTorch's own random numbers are used.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    turns = draw_between(-degrees, degrees, images, generator)
    scales = draw_between(*sizes, images, generator)
    right = draw_between(-pixels, pixels, images, generator)
    down = draw_between(-pixels, pixels, images, generator)
    return move(images, turns, scales, right, down)


def flip_move_and_relight(images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Mirror half of the images; turn, resize, shift, darken and lift each by random amounts of its own.

    What lesson 08 found best on shifted, turned and small images and on grey ground, at a price on plain ones: turned
    by up to 20 degrees, 0.75 to 1.15 times the size, shifted by up to 3 pixels, contrast 0.4 to 1, up to 60 grey levels
    lifted.

    Parameters
    ----------
    images : torch.Tensor
        uint8, shape (N, 1, H, W).
    generator : torch.Generator, optional
        On the images' device; without one PyTorch's own random numbers are used.

    Returns
    -------
    torch.Tensor
        uint8, the same shape.
    """
    mirrored = draw_between(0, 1, images, generator) < 0.5
    images = torch.where(mirrored.reshape(-1, 1, 1, 1), images.flip(3), images)
    images = random_move(images, 20, (0.75, 1.15), 3, generator)
    contrast = draw_between(0.4, 1, images, generator)
    return relight(images, contrast, draw_between(0, 60, images, generator))


class Mix:
    """Mix each image of a batch with its neighbour, and share the loss between both labels: MixUp or CutMix.

    `change` is given to `fit` as `augment` and `loss` as `loss_fn`. `fit` calls them in turn for each batch. Sources:
    Zhang et al., "mixup", 2017; Yun et al., "CutMix", 2019. Both draw one share for a batch, from 0 to 1. Here each
    image draws its own, from 0.5 to 1: below, the neighbour would be the image, and the image its neighbour.

    Parameters
    ----------
    cut : bool
        True pastes a rectangle of the neighbour (CutMix); False adds the two images up (MixUp).

    Attributes
    ----------
    share : torch.Tensor
        float32, (N,): how much of each image of the last batch is its own, 0.5 to 1.
    """

    def __init__(self, cut: bool = False):
        self.cut = cut
        self.share = None

    def change(self, images: torch.Tensor) -> torch.Tensor:
        """Mix the images of a batch, uint8 (N, 1, H, W), each with the one before it, the first with the last."""
        share = draw_between(0.5, 1, images)
        neighbours = images.roll(1, dims=0)
        if not self.cut:
            own = share.reshape(-1, 1, 1, 1)
            self.share = share
            return (own * images + (1 - own) * neighbours).round().to(torch.uint8)
        height, width = images.shape[2:]
        sides = (1 - share).sqrt()  # of the rectangle, as parts of the image's
        pasted = torch.ones(len(images), 1, 1, dtype=torch.bool, device=images.device)
        for length, shape in ((height, (-1, height, 1)), (width, (-1, 1, width))):
            side = (sides * length).round()
            start = (draw_between(0, 1, images) * (length - side + 1)).floor()
            pixels = torch.arange(length, device=images.device)
            inside = (pixels >= start[:, None]) & (pixels < (start + side)[:, None])
            pasted = pasted & inside.reshape(shape)
        self.share = 1 - pasted.float().mean(dim=(1, 2))
        return torch.where(pasted.unsqueeze(1), neighbours, images)

    def loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of a batch that `change` has mixed, with each label counted by its share."""
        own = F.cross_entropy(outputs, labels, reduction="none")
        neighbours = F.cross_entropy(outputs, labels.roll(1), reduction="none")
        return (self.share * own + (1 - self.share) * neighbours).mean()


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
