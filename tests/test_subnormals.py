"""What an optimizer remembers of units that have died must not become numbers that processors are slow with."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.training import fit, zero_subnormals

TINY = torch.finfo(torch.float32).tiny


class HalfDead(nn.Module):
    """A linear model beside a unit whose gradient becomes zero, as behind a ReLU that never passes anything on."""

    def __init__(self):
        super().__init__()
        self.linear, self.unit, self.alive = nn.Linear(784, 10), nn.Parameter(torch.ones(1000)), True

    def forward(self, x):
        return self.linear(x.flatten(1)) + self.unit.sum() * (1e-3 if self.alive else 0.0)


def subnormals(optimizer):
    values = [v for remembered in optimizer.state.values() for v in remembered.values() if isinstance(v, torch.Tensor)]
    return sum(int(((v != 0) & (v.abs() < TINY)).sum()) for v in values)


def train_past_the_death_of_a_unit(model, optimizer, steps, mend):
    torch.manual_seed(0)
    for step in range(steps):
        model.alive = step < 10
        images, labels = torch.randn(8, 1, 28, 28), torch.arange(8)
        F.cross_entropy(model(images) * torch.arange(10), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        if mend and step % 100 == 99:
            zero_subnormals(optimizer)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_dead_units_leave_no_subnormal_numbers_and_every_weight_is_the_same(name):
    options = {"lr": 1e-3} | ({"momentum": 0.9} if name == "SGD" else {})
    weights = {}
    for mend in (False, True):
        torch.manual_seed(1)
        model = HalfDead()
        optimizer = getattr(torch.optim, name)(model.parameters(), **options)
        train_past_the_death_of_a_unit(model, optimizer, 1000, mend)
        weights[mend] = [parameter.detach().clone() for parameter in model.parameters()]
        assert (subnormals(optimizer) > 0) is (not mend)
    assert all(torch.equal(a, b) for a, b in zip(weights[False], weights[True], strict=True))


def test_fit_zeroes_them_after_each_epoch(stripes, home):
    model = HalfDead()
    model.alive = False
    optimizer = torch.optim.Adam(model.parameters())
    fit(model, stripes(), None, optimizer, epochs=1, batch_size=20)
    optimizer.state[model.unit]["exp_avg"].fill_(1e-40)
    kept = optimizer.state[model.linear.weight]["exp_avg"]
    assert (kept != 0).any()
    fit(model, stripes(), None, optimizer, epochs=1, batch_size=20)
    assert subnormals(optimizer) == 0 and (kept != 0).any()


def test_numbers_of_full_precision_and_counters_stay():
    weight = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.Adam([weight])
    optimizer.state[weight] = {
        "step": torch.tensor(3.0),
        "exp_avg": torch.tensor([TINY, -TINY, TINY / 2, -1e-45]),
        "n": 5,
    }
    zero_subnormals(optimizer)
    assert optimizer.state[weight]["exp_avg"].tolist() == [TINY, -TINY, 0, 0]
    assert optimizer.state[weight]["step"] == 3 and optimizer.state[weight]["n"] == 5
