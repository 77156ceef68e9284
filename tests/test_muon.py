"""Muon: what orthogonalising changes in a matrix, and that all else is plain SGD."""

import pytest
import torch
from torch import nn

from helpers import models
from helpers.muon import Muon, make_muon, orthogonalize


@pytest.mark.parametrize("shape", [(16, 9), (48, 144), (96, 432)])
def test_orthogonalize_evens_out_the_singular_values_and_keeps_the_singular_vectors(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    before, (left, values, right) = matrix.clone(), torch.linalg.svd(matrix, full_matrices=False)
    seen = left.T @ orthogonalize(matrix) @ right.T
    assert torch.equal(matrix, before)
    assert values.max() / values.min() > 1.5
    assert seen.diagonal().min() > 0.6 and seen.diagonal().max() < 1.3
    assert (seen - seen.diagonal().diag()).abs().max() < 1e-3


def test_orthogonalize_leaves_zeros_and_does_not_care_for_scale():
    torch.manual_seed(0)
    matrix = torch.randn(6, 20)
    assert torch.equal(orthogonalize(torch.zeros(4, 9)), torch.zeros(4, 9))
    assert torch.allclose(orthogonalize(1000 * matrix), orthogonalize(matrix), atol=1e-4)


def steps_of(optimizer, weight, gradients):
    """Return the weight after each of the given gradients."""
    seen = []
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        seen.append(weight.detach().clone())
    return seen


def test_a_group_that_is_not_orthogonal_is_updated_as_by_sgd_with_nesterov_momentum():
    torch.manual_seed(0)
    start, gradients = torch.randn(5, 4), torch.randn(3, 5, 4)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    groups = [{"params": [ours], "lr": 0.1, "orthogonal": False}]
    seen = steps_of(Muon(groups, momentum=0.8, weight_decay=0.01), ours, gradients)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01)
    assert torch.allclose(torch.stack(seen), torch.stack(steps_of(sgd, theirs, gradients)), atol=1e-6)


def test_an_orthogonal_group_steps_along_the_orthogonal_form_of_the_nesterov_direction():
    torch.manual_seed(0)
    start, (first, second) = torch.randn(6, 2, 3, 3), torch.randn(2, 6, 2, 3, 3)
    weight = nn.Parameter(start.clone(memory_format=torch.channels_last))
    optimizer = Muon([{"params": [weight], "lr": 0.5, "orthogonal": True}], momentum=0.9, weight_decay=1.0)
    one, two = steps_of(optimizer, weight, (first, second))
    assert torch.allclose(one, start - 0.5 * orthogonalize(1.9 * first.reshape(6, 18)).reshape(start.shape), atol=1e-5)
    direction = 0.9 * first + second
    update = orthogonalize((second + 0.9 * direction).reshape(6, 18)).reshape(start.shape)
    assert torch.allclose(two, one - 0.5 * update, atol=1e-5)
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_a_filter_without_a_gradient_leaves_zeros_and_no_subnormal_numbers():
    torch.manual_seed(0)
    weight, gradient = nn.Parameter(torch.randn(6, 2, 3, 3)), torch.randn(6, 2, 3, 3)
    optimizer = Muon([{"params": [weight], "lr": 0.01, "orthogonal": True}], momentum=0.9)
    steps_of(optimizer, weight, [gradient])
    gradient[0] = 0
    steps_of(optimizer, weight, [gradient] * 1000)
    direction = optimizer.state[weight]["momentum_buffer"]
    assert (direction[0] == 0).all() and (direction[1:] != 0).all()


def test_make_muon_takes_every_parameter_once_and_leaves_the_last_layer_to_sgd():
    model = models.LeanCNN()
    orthogonal, other = make_muon(model, 0.05, 0.2, 0.9, 5e-4).param_groups
    assert [weight.shape[0] for weight in orthogonal["params"]] == [16, 48, 96]
    assert (orthogonal["lr"], orthogonal["orthogonal"]) == (0.05, True)
    assert (other["lr"], other["orthogonal"], other["momentum"], other["weight_decay"]) == (0.2, False, 0.9, 5e-4)
    taken = [id(parameter) for parameter in [*orthogonal["params"], *other["params"]]]
    assert sorted(taken) == sorted(id(parameter) for parameter in model.parameters())
