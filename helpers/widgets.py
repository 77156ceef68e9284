"""Controls over the figures of `helpers.plotting`. Each function shows them, in a running notebook only."""

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from ipywidgets import (
    HTML,
    Button,
    Dropdown,
    FloatText,
    GridBox,
    HBox,
    IntSlider,
    Layout,
    Output,
    SelectionSlider,
    Text,
    VBox,
    interact,
)
from torch import nn
from torch.utils.data import TensorDataset

from helpers.config import CLASS_NAMES
from helpers.data import normalize
from helpers.evaluation import (
    Predictions,
    accuracy_by_coverage,
    choose_neighbours,
    confidence_in_words,
    feature_maps,
    images_behind,
    probabilities_in_batch,
    softmax_with_temperature,
)
from helpers.labelling import (
    after_typing,
    describe_labels,
    digits_in,
    keep_labels,
    picture_in_html,
    read_labels,
    tabulate_disagreements,
)
from helpers.plotting import (
    PAGE,
    outline,
    plot_batch,
    plot_disagreements,
    plot_feature_maps,
    plot_image,
    plot_images_behind,
    plot_page,
    plot_probabilities,
    plot_signed_image,
    plot_threshold,
)
from helpers.results import PEOPLE, record_score

TEMPERATURES = [0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0]
CLASSES = [(name, number) for number, name in enumerate(CLASS_NAMES)]
EVERY_CLASS = -1  # not None, which a dropdown takes for "nothing is chosen"
# Kernels to begin with, row by row.
KERNELS = {
    "vertical edges": (-1, 0, 1, -1, 0, 1, -1, 0, 1),
    "horizontal edges": (-1, -1, -1, 0, 0, 0, 1, 1, 1),
    "diagonal edges": (-1, -1, 0, -1, 0, 1, 0, 1, 1),
    "all edges": (-1, -1, -1, -1, 8, -1, -1, -1, -1),
    "mean of nine": (0.11,) * 9,
    "nothing changed": (0, 0, 0, 0, 1, 0, 0, 0, 0),
}
OWN_KERNEL = "your own"
READABLE = {"description_width": "initial"}  # the usual width cuts long names
WIDE = {"width": "420px"}  # so that a slider of fifty images is easy to set


def slider(description: str, low: int, high: int, value: int, step: int = 1) -> IntSlider:
    """Make a slider that answers when it is released, so that no picture is drawn on the way."""
    return IntSlider(
        value, low, high, step, description=description, style=READABLE, layout=WIDE, continuous_update=False
    )


def dropdown(description: str, options: list, value: object) -> Dropdown:
    """Make a dropdown of texts, or of (text, value) pairs."""
    return Dropdown(options=options, value=value, description=description, style=READABLE, layout=WIDE)


