"""Wrong answers to the exercises of lesson 09, each with a part of the hint that fits it."""

import torch
import torch.nn.functional as F


def named(name, function):
    """Give a function the name of its mistake."""
    function.__name__ = name
    return function


def gap_alone(shallow, deep):
    return "overfits" if deep[1] - deep[0] > shallow[1] - shallow[0] else "better"


def validation_alone(shallow, deep):
    return "better" if deep[1] < shallow[1] else "overfits"


def training_first(shallow, deep):
    if deep[0] > shallow[0]:
        return "not trained"
    return "overfits" if deep[1] > shallow[1] else "better"


def words_by_training(shallow, deep):
    return "overfits" if deep[0] <= shallow[0] else "not trained"


def words_exchanged(shallow, deep):
    if deep[1] < shallow[1]:
        return "better"
    return "not trained" if deep[0] <= shallow[0] else "overfits"


JUDGES = {
    "equal_is_better": (lambda s, d: "better" if d[1] <= s[1] else words_by_training(s, d), "not a lower one"),
    "equal_is_worse": (
        lambda s, d: "better" if d[1] < s[1] else "overfits" if d[0] < s[0] else "not trained",
        "at least as well",
    ),
    "gap_alone": (gap_alone, "first compare the two validation losses"),
    "always_overfits": (lambda shallow, deep: "overfits", "first compare the two validation losses"),
    "validation_alone": (validation_alone, "on the images that it was trained on"),
    "gap_after_validation": (
        lambda s, d: "better" if d[1] < s[1] else "overfits" if d[1] - d[0] > s[1] - s[0] else "not trained",
        "a wide gap alone is no overfitting",
    ),
    "training_first": (training_first, "that is what counts in the end"),
    "words_exchanged": (words_exchanged, "fits its training images better and new ones worse"),
    "another_word": (lambda shallow, deep: "underfits", "one of the three words"),
    "true_or_false": (lambda shallow, deep: deep[1] < shallow[1], "one of the three words"),
}


def forward(parts, x):
    outputs = []
    for part in parts:
        x = part(x)
        outputs.append(x)
    return outputs


def by(measure, loss=F.cross_entropy, last=-1):
    """Answer with another measure of each gradient, another loss, or more outputs."""

    def output_gradients(parts, x, labels):
        outputs = forward(parts, x)
        gradients = torch.autograd.grad(loss(outputs[-1], labels), outputs[:last])
        return [measure(gradient) for gradient in gradients]

    return output_gradients


def norm(gradient):
    return gradient.norm().item()


def reversed_order(parts, x, labels):
    return by(norm)(parts, x, labels)[::-1]


def of_the_weights(parts, x, labels):
    weights = [next(part.parameters()) for part in parts]
    return [norm(g) for g in torch.autograd.grad(F.cross_entropy(forward(parts, x)[-1], labels), weights)][:-1]


def logits_too(parts, x, labels):
    return by(norm, last=None)(parts, x, labels)


def one_part_too_late(parts, x, labels):
    return by(norm, last=None)(parts, x, labels)[1:]


def outputs_themselves(parts, x, labels):
    return [norm(output) for output in forward(parts, x)[:-1]]


