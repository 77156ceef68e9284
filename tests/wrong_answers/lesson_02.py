"""Wrong answers to the exercises of lesson 02, each with a part of the hint that fits it."""

import torch
import torch.nn.functional as F

from helpers.data import normalize


def softmax_over_the_batch(logits):
    return logits.softmax(dim=0)


def softmax_that_overflows(logits):
    return logits.exp() / logits.exp().sum(dim=1, keepdim=True)


def softmax_with_one_maximum_for_all(logits):
    shifted = logits - logits.max()
    return shifted.exp() / shifted.exp().sum(dim=1, keepdim=True)


def softmax_without_keepdim(logits):
    return logits.exp() / logits.exp().sum(dim=1)


def softmax_over_everything(logits):
    return logits.exp() / logits.exp().sum()


def softmax_without_exp(logits):
    return logits / logits.sum(dim=1, keepdim=True)


def step(model, optimizer, images, labels, lines="train forward clear backward move", loss_function=F.cross_entropy):
    """Do one step line by line; the wrong answers change the lines or the loss."""
    for line in lines.split():
        if line == "forward":
            loss = loss_function(model(images), labels)
        elif line == "backward":
            loss.backward()
        else:
            {"train": model.train, "clear": optimizer.zero_grad, "move": optimizer.step}[line]()
    return loss


def step_without_zero_grad(*batch):
    return step(*batch, "train forward backward move").item()


def step_that_never_steps(*batch):
    return step(*batch, "train forward clear backward").item()


def step_before_backward(*batch):
    return step(*batch, "train forward clear move backward").item()


def step_with_the_gradients_of_the_batch_before(*batch):
    return step(*batch, "train move forward clear backward").item()


def step_that_clears_after_backward(*batch):
    return step(*batch, "train forward backward clear move").item()


def step_in_eval_mode(*batch):
    return step(*batch, "forward clear backward move").item()


def step_with_softmax_before_cross_entropy(*batch):
    return step(*batch, loss_function=lambda outputs, y: F.cross_entropy(outputs.softmax(dim=1), y)).item()


def step_with_the_sum_of_the_losses(*batch):
    return step(*batch, loss_function=lambda outputs, y: F.cross_entropy(outputs, y, reduction="sum")).item()


def step_with_an_optimizer_of_its_own(model, optimizer, images, labels):
    return step(model, torch.optim.Adam(model.parameters(), lr=0.2), images, labels).item()


def step_that_returns_the_sum(*batch):
    return step(*batch).item() * len(batch[-1])


def step_that_returns_the_loss_afterwards(model, optimizer, images, labels):
    step(model, optimizer, images, labels)
    return F.cross_entropy(model(images), labels).item()


def step_that_returns_a_tensor(*batch):
    return step(*batch)


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


def recall_averaged_over_batches(batches, num_classes):
    return torch.stack([zero_for_a_missing_class([batch], num_classes) for batch in batches]).mean(dim=0)


def only_classes_that_occur(batches, num_classes):
    hits, images, _ = counts(batches, num_classes)
    return (hits / images)[images > 0]


WRONG = {
    "softmax": [
        (softmax_over_the_batch, "your columns sum to 1"),
        (softmax_that_overflows, "exp of a large number is infinite"),
        (softmax_with_one_maximum_for_all, "0/0 is NaN; what may each row take away"),
        (softmax_without_keepdim, "what does keepdim=True do to a sum's shape"),
        (softmax_over_everything, "all rows together sum to 1"),
        (softmax_without_exp, "each probability is exp(logit)"),
    ],
    "training_step": [
        (step_without_zero_grad, "what becomes of those of the batch before"),
        (step_with_softmax_before_cross_entropy, "logits or probabilities"),
        (step_with_the_sum_of_the_losses, "not their sum"),
        (step_that_never_steps, "which line moves them"),
        (step_before_backward, "does it come after backward()"),
        (step_with_the_gradients_of_the_batch_before, "moved by the gradients of the batch before"),
        (step_that_clears_after_backward, "step() found no gradients"),
        (step_in_eval_mode, "which line switches it back, and when"),
        (step_with_an_optimizer_of_its_own, "the optimizer that is passed in"),
        (step_that_returns_the_sum, "the mean over the batch"),
        (step_that_returns_the_loss_afterwards, "which loss did backward() start from"),
        (step_that_returns_a_tensor, "such a tensor keeps all that led to it"),
    ],
    "evaluate": [
        (evaluate_not_repaired, "a sure and right answer is 1, 0, 0"),
        (evaluate_without_logarithm, "Where is the logarithm"),
        (evaluate_that_adds_means, "gives the mean of a batch"),
        (evaluate_best_image_of_each_class, "the best image of each class"),
        (evaluate_in_training_mode, "dropout was on"),
        (evaluate_means_of_batches, "an image of the short last batch"),
        (evaluate_accuracy_of_batches, "an image of the short last batch"),
        (evaluate_in_percent, "not percent"),
    ],
    "sure_and_wrong": [
        (sure_and_right_too, "right answers are among them"),
        (places_among_the_mistakes, "where are they in labels"),
        (least_sure_first, "in which direction does your sort run"),
        (least_probable_truth, "the probability of the true class"),
        (mistakes_not_sorted, "in their own order"),
        (padded_with_right_answers, "in one row; with 6 mistakes and k = 20"),
    ],
    "recall_by_class": [
        (precision_instead_of_recall, "that is precision"),
        (share_of_all_images, "you divide by all images"),
        (recall_averaged_over_batches, "in an average of batches"),
        (zero_for_a_missing_class, "were there any images of this class"),
        (only_classes_that_occur, "also for one that never occurs"),
    ],
}
