"""What a figure shows, in words: the numbers must be those that are drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook

from helpers import alt_text, plotting


def words_of(ax) -> str:
    return alt_text.describe_figure(ax.figure)


def test_a_curve_is_told_by_its_ends_and_its_lowest_and_highest_point():
    _, ax = plt.subplots()
    ax.plot([1, 2, 3, 4], [2.5, 0.25, 7.125, 3], label="train")
    ax.set(xlabel="epoch", ylabel="loss (nats)", title="Loss")
    assert words_of(ax) == (
        "Loss. x axis: epoch. y axis: loss (nats). train: from 2.5 at 1 to 3 at 4, lowest 0.25 at 2, highest 7.12 at 3."
    )


def test_a_history_is_told_with_its_own_numbers():
    history = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [0.9, 0.5, 0.3], "validation_loss": [0.8, 0.4, 0.6]})
    _, ax = plt.subplots()
    words = words_of(plotting.plot_history(history, ax=ax))
    assert "train: from 0.9 at 1 to 0.3 at 3" in words
    assert "validation: from 0.8 at 1 to 0.6 at 3, lowest 0.4 at 2" in words


def test_a_bar_has_the_name_of_its_tick_whichever_way_it_lies():
    _, (left, right) = plt.subplots(1, 2)
    left.bar(["a", "b"], [3, 5])
    right.barh(["c", "d"], [0.5, 1500])
    words = words_of(left)
    assert "a 3, b 5" in words and "c 0.5, d 1,500" in words


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_ticks_that_are_numbers_are_told_as_numbers(scale):
    _, ax = plt.subplots()
    ax.plot([0.0001, 1], [2, -0.0])
    ax.set_xscale(scale)
    ax.figure.canvas.draw()
    assert words_of(ax) == "from 2 at 0.0001 to 0 at 1."


def test_names_may_be_the_data():
    _, ax = plt.subplots()
    ax.plot([3, 5], ["Coat", "Bag"], "o", label="count")
    ax.figure.canvas.draw()
    assert words_of(ax) == "count: from 0 at 3 to 1 at 5."


def test_a_histogram_is_told_by_its_highest_bar():
    _, ax = plt.subplots()
    ax.hist([0.5] * 7 + [10.5], bins=20, range=(0, 20))
    assert "20 bars, the highest 7 at 0.5" in words_of(ax)


def test_points_with_intervals_have_name_and_value():
    _, ax = plt.subplots()
    table = pd.DataFrame(
        {"name": ["a", "b"], "images": [100, 1000], "accuracy": [0.5, 0.9], "low": [0.4, 0.88], "high": [0.6, 0.92]}
    )
    words = words_of(plotting.plot_scoreboard(table, ax=ax))
    assert "a 100 images: 50; b 1,000 images: 90" in words and "40.0 to 60.0 %" in words


def test_a_heat_map_is_told_by_its_lowest_and_highest_cell():
    table = pd.DataFrame([[1.0, 2.0], [9.0, 4.0]], index=["Shirt", "Coat"], columns=["x", "y"])
    ax = sns.heatmap(table, annot=True)
    words = words_of(ax)
    assert "a grid of 2 rows and 2 columns, lowest 1 in row Shirt, column x, highest 9 in row Coat, column x" in words
    assert "colorbar" not in words


def test_a_confusion_matrix_is_told_by_its_largest_cell():
    labels, predictions = np.array([0, 0, 1, 1, 1]), np.array([0, 6, 1, 1, 1])
    _, ax = plt.subplots()
    words = words_of(plotting.plot_confusion_matrix(labels, predictions, ax=ax))
    assert "highest 3 in row Trouser, column Trouser" in words


def test_pictures_are_counted_and_named():
    axes = plotting.plot_images(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), ["Coat", "Bag\n✗", "Shirt"], columns=3)
    assert words_of(axes[0]) == "3 pictures: Coat; Bag ✗; Shirt."


def test_pictures_without_titles_are_told_by_their_size_and_empty_places_not_at_all():
    axes = plotting.plot_images(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), columns=2)
    assert words_of(axes[0]) == "3 pictures of 28 × 28 pixels, without titles."


def test_a_drawing_is_told_as_its_author_wrote():
    _, ax = plt.subplots()
    ax.plot([1, 2], [1, 2])
    ax.set_label("Three boxes in a row: 784, 512, 10.")
    assert words_of(ax) == "Three boxes in a row: 784, 512, 10."


def test_too_many_are_counted_and_a_long_text_says_that_it_is_cut():
    _, ax = plt.subplots()
    for number in range(20):
        ax.plot([0, 1], [0, number], label=f"curve {number}")
    assert "curve 11" in words_of(ax) and "curve 12" not in words_of(ax) and "and 8 more" in words_of(ax)
    ax.set_title("long " * 1000)
    assert len(words_of(ax)) < 1600 and words_of(ax).endswith("(more is in the figure)")


@pytest.mark.parametrize("draw", ["plt.plot", "plt.bar", "plt.scatter", "plt.fill_between"])
def test_nothing_drawn_and_unknown_numbers_are_no_error(draw):
    _, ax = plt.subplots()
    eval(draw)([0, 1], [np.nan, 1])
    assert words_of(ax)
    plt.close("all")
    assert words_of(plt.subplots()[1]) == "a figure."


def test_a_notebook_keeps_the_words_beside_the_figure_and_a_web_page_shows_them():
    code = "from helpers.plotting import use_theme\nimport matplotlib.pyplot as plt\nuse_theme()\nuse_theme()"
    draw = 'plt.plot([1, 2], [3, 4.5], label="<a>")\nNone'
    notebook = new_notebook(cells=[new_code_cell(code), new_code_cell(draw)])
    NotebookClient(notebook, kernel_name="python3", startup_timeout=300).execute()
    [output] = notebook.cells[1].outputs
    assert output.metadata["image/png"]["alt"] == "<a>: from 3 at 1 to 4.5 at 2."
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(notebook)
    assert 'alt="&lt;a&gt;: from 3 at 1 to 4.5 at 2."' in page
