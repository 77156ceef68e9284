"""The audit of the claims: what a prepared kernel changes, keeps and writes down, and what the table says of it."""

import functools
import shutil
import signal

import nbformat
import pandas as pd
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR

from benchmarks import audit, record
from benchmarks.audited_kernel import EmulatedBfloat16, remember
from build_tools import series
from helpers import config, models, training

LESSON = """
from helpers import models
from helpers.config import SEED
from helpers.device import set_seed
from helpers.data import load_split
from helpers.results import claim
from helpers.training import fit
import torch
set_seed()
model = models.LeanCNN()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
history = fit(model, load_split("train"), load_split("validation"), optimizer, 1, 1000)
score = history["train_loss"].iloc[0]
claim("The seed is one.", holds=SEED == 1)
claim("The loss is below zero.", holds=score < 0)
"""


@pytest.mark.parametrize("name", ["FashionCNN", "BatchNormCNN", "SimpleCNN"])
def test_emulated_bfloat16_rounds_as_autocast_does(name):
    torch.manual_seed(0)
    model = getattr(models, name)().eval()
    images, labels = torch.randn(8, 1, 28, 28), torch.arange(8)

    def outputs_and_gradients(context):
        model.zero_grad()
        with context:
            outputs = model(images).float()
        F.cross_entropy(outputs, labels).backward()
        return outputs.detach(), torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    exact = outputs_and_gradients(torch.autocast("cpu", enabled=False))
    real = outputs_and_gradients(torch.autocast("cpu", dtype=torch.bfloat16))
    emulated = outputs_and_gradients(EmulatedBfloat16())
    for ours, theirs, without in zip(emulated, real, exact, strict=True):
        assert (ours - theirs).norm() < 0.35 * (theirs - without).norm()


def test_a_kept_training_comes_back_with_weights_history_log_and_schedule(stripes, tmp_path, home):
    fits = []

    def fit(*arguments, **options):
        fits.append(1)
        return training.fit(*arguments, **options)

    def train(lr=0.1, gamma=0.5, log_dir=tmp_path / "log", **options):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        options |= {"scheduler": StepLR(optimizer, step_size=1, gamma=gamma), "log_dir": log_dir, "replay": False}
        remembered = remember(fit, "float32", tmp_path / "trainings")
        history = remembered(model, stripes(40), stripes(20), optimizer, 2, 10, **options)
        return model[1].weight.detach().clone(), history, torch.rand(1)

    first, again = train(), train(log_dir=tmp_path / "second log")
    assert len(fits) == 1
    assert torch.equal(first[0], again[0]) and torch.equal(first[2], again[2])
    pd.testing.assert_frame_equal(first[1], again[1])
    assert list((tmp_path / "second log").iterdir())
    train(lr=0.2)
    train(gamma=0.1)
    train(seed=5)
    train(loss_fn=nn.CrossEntropyLoss(label_smoothing=0.1))
    train(augment=torch.bitwise_not)
    train(loss_fn=functools.partial(nn.functional.cross_entropy, label_smoothing=0.1))
    train(loss_fn=functools.partial(nn.functional.cross_entropy, label_smoothing=0.2))
    assert len(fits) == 8  # another training is no kept one
    train(loss_fn=functools.partial(nn.functional.cross_entropy))
    train(loss_fn=nn.functional.cross_entropy)
    assert len(fits) == 9


def test_a_training_that_was_stopped_is_not_kept(stripes, tmp_path):
    class Impatient(nn.Linear):
        def forward(self, images):
            signal.raise_signal(signal.SIGINT)
            return super().forward(images.flatten(1))

    def train(layer):
        model = layer(784, 10)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        remember(training.fit, "float32", tmp_path)(model, stripes(20), stripes(20), optimizer, 2, 10)

    train(Impatient)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """Make a series of one lesson, and send the audit's results to a folder of the test."""
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "01_first.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(LESSON)]), path)
    monkeypatch.setattr(config, "NOTEBOOKS_DIR", path.parent)
    monkeypatch.setattr(series, "lesson_paths", lambda: [path])
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return path


