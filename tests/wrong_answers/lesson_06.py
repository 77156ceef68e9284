"""Wrong answers to the exercises of lesson 06, each with a part of the hint that fits it."""

import tempfile
from collections.abc import Callable
from itertools import product

import numpy as np
import torch.nn.functional as F
from torch.utils.tensorboard import SummaryWriter

from helpers.data import normalize


def search(side: int, kernels: list[int], target: int, layer: Callable) -> set[tuple[int, ...]]:
    """Return the paddings from 0 to 2 that lead to a target; layer takes side, kernel and padding to the next side."""
    found = set()
    for paddings in product(range(3), repeat=len(kernels)):
        n = side
        for kernel, padding in zip(kernels, paddings, strict=True):
            n = layer(n, kernel, padding)
        if n == target:
            found.add(paddings)
    return found


def paddings_without_pooling(side, kernels, target):
    return search(side, kernels, target, lambda n, k, p: n + 2 * p - k + 1)


def paddings_without_rounding(side, kernels, target):
    return search(side, kernels, target, lambda n, k, p: (n + 2 * p - k + 1) / 2)


def padding_on_one_side(side, kernels, target):
    return search(side, kernels, target, lambda n, k, p: (n + p - k + 1) // 2)


def paddings_that_revive_a_vanished_map(side, kernels, target):
    return search(side, kernels, target, lambda n, k, p: (n + 2 * p - k + 1) // 2)


def paddings_with_rounding_up(side, kernels, target):
    return search(side, kernels, target, lambda n, k, p: -(-(n + 2 * p - k + 1) // 2))


def paddings_with_a_place_too_few(side, kernels, target):
    return search(side, kernels, target, lambda n, k, p: (n + 2 * p - k) // 2)


def paddings_with_the_pooling_first(side, kernels, target):
    return search(side, kernels, target, lambda n, k, p: n // 2 + 2 * p - k + 1)


def right_layer(n, k, p):
    return max(0, (n + 2 * p - k + 1) // 2) if n else 0


def first_paddings_alone(side, kernels, target):
    return sorted(search(side, kernels, target, right_layer))[:1]


def kernels_from_the_last_to_the_first(side, kernels, target):
    return search(side, kernels[::-1], target, right_layer)


def paddings_from_the_last_to_the_first(side, kernels, target):
    return [paddings[::-1] for paddings in search(side, kernels, target, right_layer)]


def paddings_of_a_side_that_is_never_put_back(side, kernels, target):
    found = []
    for paddings in product(range(3), repeat=len(kernels)):
        for kernel, padding in zip(kernels, paddings, strict=True):
            side = right_layer(side, kernel, padding)
        if side == target:
            found.append(paddings)
    return found


def paddings_found_twice(side, kernels, target):
    return 2 * sorted(search(side, kernels, target, right_layer))


def paddings_without_the_largest(side, kernels, target):
    return {paddings for paddings in search(side, kernels, target, right_layer) if 2 not in paddings}


def paddings_of_three_layers(side, kernels, target):
    return search(side, kernels[:3], target, right_layer)


def the_same_padding_in_each_layer(side, kernels, target):
    found = paddings_that_revive_a_vanished_map(side, kernels, target)
    return [paddings for paddings in found if len(set(paddings)) == 1]


def step_with_decay_after_momentum(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + gradient
    return weight - lr * (velocity + weight_decay * weight), velocity


def step_with_a_mean_of_gradients(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + (1 - momentum) * (gradient + weight_decay * weight)
    return weight - lr * velocity, velocity


def step_with_lr_in_the_velocity(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + lr * (gradient + weight_decay * weight)
    return weight - velocity, velocity


def step_with_decay_of_wrong_sign(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + gradient - weight_decay * weight
    return weight - lr * velocity, velocity


def step_without_decay(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + gradient
    return weight - lr * velocity, velocity


def step_along_the_old_velocity(weight, gradient, velocity, lr, momentum, weight_decay):
    return weight - lr * velocity, momentum * velocity + gradient + weight_decay * weight


def step_of_nesterov(weight, gradient, velocity, lr, momentum, weight_decay):
    gradient = gradient + weight_decay * weight
    velocity = momentum * velocity + gradient
    return weight - lr * (gradient + momentum * velocity), velocity


def step_with_the_results_swapped(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + gradient + weight_decay * weight
    return velocity, weight - lr * velocity


def step_uphill(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + gradient + weight_decay * weight
    return weight + lr * velocity, velocity


def step_that_forgets_the_velocity(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = gradient + weight_decay * weight
    return weight - lr * velocity, velocity


def step_with_momentum_of_the_sum(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = momentum * (velocity + gradient + weight_decay * weight)
    return weight - lr * velocity, velocity


def step_with_one_velocity_for_all(weight, gradient, velocity, lr, momentum, weight_decay):
    velocity = (momentum * velocity + gradient + weight_decay * weight).mean()
    return weight - lr * velocity, velocity


def log_with(model, loader, optimizer, epochs, log_dir, number, name="train_loss", zero_grad=True, value=None):
    losses = []
    with SummaryWriter(str(log_dir)) as writer:
        for epoch in range(epochs):
            for step, (images, labels) in enumerate(loader, start=1):
                loss = F.cross_entropy(model(normalize(images)), labels)
                if zero_grad:
                    optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                if number(epoch, step) is not None:
                    writer.add_scalar(name, value(losses) if value else loss.item(), number(epoch, step))
    return losses


def log_that_restarts_in_each_epoch(*arguments):
    return log_with(*arguments, number=lambda epoch, step: step)


def log_under_the_epoch(*arguments):
    return log_with(*arguments, number=lambda epoch, step: epoch)


def log_with_sums_that_collide(*arguments):
    return log_with(*arguments, number=lambda epoch, step: epoch + step)


def log_that_begins_at_zero(model, loader, *arguments):
    return log_with(model, loader, *arguments, number=lambda epoch, step: epoch * len(loader) + step - 1)


def log_that_skips_an_epoch(model, loader, *arguments):
    return log_with(model, loader, *arguments, number=lambda epoch, step: (epoch + 1) * len(loader) + step)


def log_under_another_name(model, loader, *arguments):
    return log_with(model, loader, *arguments, number=lambda epoch, step: epoch * len(loader) + step, name="loss")


def log_into_another_folder(model, loader, optimizer, epochs, log_dir):
    with tempfile.TemporaryDirectory() as another:
        return log_with(
            model, loader, optimizer, epochs, another, number=lambda epoch, step: epoch * len(loader) + step
        )


def log_of_the_last_batch_of_each_epoch(model, loader, *arguments):
    return log_with(model, loader, *arguments, number=lambda epoch, step: epoch + 1 if step == len(loader) else None)


def log_of_a_training_without_zero_grad(model, loader, *arguments):
    return log_with(model, loader, *arguments, number=lambda epoch, step: epoch * len(loader) + step, zero_grad=False)


def log_of_the_mean_so_far(model, loader, *arguments):
    def mean(losses):
        return sum(losses) / len(losses)

    return log_with(model, loader, *arguments, number=lambda epoch, step: epoch * len(loader) + step, value=mean)


def curves(labels, predictions, num_classes, summary):
    """Apply a summary of true positives, times predicted and images of each class to every epoch."""
    rows = []
    for row in predictions:
        hits = np.bincount(labels[row == labels], minlength=num_classes)
        called, images = np.bincount(row, minlength=num_classes), np.bincount(labels, minlength=num_classes)
        rows.append(summary(hits, called, images))
    return rows


def macro_as_micro(labels, predictions, num_classes):
    return curves(labels, predictions, num_classes, lambda hits, called, images: [hits.sum() / images.sum()] * 3)


def macro_weighted_by_the_images(labels, predictions, num_classes):
    def summary(hits, called, images):
        ratios = hits / np.maximum(called, 1), hits / np.maximum(images, 1), 2 * hits / np.maximum(called + images, 1)
        return [(images * ratio).sum() / images.sum() for ratio in ratios]

    return curves(labels, predictions, num_classes, summary)


def macro_with_half_of_f1(labels, predictions, num_classes):
    rows = curves(labels, predictions, num_classes, macro_summary)
    return [[precision, recall, f1 / 2] for precision, recall, f1 in rows]


def macro_with_f1_of_the_means(labels, predictions, num_classes):
    def summary(hits, called, images):
        p, r = (hits / np.maximum(called, 1)).mean(), (hits / np.maximum(images, 1)).mean()
        return [p, r, 2 * p * r / (p + r)]

    return curves(labels, predictions, num_classes, summary)


def macro_over_the_classes_that_occur(labels, predictions, num_classes):
    def summary(hits, called, images):
        hits, called, images = (count[(called + images) > 0] for count in (hits, called, images))
        p, r, f1 = hits / np.maximum(called, 1), hits / np.maximum(images, 1), 2 * hits / (called + images)
        return [p.mean(), r.mean(), f1.mean()]

    return curves(labels, predictions, num_classes, summary)


def macro_that_divides_by_zero(labels, predictions, num_classes):
    def summary(hits, called, images):
        return [(hits / called).mean(), (hits / images).mean(), (2 * hits / (called + images)).mean()]

    return curves(labels, predictions, num_classes, summary)


def macro_without_the_classes_never_called(labels, predictions, num_classes):
    def summary(hits, called, images):
        ratios = hits / called, hits / images, 2 * hits / (called + images)
        return [np.nanmean(ratio) for ratio in ratios]

    return curves(labels, predictions, num_classes, summary)


def macro_of_all_epochs_so_far(labels, predictions, num_classes):
    rows = []
    for number in range(1, len(predictions) + 1):
        so_far = np.tile(labels, number), predictions[:number].reshape(1, -1), num_classes
        rows += curves(*so_far, macro_summary)
    return rows


def macro_summary(hits, called, images):
    f1 = 2 * hits / np.maximum(called + images, 1)
    return [(hits / np.maximum(called, 1)).mean(), (hits / np.maximum(images, 1)).mean(), f1.mean()]


def macro_with_precision_and_recall_swapped(labels, predictions, num_classes):
    def summary(hits, called, images):
        f1 = 2 * hits / np.maximum(called + images, 1)
        return [(hits / np.maximum(images, 1)).mean(), (hits / np.maximum(called, 1)).mean(), f1.mean()]

    return curves(labels, predictions, num_classes, summary)


def readings(**changed):
    """Return the right names with some of them changed."""
    low, high = "learning rate too low", "learning rate too high"
    right = {"A": "labels shuffled", "B": high, "C": "sound"}
    return right | {"D": "vanishing gradient", "E": "zero_grad missing", "F": low} | changed


def read_any_stuck_loss_as_a_low_rate():
    return readings(A="learning rate too low", F="labels shuffled")


def read_slow_weights_without_the_gradients():
    return readings(D="learning rate too low", F="vanishing gradient")


def read_dead_relus_alone():
    return readings(B="zero_grad missing", E="learning rate too high")


def read_small_gradients_as_vanishing():
    return readings(A="vanishing gradient", D="labels shuffled")


def read_growing_norms_as_a_high_rate():
    return readings(A="zero_grad missing", E="learning rate too high", B="labels shuffled")


def read_a_small_first_layer_as_shuffled_labels():
    return readings(A="zero_grad missing", D="labels shuffled", E="vanishing gradient")


def read_slow_weights_as_vanishing():
    return readings(D="zero_grad missing", E="learning rate too low", F="vanishing gradient")


def read_a_level_loss_as_shuffled_labels():
    return readings(A="zero_grad missing", E="learning rate too low", F="labels shuffled")


def read_a_wild_loss_as_shuffled_labels():
    return readings(A="learning rate too high", B="labels shuffled")


def read_wild_losses_as_vanishing():
    return readings(B="vanishing gradient", D="learning rate too high")


def read_a_large_last_layer_as_piling():
    return readings(D="zero_grad missing", E="vanishing gradient")


def read_growing_norms_as_a_low_rate():
    return readings(E="learning rate too low", F="zero_grad missing")


def read_a_calm_run_as_sound():
    return readings(C="labels shuffled", A="sound")


def read_the_same_fault_twice():
    return readings(E="learning rate too high")


def read_five_runs_of_six():
    names = readings()
    del names["C"]
    return names


def read_with_names_of_its_own():
    return readings(D="gradients vanish")


WRONG = {
    "find_paddings": [
        (paddings_without_pooling, "does a pooling follow each convolution"),
        (paddings_without_rounding, "a whole number of rows"),
        (padding_on_one_side, "at how many ends of a row"),
        (paddings_that_revive_a_vanished_map, "a map without a pixel is gone"),
        (paddings_of_a_side_that_is_never_put_back, "does each begin with the image's side"),
        (paddings_of_three_layers, "one padding for each convolution"),
        (the_same_padding_in_each_layer, "have its own padding"),
        (paddings_with_rounding_up, "a new row of a single row"),
        (paddings_with_a_place_too_few, "at how many places does a kernel"),
        (paddings_with_the_pooling_first, "which comes first"),
        (first_paddings_alone, "end at the first hit"),
        (kernels_from_the_last_to_the_first, "in which order do the kernels"),
        (paddings_from_the_last_to_the_first, "which padding of a tuple"),
        (paddings_found_twice, "stand in the list twice"),
        (paddings_without_the_largest, "through the layers on paper"),
    ],
    "sgd_step": [
        (step_with_decay_after_momentum, "remember the pull of the decay"),
        (step_with_a_mean_of_gradients, "to what does v grow"),
        (step_with_lr_in_the_velocity, "is it part of v in section 3"),
        (step_with_decay_of_wrong_sign, "does your weight move towards zero"),
        (step_without_decay, "does a weight without a gradient stay"),
        (step_along_the_old_velocity, "do you step along the old one"),
        (step_of_nesterov, "Nesterov"),
        (step_with_the_results_swapped, "which of the two comes first"),
        (step_uphill, "does such a step go downhill"),
        (step_that_forgets_the_velocity, "has left no trace in yours"),
        (step_with_momentum_of_the_sum, "with the loop by hand in section 3"),
        (step_with_one_velocity_for_all, "the velocity keeps its shape"),
    ],
    "log_training": [
        (log_that_restarts_in_each_epoch, "where does your count begin again"),
        (log_under_the_epoch, "count batches, not epochs"),
        (log_with_sums_that_collide, "two batches share a step"),
        (log_that_begins_at_zero, "the very first batch is number 1"),
        (log_that_skips_an_epoch, "leaves gaps"),
        (log_under_another_name, "which name does the docstring give"),
        (log_into_another_folder, "nothing has reached the folder log_dir"),
        (log_of_the_last_batch_of_each_epoch, "how often does add_scalar run"),
        (log_of_a_training_without_zero_grad, "train as the cell above does"),
        (log_of_the_mean_so_far, "log what you return, batch by batch"),
    ],
    "macro_curves": [
        (macro_as_micro, "count for each class on its own"),
        (macro_weighted_by_the_images, "weigh more in your mean than a rare one"),
        (macro_with_half_of_f1, "work out one class alone"),
        (macro_with_f1_of_the_means, "which comes first for F1"),
        (macro_over_the_classes_that_occur, "a class that never occurs"),
        (macro_that_divides_by_zero, "0 divided by 0"),
        (macro_without_the_classes_never_called, "0 divided by 0"),
        (macro_of_all_epochs_so_far, "does something of it remain in the next"),
        (macro_with_precision_and_recall_swapped, "which is precision"),
    ],
    "read_instruments": [
        (read_any_stuck_loss_as_a_low_rate, "what, then, is there not to learn"),
        (read_slow_weights_without_the_gradients, "compare its first layer with its last"),
        (read_dead_relus_alone, "the very first point of its ratio"),
        (read_small_gradients_as_vanishing, "is the first layer further behind"),
        (read_growing_norms_as_a_high_rate, "its ratio begins like that of a sound run"),
        (read_a_small_first_layer_as_shuffled_labels, "how far apart are its two gradient norms"),
        (read_slow_weights_as_vanishing, "as far behind the last as in the sound run"),
        (read_a_level_loss_as_shuffled_labels, "beside the rule of thumb"),
        (read_a_wild_loss_as_shuffled_labels, "all its instruments look healthy but the loss"),
        (read_wild_losses_as_vanishing, "look at the first point of the ratio"),
        (read_a_large_last_layer_as_piling, "compare the gradient of the first layer with that of the last"),
        (read_growing_norms_as_a_low_rate, "what is added up that should not be"),
        (read_a_calm_run_as_sound, "in which run does the loss fall"),
        (read_the_same_fault_twice, "which of them fits the name better"),
        (read_five_runs_of_six, "one entry for each run"),
        (read_with_names_of_its_own, "letter by letter"),
    ],
}
