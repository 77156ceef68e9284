"""Replayed experiments: a recorded result comes back for the same call of the same code, and for no other."""

import ast
import functools
import inspect
import linecache
from types import ModuleType

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from test_recipes import sources
from torch import nn
from torch.utils.data import TensorDataset

from build_tools import series
from helpers import augment, config, experiments, label_noise
from helpers.models import LeanCNN
from helpers.replay import code_of


@pytest.fixture
def modes(home, monkeypatch):
    """Let committed and new recordings be in one fresh folder; return a function that starts a kernel in a mode."""
    monkeypatch.setattr(experiments, "EXPERIMENTS", home / "runs" / "full" / "recordings" / "experiments")

    def start(record=None, replay=False, fast=False):
        monkeypatch.setattr(config, "RECORD_AS", record)
        monkeypatch.setattr(config, "REPLAY", replay)
        monkeypatch.setattr(config, "FAST", fast)
        for name, empty in (("kept", {}), ("kept_tensors", {}), ("told", set())):
            monkeypatch.setattr(experiments, name, empty)
        experiments.recorded_experiments.cache_clear()

    yield start
    experiments.recorded_experiments.cache_clear()


# A lesson's functions count here that they really ran. Of a module the name alone belongs to an experiment's key.
counter = ModuleType("counter")


@pytest.fixture(autouse=True)
def calls():
    """Return the list to which a function adds what it is called with."""
    counter.calls = []
    return counter.calls


def lesson(code, **names):
    """Run a cell of a lesson; return its `run`."""
    space = {"replayable": experiments.replayable, "torch": torch, "counter": counter, "LeanCNN": LeanCNN} | names
    cell = f"<cell {abs(hash(code))}>"
    linecache.cache[cell] = len(code), None, code.splitlines(True), cell
    exec(compile(code, cell, "exec"), space)
    return space["run"]


CODE = """
def scaled(number):
    return factor * number

@replayable
def run(number, *others, name="a", **options):
    counter.calls.append(number)
    return [scaled(number), name]
"""


def test_a_result_comes_back_without_running_and_says_so_once(modes, calls, capsys):
    modes(record="01_x")
    recorded = lesson(CODE, factor=2)(3)
    assert recorded == [6, "a"] and calls == [3] and capsys.readouterr().out == ""
    modes(replay=True)
    run = lesson(CODE, factor=2)
    assert run(3) == recorded == run(3) and calls == [3]
    told = capsys.readouterr().out
    assert told.startswith("Replayed, not computed: run ran on 20") and told.count("\n") == 1
    assert run(4) == [8, "a"] and run(5) == [10, "a"] and calls == [3, 4, 5]
    told = capsys.readouterr().out
    assert told.startswith("run is not recorded with") and told.count("\n") == 1


