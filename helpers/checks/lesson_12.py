"""Checks of the exercises of lesson 12: noise by a matrix, a split without copies, broken audits, kappa, a control."""

from collections.abc import Callable

import numpy as np
import torch

from helpers.checks.tools import UNREADABLE, as_number, as_tensor, call, cross, first_hint, short, tick


def noise_by_matrix(answer: Callable) -> None:
    """Check labels drawn from the rows of a noise matrix."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 10, (6000,), generator=generator)
    ring = np.roll(np.eye(10), 1, axis=1)  # each class surely becomes the next
    for name, matrix, expected in [("no noise", np.eye(10), labels), ("each class becomes the next", ring, None)]:
        expected = (labels + 1) % 10 if expected is None else expected
        given = labels.clone()
        seen = _labels(f"noise_by_matrix ({name})", _call_on_these(answer, given, matrix), expected)
        if not torch.equal(seen, expected):
            wrong = int((seen != expected).nonzero()[0, 0])
            turned = torch.equal(seen, (labels - 1) % 10)
            hint = (
                "the row is the true class, the column what it becomes" if turned else "draw from the label's own row"
            )
            what = f"noise_by_matrix ({name}), what becomes of label {labels[wrong]}"
            raise cross(what, int(seen[wrong]), int(expected[wrong]), hint)
        if not torch.equal(given, labels):
            hint = "a changed copy is wanted; without the old labels nobody knows the truth any more"
            raise cross("the labels that you were given, afterwards", "changed", "as they were", hint)
    matrix = 0.7 * np.eye(10) + 0.3 * ring
    matrix[6] = np.eye(10)[0]
    matrix[2] = 0.5 * np.eye(10)[2] + 0.3 * np.eye(10)[3] + 0.2 * np.eye(10)[8]
    given = labels.clone()
    first = _labels("noise_by_matrix (30 % become the next)", _call_on_these(answer, given, matrix), labels)
    if not torch.equal(given, labels):
        hint = "a changed copy is wanted; without the old labels nobody knows the truth any more"
        raise cross("the labels that you were given, afterwards", "changed", "as they were", hint)
    again = _labels("noise_by_matrix, the same seed", call(answer, labels, matrix, 0), labels)
    other = _labels("noise_by_matrix, another seed", call(answer, labels, matrix, 1), labels)
    if not torch.equal(first, again) or torch.equal(first, other):
        seen = "other labels" if not torch.equal(first, again) else "the same labels for another seed"
        hint = "all your random numbers must come from a generator with this seed"
        raise cross("noise_by_matrix, called again", seen, "the same for the same seed, others for another", hint)
    for number in range(10):
        of_class = labels == number
        share, wanted = (first[of_class] == (number + 1) % 10).float().mean().item(), matrix[number, (number + 1) % 10]
        if abs(share - wanted) > 0.08:
            possible = int((matrix[number] > 0).sum())
            hints = [
                (
                    share in (0.0, 1.0) and wanted not in (0.0, 1.0),
                    "a whole class shares one draw; each label needs its own",
                ),
                (
                    possible > 1 and abs(share - 1 / possible) < 0.04,
                    "the row says how probable each class is; yours are equally probable",
                ),
            ]
            hint = first_hint(hints, "compare this share with the matrix: row the true class, column what it becomes")
            raise cross(
                f"the share of class {number} that becomes the next", f"{share:.2f}", f"about {wanted:.2f}", hint
            )
    share, wanted = (first[labels == 2] == 8).float().mean().item(), matrix[2, 8]
    if abs(share - wanted) > 0.08:
        hint = "a class may become more than one other; its whole row is to be drawn from"
        raise cross("the share of class 2 that becomes class 8", f"{share:.2f}", f"about {wanted:.2f}", hint)
    counts = np.stack([np.bincount(first[labels == number].numpy(), minlength=10) for number in range(10)])
    if (abs(counts - matrix * counts.sum(axis=1, keepdims=True)) < 1).all():
        hint = "the shares are met to the last label; let each label draw for itself, and they come out about so"
        raise cross("the counts of all classes", "those of the matrix exactly", "about those of the matrix", hint)
    tick("noise_by_matrix: each label drawn from the row of its class, by itself, and the old labels kept.")


def _call_on_these(answer: Callable, labels: torch.Tensor, matrix: np.ndarray) -> object:
    """Call a student's function on these very labels, so that a change of them shows; `call` would pass copies."""
    call(answer, labels, matrix, 0)  # an empty answer, or an error, is reported under the function's own name
    return call(lambda seed: answer(labels, matrix, seed), 0)