def browse_classes(images: torch.Tensor, labels: torch.Tensor, start: str = "Shirt") -> None:
    """Turn the pages of one class: `plot_page` with a dropdown `class` and a slider `page`.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    labels : torch.Tensor
        int64, (N,).
    start : str
        Name of the class that is shown first.
    """
    of_class = [images[labels == number] for number in range(len(CLASS_NAMES))]
    pages = max(1, *(-(-len(some) // PAGE) for some in of_class))

    def draw(number, page):
        _, ax = plt.subplots(figsize=(9, 4))
        plot_page(of_class[number], CLASS_NAMES[number], page, ax=ax)

    number = dropdown("class", CLASSES, CLASS_NAMES.index(start))
    interact(draw, number=number, page=slider("page", 1, pages, 1))


def label_images(
    images: torch.Tensor, labels: torch.Tensor, *, name: str = "your_labels", at_the_end: str | None = None
) -> None:
    """Let a person label images, by buttons or by typing digits, and show at the end how well it went.

    Every answer is kept at once in `runs/…/your_labels.json`, so that a restart loses nothing. The first attempt goes
    on the scoreboard as "you"; a later one does not, since its answers are known. Deleting the file forgets both.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    labels : torch.Tensor
        int64, (N,). Not shown before the last image has its answer.
    name : str
        Of the file, without its ending, if these are other images than those of lesson 01.
    at_the_end : str, optional
        Markdown that is shown in place of the result; then nothing goes on the scoreboard.
    """
    total = len(images)
    kept_answers, kept_attempt = read_labels(images, name)
    state = {"answers": kept_answers, "attempt": kept_attempt}

    place, picture, result = HTML(), HTML(), Output()
    buttons = [Button(description=f"{number} · {name}", layout={"width": "auto"}) for name, number in CLASSES]
    field = Text(
        kept_answers,
        description="type a digit",
        placeholder="0 to 9",
        style=READABLE,
        layout={"width": "560px", "max_width": "98%"},
    )
    names = GridBox(buttons, layout=Layout(grid_template_columns="170px 170px", align_content="center"))
    beside = HBox([picture, names], layout={"flex_flow": "row wrap"})  # below each other in a narrow window
    back, afresh = Button(description="take back"), Button(layout={"width": "auto"})

    def show():
        answers = state["answers"]
        done = len(answers) == total
        last = f", the last answer was {answers[-1]}, {CLASS_NAMES[int(answers[-1])]}" if answers else ""
        place.value = f"<b>all {total} labelled</b>" if done else f"<b>{len(answers) + 1} of {total}</b>{last}"
        picture.value = "" if done else picture_in_html(images[len(answers)], f"picture {len(answers) + 1} of {total}")
        field.disabled = done
        names.layout.display = "none" if done else ""
        back.disabled = done or not answers
        afresh.disabled = not answers
        afresh.description = "start afresh"

    def take(answers):
        if answers == state["answers"]:
            return
        state["answers"] = answers
        keep_labels(images, answers, state["attempt"], name)
        show()
        if len(answers) == total:
            show_result()

    def show_result():
        if at_the_end is not None:
            with result:
                display(Markdown(at_the_end))
            return
        truth, answers = labels.numpy(), np.array([int(digit) for digit in state["answers"]])
        if state["attempt"] == 1:
            record_score("you", int((truth == answers).sum()), total)
        with result:
            display(Markdown(describe_labels(truth, answers, PEOPLE)))
            if state["attempt"] > 1:
                display(Markdown("You knew the answers this time, so the scoreboard keeps your first attempt."))
            if (truth != answers).any():
                display(tabulate_disagreements(truth, answers).head(10))
                axes = plot_disagreements(images, truth, answers)
                display(axes[0].figure)
                plt.close(axes[0].figure)
            display(Markdown("Where you disagree, either may be wrong: some labels of the data set are mistakes."))

    def typed(change):
        take(after_typing(state["answers"], change["new"], total))
        # A letter stays in the field: whoever types fast would lose the digits on their way to this program.
        if digits_in(field.value) != state["answers"]:
            field.value = state["answers"]

    def chosen(button):
        field.value = state["answers"] + button.description[0]
        field.focus()

    def took_back(_):
        field.value = state["answers"][:-1]
        field.focus()

    def began_again(_):
        if afresh.description == "start afresh":
            afresh.description = "really forget all answers? Then click once more"
            return
        state["attempt"] += len(state["answers"]) == total
        result.clear_output()
        take("")
        field.value = ""
        field.focus()

    field.observe(typed, "value")
    for button in buttons:
        button.on_click(chosen)
    back.on_click(took_back)
    afresh.on_click(began_again)
    show()
    display(VBox([place, field, beside, HBox([back, afresh]), result]))
    if len(kept_answers) == total:
        show_result()


def explore_temperature(images: torch.Tensor, labels: np.ndarray, logits: torch.Tensor) -> None:
    """Change the temperature of softmax: `plot_probabilities` with a slider `temperature` and a dropdown `image`.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    labels : np.ndarray
        int, (N,).
    logits : torch.Tensor
        float, (N, 10), of any model.
    """
    answers = logits.argmax(dim=1).tolist()
    names = [
        f"{position + 1}. {CLASS_NAMES[label]} called {CLASS_NAMES[answer]}"
        for position, (label, answer) in enumerate(zip(labels, answers, strict=True))
    ]

    def draw(temperature, image):
        probabilities = softmax_with_temperature(logits[image], temperature)
        _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=(1, 1.9))
        plot_image(images[image], ax=left)
        plot_probabilities(probabilities, labels[image], ax=right)
        right.set_title(f"temperature {temperature:g}\n{confidence_in_words(probabilities)}")

    temperature = SelectionSlider(
        options=TEMPERATURES,
        value=1.0,
        description="temperature",
        style=READABLE,
        layout=WIDE,
        continuous_update=False,
    )
    choices = [(name, position) for position, name in enumerate(names)]
    interact(draw, temperature=temperature, image=dropdown("image", choices, 0))


def explore_kernel(images: torch.Tensor) -> None:
    """Edit the nine weights of a kernel and see its feature map: `plot_signed_image` beside the image.

    Nine fields hold the weights; Tab goes from one to the next, and the arrow keys change a weight by 1. A dropdown
    `kernel` fills in all nine, and a slider `image` takes another image.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    """
    first = next(iter(KERNELS))
    # A field without a description has no name that a screen reader could read: ipywidgets shows no tooltip on it.
    names = [f"w{row}{column}" for row in "₁₂₃" for column in "₁₂₃"]
    fields = [
        FloatText(weight, step=1, description=name, style={"description_width": "24px"}, layout={"width": "96px"})
        for weight, name in zip(KERNELS[first], names, strict=True)
    ]
    kernel = dropdown("kernel", [*KERNELS, OWN_KERNEL], first)
    image = slider("image", 0, len(images) - 1, 0)
    result, filling = Output(), []

    def draw():
        weights = torch.tensor([field.value for field in fields]).reshape(3, 3)
        values = F.conv2d(normalize(images[image.value])[None], weights[None, None].float())[0, 0]
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4.2))
        plot_image(images[image.value], "image: 28 × 28", ax=left)
        limit = values.abs().max().item() or 1.0
        title = f"feature map: 26 × 26, from {values.min():.1f} (red −) to {values.max():.1f} (blue +)"
        plot_signed_image(values, title, limit, ax=right)
        for sign, extreme in (("−", values.argmin()), ("+", values.argmax())):  # not by colour alone
            row, column = divmod(int(extreme), values.shape[1])
            right.text(
                column,
                row,
                sign,
                ha="center",
                va="center",
                color="white",
                weight="bold",
                fontsize=14,
                path_effects=outline("white"),
            )
        with result:
            result.clear_output(wait=True)
            display(figure)
        plt.close(figure)

    def edited(_):
        if filling:
            return  # nine weights change at once; one picture is enough
        weights = tuple(field.value for field in fields)
        filling.append(True)
        kernel.value = next((name for name, known in KERNELS.items() if known == weights), OWN_KERNEL)
        filling.clear()
        draw()

    def chosen(change):
        if filling or change["new"] == OWN_KERNEL:
            return
        filling.append(True)
        for field, weight in zip(fields, KERNELS[change["new"]], strict=True):
            field.value = weight
        filling.clear()
        draw()

    for field in fields:
        field.observe(edited, "value")
    kernel.observe(chosen, "value")
    image.observe(lambda _: draw(), "value")
    layout = Layout(grid_template_columns="100px 100px 100px", align_content="center", flex="none")  # never narrower
    grid = GridBox(fields, layout=layout)
    draw()
    display(VBox([kernel, image, HBox([grid, result])]))


