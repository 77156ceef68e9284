"""A cell that is run again does its work again: the cells that train, count or measure, each executed twice in a row.

Executing every lesson with all its cells doubled would take as long as all lessons twice, so here are the cells that
change what an earlier cell made. They run in this process, which has loaded PyTorch already.
"""

import io
from contextlib import redirect_stdout

import pytest
import torch
from committed import read_committed

from helpers import config

IMPORTS = {
    "02_mlp_baseline": "88702a7e",
    "06_training_diagnostics": "cf6ed48f",
    "07_train_faster": "486d42a2",
    "appendix_b_what_costs_time": "486d42a2",
}


class Lesson:
    """The code cells of a lesson, to be run by their ids, and the names that they have made."""

    def __init__(self, name):
        notebook = read_committed(config.NOTEBOOKS_DIR / f"{name}.ipynb")
        self.sources = {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}
        self.names = {}
        self.run(IMPORTS[name])
        self.names["display"] = lambda *shown: print(*(getattr(item, "data", item) for item in shown))

    def run(self, cell):
        """Run a cell and return what it printed."""
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(self.sources[cell], cell, "exec"), self.names)
        return printed.getvalue()


@pytest.fixture
def lesson(real, tmp_path, monkeypatch):
    """Make the function that opens a lesson, with a folder of its own for what it trains."""
    monkeypatch.setattr(config, "FAST", True)
    monkeypatch.setattr(config, "FAST_EPOCHS", 1)
    monkeypatch.setattr(config, "RUNS_DIR", tmp_path)
    return Lesson


def test_the_gradient_step_by_hand_starts_from_the_same_weights_again(lesson):
    mlp = lesson("02_mlp_baseline")
    cells = ["c508492f", "1b174354", "64cab9e4", "184c91fd"]
    printed = [(mlp.run(cell), mlp.run(cell)) for cell in cells]
    assert [second for _, second in printed] == [first for first, _ in printed]
    assert "before" in printed[-1][1] and "False" not in str(printed)


def test_a_training_that_is_run_again_starts_from_the_untrained_network_and_an_empty_log(lesson):
    simple_cnn = lesson("06_training_diagnostics")
    for cell in ("35ccfc5e", "5b49dc9f", "5a7b0c21"):
        assert simple_cnn.run(cell) == simple_cnn.run(cell)
    first, history = simple_cnn.run("32b661cd"), simple_cnn.names["history"]
    assert "validation: loss" in first
    assert simple_cnn.run("32b661cd") == first
    assert simple_cnn.names["history"].drop(columns="seconds").equals(history.drop(columns="seconds"))
    simple_cnn.run("521621f3")
    assert list(simple_cnn.names["logged"].index) == [0, *history["epoch"]]
    assert "log equals history: True" in simple_cnn.run("8f3d2619")
    [log] = simple_cnn.names["log_dir"].parent.iterdir()
    untrained_and_trained = 2
    assert len(list(log.iterdir())) == untrained_and_trained


def test_a_measurement_that_is_run_again_measures_the_same(lesson):
    faster = lesson("07_train_faster")
    faster.run("4809f799")
    weights = []
    for _ in range(2):
        faster.run("43d43fc3")
        weights.append(torch.cat([part.detach().flatten() for part in faster.names["model"].parameters()]))
    assert torch.equal(*weights)
    costs = lesson("appendix_b_what_costs_time")
    costs.run("471c9b38")
    costs.names["keep_freed_memory"]()  # as a first run of the next cell leaves this process
    costs.run("ac6997bb")
    # The claim raises if memory that is kept costs the system as much time as memory that is given back.
    assert "claim" in costs.sources["5c1de001"]
    costs.run("5c1de001")