def _labels(what: str, seen: object, like: torch.Tensor) -> torch.Tensor:
    """Return a result as class numbers."""
    seen = as_tensor(what, seen, like.double(), "one new label for each label")
    if not ((seen >= 0) & (seen <= 9) & (seen == seen.round())).all():
        raise cross(what, short(seen), "class numbers from 0 to 9", "labels are wanted, not probabilities")
    return seen.long()


def without_copies(answer: Callable) -> None:
    """Check the training positions that are left when no near copy may cross a split."""
    cases = [
        ([0, 1, 2, 3], [4, 5, 6], [(0, 4), (6, 3)], [1, 2]),
        ([0, 1, 2, 3], [4, 5, 6], [(0, 1), (1, 4), (3, 2)], [0, 2, 3]),
        ([3, 9, 1, 7], [0, 2], [(9, 1), (0, 2), (7, 0), (2, 7)], [3, 9, 1]),
        ([0, 1, 2, 3, 7, 8], [4, 5], [(1, 4), (0, 1), (2, 5), (7, 8)], [0, 3, 7, 8]),
        ([5, 4], [0, 1], [], [5, 4]),
    ]
    for train_part, validation_part, pairs, expected in cases:
        seen = call(answer, list(train_part), list(validation_part), list(pairs))
        what = f"without_copies({train_part}, {validation_part}, {pairs})"
        judged = set(validation_part)
        try:
            seen = [int(position) for position in seen]
        except UNREADABLE:
            raise cross(what, short(seen), expected, "give back a list of positions") from None
        anywhere = {position for pair in pairs for position in pair}
        first_only = {b for a, b in pairs if a in judged}
        second_only = {a for a, b in pairs if b in judged}
        spread = set(first_only | second_only)
        spread |= {position for pair in pairs if spread & set(pair) for position in pair}
        hints = [
            (seen == train_part, "nothing was taken out; which training image has its copy in validation?"),
            (seen == [p for p in train_part if p not in anywhere], "a pair within training crosses nothing"),
            (seen == [p for p in train_part if p not in second_only], "a pair can be written either way round"),
            (seen == [p for p in train_part if p not in first_only], "a pair can be written either way round"),
            (seen == [p for p in train_part if p not in spread], "a copy of a copy may stay, says the exercise"),
            (
                set(expected) < set(seen) < set(train_part),
                "whoever removes from a list while a loop goes through it skips the next one: build a new list",
            ),
            (bool(set(seen) & judged), "the validation part stays as it is; training positions are wanted"),
            (sorted(seen) == sorted(expected), "keep the order of train_part"),
        ]
        if seen != expected:
            hint = first_hint(hints, "go through the pairs: which side of the split does each of the two lie on?")
            raise cross(what, short(seen), expected, hint)
    tick("without_copies: no near copy crosses the split, whichever way round a pair is written.")


def diagnose(answer: Callable) -> None:
    """Check the diagnosis of an audit from four counts."""
    cases = [
        ((731, 288, 400, 8000), "sound"),
        ((60, 40, 400, 4000), "sound"),
        ((400, 40, 200, 2000), "out of order"),
        ((0, 0, 200, 2000), "by heart"),
        ((900, 9, 400, 8000), "by heart"),
        ((1500, 150, 200, 2000), "out of order"),
        ((2000, 500, 600, 6000), "sound"),
        ((900, 300, 2000, 6000), "out of order"),
        ((20, 12, 200, 2000), "sound"),
        ((40, 10, 200, 2000), "sound"),
        ((400, 300, 1000, 2000), "out of order"),
        ((1000, 120, 200, 2000), "out of order"),
        ((1000, 170, 200, 2000), "sound"),
        ((1000, 40, 100, 4000), "sound"),
    ]
    for counts, expected in cases:
        suspects, hits, planted, images = counts
        seen = call(answer, *counts)
        if isinstance(seen, str) and seen == expected:
            continue
        what = f"diagnose(suspects={suspects}, hits={hits}, planted={planted}, images={images})"
        if seen not in ("by heart", "out of order", "sound") or not isinstance(seen, str):
            raise cross(
                what, short(seen), f'"{expected}"', "one of the three words is wanted, spelt as in the exercise"
            )
        share, precision = planted / images, hits / max(1, suspects)
        hint = {
            "by heart": "how many of the planted labels are found? Compare the hits with the planted ones",
            "out of order": "compare the share of planted among the suspects with the share among all images",
            "sound": "this precision is far above the share that was planted, and enough is found",
        }[expected]
        if expected == "out of order":
            hint += f": {precision:.2f} and {share:.2f}"
        if expected == "sound" and precision < 2 * share:
            hint = (
                f"the suspects are planted {precision / share:.3g} times as often as any image, which is more than 1.5"
            )
        if seen == "by heart" and expected == "sound" and hits >= planted / 20:
            hint = "a short list is not a bad list: at least one in twenty of the planted labels is on it"
            if suspects > planted:
                hint = f"not how many of the suspects are planted: of the {planted} planted labels {hits} are found"
        raise cross(what, f'"{seen}"', f'"{expected}"', hint)
    tick("diagnose: told by precision and recall together, for lists of any length.")


