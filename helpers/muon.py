"""Muon, the optimizer of the fastest recipe: the update of each convolution is made orthogonal before it is applied."""

import torch
import torch.nn.functional as F
from torch import nn


def orthogonalize(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Bring all singular values of a matrix near 1 and leave its singular vectors as they are.

    A polynomial of odd degree changes the singular values alone. Applied five times, this one (Jordan et al., "Muon",
    2024) moves every value that is not tiny to between about 0.7 and 1.2, with products of matrices only.

    Parameters
    ----------
    matrix : torch.Tensor
        float32, shape (rows, columns).
    iterations : int
        How often the polynomial is applied.

    Returns
    -------
    torch.Tensor
        float32, the same shape. A matrix of zeros stays one.
    """
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T  # the smaller product of the matrix with itself
    wide = wide / (wide.norm() + 1e-7)  # no singular value is above 1
    for _ in range(iterations):
        product = wide @ wide.T
        # addmm(a, b, c, beta=s, alpha=t) is s a + t b c in one pass; this runs in every training step.
        change = torch.addmm(product, product, product, beta=-4.7750, alpha=2.0315)
        wide = torch.addmm(wide, change, wide, beta=3.4445)
    return wide if len(matrix) <= matrix.shape[1] else wide.T


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum, in which groups marked `orthogonal` make their update orthogonal.

    PyTorch's own `torch.optim.Muon` takes matrices only. Here the weight of a convolution, (out, in, height, width), is
    read as a matrix of `out` rows. Source: Jordan et al., "Muon: An optimizer for hidden layers", 2024.

    Parameters
    ----------
    groups : list of dict
        Each with `params`, `lr` and `orthogonal` (bool).
    momentum : float
        Share of the momentum buffer that is kept from step to step, 0 to 1.
    weight_decay : float
        Added to the gradients of the groups that are not orthogonal, as in `torch.optim.SGD`.
    """

    def __init__(self, groups: list[dict], momentum: float, weight_decay: float = 0.0):
        super().__init__(groups, {"momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                gradient = weight.grad
                if not group["orthogonal"]:
                    gradient = gradient.add(weight, alpha=group["weight_decay"])
                buffer = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
                buffer.mul_(group["momentum"]).add_(gradient)
                # The buffer of a filter that gets no gradient any more shrinks until its numbers, or their squares, are
                # subnormal (below 1.2e-38). A processor computes with such numbers many times more slowly.
                buffer.copy_(F.hardshrink(buffer, 1e-18))  # to 0 what is smaller
                update = gradient.add(buffer, alpha=group["momentum"])
                if group["orthogonal"]:
                    update = orthogonalize(update.flatten(start_dim=1)).reshape(weight.shape)
                weight.sub_(update, alpha=group["lr"])


def make_muon(model: nn.Module, lr: float, other_lr: float, momentum: float, weight_decay: float) -> Muon:
    """Return Muon with orthogonal updates for the convolutions, and SGD for the last layer, biases and batch norm.

    Parameters
    ----------
    model : nn.Module
        Its last weight is taken for the layer that gives the logits.
    lr, other_lr : float
        Learning rates of the orthogonal updates and of SGD.
    momentum, weight_decay : float
        As for `Muon`.
    """
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    convolutions = [weight for weight in weights[:-1] if weight.ndim == 4]
    taken = {id(weight) for weight in convolutions}
    others = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    groups = [
        {"params": convolutions, "lr": lr, "orthogonal": True},
        {"params": others, "lr": other_lr, "orthogonal": False},
    ]
    return Muon(groups, momentum, weight_decay)
