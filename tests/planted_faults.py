"""Faults that the suite must catch; `test_planted_faults.py` plants them one at a time."""

from typing import NamedTuple


class Fault(NamedTuple):
    """A text in a file of helpers/, what replaces it, and the test that must notice."""

    what: str
    file: str
    old: str
    new: str
    test: str


SUMS = """\
        seen.loss += batch_loss * len(labels)
        seen.right += (outputs.argmax(dim=1) == labels).sum().item()
        seen.images += len(labels)
"""
AVERAGES = """\
        seen.loss += batch_loss
        seen.right += (outputs.argmax(dim=1) == labels).float().mean().item()
        seen.images += 1
"""
ARGUMENTS = """\
        labels,
        predictions,
        labels=range(config.NUM_CLASSES),
"""
SWAPPED_ARGUMENTS = """\
        predictions,
        labels,
        labels=range(config.NUM_CLASSES),
"""
FAULTS = [
    Fault(
        "labels shuffled when a split is loaded",
        "data.py",
        "TensorDataset(images[chosen], labels[chosen])",
        "TensorDataset(images[chosen], labels[chosen][torch.randperm(len(chosen))])",
        "test_data.py::test_load_split_gives_disjoint_parts_with_their_own_labels",
    ),
    Fault(
        "labels shuffled within a batch",
        "training.py",
        "images, labels = images.to(device), labels.to(device)",
        "images, labels = images.to(device), labels[torch.randperm(len(labels))].to(device)",
        "test_training.py::test_fit_learns_and_measures_on_images_it_has_not_seen",
    ),
    Fault(
        "no optimizer step",
        "training.py",
        "        optimizer.step()\n",
        "",
        "test_training.py::test_fit_learns_and_measures_on_images_it_has_not_seen",
    ),
    Fault(
        "gradients never set back",
        "training.py",
        "        optimizer.zero_grad()\n",
        "",
        "test_training.py::test_gradients_do_not_pile_up_over_batches",
    ),
    Fault(
        "eval() forgotten, seen by the mode",
        "evaluation.py",
        "    model.eval()\n",
        "",
        "test_evaluation.py::test_predict_evaluates_in_eval_mode_and_leaves_the_mode_as_it_was",
    ),
    Fault(
        "eval() forgotten, seen by the result",
        "evaluation.py",
        "    model.eval()\n",
        "",
        "test_evaluation.py::test_predict_does_not_depend_on_the_batch_size_even_with_dropout_and_batch_norm",
    ),
    Fault(
        "train() forgotten",
        "training.py",
        "    model.train()\n",
        "",
        "test_training.py::test_each_epoch_trains_in_train_mode_and_measures_in_eval_mode",
    ),
    Fault(
        "training figures averaged over batches",
        "training.py",
        SUMS,
        AVERAGES,
        "test_training.py::test_figures_are_sums_over_samples_when_the_last_batch_is_smaller",
    ),
    Fault(
        "validation accuracy averaged over batches",
        "evaluation.py",
        "return float((labels == predictions).mean())",
        "return float(np.mean([(labels == predictions)[i : i + 4].mean() for i in range(0, len(labels), 4)]))",
        "test_evaluation.py::test_accuracy_is_right_samples_over_all_samples",
    ),
    Fault(
        "softmax over the wrong axis",
        "evaluation.py",
        "softmax(dim=1)",
        "softmax(dim=0)",
        "test_evaluation.py::test_probabilities_of_each_sample_sum_to_one",
    ),
    Fault(
        "log-softmax over the wrong axis",
        "models.py",
        "F.log_softmax(self.fc2(x), dim=1)",
        "F.log_softmax(self.fc2(x), dim=0)",
        "test_models.py::test_fashion_net_returns_log_probabilities_and_drops_a_quarter_and_a_half",
    ),
    Fault(
        "confusion matrix transposed in the pairs",
        "evaluation.py",
        "errors = confusion_matrix(labels, predictions,",
        "errors = confusion_matrix(predictions, labels,",
        "test_evaluation.py::test_confused_pairs_name_the_true_class_first",
    ),
    Fault(
        "confusion matrix transposed in the table",
        "evaluation.py",
        "matrix.sum(axis=1)",
        "matrix.sum(axis=0)",
        "test_evaluation.py::test_per_class_table_counts_errors_by_true_class",
    ),
    Fault(
        "confusion matrix transposed in the figure",
        "plotting.py",
        ARGUMENTS,
        SWAPPED_ARGUMENTS,
        "test_plotting.py::test_confusion_matrix_has_true_classes_as_rows_and_predicted_as_columns",
    ),
    Fault(
        "precision and recall swapped",
        "evaluation.py",
        "precision, recall, f1, images =",
        "recall, precision, f1, images =",
        "test_evaluation.py::test_per_class_table_counts_errors_by_true_class",
    ),
    Fault(
        "overlapping splits",
        "data.py",
        "return torch.from_numpy(train_indices).sort().values,",
        "return torch.arange(len(train_indices)),",
        "test_data.py::test_split_overlaps_nowhere_and_covers_everything",
    ),
    Fault(
        "splits not stratified",
        "data.py",
        "        stratify=labels.numpy(),\n",
        "",
        "test_data.py::test_split_gives_each_class_its_share",
    ),
    Fault(
        "validation taken from the training part",
        "data.py",
        "else validation_indices",
        "else train_indices[:validation_size]",
        "test_data.py::test_load_split_gives_disjoint_parts_with_their_own_labels",
    ),
    Fault(
        "validation figures measured on the training images",
        "training.py",
        "try:\n                    figures = evaluate(model, validation,",
        "try:\n                    figures = evaluate(model, train,",
        "test_training.py::test_validation_figures_come_from_the_validation_images",
    ),
    Fault(
        "class names out of order",
        "config.py",
        '    "Pullover",\n    "Dress",\n',
        '    "Dress",\n    "Pullover",\n',
        "test_data.py::test_class_names_are_in_the_order_of_torchvision",
    ),
    Fault(
        "normalisation left out of training",
        "training.py",
        "normalize(images).contiguous",
        "images.float().contiguous",
        "test_training.py::test_training_images_are_normalised_and_all_shown",
    ),
    Fault(
        "normalisation left out of predict",
        "evaluation.py",
        "normalize(images.to(device)).contiguous",
        "images.to(device).float().contiguous",
        "test_evaluation.py::test_predict_normalises_the_images",
    ),
    Fault(
        "mean not subtracted",
        "data.py",
        "(images.float() / 255 - TRAIN_MEAN) / TRAIN_STD",
        "images.float() / 255 / TRAIN_STD",
        "test_data.py::test_normalize_scales_by_the_constants_of_the_training_part",
    ),
    Fault(
        "training images not shuffled",
        "training.py",
        "shuffle=True",
        "shuffle=False",
        "test_training.py::test_training_images_are_normalised_and_all_shown",
    ),
    Fault(
        "seed not set",
        "training.py",
        "        set_seed(seed)\n",
        "",
        "test_training.py::test_seed_alone_decides_the_order_and_the_dropout",
    ),
    Fault(
        "test set opened without a reason",
        "data.py",
        "if not reason.strip():",
        "if reason is None:",
        "test_data.py::test_test_set_stays_closed_without_a_reason",
    ),
    Fault(
        "interval of another confidence level",
        "evaluation.py",
        "confidence_level=0.95",
        "confidence_level=0.90",
        "test_evaluation.py::test_accuracy_interval_is_wilsons",
    ),
    Fault(
        "false claims let through",
        "results.py",
        "    elif holds:\n",
        "    elif True:\n",
        "test_results.py::test_a_false_claim_is_told_with_its_numbers_and_stops_no_full_run",
    ),
    Fault(
        "a slider that the drawing ignores",
        "widgets.py",
        "softmax_with_temperature(logits[image], temperature)",
        "softmax_with_temperature(logits[image], 1.0)",
        "test_widgets.py::test_a_control_that_moves_draws_the_new_value[temperature]",
    ),
    Fault(
        "one-cycle schedule never stepped",
        "training.py",
        "            batch_scheduler.step()\n",
        "            pass\n",
        "test_recipes.py::test_the_learning_rate_rises_over_a_quarter_of_the_batches_and_falls_to_nothing",
    ),
    Fault(
        "images flipped upside down",
        "augment.py",
        "torch.where(mirrored, images.flip(3), images)",
        "torch.where(mirrored, images.flip(2), images)",
        "test_augment.py::test_random_flip_leaves_each_image_or_mirrors_it_left_to_right",
    ),
    Fault(
        "all images of a batch shifted alike",
        "augment.py",
        "top = torch.randint(2 * padding + 1, (number, 1, 1), device=device)",
        "top = torch.randint(2 * padding + 1, (1, 1, 1), device=device).expand(number, 1, 1)",
        "test_augment.py::test_random_shift_moves_each_image_as_a_whole_and_reaches_every_place",
    ),
    Fault(
        "validation images augmented too",
        "training.py",
        "predict(model, validation)",
        "predict(model, TensorDataset(255 - validation.tensors[0], validation.tensors[1]))",
        "test_training.py::test_augment_changes_the_training_images_and_leaves_the_validation_images",
    ),
    Fault(
        "mirror image left out at test time",
        "augment.py",
        "for mirrored in (view, view.flip(3)):",
        "for mirrored in (view, view):",
        "test_augment.py::test_predict_tta_averages_the_probabilities_of_image_and_mirror_image",
    ),
    Fault(
        "momentum left to shrink for ever",
        "muon.py",
        "F.hardshrink(buffer, 1e-18)",
        "buffer",
        "test_muon.py::test_a_filter_without_a_gradient_leaves_zeros_and_no_subnormal_numbers",
    ),
    Fault(
        "labels of another training replayed",
        "replay.py",
        "digest(*images.tensors)",
        "digest(images.tensors[0])",
        "test_replay.py::test_other_images_or_labels_are_not_replayed",
    ),
    Fault(
        "network with other code replayed",
        "replay.py",
        '"\\n".join([layers, *methods])',
        "layers",
        "test_replay.py::test_another_network_of_that_name_is_not_replayed",
    ),
    Fault(
        "training that ends lower than its recording accepted",
        "replay.py",
        "if abs(here - there) > spread",
        "if here - there > spread",
        "test_replay.py::test_a_run_is_compared_with_the_recordings",
    ),
    Fault(
        "experiment with other settings replayed",
        "experiments.py",
        "describe(dict(call.arguments), function.__globals__, set())",
        "describe({}, function.__globals__, set())",
        "test_experiments.py::test_another_call_runs",
    ),
    Fault(
        "experiment on other images replayed",
        "experiments.py",
        '"\\n".join([code_of(function), *around])',
        "code_of(function)",
        "test_experiments.py::test_values_of_each_kind_are_told_apart",
    ),
    Fault(
        "experiment with other code replayed",
        "experiments.py",
        "if inspect.isfunction(wrapped) and wrapped.__globals__ is lesson:",
        "if False:",
        "test_experiments.py::test_other_code_runs",
    ),
    Fault(
        "second dropout left out",
        "models.py",
        "        x = self.dropout2(x)\n",
        "",
        "test_models.py::test_in_training_mode_outputs_gradients_and_running_statistics_are_plain_arithmetic[FashionNet]",
    ),
    Fault(
        "running statistics that follow at another pace",
        "models.py",
        "nn.BatchNorm2d(out_channels)]",
        "nn.BatchNorm2d(out_channels, momentum=0.2)]",
        "test_models.py::test_in_training_mode_outputs_gradients_and_running_statistics_are_plain_arithmetic[BatchNormCNN]",
    ),
    Fault(
        "seed that does not reach the order",
        "training.py",
        "make_loader(train, batch_size, shuffle=True, seed=seed)",
        "make_loader(train, batch_size, shuffle=True)",
        "test_training.py::test_the_seed_decides_the_order_of_the_images_by_itself",
    ),
    Fault(
        "seed that does not reach the dropout",
        "training.py",
        "set_seed(seed)",
        "set_seed()",
        "test_training.py::test_the_seed_decides_the_dropout_and_the_changed_images_by_itself",
    ),
    Fault(
        "results kept by model alone",
        "results.py",
        '(old["lesson"], old.get(kind)) != key',
        "old.get(kind) != key[1]",
        "test_results.py::test_the_same_model_in_two_lessons_and_two_models_of_a_lesson_all_stay",
    ),
    Fault(
        "images that are scaled already let through",
        "inputs.py",
        "images.dtype == torch.uint8 and images.shape[1:] == (1, 28, 28)",
        "images.shape[1:] == (1, 28, 28)",
        "test_inputs.py::test_images_that_are_normalised_already_are_refused_everywhere",
    ),
    Fault(
        "columns of labels let through",
        "inputs.py",
        "if array.ndim == 1 and array.size and array.dtype.kind",
        "if array.size and array.dtype.kind",
        "test_inputs.py::test_labels_that_are_no_class_numbers_of_the_same_samples_are_refused",
    ),
    Fault(
        "optimizer over another model let through",
        "inputs.py",
        "    if not held & own or (",
        "    if held is None or (False and ",
        "test_inputs.py::test_an_optimizer_over_another_model_is_refused",
    ),
]
