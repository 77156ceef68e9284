"""Checkpoints: what comes back, what is refused with a clear message, and what is kept apart."""

import gzip
import math
import pickle
import random
import runpy
import sys
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from helpers import checkpoints, config, models

pytestmark = pytest.mark.usefixtures("home")
HISTORY = pd.DataFrame({"epoch": [1, 2], "validation_accuracy": [0.8, 0.9], "validation_loss": [0.6, 0.4]})
RECIPE = {"epochs": 2, "lr": 1e-3, "step_size": None}


@pytest.fixture
def saved():
    """Save a small model; give it and its file."""
    torch.manual_seed(1)
    model = models.LogisticRegression()
    return model, checkpoints.save_checkpoint("small", model, RECIPE, HISTORY)


def weights_of(model):
    return [value.cpu().clone() for value in model.state_dict().values()]


def assert_refused(match):
    with pytest.raises(checkpoints.CheckpointError, match=match) as caught:
        checkpoints.load_checkpoint("small", models.LogisticRegression())
    message = str(caught.value)
    assert "small.pt" in message and "Move or delete it" in message and "load_or_train('small')" in message
    return message


def change(path, **parts):
    """Replace parts of a checkpoint."""
    torch.save(torch.load(path, weights_only=True) | parts, path)


def test_a_checkpoint_brings_back_the_weights_and_what_made_them(saved):
    model = models.LogisticRegression().train()
    content = checkpoints.load_checkpoint("small", model)
    for loaded, original in zip(weights_of(model), weights_of(saved[0]), strict=True):
        assert torch.equal(loaded, original)
    assert not model.training
    assert content["model"] == "LogisticRegression" and content["recipe"] == RECIPE
    assert content["seed"] == config.SEED and content["fast"] is False
    assert content["data_sha256"].startswith("c59f468a")
    assert content["versions"]["torch"] == torch.__version__
    assert content["validation_accuracy"] == 0.9 and content["validation_loss"] == 0.4
    pd.testing.assert_frame_equal(content["history"], HISTORY)


def test_running_statistics_of_batch_norm_come_back():
    model = models.BatchNormCNN()
    model.train()(torch.randn(4, 1, 28, 28))
    checkpoints.save_checkpoint("norm", model, RECIPE, HISTORY)
    other = models.BatchNormCNN()
    checkpoints.load_checkpoint("norm", other)
    assert torch.equal(other[2].running_mean, model[2].running_mean)


def test_a_missing_checkpoint_says_which_lesson_writes_it():
    with pytest.raises(FileNotFoundError, match="The lesson that trains 'nothing' writes it"):
        checkpoints.load_checkpoint("nothing", models.MLP())


def test_a_checkpoint_of_another_architecture_is_refused_by_name(saved):
    with pytest.raises(
        checkpoints.CheckpointError, match="holds a LogisticRegression whose layers differ from this MLP"
    ):
        checkpoints.load_checkpoint("small", models.MLP())


def test_the_same_layers_in_another_order_are_another_architecture():
    checkpoints.save_checkpoint("norm", models.BatchNormCNN(), RECIPE, HISTORY)
    with pytest.raises(checkpoints.CheckpointError, match="layers differ"):
        checkpoints.load_checkpoint("norm", models.BatchNormCNN(relu_first=False))


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(saved, share):
    content = saved[1].read_bytes()
    saved[1].write_bytes(content[: int(share * len(content))])
    assert_refused("is damaged")