GRADIENTS = {
    "reversed_order": (reversed_order, "the order is that of the parts"),
    "of_the_weights": (of_the_weights, "these are gradients of the weights"),
    "logits_too": (logits_too, "leave it out"),
    "squared": (by(lambda gradient: gradient.square().sum().item()), "the root of the sum of squares"),
    "sum_of_sizes": (by(lambda gradient: gradient.abs().sum().item()), "not the sum"),
    "mean_over_the_images": (
        by(lambda gradient: gradient.norm(dim=1).mean().item()),
        "one norm for the whole tensor",
    ),
    "root_of_the_mean": (by(lambda gradient: gradient.square().mean().sqrt().item()), "not of their mean"),
    "sum_over_the_batch": (
        by(norm, lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum")),
        "the mean over the batch",
    ),
    "of_the_logits": (by(norm, lambda logits, labels: logits.sum()), "gradient of what"),
    "one_part_too_late": (one_part_too_late, "keep each output"),
    "outputs_themselves": (outputs_themselves, "these are the outputs themselves"),
    "one_number": (lambda parts, x, labels: sum(by(norm)(parts, x, labels)), "one number for each part"),
}


def block(combine, between=torch.relu):
    """Answer with another way to put the pieces of a block together."""

    def residual(x, first, second, projection):
        way = x if projection is None else projection(x)
        return combine(way, second(between(first(x))))

    return residual


BLOCKS = {
    "no_shortcut": (block(lambda way, change: torch.relu(change)), "nothing of x goes around"),
    "last_relu_forgotten": (block(lambda way, change: way + change), "a ReLU stands behind the sum"),
    "relu_before_the_sum": (block(lambda way, change: way + torch.relu(change)), "not before it"),
    "relu_between_forgotten": (
        block(lambda way, change: torch.relu(way + change), between=lambda maps: maps),
        "between the two convolutions",
    ),
    "relu_behind_the_second": (
        block(lambda way, change: torch.relu(way + torch.relu(change)), between=lambda maps: maps),
        "between the two convolutions",
    ),
    "relu_too_many": (block(lambda way, change: torch.relu(way + torch.relu(change))), "a ReLU too many"),
    "relu_on_the_shortcut": (block(lambda way, change: torch.relu(torch.relu(way) + change)), "no ReLU of its own"),
    "subtracted": (block(lambda way, change: torch.relu(way - change)), "adds to its input"),
    "multiplied": (block(lambda way, change: torch.relu(way * change)), "not multiplied"),
    "nothing_added": (block(lambda way, change: torch.relu(way)), "the convolutions add nothing"),
    "relu_before_the_block": (
        lambda x, first, second, projection: torch.relu(
            (projection(x) if projection else x) + second(torch.relu(first(torch.relu(x))))
        ),
        "x goes into the block as it is",
    ),
    "projection_forgotten": (
        lambda x, first, second, projection: torch.relu(x + second(torch.relu(first(x)))),
        "the error comes from the line",
    ),
}


def plan_cost(weights=None, bias=True, adds=None, rule=lambda s, k, p, stride: (s + 2 * p - k) // stride + 1):
    """Answer with another count of the weights, the biases or the places."""

    def cost(size, plan):
        parameters = total = 0
        first = size
        for i, o, k, p, s in plan:
            before, size = size, rule(size, k, p, s)
            number = (weights or (lambda i, o, k: k * k * i * o))(i, o, k)
            parameters += number + (o if bias else 0)
            right = k * k * i * o
            total += adds(right, o, before, size, first) if adds else right * size * size
        return parameters, total

    return cost


COSTS = {
    "biases_forgotten": (plan_cost(bias=False), "each output channel has a bias too"),
    "one_side_of_the_kernel": (plan_cost(weights=lambda i, o, k: k * i * o), "a kernel has rows and columns"),
    "one_input_channel": (plan_cost(weights=lambda i, o, k: k * k * o), "a slice for each input channel"),
    "one_bias_for_a_layer": (plan_cost(weights=lambda i, o, k: k * k * i * o + 1, bias=False), "weights, biases"),
    "size_of_the_image": (
        plan_cost(adds=lambda w, o, before, after, first: w * first**2),
        "the size of the maps changes on the way",
    ),
    "places_of_the_input": (
        plan_cost(adds=lambda w, o, before, after, first: w * before**2),
        "of the output, not of the input",
    ),
    "biases_multiplied": (
        plan_cost(adds=lambda w, o, before, after, first: (w + o) * after**2),
        "they multiply nothing",
    ),
    "one_row": (plan_cost(adds=lambda w, o, before, after, first: w * after), "a map has rows and columns"),
    "counted_twice": (plan_cost(adds=lambda w, o, before, after, first: 2 * w * after**2), "counts once"),
    "weights_used_once": (plan_cost(adds=lambda w, o, before, after, first: w), "used at many places"),
    "padding_once": (plan_cost(rule=lambda s, k, p, stride: (s + p - k) // stride + 1), "on both sides"),
    "stride_forgotten": (plan_cost(rule=lambda s, k, p, stride: s + 2 * p - k + 1), "leaves places out"),
    "stride_alone": (plan_cost(rule=lambda s, k, p, stride: s // stride), "not the stride alone"),
    "one_place_less": (plan_cost(rule=lambda s, k, p, stride: (s + 2 * p - k) // stride), "one place, not 0"),
    "rounded_up": (plan_cost(rule=lambda s, k, p, stride: -((k - 2 * p - s) // stride) + 1), "round down"),
    "exchanged": (lambda size, plan: plan_cost()(size, plan)[::-1], "the parameters come first"),
    "one_number": (lambda size, plan: plan_cost()(size, plan)[0], "return the parameters, then"),
}


def split(runs):
    return runs[runs["kind"] == "residual"], runs[runs["kind"] == "plain"]


def merged(on, result=None):
    """Answer with pairs that agree in some columns, and another summary of their differences."""

    def fair_difference(runs):
        residual, plain = split(runs)
        pairs = residual.merge(plain, on=on)
        differences = pairs["accuracy_x"] - pairs["accuracy_y"]
        return (result or (lambda d: d.mean()))(differences), len(pairs)

    return fair_difference


def all_runs(runs):
    residual, plain = split(runs)
    return residual["accuracy"].mean() - plain["accuracy"].mean(), len(residual.merge(plain, on=["depth", "seed"]))


def every_run_counted(runs):
    return merged(["depth", "seed"])(runs)[0], len(runs)


def row_by_row(runs):
    residual, plain = split(runs)
    number = min(len(residual), len(plain))
    differences = residual["accuracy"].to_numpy()[:number] - plain["accuracy"].to_numpy()[:number]
    return differences.mean(), merged(BOTH)(runs)[1]


def rows_counted(runs):
    return merged(BOTH)(runs)[0], min(map(len, split(runs)))


BOTH = ["depth", "seed"]
FAIR = {
    "seeds_mixed": (merged("depth"), "agree in the seed too"),
    "depths_mixed": (merged("seed"), "agree in the depth too"),
    "all_runs": (all_runs, "the means over all runs mix"),
    "every_run_counted": (every_run_counted, "these are all runs"),
    "both_runs_counted": (lambda runs: (merged(BOTH)(runs)[0], 2 * merged(BOTH)(runs)[1]), "of runs counts once"),
    "rows_counted": (rows_counted, "occur with both kinds"),
    "row_by_row": (row_by_row, "subtract within each pair"),
    "fractions": (merged(BOTH, lambda d: d.mean() / 100), "as the accuracies are given"),
    "sign_turned": (merged(BOTH, lambda d: -d.mean()), "the sign"),
    "sizes_only": (merged(BOTH, lambda d: d.abs().mean()), "counts as negative"),
    "sum_of_differences": (merged(BOTH, lambda d: d.sum()), "not yet their mean"),
    "median": (merged(BOTH, lambda d: d.median()), "not the median"),
    "number_alone": (lambda runs: merged(BOTH)(runs)[0], "then the pairs"),
}
TABLES = {
    "judge": JUDGES,
    "output_gradients": GRADIENTS,
    "residual": BLOCKS,
    "cost": COSTS,
    "fair_difference": FAIR,
}
WRONG = {
    check: [(named(name, function), hint) for name, (function, hint) in table.items()]
    for check, table in TABLES.items()
}
