"""The choice of device and number format: measured once, then kept."""

import json

import pytest
import torch
from torch import nn

from helpers import config, models, precision

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(("speedup", "chosen"), [(1.5, torch.bfloat16), (1.19, torch.float32)])
def test_precision_is_measured_once_and_kept(home, monkeypatch, speedup, chosen):
    measured = []
    monkeypatch.setattr(precision, "measure_speedup", lambda *arguments: measured.append(1) or speedup)
    model, cpu = models.FashionCNN(), torch.device("cpu")
    assert [precision.choose_precision(model, 64, cpu) for _ in range(3)] == [chosen] * 3
    assert len(measured) == 1
    assert list(json.loads((home / "runs" / "precision.json").read_text()).values()) == [str(chosen)[6:]]
    precision.choose_precision(model, 128, cpu)  # another batch size is another question
    assert len(measured) == 2


def test_precision_is_measured_again_when_its_file_is_damaged(home, monkeypatch):
    monkeypatch.setattr(precision, "measure_speedup", lambda *arguments: 2.0)
    (home / "runs").mkdir()
    (home / "runs" / "precision.json").write_text('{"half')
    assert precision.choose_precision(models.FashionCNN(), 64, torch.device("cpu")) == torch.bfloat16


def test_linear_models_and_mps_stay_in_float32_without_a_trial(monkeypatch):
    monkeypatch.setattr(precision, "measure_speedup", lambda *arguments: pytest.fail("measured"))
    assert precision.choose_precision(models.MLP(), 64, torch.device("cpu")) == torch.float32
    assert precision.choose_precision(models.FashionCNN(), 64, torch.device("mps")) == torch.float32


def test_speedup_is_the_ratio_of_the_fastest_steps_and_the_model_stays_as_it_is(monkeypatch):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 26 * 26, 10))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert precision.measure_speedup(model, 4, torch.device("cpu")) > 0
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    monkeypatch.setattr(precision, "step_seconds", lambda m, i, dtype: 3.0 if dtype == torch.float32 else 2.0)
    assert precision.measure_speedup(model, 4, torch.device("cpu")) == 1.5


def test_device_is_cuda_then_mps_then_cpu(monkeypatch):
    for cuda, mps, expected in [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert config.get_device().type == expected