CHANGES = {
    "argument": ({}, (4,), {}),
    "another argument": ({}, (3, 1), {}),
    "named argument": ({}, (3,), {"name": "b"}),
    "option": ({}, (3,), {"lr": 0.1}),
    "global": ({"factor": 3}, (3,), {}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_call_runs(change, modes, calls):
    names, given, named = CHANGES[change]
    modes(record="01_x")
    lesson(CODE, factor=2)(3)
    modes(replay=True)
    lesson(CODE, **{"factor": 2} | names)(*given, **named)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [("return [scaled(number), name]", "return [scaled(number) + 1, name]"), ("factor * number", "number * factor")],
    ids=["its own code", "code that it calls"],
)
def test_other_code_runs(old, new, modes, calls):
    assert old in CODE
    modes(record="01_x")
    lesson(CODE, factor=2)(3)
    modes(replay=True)
    lesson(CODE.replace(old, new), factor=2)(3)
    assert calls == [3, 3]


def test_comments_and_what_it_does_not_read_change_nothing(modes, calls):
    modes(record="01_x")
    lesson(CODE, factor=2)(3)
    modes(replay=True)
    again = CODE.replace("    return factor", "    # A comment.\n    return factor")
    # `append` is an attribute in the code, and no name that it reads.
    lesson(again, factor=2, unread=7, append=8)(3)
    assert calls == [3]


READS = """
@replayable
def run(number=0, change=None):
    counter.calls.append(number)
    return float(part is None)
"""

VALUES = {
    "tensor": (torch.arange(4), torch.arange(1, 5)),
    "array": (np.arange(4.0), np.arange(1.0, 5)),
    "truth": (np.array([True, False]), np.array([True, True])),
    "data set": (TensorDataset(torch.zeros(2), torch.ones(2)), TensorDataset(torch.zeros(2), torch.zeros(2))),
    "table": (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [2.0]})),
    "dictionary": ({"a": torch.zeros(1)}, {"a": torch.ones(1)}),
    "range": (range(3), range(4)),
    "helper": (augment.random_flip, augment.random_erase),
    "method": (augment.Mix(cut=False).change, augment.Mix(cut=True).change),
    "partial": (functools.partial(augment.random_shift, padding=1), functools.partial(augment.random_shift, padding=2)),
    "network": (nn.Linear(2, 2), nn.Linear(2, 2)),
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("way", ["read", "given"])
def test_values_of_each_kind_are_told_apart(kind, way, modes, calls):
    one, other = VALUES[kind]
    for mode, value in (({"record": "01_x"}, one), ({"replay": True}, one), ({"replay": True}, other)):
        modes(**mode)
        run = lesson(READS, part=value if way == "read" else None)
        run(change=value if way == "given" else None)
    assert len(calls) == 2


def test_a_function_of_the_lesson_counts_by_its_code_wherever_it_is(modes, calls):
    code = "def change(images):\n    return images.flip(3)\n" + READS.replace("change=None", "change=change")
    for mode, text in (
        ({"record": "01_x"}, code),
        ({"replay": True}, code),
        ({"replay": True}, code.replace("3", "2")),
    ):
        modes(**mode)
        lesson(text, part=None)()
    assert len(calls) == 2


def test_what_a_mixing_left_behind_does_not_count(modes, calls):
    mix = augment.Mix()
    for mode in ({"record": "01_x"}, {"replay": True}):
        modes(**mode)
        lesson(READS, part=None)(change=mix.change)
        mix.change(torch.zeros(4, 1, 28, 28, dtype=torch.uint8))
    assert len(calls) == 1


def test_a_replayed_network_counts_as_the_trained_one(modes, calls):
    network = nn.Linear(3, 3)
    replayed = nn.Linear(3, 3)
    replayed.load_state_dict({name: part.half().float() for name, part in network.state_dict().items()})
    for mode, part in (({"record": "01_x"}, network), ({"replay": True}, replayed)):
        modes(**mode)
        lesson(READS, part=part)()
    assert len(calls) == 1


RESULTS = {
    "number": 0.1 + 0.2,
    "no number": float("nan"),
    "list": [1, [0.5, "way"], None],
    "table": pd.DataFrame({"epoch": [1, 2], "loss": [0.3, float("nan")]}),
    "array": np.array([[True, False], [False, False]]),
    "integers": np.arange(5),
    "dictionary": {"plain": 0.5, "shifted": [1, 2]},
    "table and numbers": [pd.DataFrame({"epoch": [1]}), 0.25],
}


@pytest.mark.parametrize("kind", RESULTS)
def test_each_kind_of_result_comes_back_as_it_was(kind, modes, calls):
    code = "@replayable\ndef run(kind):\n    counter.calls.append(kind)\n    return counter.results[kind]"
    counter.results = RESULTS
    modes(record="01_x")
    recorded = lesson(code)(kind)
    modes(replay=True)
    again = lesson(code)(kind)
    assert calls == [kind]
    parts = zip(recorded, again, strict=True) if isinstance(recorded, list) else [(recorded, again)]
    for before, after in parts:
        assert type(before) is type(after)
        if isinstance(before, pd.DataFrame):
            pd.testing.assert_frame_equal(before, after)
        else:
            np.testing.assert_equal(after, before)