def agreement_needed(answer: Callable) -> None:
    """Check the agreement that a given kappa asks for."""
    cases = [
        ([0.9, 0.1], [0.9, 0.1], 0.8),
        ([0.1] * 10, [0.1] * 10, 0.6),
        ([0.5, 0.3, 0.2], [0.2, 0.2, 0.6], 0.5),
        ([0.7, 0.3], [0.4, 0.6], 0.0),
        ([0.25] * 4, [0.7, 0.1, 0.1, 0.1], 1.0),
    ]
    for first, second, kappa in cases:
        first, second = np.array(first), np.array(second)
        seen = as_number("agreement_needed(...)", call(answer, first, second, kappa))
        by_chance, classes = (first * second).sum(), len(first)
        expected, uniform = by_chance + kappa * (1 - by_chance), 1 / classes
        own = (first**2).sum()
        mistakes = [
            (kappa, "kappa is not the agreement; solve its formula for the agreement"),
            (by_chance, "that is the agreement by chance alone; where does kappa come in?"),
            (kappa * (1 - by_chance), "the agreement by chance comes on top"),
            (kappa + by_chance, "kappa is a share of what chance leaves over, 1 minus the agreement by chance"),
            ((kappa - by_chance) / (1 - by_chance), "this takes kappa for the agreement; the question is turned round"),
            (uniform + kappa * (1 - uniform), "the classes are not used equally often; look at the two arrays"),
            (own + kappa * (1 - own), "the second person has habits too"),
            (100 * expected, "a share from 0 to 1, not per cent"),
        ]
        if not abs(seen - expected) < 1e-6:
            reason = next((words for value, words in mistakes if abs(value - seen) < 1e-6), None)
            hint = reason or "multiply the two shares for each class and add up; then solve the formula of kappa"
            what = f"agreement_needed({short(first.tolist(), 30)}, {short(second.tolist(), 30)}, {kappa})"
            raise cross(what, f"{seen:.3f}", f"{expected:.3f}", hint)
    tick("agreement_needed: right for two to ten classes, and for two people with different habits.")


def matched_control(answer: Callable) -> None:
    """Check a control that has as many images of each class as there are suspects, and no suspect."""
    generator = np.random.default_rng(5)
    labels = np.repeat(np.arange(10), 60)[generator.permutation(600)]
    rates = np.array([0.3, 0.0, 0.2, 0.1, 0.2, 0.05, 0.4, 0.1, 0.02, 0.1])
    suspects = generator.random(600) < rates[labels]
    few = labels == 6
    crowded = suspects.copy()
    crowded[np.flatnonzero(few)[:50]] = True  # of class 6 fewer are left than are wanted
    for case, marked in (("enough images", suspects), ("few images left of class 6", crowded)):
        what = f"matched_control ({case})"
        seen = as_tensor(what, call(answer, labels, marked, 0), torch.zeros(600), "one True or False for each image")
        if not ((seen == 0) | (seen == 1)).all():
            raise cross(what, short(seen), "True and False alone", "a mask is wanted, not positions")
        control = seen.numpy() == 1
        if (control & marked).any():
            number, hint = int((control & marked).sum()), "whoever is a suspect cannot be a control as well"
            raise cross(f"suspects in the control, {what}", number, 0, hint)
        for number in range(10):
            wanted = int((marked & (labels == number)).sum())
            expected, found = (
                min(wanted, int((~marked & (labels == number)).sum())),
                int(control[labels == number].sum()),
            )
            if found != expected:
                same_total = control.sum() == marked.sum() or control.sum() == (~marked).sum()
                hint = "count the suspects of each class, and draw as many from the same class"
                if same_total:
                    hint = "the number is right over all classes together; is it in each of them?"
                if expected < wanted:
                    hint = "where too few are left, all of them are wanted"
                raise cross(f"controls of class {number}, {what}", found, expected, hint)
    again, other = (
        as_tensor(what, call(answer, labels, suspects, seed), torch.zeros(600), "one each") for seed in (0, 1)
    )
    first = as_tensor(what, call(answer, labels, suspects, 0), torch.zeros(600), "one each")
    if not torch.equal(first, again):
        hint = "the same seed must give the same control, or nobody can repeat your experiment"
        raise cross("matched_control, called again with the same seed", "another control", "the same", hint)
    if torch.equal(first, other):
        hint = "the first images of a class are no random choice; draw with the seed that you get"
        raise cross("matched_control with another seed", "the same control", "another one", hint)
    tick("matched_control: as many of each class as suspects, none of them a suspect, drawn by the seed.")