def test_one_flipped_bit_in_the_weights_is_refused(saved):
    content = bytearray(saved[1].read_bytes())
    content[len(content) // 2] ^= 1
    saved[1].write_bytes(content)
    assert_refused("is damaged")


def test_garbage_of_any_length_is_refused(saved):
    generator = random.Random(0)
    for _ in range(100):
        saved[1].write_bytes(generator.randbytes(generator.randrange(2_000)))
        assert_refused("is damaged")


def zipped(path, name="notes.txt"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "Hello")


# What else may lie under the name of a checkpoint, all of it whole; how it is made, and what is said of it.
FOREIGN = {
    "None": (lambda path: torch.save(None, path), "holds one NoneType"),
    "a tensor": (lambda path: torch.save(torch.zeros(3), path), "holds one Tensor"),
    "nothing": (lambda path: torch.save({}, path), "it holds nothing"),
    "some parts": (lambda path: torch.save({"weights": {}, "model": "MLP"}, path), "lacks recipe, seed, .* history"),
    "a state_dict": (lambda path: torch.save(models.MLP().state_dict(), path), r"holds weights alone \(a state_dict\)"),
    "a wrapped state_dict": (
        lambda path: torch.save(nn.DataParallel(models.MLP()).state_dict(), path),
        r"holds weights alone \(a state_dict\)",
    ),
    "another program's": (
        lambda path: torch.save({"epoch": 3, "state_dict": models.MLP().state_dict()}, path),
        "other code than save_checkpoint: it holds epoch, state_dict",
    ),
    "a whole model": (lambda path: torch.save(models.MLP(), path), "not damaged, but .*torch.nn.modules.* whole model"),
    "NumPy's numbers": (
        lambda path: torch.save({"weights": {}, "recipe": {"lr": np.float64(0.1)}}, path),
        "not damaged, but .*numpy.* numbers of NumPy",
    ),
    "the old format": (
        lambda path: torch.save({"weights": {}}, path, _use_new_zipfile_serialization=False),
        "is a pickle",
    ),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps({"weights": [1, 2, 3]})), "is a pickle"),
    "TorchScript": (lambda path: torch.jit.script(nn.Linear(2, 2)).save(str(path)), "TorchScript program"),
    "a zip archive": (zipped, "is a zip archive, but none that torch.save wrote"),
    "a pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\nsize 2\n"),
        "is a text that begins with 'version https://git-lfs",
    ),
    "safetensors": (
        lambda path: path.write_bytes(
            (2).to_bytes(8, "little") + b"{}" + bytes(36)
        ),  # the length of a header, the header
        "format safetensors",
    ),
    "gzip": (lambda path: path.write_bytes(gzip.compress(path.read_bytes())), "is compressed by gzip: unpack it"),
    "Keras": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40)), "in the format HDF5"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("write", "words"), FOREIGN.values(), ids=FOREIGN)
def test_a_whole_file_that_is_no_checkpoint_of_ours_is_called_what_it_is(saved, write, words):
    write(saved[1])
    assert "damaged (" not in assert_refused(words)


@pytest.mark.parametrize(
    ("part", "wrong"),
    [("weights", [1]), ("weights", {"1.weight": 3}), ("history", 3), ("history", {"a": [1], "b": []}), ("recipe", 1)],
)
def test_a_checkpoint_with_a_part_of_the_wrong_kind_is_refused(saved, part, wrong):
    change(saved[1], **{part: wrong})
    assert_refused(f"its part '{part}' is not of the right kind")


def test_a_checkpoint_of_a_newer_pytorch_is_not_called_damaged(saved, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("Attempted to read a PyTorch file with version 99")

    monkeypatch.setattr(torch, "load", fail)
    assert "damaged (" not in assert_refused("cannot read it .*version 99.* a newer version wrote it")


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(saved, monkeypatch):
    def fail(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(zipfile, "ZipFile", fail)
    assert "damaged" not in assert_refused("may not be read by this user")


def test_a_short_run_is_no_model_of_a_full_run(saved, monkeypatch):
    change(saved[1], fast=True)
    assert_refused("was trained under FAST=1")
    monkeypatch.setattr(config, "FAST", True)
    checkpoints.load_checkpoint("small", models.LogisticRegression())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_the_prefixes_of_wrappers_are_no_other_architecture(saved, prefix):
    weights = torch.load(saved[1], weights_only=True)["weights"]
    change(saved[1], weights={prefix + key: value for key, value in weights.items()})
    model = models.LogisticRegression()
    checkpoints.load_checkpoint("small", model)
    assert torch.equal(model[1].weight, saved[0][1].weight)


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel, lambda model: nn.DataParallel(torch.compile(model))])
def test_a_wrapped_model_is_saved_and_loaded_like_the_model_inside(saved, wrap):
    checkpoints.save_checkpoint("wrapped", wrap(saved[0]), RECIPE, HISTORY)
    for model in (models.LogisticRegression(), wrap(models.LogisticRegression())):
        assert checkpoints.load_checkpoint("wrapped", model)["model"] == "LogisticRegression"
        assert torch.equal(checkpoints.unwrapped(model)[1].weight, saved[0][1].weight)


