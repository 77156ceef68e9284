"""A person as a classifier: images chosen, digits typed, answers kept, and what the result says."""

import numpy as np
import pytest
import torch

from helpers import config, labelling
from helpers.results import PEOPLE


def some_images(seed=0):
    return torch.randint(0, 256, (6, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_each_class_is_chosen_equally_often_at_random_and_the_same_for_the_same_seed():
    labels = torch.arange(400) % 10
    chosen = labelling.choose_evenly(labels, 5)
    assert labels[chosen].bincount().tolist() == [5] * 10
    assert len(set(chosen.tolist())) == 50
    assert labels[chosen].tolist() != sorted(labels[chosen].tolist())
    assert torch.equal(chosen, labelling.choose_evenly(labels, 5))
    assert not torch.equal(chosen, labelling.choose_evenly(labels, 5, seed=1))


@pytest.mark.parametrize(
    ("field", "answers"),
    [
        ("351", "351"),  # one digit more
        ("35120", "35120"),  # several, typed fast
        ("351202468", "351202"),  # not more than there are images
        ("35x", "35"),
        ("35x7", "357"),
        ("3x51", "351"),
        ("35²", "35"),  # a digit to Python, but no class
        ("3", "3"),  # Backspace
        ("", ""),  # Backspace twice
        ("935", "35"),  # a digit in front
        ("395", "35"),  # a digit in the middle
        ("5", "35"),  # deleted in front
    ],
)
def test_what_is_typed_at_the_end_counts_and_nothing_else(field, answers):
    assert labelling.after_typing("35", field, total=6) == answers


def test_a_field_that_is_emptied_by_a_slip_forgets_nothing():
    assert labelling.after_typing("351202", "", total=50) == "351202"
    assert labelling.after_typing("351202", "7", total=50) == "351202"


def test_answers_are_found_again_for_the_same_images_alone(home):
    images = some_images()
    assert labelling.read_labels(images) == ("", 1)
    labelling.keep_labels(images, "3512", attempt=2)
    assert labelling.labels_path().parent == config.RUNS_DIR
    assert labelling.read_labels(images) == ("3512", 2)
    assert labelling.read_labels(some_images(1)) == ("", 1)
    assert labelling.read_labels(images.flip(0)) == ("", 1)


@pytest.mark.parametrize(
    "content",
    [
        "{half a fi",
        "[]",
        "7",
        '{"images": "FINGERPRINT", "attempt": 1}',
        '{"images": "FINGERPRINT", "attempt": 1, "answers": "35x"}',
        '{"images": "FINGERPRINT", "attempt": 1, "answers": "0123456"}',
        '{"images": "FINGERPRINT", "attempt": 1, "answers": 12}',
        '{"images": "FINGERPRINT", "attempt": null, "answers": "35"}',
    ],
)
def test_a_file_that_cannot_be_used_counts_as_none(home, content):
    images = some_images()
    labelling.keep_labels(images, "", attempt=1)
    labelling.labels_path().write_text(content.replace("FINGERPRINT", labelling.fingerprint(images)))
    assert labelling.read_labels(images) == ("", 1)


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (41, "**41 of 50** images: **82%**, with a 95 % interval from 69% to 90%. The interval contains the 83.5%"),
        (50, "**100%**, with a 95 % interval from 93% to 100%. The interval lies above the 83.5% of people"),
        (5, "**10%**, with a 95 % interval from 4% to 21%. The interval lies below the 83.5% of people"),
    ],
)
def test_the_result_says_the_interval_and_where_it_lies(right, words):
    labels = np.arange(50) % 10
    answers = np.where(np.arange(50) < right, labels, (labels + 1) % 10)
    assert words in labelling.describe_labels(labels, answers, PEOPLE)


def test_disagreements_are_counted_the_most_frequent_first():
    labels, answers = np.array([6, 6, 6, 4, 1]), np.array([0, 0, 6, 2, 1])
    table = labelling.tabulate_disagreements(labels, answers)
    assert table.to_numpy().tolist() == [["T-shirt/top", "Shirt", 2], ["Pullover", "Coat", 1]]
    assert list(table.columns) == ["your answer", "label of the data set", "images"]


def test_the_picture_says_its_words_to_those_who_cannot_see_it():
    html = labelling.picture_in_html(some_images()[0], "picture 1 of 6")
    assert 'alt="picture 1 of 6"' in html and "data:image/png;base64,iVBOR" in html
