"""Checks of the lab of impossible results: each takes a cause and a mended figure, and accepts only the right pair."""

import math
from collections.abc import Callable
from typing import NamedTuple

from helpers import config
from helpers.checks.tools import as_number, call, cross, is_pair, short, tick

CAUSES = {
    "A": "Images that the model was not sure of were left out of the count.",
    "B": "There were so few test images that a single lucky draw explains the figure.",
    "C": "Copies of the images were made first, and training and test images were parted after that.",
    "D": "The figure was counted on the very images that the model was trained on.",
    "E": "The images lay sorted by class, and where an image lay there reached the model.",
    "F": "Of many tries, the one that did best on these very test images was reported.",
    "G": "The images were not Fashion-MNIST's, but those of an easier data set.",
    "H": "The pixels were scaled with a mean and a spread that the test images had a share in.",
}
# What to look at if a cause is named that it is not. None says which one it is.
IF_IT_WERE = {
    "A": "then fewer images were counted than there are test images; count both",
    "B": "then one try is lucky enough; how often is a model as good as your mended figure right on so many?",
    "C": "then a test image has a training image that is nearly itself; look at some pairs",
    "D": "then a test image, pixel by pixel, is among the training images; look for one",
    "E": "then the model is given a number that is no pixel; look at the shape and the names of its inputs",
    "F": "then the figure was the highest of several on the same images; where does the code compare figures?",
    "G": "then the images would look like something else; draw ten of them",
    "H": "then mending that alone brings the figure down; does it, and where does a mean come from?",
}


class Case(NamedTuple):
    """What is known of a case."""

    cause: str  # the letter
    figure: tuple[float, float]  # lowest and highest mended accuracy, from other seeds, splits and test images
    short_run: tuple[float, float]  # the same under FAST=1, which has a tenth of the test images
    says: str  # the finding, for whoever has found it
    low: tuple[tuple[float, float, str], ...] = ()  # wrong figures that are too low: from, to, and where to look
    causes: tuple[tuple[str, str], ...] = ()  # causes that suggest themselves here, and a hint of their own


CASES = {
    "case_1": Case(
        "D",
        (0.81, 0.865),
        (0.78, 0.89),
        "the test ran through the loader of the training images",
        causes=(
            ("B", "count the images that the figure was counted on: are they few?"),
            ("C", "no image was copied here; which images does each of the two loops run through?"),
            ("F", "the seed was fixed, but was it chosen? Try some others, with the figure as it was claimed"),
        ),
    ),
    "case_2": Case(
        "A",
        (0.82, 0.875),
        (0.79, 0.90),
        "the network chose the images that it was judged by",
        low=((0.3, 0.65, "an image that was sent back has an answer, too: the class that is most probable"),),
        causes=(
            ("D", "compare the test images with the training images: is one among them?"),
            ("B", "count the images behind the figure: thousands, or hundreds of a short run; is that few?"),
            ("F", "how many networks were trained here, and how many figures were compared?"),
        ),
    ),
    "case_3": Case(
        "C",
        (0.715, 0.855),
        (0.70, 0.87),
        "versions of one image stood on both sides of the split",
        causes=(
            ("D", "the report has looked for that, byte by byte, and its comparison is right. What does it not find?"),
            ("A", "every test image has an answer here; count them"),
            ("F", "try five other values of random_state with the code as it is: does one of them stand out?"),
        ),
    ),
    "case_4": Case(
        "E",
        (0.665, 0.77),
        (0.655, 0.78),
        "the old row number told the folder, and so the class",
        low=((0.0, 0.15, "do training and test rows both have all the ten classes, and the same columns?"),),
        causes=(
            ("D", "the report has compared the rows, and none is in both parts. What else do the parts share?"),
            ("C", "the nearest training row of a test row, by pixels alone: is it the same garment?"),
            ("F", "try five other values of random_state with the code as it is: does one of them stand out?"),
        ),
    ),
    "case_5": Case(
        "F",
        (0.765, 0.845),
        (0.75, 0.86),
        "the search looked for 25 easy images, and found them",
        causes=(
            ("B", "work it out: how often is a model of your mended accuracy so lucky on 25 images, in a single try?"),
            ("D", "within one setting no image is both; look at what was done with the figures of all settings"),
            ("H", "were the test images among those that PCA was fitted to? Look at the numbers in the brackets"),
        ),
    ),
}


def case_1(answer: Callable) -> None:
    """Check the verdict on a small MLP."""
    _judge("case_1", answer)


def case_2(answer: Callable) -> None:
    """Check the verdict on a convolutional network."""
    _judge("case_2", answer)


def case_3(answer: Callable) -> None:
    """Check the verdict on one nearest neighbour."""
    _judge("case_3", answer)


def case_4(answer: Callable) -> None:
    """Check the verdict on a decision tree."""
    _judge("case_4", answer)


def case_5(answer: Callable) -> None:
    """Check the verdict on neighbours in fifty dimensions."""
    _judge("case_5", answer)


def _judge(name: str, answer: Callable) -> None:
    """Check a verdict: first the figure, then the cause, so that a guessed cause is worth nothing."""
    case, verdict = CASES[name], call(answer)
    if not is_pair(verdict):
        raise cross(f"what {name} gives back", short(verdict), "a pair", "return the letter first, then the figure")
    cause, figure = verdict
    if not (isinstance(cause, str) and cause.strip().upper() in CAUSES):
        hint = "the first of the two is the letter that stands before the cause in the list"
        raise cross(f"the cause, {name},", short(cause), f"a letter from A to {max(CAUSES)}", hint)
    figure = as_number(f"the figure, {name},", figure)
    low, high = case.short_run if config.FAST else case.figure
    if not low <= figure <= high:
        raise cross(f"the figure, {name}", f"{figure:.4g}", "the accuracy once mended", _of_figure(case, figure, high))
    cause = cause.strip().upper()
    if cause != case.cause:
        hint = dict(case.causes).get(cause, IF_IT_WERE[cause])
        raise cross(f"the cause, {name}, though its figure is honest", cause, "the letter of the cause", hint)
    tick(f"{name}: {case.says}; mended, it is right on {figure:.1%}.")


def _of_figure(case: Case, figure: float, high: float) -> str:
    """Return the hint to a figure that no mended run gives. It says nothing of the cause."""
    if not math.isfinite(figure) or figure < 0:
        return "an accuracy is right answers divided by all answers"
    if 1 < figure <= 100:
        return "this looks like percent; give a number from 0 to 1"
    if figure > 1:
        return "an accuracy is right answers divided by all answers"
    if figure > 0.95:
        return "this is still impossible; does it fall when the test labels are shuffled, or the images are others?"
    if figure > high:
        return "less than was claimed, and still more than an honest run gives: is the mend complete?"
    between = [hint for low, above, hint in case.low if low <= figure <= above]
    return between[0] if between else "lower than the mended run: change only what is wrong, and count every test image"