def test_a_layer_called_module_keeps_its_name():
    model = nn.Sequential(OrderedDict(module=nn.Linear(3, 2)))
    checkpoints.save_checkpoint("small", model, RECIPE, HISTORY)
    other = nn.Sequential(OrderedDict(module=nn.Linear(3, 2)))
    checkpoints.load_checkpoint("small", other)
    assert torch.equal(other.module.weight, model.module.weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_number_format_are_loaded_into_the_models_own(dtype):
    model = models.LogisticRegression().to(dtype)
    checkpoints.save_checkpoint("small", model, RECIPE, HISTORY)
    other = models.LogisticRegression()
    checkpoints.load_checkpoint("small", other)
    assert other[1].weight.dtype == torch.float32
    torch.testing.assert_close(other[1].weight, model[1].weight.float())


class Color(Enum):
    RED = "red"


PLAIN = [
    (np.float64(1e-3), 1e-3),
    (np.float32(0.5), 0.5),
    (np.int64(8), 8),
    (np.bool_(True), True),
    (np.str_("Adam"), "Adam"),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (torch.tensor(0.5), 0.5),
    (torch.tensor([1, 2]), [1, 2]),
    (Path("a") / "b", str(Path("a") / "b")),
    ((1, np.int8(2)), (1, 2)),
    (OrderedDict(a=np.float64(1)), {"a": 1.0}),
    ([{"x": (np.int64(1),)}], [{"x": (1,)}]),
    (Color.RED, "red"),
    (None, None),
    (math.inf, math.inf),
]


@pytest.mark.parametrize(("given", "expected"), PLAIN)
def test_a_recipe_of_numpys_numbers_arrays_and_paths_is_kept_as_plain_python(given, expected):
    checkpoints.save_checkpoint("small", models.LogisticRegression(), {"value": given}, HISTORY)
    found = checkpoints.load_checkpoint("small", models.LogisticRegression())["recipe"]["value"]
    assert found == expected and type(found) is type(expected)


@dataclass
class Recipe:
    lr: float = 0.1


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        (Recipe(), "dataclasses.asdict"),
        (torch.optim.Adam, "its name, 'Adam'"),
        (torch.nn.functional.cross_entropy, "its name, 'cross_entropy'"),
        (lambda x: x, "its name"),
        (torch.device("cpu"), "numbers and texts"),
        (torch.float32, "numbers and texts"),
        (pd.Timestamp("2026-01-01"), "numbers and texts"),
        ({1, 2}, "numbers and texts"),
        (nn.ReLU(), "its name, 'ReLU'"),
        (object(), "numbers and texts"),
    ],
)
def test_what_could_not_be_read_again_is_refused_when_saving(saved, value, instead):
    before = saved[1].read_bytes()
    with pytest.raises(TypeError, match=r"recipe\['a'\]\[1\] is of the type") as caught:
        checkpoints.save_checkpoint("small", models.LogisticRegression(), {"a": [1, value]}, HISTORY)
    assert instead in str(caught.value) and "nothing was saved" in str(caught.value)
    assert saved[1].read_bytes() == before


@pytest.mark.parametrize(
    ("recipe", "history"), [(Recipe, HISTORY), (None, HISTORY), (RECIPE, None), (RECIPE, HISTORY.to_dict("list"))]
)
def test_a_recipe_is_a_dataclass_or_a_dictionary_and_a_history_a_table(recipe, history):
    with pytest.raises(TypeError, match=r"wants a Recipe or a dictionary, and the history as the DataFrame"):
        checkpoints.save_checkpoint("small", models.LogisticRegression(), recipe, history)


@pytest.mark.parametrize("model", [models.LogisticRegression().state_dict(), models.LogisticRegression, "mlp", None])
def test_what_is_no_model_is_neither_saved_nor_loaded_into(saved, model):
    for name, call in [
        ("save_checkpoint", lambda: checkpoints.save_checkpoint("small", model, RECIPE, HISTORY)),
        ("load_checkpoint", lambda: checkpoints.load_checkpoint("small", model)),
    ]:
        with pytest.raises(TypeError, match=f"{name} wants the model itself, an nn.Module, .* but got"):
            call()
    checkpoints.load_checkpoint("small", models.LogisticRegression())  # as it was


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_diverged_is_not_saved(saved, capsys, value):
    before, model = saved[1].read_bytes(), models.LogisticRegression()
    nn.init.constant_(next(model.parameters()), value)
    assert checkpoints.save_checkpoint("small", model, RECIPE, HISTORY) is None
    assert "LogisticRegression is not saved: its weights hold infinity or NaN" in capsys.readouterr().out
    assert saved[1].read_bytes() == before