def explore_feature_maps(layers: dict[str, nn.Module], images: torch.Tensor) -> None:
    """Go from layer to layer: `plot_feature_maps` with a dropdown `layer` and a slider `image`.

    Parameters
    ----------
    layers : dict
        Layer by name, in order; the first takes normalised images.
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    """

    def draw(layer, image):
        _, (left, right) = plt.subplots(1, 2, figsize=(9, 5.4), width_ratios=(1, 3))
        plot_image(images[image], "input", ax=left)
        plot_feature_maps(feature_maps(layers, images[image])[layer], layer, ax=right)

    interact(
        draw, layer=dropdown("layer", list(layers), next(iter(layers))), image=slider("image", 0, len(images) - 1, 0)
    )


def explore_neighbours(model: nn.Module, dataset: TensorDataset, image: int) -> None:
    """Change the company of one image: `plot_probabilities` by `mode`, `neighbours` and `class of the neighbours`.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits. It is left as it is.
    dataset : TensorDataset
        Of images, uint8 (N, 1, 28, 28), and labels, int64 (N,): where the neighbours come from.
    image : int
        Position of the one image.
    """
    images, labels = dataset.tensors
    alone = probabilities_in_batch(model, images[[image]], training=False)

    def draw(mode, neighbours, company):
        others = choose_neighbours(labels, image, None if company < 0 else company, neighbours)
        batch = torch.cat([images[[image]], images[others]])
        probabilities = probabilities_in_batch(model, batch, training=mode == "training")
        _, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(1, 1.7))
        plot_batch(batch, ax=left)
        plot_probabilities(probabilities, int(labels[image]), alone, ax=right)
        right.set_title(f"{mode} mode\n{confidence_in_words(probabilities)}")

    interact(
        draw,
        mode=dropdown("mode", ["training", "evaluation"], "training"),
        neighbours=slider("neighbours", 0, 31, 0),
        company=dropdown("class of the neighbours", [("all classes", -1), *CLASSES], -1),
    )


def explore_confusions(images: torch.Tensor, outcome: Predictions, true_class: int, predicted_class: int) -> None:
    """Look behind a cell: `plot_images_behind` with dropdowns `true class` and `predicted class`.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28).
    outcome : Predictions
        From `predict`, on these images.
    true_class, predicted_class : int
        The cell that is shown first.
    """
    labels, predictions, probabilities = outcome
    confidence = probabilities.max(axis=1)

    def draw(true_class, predicted_class):
        behind = images_behind(labels, predictions, confidence, true_class, predicted_class)
        _, ax = plt.subplots(figsize=(9, 4))
        plot_images_behind(images[behind], confidence[behind], true_class, predicted_class, ax=ax)

    interact(
        draw,
        true_class=dropdown("true class", CLASSES, int(true_class)),
        predicted_class=dropdown("predicted class", CLASSES, int(predicted_class)),
    )


def explore_threshold(outcomes: dict[str, Predictions]) -> None:
    """Let a model abstain: `plot_threshold` with a dropdown `model` and a slider `threshold (%)`.

    Parameters
    ----------
    outcomes : dict
        From `predict`, by the model's name.
    """
    curves = {name: accuracy_by_coverage(outcome.labels, outcome.probabilities) for name, outcome in outcomes.items()}

    def draw(model, threshold):
        _, ax = plt.subplots(figsize=(7, 4.2))
        plot_threshold(curves[model], threshold / 100, ax=ax)

    interact(
        draw, model=dropdown("model", list(curves), next(iter(curves))), threshold=slider("threshold (%)", 0, 99, 90)
    )
