"""Augmentation: what may change in an image, what may not, and how often."""

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.transforms import v2

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


@pytest.fixture
def garments():
    """Make 60 smooth pictures with an empty edge, as those of the data set are."""
    torch.manual_seed(0)
    coarse = torch.rand(60, 1, 7, 7) * 255
    smooth = nn.functional.interpolate(coarse, (20, 20), mode="bilinear")
    return nn.functional.pad(smooth, (4, 4, 4, 4)).to(torch.uint8)


@pytest.mark.parametrize(
    ("degrees", "size", "right", "down"), [(20, 1, 0, 0), (0, 0.8, 0, 0), (0, 1, 3, -2), (-35, 1.2, 2, 5)]
)
def test_move_is_torchvisions_affine_within_a_grey_level(garments, degrees, size, right, down):
    theirs = v2.functional.affine(
        garments,
        angle=degrees,
        translate=[right, down],
        scale=size,
        shear=[0.0, 0.0],
        interpolation=v2.InterpolationMode.BILINEAR,
    )
    ours = augment.move(garments, degrees, size, right, down)
    assert ours.dtype == torch.uint8 and ours.shape == garments.shape
    assert (ours.int() - theirs.int()).abs().max() <= 1


def test_move_turns_pictures_that_are_not_square_without_shearing_them():
    disc = torch.zeros(1, 1, 20, 40, dtype=torch.uint8)
    rows, columns = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(40) - 19.5, indexing="ij")
    disc[0, 0][rows**2 + columns**2 < 36] = 255
    turned = augment.move(disc, degrees=45).int()
    assert ((turned - disc.int()).abs() > 130).float().mean() < 0.01
    shifted = augment.move(disc, right=7, down=-2)
    assert torch.equal(shifted, disc.roll((-2, 7), dims=(2, 3)))


def test_move_by_nothing_changes_nothing_and_takes_numbers_of_each_image(images):
    assert torch.equal(augment.move(images), images)
    right = torch.arange(len(images)) % 3 - 1
    moved = augment.move(images, right=right)
    for pixels, expected in [(0, images), (1, images.roll(1, 3)), (-1, images.roll(-1, 3))]:
        chosen = right == pixels
        assert torch.equal(moved[chosen][..., 1:-1], expected[chosen][..., 1:-1])
    assert (moved[right == 1][..., 0] == 0).all() and (moved[right == -1][..., -1] == 0).all()


def test_relight_is_torchvisions_brightness_and_lifts(images):
    assert torch.equal(augment.relight(images, 0.37), v2.functional.adjust_brightness(images, 0.37))
    assert torch.equal(augment.relight(images), images)
    lifted = augment.relight(images, torch.linspace(0, 1, len(images)), 60)
    assert lifted.min() == 60 and (lifted[0] == 60).all() and lifted.max() == 255


def test_random_move_stays_within_its_limits_and_reaches_them():
    dot = torch.zeros(2000, 1, 29, 29, dtype=torch.uint8)
    dot[:, :, 14, 14] = 255  # in the middle, so that turning and resizing leave it there
    moved = augment.random_move(dot, degrees=30, sizes=(1, 1), pixels=4).float()
    mass = moved.sum(dim=(1, 2, 3))
    places = torch.arange(29.0)
    for dimension in (2, 3):
        middle = (moved.sum(dim=5 - dimension)[:, 0] * places).sum(dim=1) / mass - 14
        assert -4.2 < middle.min() < -3.8 and 3.8 < middle.max() < 4.2


def test_each_image_gets_a_change_of_its_own():
    torch.manual_seed(0)
    same_image = torch.randint(1, 256, (1, 1, 28, 28), dtype=torch.uint8).expand(50, -1, -1, -1)
    for change in (augment.random_move, augment.flip_move_and_relight):
        assert len(change(same_image).flatten(1).unique(dim=0)) == 50


def test_a_generator_decides_alone(images):
    for change in (augment.random_move, augment.flip_move_and_relight):
        torch.manual_seed(1)
        first = change(images, generator=torch.Generator().manual_seed(5))
        state = torch.random.get_rng_state()
        torch.manual_seed(1)
        assert torch.equal(torch.random.get_rng_state(), state)
        torch.manual_seed(2)
        assert torch.equal(first, change(images, generator=torch.Generator().manual_seed(5)))


def test_flip_move_and_relight_keeps_kind_and_shape_mirrors_half_and_lights_within_its_limits():
    torch.manual_seed(0)
    white = torch.full((3000, 1, 28, 28), 255, dtype=torch.uint8)
    white[..., :9] = 0  # on the left
    changed = augment.flip_move_and_relight(white)
    assert changed.dtype == torch.uint8 and changed.shape == white.shape
    sides = changed[:, 0, 12:16].float()
    mirrored = sides[..., :10].mean(dim=(1, 2)) > sides[..., -10:].mean(dim=(1, 2))
    assert 0.45 < mirrored.float().mean() < 0.55
    darkest, brightest = changed.amin(dim=(1, 2, 3)).float(), changed.amax(dim=(1, 2, 3)).float()
    assert 55 < darkest.max() <= 60 and darkest.min() < 1
    contrast = (brightest - darkest)[brightest < 255] / 255
    assert 0.39 < contrast.min() < 0.42 and brightest.max() == 255


@pytest.mark.parametrize("cut", [False, True])
def test_mix_takes_its_share_of_the_neighbour_and_counts_both_labels(images, cut):
    torch.manual_seed(0)
    mix = augment.Mix(cut=cut)
    before = images.clone()
    mixed, share = mix.change(images), mix.share
    assert torch.equal(images, before) and mixed.dtype == torch.uint8 and mixed.shape == images.shape
    assert share.shape == (400,) and share.min() >= 0.44 and share.max() <= 1 and 0.7 < share.mean() < 0.8
    neighbours = images.roll(1, 0)
    if cut:
        own = mixed == images
        assert (own | (mixed == neighbours)).all()
        differ = (images != neighbours).flatten(1).sum(dim=1)
        taken = ((mixed == neighbours) & (images != neighbours)).flatten(1).sum(dim=1)
        assert ((taken / 784 - (1 - share)).abs() <= (784 - differ) / 784 + 1e-6).all()
    else:
        expected = share.reshape(-1, 1, 1, 1) * images + (1 - share.reshape(-1, 1, 1, 1)) * neighbours
        assert (mixed - expected).abs().max() <= 0.51
    labels, outputs = torch.arange(400) % 10, torch.randn(400, 10)
    one_hot = nn.functional.one_hot(labels, 10)
    targets = share[:, None] * one_hot + (1 - share[:, None]) * one_hot.roll(1, 0)
    torch.testing.assert_close(mix.loss(outputs, labels), nn.functional.cross_entropy(outputs, targets))


def test_cutmix_pastes_one_rectangle_anywhere():
    torch.manual_seed(0)
    black_and_white = torch.zeros(3000, 1, 28, 28, dtype=torch.uint8)
    black_and_white[::2] = 255
    mix = augment.Mix(cut=True)
    pasted = (mix.change(black_and_white) != black_and_white)[:, 0]
    assert pasted.any(dim=0).all()
    rows, columns = pasted.any(dim=2).sum(dim=1), pasted.any(dim=1).sum(dim=1)
    assert torch.equal(rows * columns, pasted.sum(dim=(1, 2)))
    torch.testing.assert_close(1 - pasted.float().mean(dim=(1, 2)), mix.share)