@pytest.mark.parametrize("name", ["../mlp", "/tmp/mlp", "a/b", "a\\b", "C:mlp", "", None, 3])
def test_a_name_never_leads_out_of_the_folder_of_this_run(home, name):
    before = sorted(home.rglob("*"))
    with pytest.raises(ValueError, match="a name such as 'mlp', without folder"):
        checkpoints.save_checkpoint(name, models.LogisticRegression(), RECIPE, HISTORY)
    with pytest.raises(ValueError, match="a name such as 'mlp', without folder"):
        checkpoints.load_checkpoint(name, models.LogisticRegression())
    assert sorted(home.rglob("*")) == before


def test_a_dataclass_is_kept_as_a_dictionary():
    checkpoints.save_checkpoint("small", models.LogisticRegression(), Recipe(lr=0.2), HISTORY)
    assert checkpoints.load_checkpoint("small", models.LogisticRegression())["recipe"] == {"lr": 0.2}


def test_a_history_with_the_types_of_numpy_and_pandas_comes_back():
    history = pd.DataFrame(
        {
            "epoch": pd.array([1, 2], dtype="Int64"),
            "validation_accuracy": np.array([0.5, 0.25], dtype=np.float32),
            "note": pd.Categorical(["a", "b"]),
            "object": pd.Series([np.float64(1), np.int64(2)], dtype=object),
            np.str_("name"): pd.Series(["x", "y"], dtype="string"),
        }
    )
    checkpoints.save_checkpoint("small", models.LogisticRegression(), RECIPE, history)
    content = checkpoints.load_checkpoint("small", models.LogisticRegression())
    assert content["history"].to_dict("list") == {
        "epoch": [1, 2],
        "validation_accuracy": [0.5, 0.25],
        "note": ["a", "b"],
        "object": [1.0, 2],
        "name": ["x", "y"],
    }
    assert content["validation_accuracy"] == 0.25


def test_a_model_of_another_architecture_is_left_as_it_was(saved):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Linear(10, 10))
    before = model[1].weight.clone()
    with pytest.raises(checkpoints.CheckpointError, match=r"2.weight is missing in the file; 2.bias is missing"):
        checkpoints.load_checkpoint("small", model)
    assert torch.equal(model[1].weight, before)
    with pytest.raises(checkpoints.CheckpointError, match=r"1.weight is \(10, 784\) in the file and \(5, 784\)"):
        checkpoints.load_checkpoint("small", nn.Sequential(nn.Flatten(), nn.Linear(784, 5)))
    with pytest.raises(checkpoints.CheckpointError, match=r"1.bias is only in the file"):
        checkpoints.load_checkpoint("small", nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False)))


def test_a_file_in_a_format_that_is_not_read_says_so(saved):
    torch.save(torch.load(saved[1], weights_only=True), saved[1], pickle_protocol=4)
    assert_refused(r"is not damaged, but PyTorch .* cannot read it")


def test_a_checkpoint_cannot_run_code(saved, home):
    class Evil:
        def __reduce__(self):
            return (open, (str(home / "evil"), "w"))

    torch.save({"weights": Evil(), "model": "MLP"}, saved[1])
    assert_refused(r"is not damaged, but reading it could run code \(_?io.open\)")
    assert not (home / "evil").exists()


def test_a_failed_save_leaves_the_old_checkpoint_and_no_half_file(saved, monkeypatch):
    before = saved[1].read_bytes()

    def fail_half_way(content, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fail_half_way)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save_checkpoint("small", models.LogisticRegression(), RECIPE, HISTORY)
    assert saved[1].read_bytes() == before
    assert [path.name for path in saved[1].parent.iterdir()] == ["small.pt"]


def test_fast_full_and_test_runs_have_folders_of_their_own(monkeypatch):
    def runs_dir(**environment):
        for name in ("FAST", "RUN_NAME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(sys.modules["helpers.config"].__file__)["RUNS_DIR"].name

    assert runs_dir() == runs_dir(FAST="") == runs_dir(FAST="0") == "full"
    assert runs_dir(FAST="1") == "fast"
    assert runs_dir(FAST="1", RUN_NAME="test-fast") == "test-fast"
