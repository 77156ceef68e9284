"""Augmentation: what may change in an image, what may not, and how often."""

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from helpers import augment, data
from helpers.evaluation import predict

ALL = [augment.random_flip, augment.random_shift, augment.random_erase]


@pytest.fixture
def images():
    """Make 400 images of which each differs from its mirror image and has no black pixel."""
    torch.manual_seed(0)
    return torch.randint(1, 256, (400, 1, 28, 28), dtype=torch.uint8)


def same(one, other):
    """Tell of each image whether it equals its counterpart."""
    return (one == other).flatten(1).all(dim=1)


@pytest.mark.parametrize("change", ALL)
def test_kind_and_shape_stay_the_input_is_not_touched_and_the_seed_decides(images, change):
    before = images.clone()
    torch.manual_seed(1)
    first = change(images)
    torch.manual_seed(1)
    again = change(images)
    assert first.dtype == torch.uint8 and first.shape == images.shape
    assert torch.equal(images, before) and torch.equal(first, again)
    assert not torch.equal(first, change(images))


def test_random_flip_leaves_each_image_or_mirrors_it_left_to_right(images):
    flipped = augment.random_flip(images)
    mirrored = same(flipped, images.flip(3))
    assert torch.equal(mirrored, ~same(flipped, images))
    assert 0.4 < mirrored.float().mean() < 0.6


def test_random_shift_moves_each_image_as_a_whole_and_reaches_every_place(images):
    shifted = augment.random_shift(images, padding=2)
    padded = nn.functional.pad(images, (2, 2, 2, 2))
    places = [padded[:, :, top : top + 28, left : left + 28] for top in range(5) for left in range(5)]
    found = torch.stack([same(shifted, place) for place in places])
    assert (found.sum(dim=0) == 1).all()  # each image lies at exactly one of the 25 places
    assert (found.sum(dim=1) > 0).all()  # and each place is used


def test_random_shift_by_nothing_changes_nothing(images):
    assert torch.equal(augment.random_shift(images, padding=0), images)


def test_random_erase_paints_one_black_square_on_a_share_of_the_images(images):
    black = augment.random_erase(images, size=8, p=0.5) == 0
    area = black.sum(dim=(1, 2, 3))
    assert 0.4 < (area > 0).float().mean() < 0.6
    assert area.max() == 64 and area[area > 0].min() < 64  # whole squares, and squares cut by the edge
    for square in black[area == 64][:, 0]:
        rows, columns = square.any(dim=1).nonzero(), square.any(dim=0).nonzero()
        assert len(rows) == len(columns) == rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == 8
    # Every pixel can be erased, those at the edge too.
    torch.manual_seed(0)
    many = torch.full((4000, 1, 28, 28), 255, dtype=torch.uint8)
    assert (augment.random_erase(many) == 0).any(dim=0).all()


def test_random_erase_of_all_or_none(images):
    assert torch.equal(augment.random_erase(images, p=0.0), images)
    assert (augment.random_erase(images, p=1.0) == 0).flatten(1).any(dim=1).all()


def test_predict_tta_averages_the_probabilities_of_image_and_mirror_image(images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    labels = torch.arange(400) % 10
    found = augment.predict_tta(model, TensorDataset(images, labels))
    with torch.no_grad():
        sides = [model(data.normalize(side)).double().softmax(1) for side in (images, images.flip(3))]
    torch.testing.assert_close(torch.from_numpy(found.probabilities), (sides[0] + sides[1]) / 2)
    assert (found.predictions == found.probabilities.argmax(axis=1)).all()
    assert (found.labels == labels.numpy()).all()
    assert not (found.predictions == predict(model, TensorDataset(images, labels)).predictions).all()


def test_with_shifts_predict_tta_averages_all_places_within_a_pixel_and_their_mirror_images(images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    labels = torch.arange(400) % 10
    found = augment.predict_tta(model, TensorDataset(images, labels), shifts=True)
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    places = [padded[:, :, top : top + 28, left : left + 28] for top in range(3) for left in range(3)]
    with torch.no_grad():
        views = [model(data.normalize(side)).double().softmax(1) for place in places for side in (place, place.flip(3))]
    torch.testing.assert_close(torch.from_numpy(found.probabilities), sum(views) / 18)
    assert (found.predictions == found.probabilities.argmax(axis=1)).all()
    assert (found.labels == labels.numpy()).all()


def test_unless_told_otherwise_shifts_are_of_a_pixel_and_half_of_the_images_get_a_square_of_eight(images):
    for change, options in [(augment.random_shift, {"padding": 1}), (augment.random_erase, {"size": 8, "p": 0.5})]:
        torch.manual_seed(1)
        by_default = change(images)
        torch.manual_seed(1)
        assert torch.equal(by_default, change(images, **options))
