"""Wrong answers to the exercises of lesson 02, each with a part of the hint that fits it."""

import torch
import torch.nn.functional as F

from helpers.data import normalize


def of_truth(probabilities, labels):
    return probabilities[torch.arange(len(labels)), labels]


def loss_through_a_softmax_that_underflows(logits, labels):
    return -of_truth(logits.softmax(dim=1), labels).log()


def loss_with_a_ceiling(logits, labels):
    return -(of_truth(logits.softmax(dim=1), labels) + 1e-12).log()


def loss_shifted_in_one_part(logits, labels):
    return (logits - logits.max(dim=1, keepdim=True).values).exp().sum(dim=1).log() - of_truth(logits, labels)


def loss_as_a_mean(logits, labels):
    return F.cross_entropy(logits, labels)


def loss_without_minus(logits, labels):
    return of_truth(logits.log_softmax(dim=1), labels)


def loss_without_logarithm(logits, labels):
    return of_truth(logits.softmax(dim=1), labels)


def loss_as_what_is_missing_to_one(logits, labels):
    return 1 - of_truth(logits.softmax(dim=1), labels)


def loss_to_base_ten(logits, labels):
    return -of_truth(logits.softmax(dim=1), labels).log10()


def loss_to_base_two(logits, labels):
    return -of_truth(logits.softmax(dim=1), labels).log2()


def loss_of_the_answer(logits, labels):
    return -logits.softmax(dim=1).max(dim=1).values.log()


def loss_with_softmax_twice(logits, labels):
    return F.cross_entropy(logits.softmax(dim=1), labels, reduction="none")


def loss_of_the_other_classes(logits, labels):
    return -(1 - of_truth(logits.softmax(dim=1), labels)).log()


def loss_over_the_batch(logits, labels):
    return -of_truth(logits.log_softmax(dim=0), labels)


def backwards(x, W1, W2, labels, relu=True, mask=True, truth=1, mean=True):
    """Give the gradient of the first layer; the wrong answers leave something out."""
    before = x @ W1.T
    logits = (before.relu() if relu else before) @ W2.T
    of_logits = logits.softmax(dim=1) - truth * F.one_hot(labels, len(W2))
    of_hidden = of_logits / (len(x) if mean else 1) @ W2
    return (of_hidden * (before > 0) if mask else of_hidden).T @ x


def gradient_that_ignores_relu(*given):
    return backwards(*given, mask=False)


def gradient_of_a_linear_network(*given):
    return backwards(*given, relu=False, mask=False)


def gradient_of_the_sum(*given):
    return backwards(*given, mean=False)


def gradient_downhill(*given):
    return -backwards(*given)


def gradient_that_knows_no_labels(*given):
    return backwards(*given, truth=0)


def gradient_times_the_hidden_values(x, W1, W2, labels):
    hidden = (x @ W1.T).relu()
    of_logits = ((hidden @ W2.T).softmax(dim=1) - F.one_hot(labels, len(W2))) / len(x)
    return ((of_logits @ W2) * hidden).T @ x


def gradient_without_softmax(x, W1, W2, labels):
    before = x @ W1.T
    of_logits = (before.relu() @ W2.T - F.one_hot(labels, len(W2))) / len(x)
    return ((of_logits @ W2) * (before > 0)).T @ x


def gradient_of_the_second_layer(x, W1, W2, labels):
    hidden = (x @ W1.T).relu()
    of_logits = ((hidden @ W2.T).softmax(dim=1) - F.one_hot(labels, len(W2))) / len(x)
    return of_logits.T @ hidden


def gradient_of_the_classes_in_the_batch(x, W1, W2, labels):
    before = x @ W1.T
    of_logits = ((before.relu() @ W2.T).softmax(dim=1) - F.one_hot(labels)) / len(x)
    return ((of_logits @ W2) * (before > 0)).T @ x


def gradient_by_autograd(x, W1, W2, labels):
    W1.requires_grad_()
    F.cross_entropy((x @ W1.T).relu() @ W2.T, labels).backward()
    return W1.grad