def test_what_has_no_name_is_not_mistaken_for_a_training_that_was_kept(stripes, tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for nameless in (lambda images: images, functools.partial(torch.add, 0)):
        with pytest.raises(TypeError, match="has none"):
            remember(training.fit, "float32", tmp_path)(model, stripes(20), None, optimizer, 1, 10, augment=nameless)


def test_a_lesson_runs_under_its_seed_and_format_and_its_claims_are_written_down(lesson):
    name = config.RUNS_DIR.name + "-audit"  # beside the folder of this test run
    entry = audit.run_lesson("01_first", "bfloat16", 1, name)
    shutil.rmtree(config.ROOT / "runs" / name)
    assert entry["error"] is None
    assert [found["holds"] for found in entry["claims"]] == [True, False]
    assert entry["claims"][0]["numbers"] == "SEED = 1" and entry["claims"][1]["numbers"].startswith("score = ")


def test_the_audit_goes_on_where_it_stopped_and_repeats_a_lesson_whose_code_changed(lesson, monkeypatch, capsys):
    ran, holds = [], False

    def run_lesson(name, number_format, seed, run_name):
        ran.append((number_format, seed))
        found = {"claim": f"Up {holds}.", "holds": holds, "numbers": "score = 0.3"}
        entry = {"lesson": name, "format": number_format, "seed": seed}
        entry["emulated"] = number_format == "bfloat16" and seed == 1
        entry["conditions"] = {"device": "cuda" if seed == 2 else "cpu"}
        return entry | {"code": audit.current_code(name), "claims": [found], "error": None}

    monkeypatch.setattr(audit, "run_lesson", run_lesson)
    monkeypatch.setattr("sys.argv", ["audit", "--seeds", "1", "2"])
    audit.main()
    audit.main()
    assert ran == [("float32", 1), ("float32", 2), ("bfloat16", 1), ("bfloat16", 2)]
    assert "| 01_first | 1 | 1 on cpu; 2 on cuda | 1 on cpu (emulated); 2 on cuda | 1 |" in audit.audit_table()
    assert "**still fails**: “Up False.”" in audit.audit_table()
    holds = True
    nbformat.write(new_notebook(cells=[new_code_cell(LESSON + "# better")]), lesson)
    assert "| 01_first | 0 | – | – | 0 |" in audit.audit_table()  # other claims were audited
    audit.main()
    assert len(ran) == 8
    table = audit.audit_table()
    assert "| 01_first | 1 | 1 on cpu; 2 on cuda | 1 on cpu (emulated); 2 on cuda | 0 |" in table
    assert "still fails" not in table
    assert "were changed: 1.\n\n- 01_first: “Up False.” (float32, seed 1: score = 0.3; " in table
    assert "worded anew: 01_first (bfloat16, seed 3), 01_first (float32, seed 3).\n" in table
    monkeypatch.setattr("sys.argv", ["audit"])
    audit.main()
    assert "worded anew: none.\n" in audit.audit_table()


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ('claim("Low is low.", holds=True)\nclaim(f"{name} is high.", holds=1)  # other code', True),
        ('claim("Low is low.", holds=True)', False),
        ('claim("Low is low.", holds=True)\nclaim(f"{name} is high.", holds=1)\nclaim("New.", holds=True)', False),
        ('claim("Low is lower.", holds=True)\nclaim(f"{name} is high.", holds=1)', False),
    ],
)
def test_a_run_of_earlier_code_counts_while_the_claims_are_the_same(lesson, source, same):
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), lesson)
    claims = [{"claim": text, "holds": True, "numbers": ""} for text in ("Low is low.", "The sky is high.")]
    entry = {"lesson": "01_first", "format": "float32", "seed": 1, "emulated": False, "code": "earlier", "error": None}
    record.write("audit", {"a": entry | {"claims": claims, "failed_before": [], "conditions": {"device": "cpu"}}})
    table = audit.audit_table()
    assert ("| 01_first | 2 | 1 on cpu (earlier code) | – | 0 |" in table) == same
    assert ("| 01_first | 0 | – | – | 0 |" in table) != same
