"""The changes of images, the card that is made with them, images that are no garments, and their figures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from ipywidgets import interactive
from torch import nn
from torch.utils.data import TensorDataset

from helpers import shift
from helpers.evaluation import accuracy_interval, expected_calibration_error, predict, softmax_with_temperature

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")


@pytest.fixture
def images():
    """Return 40 images with a bright rectangle, away from the middle, on black."""
    some = torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
    some[:, :, 8:18, 10:16] = 200
    some[:, :, 8:12, 10:13] = 120
    return some


@pytest.fixture
def asked(images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    return model, TensorDataset(images, torch.arange(40) % 10)


@pytest.mark.parametrize("kind", shift.AMOUNTS)
def test_each_change_is_repeatable_keeps_the_form_and_grows_with_its_strength(images, kind):
    untouched = images.clone()
    distances = []
    for strength in range(6):
        changed = shift.change_images(images, kind, strength)
        assert changed.dtype == torch.uint8 and changed.shape == images.shape
        assert torch.equal(changed, shift.change_images(images, kind, strength))
        distances.append((changed.float() - images.float()).abs().mean().item())
    assert torch.equal(images, untouched)
    assert distances[0] == 0 and all(np.diff(distances) > 0)
    assert set(shift.CHANGES) == set(shift.AMOUNTS) == set(shift.UNITS)


def test_strength_0_is_a_copy(images):
    copy = shift.change_images(images, "noisy", 0)
    copy[:] = 7
    assert images.max() == 200


def test_rotated_turns_about_half_of_the_images_each_way(images):
    turned = shift.change_images(images, "rotated", 5)  # by a right angle, so no pixel is mixed
    one_way, other_way = images.rot90(1, (2, 3)), images.rot90(-1, (2, 3))
    ways = [sum(torch.equal(a, b) for a, b in zip(turned, way, strict=True)) for way in (one_way, other_way)]
    assert sum(ways) == 40 and min(ways) >= 8
    slightly = shift.change_images(images, "rotated", 1).float()
    assert (slightly.sum(dim=(1, 2, 3)) / images.float().sum(dim=(1, 2, 3)) - 1).abs().max() < 0.03


def test_shifted_moves_by_so_many_pixels_in_all_four_directions(images):
    for strength, pixels in enumerate(shift.AMOUNTS["shifted"], start=1):
        moved = shift.change_images(images, "shifted", strength)
        ways = [(-pixels, 0), (pixels, 0), (0, -pixels), (0, pixels)]
        rolled = [images.roll(way, (2, 3)) for way in ways]  # nothing of the rectangle leaves the image
        found = {next(way for way in range(4) if torch.equal(moved[i], rolled[way][i])) for i in range(40)}
        assert found == {0, 1, 2, 3}


def test_shifted_brings_in_black(images):
    moved = shift.shifted(torch.full_like(images, 9), 8, torch.Generator().manual_seed(0))
    assert ((moved == 0).sum(dim=(1, 2, 3)) == 8 * 28).all()


def test_blurred_spreads_a_point_as_wide_as_it_says():
    point = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    point[:, :, 14, 14] = 255
    for strength, deviation in enumerate(shift.AMOUNTS["blurred"][:3], start=1):
        seen = shift.change_images(point.repeat(2, 1, 1, 1), "blurred", strength)[0, 0].double()
        places = torch.arange(28) - 14.0
        spread = ((seen.sum(dim=0) * places**2).sum() / seen.sum()).sqrt()
        assert spread == pytest.approx(deviation, rel=0.15)


def test_noisy_darker_and_inverted_do_as_their_amounts_say(images):
    grey = torch.full((200, 1, 28, 28), 127, dtype=torch.uint8)
    for strength in range(1, 6):
        noise = shift.change_images(grey, "noisy", strength).float() - 127
        if strength <= 2:  # stronger noise is cut at black and white
            assert noise.std().item() == pytest.approx(shift.AMOUNTS["noisy"][strength - 1], rel=0.02)
        assert abs(noise.mean().item()) < 1.5
        darker = shift.change_images(images, "darker", strength)
        assert darker.max() == round(200 * shift.AMOUNTS["darker"][strength - 1])
    assert torch.equal(shift.change_images(images, "inverted", 5), 255 - images)
    assert torch.unique(shift.inverted(images, 0.5, None)).tolist() in ([127], [128])
    loud = shift.change_images(torch.full_like(images, 250), "noisy", 5)
    assert loud.float().mean() > 190  # cut at white, not wrapped around to black


def test_another_seed_gives_other_noise(images):
    assert not torch.equal(shift.change_images(images, "noisy", 1), shift.change_images(images, "noisy", 1, seed=1))


@pytest.mark.parametrize(
    ("arguments", "words"), [(("melted", 1), "rotated"), (("noisy", 6), "from 0 to 5"), (("noisy", 1.5), "whole")]
)
def test_there_is_no_other_change_or_strength(images, arguments, words):
    with pytest.raises(ValueError, match=words):
        shift.change_images(images, *arguments)


def test_floats_are_refused(images):
    with pytest.raises(ValueError, match="uint8"):
        shift.change_images(images.float(), "noisy", 1)


def test_with_temperature_is_softmax_of_the_divided_logits():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0))
    by_powers = shift.with_temperature(logits.double().softmax(dim=1).numpy(), 0.6)
    np.testing.assert_allclose(by_powers, softmax_with_temperature(logits, 0.6), rtol=1e-5)


def test_outcomes_and_card_are_what_predict_and_the_scores_say(asked):
    model, dataset = asked
    outcomes = shift.shift_outcomes(model, dataset)
    assert list(outcomes) == [(kind, strength) for kind in shift.CHANGES for strength in range(6)]
    for temperature in (1.0, 2.0):
        card = shift.shift_card(outcomes, temperature).set_index(["change", "strength"])
        for kind, strength in [("rotated", 0), ("darker", 3), ("shifted", 5)]:
            changed = TensorDataset(shift.change_images(dataset.tensors[0], kind, strength), dataset.tensors[1])
            expected = predict(model, changed)
            probabilities = shift.with_temperature(expected.probabilities, temperature)
            row = card.loc[(kind, strength)]
            assert tuple(row[["accuracy", "low", "high"]]) == pytest.approx(accuracy_interval(*expected[:2]))
            assert row["confidence"] == pytest.approx(probabilities.max(axis=1).mean())
            assert row["ece"] == pytest.approx(expected_calibration_error(expected.labels, probabilities))


def test_digits_are_enlarged_and_use_all_grey_levels():
    digits = shift.digits_as_images()
    assert digits.shape == (1797, 1, 28, 28) and digits.dtype == torch.uint8
    assert digits.min() == 0 and digits.max() > 245
    assert digits[:, :, :, :3].float().mean() < 10 < digits[:, :, 10:18, 10:18].float().mean()
    zero, one = digits[0, 0, 11:17, 13:15].float().mean(), digits[1, 0, 11:17, 13:15].float().mean()
    assert zero < 60 < 120 < one  # the first is a 0, hollow, the second a 1


def test_foreign_images_are_of_three_kinds_and_repeatable():
    foreign, again = shift.foreign_images(300), shift.foreign_images(300)
    assert {kind: len(images) for kind, images in foreign.items()} == {"digits": 300, "noise": 300, "blank": 256}
    assert all(torch.equal(foreign[kind], again[kind]) and foreign[kind].dtype == torch.uint8 for kind in foreign)
    assert torch.equal(foreign["blank"][:, 0, 0, 0], torch.arange(256).to(torch.uint8))
    assert (foreign["blank"].flatten(1).float().std(dim=1) == 0).all()
    assert foreign["noise"].float().mean().item() == pytest.approx(127.5, abs=1)
    assert not torch.equal(foreign["digits"], shift.foreign_images(300, seed=1)["digits"])
    assert len(torch.unique(foreign["digits"].flatten(1), dim=0)) > 295
    assert [len(part) for part in shift.foreign_images(5).values()] == [5, 5, 5]


def test_plot_changes_shows_each_change_in_a_row(images):
    axes = shift.plot_changes(images[0])
    assert axes.shape == (6, 6)
    labels = [row[0].get_ylabel().replace("\n", " ") for row in axes]
    assert labels == [f"{kind} {shift.UNITS[kind]}" for kind in shift.CHANGES]
    shown = axes[5, 5].images[0].get_array()
    assert np.array_equal(shown, 255 - images[0, 0])
    assert axes[0, 0].get_title() == "as it is" and axes[2, 1].get_title() == "15"


def test_plot_card_draws_the_columns_of_the_card():
    rows = [
        [kind, strength, 0.9 - 0.1 * strength, 0, 1, 0.8 - 0.01 * strength, 0.02 * strength]
        for kind in shift.CHANGES
        for strength in range(6)
    ]
    card = pd.DataFrame(rows, columns=["change", "strength", "accuracy", "low", "high", "confidence", "ece"])
    axes = shift.plot_card(card)
    assert [ax.get_title().split(":")[0] for ax in axes.flat] == list(shift.CHANGES)
    right, sure = axes[1, 2].lines
    np.testing.assert_allclose(right.get_ydata(), [90, 80, 70, 60, 50, 40])
    np.testing.assert_allclose(sure.get_ydata(), [80, 79, 78, 77, 76, 75])
    assert (right.get_label(), sure.get_label()) == ("accuracy", "mean confidence")
    assert "10 points" in axes[0, 0].get_title()


@pytest.mark.parametrize(
    ("largest", "label", "words"),
    [(0.9, 3, "answers Dress: right ✓"), (0.9, 2, "answers Dress: wrong ✗"), (0.5, 3, "abstains: ask a person")],
)
def test_plot_decision_says_whether_the_network_answers(images, largest, label, words):
    probabilities = np.full(10, (1 - largest) / 9)
    probabilities[3] = largest
    axes = shift.plot_decision(images[0], probabilities, label, threshold=0.6)
    assert axes[1].get_title() == words
    assert [line.get_xdata()[0] for line in axes[1].lines] == [60]


def test_the_widget_shows_the_changed_image_and_its_answer(asked, monkeypatch):
    model, dataset = asked
    made, drawn = [], []
    monkeypatch.setattr(shift, "interact", lambda draw, **controls: made.append(interactive(draw, **controls)))
    monkeypatch.setattr(shift, "plot_decision", lambda *arguments: drawn.append(arguments))
    shift.explore_shift(model, dataset, temperature=0.5, threshold=0.7)
    controls = made[0]
    kind, strength, image = controls.children[:3]
    assert list(kind.options) == list(shift.CHANGES) and (strength.max, image.max) == (5, 39)
    kind.value, strength.value, image.value = "inverted", 5, 7
    controls.update()
    picture, probabilities, label, threshold = drawn[-1]
    assert torch.equal(picture, 255 - dataset.tensors[0][7]) and label == 7 and threshold == 0.7
    asked_by_hand = predict(model, TensorDataset(picture[None], torch.tensor([7])))
    np.testing.assert_allclose(probabilities, shift.with_temperature(asked_by_hand.probabilities, 0.5)[0])
    plt.close("all")