def pieces(model, optimizer, images, labels, size, clear="once", move="once", share="part", mode="train", last=""):
    """Do one step in pieces; the wrong answers change when something is done, or the share of a piece."""
    if move == "first":
        optimizer.step()
    model.train(mode == "train")
    if clear == "once":
        optimizer.zero_grad()
    parts = list(zip(images.split(size), labels.split(size), strict=True))
    total = 0
    for x, y in parts:
        if clear == "each":
            optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        shares = {"part": len(y) / len(labels), "mean": 1 / len(parts), "none": 1, "sum": len(y), "full": len(y) / size}
        (loss * shares[share]).backward()
        total = total + (loss if last == "sum" else loss * len(y) / len(labels))
        if move == "each":
            optimizer.step()
    if move == "once":
        optimizer.step()
    return total if last == "tensor" else total.item()


def pieces_without_zero_grad(*given):
    return pieces(*given, clear="never")


def pieces_cleared_each_time(*given):
    return pieces(*given, clear="each")


def pieces_with_a_step_each(*given):
    return pieces(*given, move="each")


def pieces_that_never_step(*given):
    return pieces(*given, move="never")


def pieces_that_step_before_backward(*given):
    return pieces(*given, move="first")


def pieces_with_softmax_twice(model, *given):
    return pieces(torch.nn.Sequential(model, torch.nn.Softmax(dim=1)), *given)


def pieces_with_means_added_up(*given):
    return pieces(*given, share="none")


def pieces_that_count_alike(*given):
    return pieces(*given, share="mean")


def pieces_with_sums(*given):
    return pieces(*given, share="sum")


def pieces_as_shares_of_a_full_piece(*given):
    return pieces(*given, share="full")


def pieces_in_eval_mode(*given):
    return pieces(*given, mode="eval")


def pieces_that_return_the_sum(*given):
    return pieces(*given, last="sum")


def pieces_that_return_a_tensor(*given):
    return pieces(*given, last="tensor")