def test_weights_come_back_in_half_precision(modes, calls):
    code = "@replayable\ndef run(seed):\n    counter.calls.append(seed)\n    torch.manual_seed(seed)\n"
    code += "    return LeanCNN(widths=(2, 2, 4)).state_dict()"
    modes(record="01_x")
    recorded = lesson(code)(0)
    modes(replay=True)
    again = lesson(code)(0)
    assert calls == [0] and list(again) == list(recorded)
    LeanCNN(widths=(2, 2, 4)).load_state_dict(again)
    for name, value in recorded.items():
        assert again[name].dtype == value.dtype
        torch.testing.assert_close(again[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mode", [{}, {"fast": True, "record": "01_x"}, {"fast": True, "replay": True}])
def test_without_a_recording_or_a_replay_it_is_the_function_itself(mode, modes, calls, capsys):
    if "replay" in mode:
        modes(record="01_x")
        lesson(CODE, factor=2)(3)
        calls.clear()
    modes(**mode)
    before = sorted(experiments.EXPERIMENTS.glob("*"))
    assert lesson(CODE, factor=2)(3) == [6, "a"] and calls == [3]
    assert sorted(experiments.EXPERIMENTS.glob("*")) == before and capsys.readouterr().out == ""


def test_a_lesson_is_recorded_and_replayed_in_kernels_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(series, "COPIES", tmp_path / "copies")
    monkeypatch.setattr(config, "NOTEBOOKS_DIR", tmp_path)
    monkeypatch.setenv("FAST", "0")
    cells = [
        "from pathlib import Path\nfrom helpers import config, experiments\n"
        f"config.RUNS_DIR = Path(r'{tmp_path}/runs')\n"
        f"experiments.EXPERIMENTS = Path(r'{tmp_path}/runs/recordings/experiments')",
        "@experiments.replayable\ndef long_run(seed):\n"
        f"    with open(r'{tmp_path}/runs.txt', 'a') as file:\n        file.write('x')\n    return 2 * seed",
        "print(long_run(1), long_run(2))",
    ]
    path = tmp_path / "01_x.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)
    said = []
    for replay, record in (("0", True), ("1", False)):
        monkeypatch.setenv("REPLAY", replay)
        series.execute(path, record)
        said.append(nbformat.read(series.executed_copy(path), as_version=4).cells[2].outputs[0].text)
    assert said[0] == "2 4\n" and said[1].endswith("\n2 4\n") and said[1].startswith("Replayed, not computed: long_run")
    assert (tmp_path / "runs.txt").read_text() == "xx"
    assert [file.name for file in (tmp_path / "runs" / "recordings" / "experiments").iterdir()] == ["01_x.safetensors"]


def replayable_functions():
    """Return the hash of the code of each function that the lessons let be replayed, by its lesson."""
    found = {"12_data_audit": {"train_seeds": inspect.unwrap(label_noise.train_seeds)}}
    for name in config.LESSONS:
        for number, source in enumerate(sources(name)):
            if "@replayable" not in source:
                continue
            cell = f"{name}, experiment {number}"
            linecache.cache[cell] = len(source), None, source.splitlines(True), cell
            tree = ast.parse(source)
            tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
            space = {"replayable": lambda function: function}
            exec(compile(tree, cell, "exec"), space)
            functions = {node.name: space[node.name] for node in tree.body}
            found[name] = found.get(name, {}) | functions
    return {
        name: {key: experiments.short_hash(code_of(value)) for key, value in functions.items()}
        for name, functions in found.items()
    }


def test_the_experiments_of_the_lessons_are_recorded_and_none_is_left_over():
    experiments.recorded_experiments.cache_clear()
    recorded = {}
    for path, entry, _ in experiments.recorded_experiments().values():
        recorded.setdefault(path.stem, {})[entry["function"]] = entry["code"]
    assert recorded == replayable_functions()