def pieces_with_one_backward_at_the_end(model, optimizer, images, labels, size):
    model.train()
    optimizer.zero_grad()
    parts = zip(images.split(size), labels.split(size), strict=True)
    loss = sum(F.cross_entropy(model(x), y, reduction="sum") for x, y in parts) / len(labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def as_many_pieces_as_a_piece_has_images(model, optimizer, images, labels, size):
    return pieces(model, optimizer, images, labels, len(images.chunk(size)[0]))


def the_whole_batch_at_once(model, optimizer, images, labels, size):
    return pieces(model, optimizer, images, labels, len(images))


def measure(model, loader, loss_of_batch=lambda logits, y: F.cross_entropy(logits, y, reduction="sum"), dim=1):
    """Measure rightly, but for a loss or a dimension that a wrong answer passes in."""
    model.eval()
    loss_sum, right, seen = 0.0, 0, 0
    with torch.inference_mode():
        for images, labels in loader:
            logits = model(normalize(images))
            loss_sum += loss_of_batch(logits, labels).item()
            right += (logits.argmax(dim=dim) == labels).sum().item()
            seen += len(labels)
    return loss_sum / seen, right / seen


def evaluate_not_repaired(model, loader):
    return measure(model, loader, lambda logits, y: F.cross_entropy(logits.softmax(dim=1), y, reduction="sum"))


def evaluate_without_logarithm(model, loader):
    return measure(model, loader, lambda logits, y: F.nll_loss(logits.softmax(dim=1), y, reduction="sum"))


def evaluate_that_adds_means(model, loader):
    return measure(model, loader, F.cross_entropy)


def evaluate_that_never_divides(model, loader):
    loss, accuracy = measure(model, loader)
    return loss * len(loader.dataset), accuracy


def evaluate_without_normalize(model, loader):
    model.eval()
    batches = [(model(images / 255), labels) for images, labels in loader]
    logits, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    return F.cross_entropy(logits, labels), (logits.argmax(dim=1) == labels).float().mean()


def evaluate_best_image_of_each_class(model, loader):
    return measure(model, loader, dim=0)


def evaluate_in_training_mode(model, loader):
    model.eval = model.train
    return measure(model, loader)


def evaluate_means_of_batches(model, loader):
    both = torch.tensor([measure(model, [batch]) for batch in loader]).mean(dim=0)
    return both[0], both[1]


def evaluate_accuracy_of_batches(model, loader):
    return measure(model, loader)[0], torch.tensor([measure(model, [batch])[1] for batch in loader]).mean()


def evaluate_share_of_errors(model, loader):
    loss, accuracy = measure(model, loader)
    return loss, 1 - accuracy


def evaluate_in_percent(model, loader):
    loss, accuracy = measure(model, loader)
    return loss, 100 * accuracy


def sure_and_right_too(labels, probabilities, k):
    return probabilities.max(dim=1).values.argsort(descending=True)[:k]


def places_among_the_mistakes(labels, probabilities, k):
    confidence, said = probabilities.max(dim=1)
    return confidence[said != labels].argsort(descending=True)[:k]


def least_sure_first(labels, probabilities, k):
    confidence, said = probabilities.max(dim=1)
    wrong = (said != labels).nonzero().flatten()
    return wrong[confidence[wrong].argsort()][:k]


def surest_mistakes_in_rising_order(labels, probabilities, k):
    confidence, said = probabilities.max(dim=1)
    wrong = (said != labels).nonzero().flatten()
    return wrong[confidence[wrong].argsort()][-k:]


def largest_lead_first(labels, probabilities, k):
    best = probabilities.topk(2).values
    wrong = (probabilities.argmax(dim=1) != labels).nonzero().flatten()
    return wrong[(best[:, 0] - best[:, 1])[wrong].argsort(descending=True)][:k]


def least_probable_truth(labels, probabilities, k):
    return probabilities[torch.arange(len(labels)), labels].argsort()[:k]


def mistakes_not_sorted(labels, probabilities, k):
    return (probabilities.argmax(dim=1) != labels).nonzero().flatten()[:k]


def padded_with_right_answers(labels, probabilities, k):
    confidence, said = probabilities.max(dim=1)
    return torch.where(said != labels, confidence, -confidence).argsort(descending=True)[:k]


def counts(batches, num_classes):
    """Count right answers, images and answers of each class."""
    labels, said = torch.cat([a for a, _ in batches]), torch.cat([b for _, b in batches])
    return [torch.bincount(part, minlength=num_classes) for part in (labels[labels == said], labels, said)]


def precision_instead_of_recall(batches, num_classes):
    hits, _, answers = counts(batches, num_classes)
    return hits / answers


def share_of_all_images(batches, num_classes):
    hits, images, _ = counts(batches, num_classes)
    return hits / images.sum()


def zero_for_a_missing_class(batches, num_classes):
    hits, images, _ = counts(batches, num_classes)
    return hits / images.clamp(min=1)


def minus_one_for_a_missing_class(batches, num_classes):
    hits, images, _ = counts(batches, num_classes)
    return (hits / images).nan_to_num(-1)


def recall_averaged_over_batches(batches, num_classes):
    return torch.stack([zero_for_a_missing_class([batch], num_classes) for batch in batches]).mean(dim=0)


def recall_of_the_last_batch(batches, num_classes):
    for batch in batches:
        hits, images, _ = counts([batch], num_classes)
    return hits / images


def f1_instead_of_recall(batches, num_classes):
    hits, images, answers = counts(batches, num_classes)
    return 2 * hits / (images + answers)


def only_classes_that_occur(batches, num_classes):
    hits, images, _ = counts(batches, num_classes)
    return (hits / images)[images > 0]


WRONG = {
    "loss_of_each": [
        (loss_through_a_softmax_that_underflows, "write ln p out before you compute p"),
        (loss_with_a_ceiling, "no loss passes this number"),
        (loss_shifted_in_one_part, "in one part of ln p only"),
        (loss_as_a_mean, "one loss for each image, not their mean"),
        (loss_without_minus, "a loss is not"),
        (loss_without_logarithm, "where is the logarithm"),
        (loss_as_what_is_missing_to_one, "1 - p can never pass 1"),
        (loss_to_base_ten, "logarithm to base 10"),
        (loss_to_base_two, "logarithm to base 2"),
        (loss_of_the_answer, "the answer, or the truth"),
        (loss_with_softmax_twice, "softmax twice"),
        (loss_over_the_batch, "over which dimension do the classes of one image run"),
        (loss_of_the_other_classes, "gives to the true class"),
    ],
    "gradient_of_first_layer": [
        (gradient_that_ignores_relu, "where ReLU gave 0"),
        (gradient_of_a_linear_network, "there is no ReLU in your network"),
        (gradient_of_the_sum, "what became of 1/N"),
        (gradient_downhill, "the gradient points uphill"),
        (gradient_that_knows_no_labels, "Nothing in your gradient knows the labels"),
        (gradient_times_the_hidden_values, "not its value"),
        (gradient_without_softmax, "gradient of the logits, of the hidden units"),
        (gradient_of_the_second_layer, "a gradient has the shape of its weights"),
        (gradient_of_the_classes_in_the_batch, "the error comes from the line"),
        (gradient_by_autograd, "the error comes from the line"),
    ],
    "step_in_pieces": [
        (pieces_without_zero_grad, "what becomes of those of the batch before"),
        (pieces_cleared_each_time, "when may they be cleared"),
        (pieces_with_a_step_each, "one step for the whole batch"),
        (pieces_that_never_step, "no weight has moved"),
        (pieces_that_step_before_backward, "which line must come before step()"),
        (pieces_with_softmax_twice, "take logits or probabilities"),
        (pieces_with_means_added_up, "they were added up"),
        (pieces_that_count_alike, "a short last piece counts as much"),
        (pieces_with_sums, "not their sum"),
        (pieces_as_shares_of_a_full_piece, "by their share of the batch"),
        (pieces_in_eval_mode, "which line switches it back, and when"),
        (pieces_that_return_the_sum, "the mean over all images of the batch"),
        (pieces_that_return_a_tensor, "such a tensor keeps all that led to it"),
        (pieces_with_one_backward_at_the_end, "it stays in memory until backward()"),
        (as_many_pieces_as_a_piece_has_images, "there is room for one piece"),
        (the_whole_batch_at_once, "there is room for one piece"),
    ],
    "evaluate": [
        (evaluate_not_repaired, "a sure and right answer is 1, 0, 0"),
        (evaluate_without_logarithm, "Where is the logarithm"),
        (evaluate_that_adds_means, "gives the mean of a batch"),
        (evaluate_that_never_divides, "the loss is a sum over all images"),
        (evaluate_without_normalize, "the cross-entropy of every image"),
        (evaluate_best_image_of_each_class, "the best image of each class"),
        (evaluate_in_training_mode, "dropout was on"),
        (evaluate_means_of_batches, "an image of the short last batch"),
        (evaluate_accuracy_of_batches, "an image of the short last batch"),
        (evaluate_in_percent, "not percent"),
        (evaluate_share_of_errors, "whose largest logit is that of their label"),
    ],
    "sure_and_wrong": [
        (sure_and_right_too, "right answers are among them"),
        (places_among_the_mistakes, "where are they in labels"),
        (least_sure_first, "in which direction does your sort run"),
        (surest_mistakes_in_rising_order, "put the most confident one first"),
        (largest_lead_first, "then sort them by confidence"),
        (least_probable_truth, "the probability of the true class"),
        (mistakes_not_sorted, "in their own order"),
        (padded_with_right_answers, "in one row; with 6 mistakes and k = 20"),
    ],
    "recall_by_class": [
        (precision_instead_of_recall, "that is precision"),
        (share_of_all_images, "you divide by all images"),
        (recall_averaged_over_batches, "in an average of batches"),
        (recall_of_the_last_batch, "of the last batch alone"),
        (f1_instead_of_recall, "right answers among its images"),
        (zero_for_a_missing_class, "were there any images of this class"),
        (minus_one_for_a_missing_class, "what is 0 / 0"),
        (only_classes_that_occur, "also for one that never occurs"),
    ],
}
