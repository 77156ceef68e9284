"""Checks for the exercises of lesson 11."""

from collections.abc import Callable
from functools import wraps

import numpy as np
import torch

from helpers.checks.tools import UNREADABLE, as_number, as_tensor, best_hint, call, cross, is_pair, short, tick


def fog(answer: Callable) -> None:
    """Check images with less contrast: each pixel goes a share of its way to the mean of its own image."""
    generator = torch.Generator().manual_seed(3)
    dark = torch.randint(0, 60, (2, 1, 28, 28), generator=generator)
    light = torch.randint(150, 256, (2, 1, 28, 28), generator=generator)
    images = torch.cat([dark, light]).to(torch.uint8)
    values = images.float()
    own, common = values.mean(dim=(1, 2, 3), keepdim=True), values.mean()
    by_column = values.mean(dim=3, keepdim=True)
    for share in (0.0, 0.35, 1.0):
        what = f"fog(images, {share})"
        result = call(answer, images, share)
        expected = (values + share * (own - values)).round()
        seen = as_tensor(what, result, expected, "the shape stays; was a mean taken away from its dimensions?")
        if not (isinstance(result, torch.Tensor) and result.dtype == torch.uint8):
            kind = result.dtype if isinstance(result, torch.Tensor) else type(result).__name__
            raise cross(f"the dtype of {what}", kind, "torch.uint8", "after the arithmetic, back to grey levels")
        whole = (images + (share * (own - values)).to(torch.uint8)).float()
        mistakes = [
            (values + share * (common - values), "all images go to one grey; each has a mean of its own"),
            (values + share * (by_column - values), "each row goes to its own grey; over which dimensions is a mean?"),
            (values + share * (0 - values), "this makes images darker; towards what should a pixel move?"),
            (values + share * (127.5 - values), "the mean brightness should stay; is the middle grey that mean?"),
            (own + share * (values - own), "at 0 nothing changes, and at 1 all is grey: yours is the other way round"),
            (whole, "grey levels of uint8 wrap around below 0 and above 255; turn them into floats first"),
        ]
        mistakes = [(wrong.round().clamp(0, 255), hint) for wrong, hint in mistakes]
        near = (seen - expected).abs().max().item()
        if near > 0:
            row = int((seen - expected).abs().flatten().argmax())
            hint = best_hint(seen, mistakes, "move each pixel by share times its distance to the mean of its image")
            if near == 1 and torch.equal(seen, (values + share * (own - values)).floor()):
                hint = "to(torch.uint8) cuts the fraction off; the nearest grey level is wanted"
            raise cross(f"{what}, one pixel", int(seen.flatten()[row]), int(expected.flatten()[row]), hint)
    tick("fog: each image keeps its mean brightness, and loses its contrast.")


def energy(answer: Callable) -> None:
    """Check energy of small, large and very negative logits."""
    generator = torch.Generator().manual_seed(5)
    small = torch.randn(6, 10, generator=generator)
    cases = {
        "small logits": small,
        "logits around 300": small + 300,
        "logits around −300": small - 300,
        "rows of very different level": small + 200 * torch.arange(-3, 3)[:, None],
        "logits around 2,000": small + 2000,
        "one logit far above the others": small + 2000 * torch.eye(10)[:6],
        "four classes": small[:, :4],
    }
    for name, logits in cases.items():
        expected = -logits.logsumexp(dim=1)
        seen = as_tensor(f"energy of {name}", call(answer, logits), expected, "one number for each row")
        if not seen.isfinite().all():
            hint = "an exponential left the range of its floats; which number m keeps all of them at 1 or below?"
            if name.startswith("rows"):
                hint = "one m for all rows is too large for the lowest rows; each row has its own"
            elif name.startswith("one"):
                hint = "the largest logit of this row lies far above its mean; which m leaves no exponent above 0?"
            raise cross(f"energy of {name}", short(seen), short(expected), hint)
        if not torch.allclose(seen, expected, atol=1e-3):
            largest = logits.max(dim=1).values
            mistakes = [
                (-expected, "the sign: energy is low where the logits are large"),
                (-largest, "this is the largest logit alone; the others count a little, too"),
                (-(largest + logits.exp().sum(dim=1).log()), "m was added, but not taken away inside the exponentials"),
                (expected + largest, "m was taken away inside, and has to be added again outside"),
                (expected + 2 * largest, "the sign of m: look at the formula again"),
                (expected - 2 * largest, "the sign of m: look at the formula again"),
                (logits.exp().sum(dim=1), "the logarithm is missing"),
                (-(logits.exp().mean(dim=1).log()), "the mean of the exponentials; their sum is wanted"),
                (-logits.double().log_softmax(dim=1).logsumexp(dim=1), "log-softmax takes the level away"),
                (-logits.sum(dim=1), "logarithm and exponential do not cancel: a sum stands between them"),
            ]
            hint = best_hint(seen, mistakes, "m plus the logarithm of the sum of exp(z − m), and a minus before it")
            raise cross(f"energy of {name}", short(seen), short(expected), hint)
    tick("energy: right for small and large logits, each row by itself.")


def roc_curve(answer: Callable) -> None:
    """Check the ROC curve of scores with ties, and of unequal numbers of images."""
    cases = {
        "five known, four foreign": ([0.9, 0.8, 0.7, 0.4, 0.35], [0.75, 0.3, 0.2, 0.1]),
        "scores in disorder, with ties": ([3.0, 1.0, 2.0, 2.0], [2.0, 0.0, 1.0, 0.0, -1.0]),
        "negative scores": ([-1.0, -2.0], [-1.5, -3.0, -4.0]),
    }
    for name, (known, foreign) in cases.items():
        known, foreign = np.array(known), np.array(foreign)
        result = call(answer, known, foreign)
        if not is_pair(result):
            raise cross(f"what roc_curve gives back ({name})", short(result), "two lists", "foreign first, then known")
        thresholds = np.unique(np.concatenate([known, foreign]))[::-1]
        expected = [np.r_[0.0, [(part >= level).mean() for level in thresholds]] for part in (foreign, known)]
        try:
            seen = [np.asarray([float(value) for value in part]) for part in result]
        except UNREADABLE:
            raise cross(f"roc_curve ({name})", short(result), "two lists of numbers", "one share each") from None
        points = f"{len(seen[0])} and {len(seen[1])} points"
        if len(seen[0]) != len(expected[0]) or len(seen[1]) != len(expected[1]):
            hint = "count the different scores of both kinds, and the point (0, 0)"
            if len(seen[0]) == len(known) + len(foreign) + 1:
                hint = "equal scores are one threshold, so they make one step together"
            elif len(seen[0]) == len(expected[0]) - 1:
                hint = "the first point is (0, 0), with a threshold above all scores"
            elif len(seen[0]) == len(expected[0]) + 1 and all(part[-2:].tolist() == [1, 1] for part in seen):
                hint = "the lowest score lets everything in already; the point (1, 1) is there once"
            elif len(seen[0]) in (len(np.unique(known)) + 1, len(np.unique(foreign)) + 1):
                hint = "thresholds of one kind alone; the scores of both kinds count"
            raise cross(f"how many points ({name})", points, f"{len(expected[0])} each", hint)
        if not all(np.allclose(a, b) for a, b in zip(seen, expected, strict=True)):
            above = [np.r_[0.0, [(part > level).mean() for level in thresholds]] for part in (foreign, known)]
            total = len(known) + len(foreign)
            together = [len(part) * curve / total for part, curve in zip((foreign, known), expected, strict=True)]
            counts = [len(part) * curve for part, curve in zip((foreign, known), expected, strict=True)]
            mistakes = [
                (np.stack(expected[::-1]), "the two lists are exchanged"),
                (np.stack(above), "an image with exactly the threshold's score is answered too"),
                (np.stack([curve[::-1] for curve in expected]), "the thresholds run from the highest down"),
                (np.stack(together), "each share is of its own kind, not of all images together"),
                (np.stack(counts), "counts; a share is a count over the number of its kind"),
                (1 - np.stack(expected), "these are the shares that are refused"),
            ]
            hint = "for each threshold, from the highest down: which share of each kind has at least that score?"
            hint = best_hint(np.stack(seen), mistakes, hint)
            raise cross(
                f"roc_curve ({name})",
                short([a.round(2).tolist() for a in seen]),
                short([a.round(2).tolist() for a in expected]),
                hint,
            )
    tick("roc_curve: from (0, 0) to (1, 1), with ties as one step.")


def occlude_rows(answer: Callable) -> None:
    """Check occlusion by strips, for images that are not square."""
    generator = torch.Generator().manual_seed(7)
    for rows, columns, height in [(6, 4, 1), (9, 5, 3), (12, 7, 4)]:
        image = torch.rand(rows, columns, generator=generator) + 0.1
        weights = torch.randn(rows, columns, generator=generator)

        def ask(x: torch.Tensor, weights=weights) -> float:
            # Not linear, so that it matters what was covered together.
            return float((weights * x).sum() ** 2)

        what = f"occlude_rows with {rows} rows and strips of {height}"
        given = image.clone()
        # Not as an argument of `call`, which would pass a copy.
        seen = call(wraps(answer)(lambda ask=ask, given=given, height=height: answer(ask, given, height)))
        total, times, last = torch.zeros(rows), torch.zeros(rows), torch.zeros(rows)
        first_rows, at_once = torch.zeros(rows), image.clone()
        shorter, too_many = torch.zeros(rows), torch.zeros(rows)
        spoiled, spoiled_last = torch.zeros(rows), ask(image)
        for top in range(rows - height + 1):
            covered = image.clone()
            covered[top : top + height] = 0
            fall = ask(image) - ask(covered)
            total[top : top + height] += fall
            last[top : top + height] = fall
            first_rows[top] = fall
            times[top : top + height] += 1
            at_once[top : top + height] = 0
            spoiled[top : top + height] += spoiled_last - ask(at_once)
        expected = total / times
        for top in range(rows):
            covered = image.clone()
            covered[top : top + height] = 0
            shorter[top : top + height] += ask(image) - ask(covered)
            too_many[top : top + height] += 1
        seen = as_tensor(what, seen, expected, "one number for each row of the image")
        mistakes = [
            (-expected, "the sign: a fall is what was there before, minus what is left"),
            (total, "a sum; rows in the middle are covered more often than those at the edge"),
            (total / height, "the rows at the edge are covered by fewer strips; count how many cover each row"),
            (last, "each strip overwrites what the one before has noted; add them up"),
            (first_rows, "the whole strip was covered, so each of its rows gets the fall, not only the first"),
            (shorter / too_many, "these strips get shorter at the lower edge; the last one ends with the last row"),
            (spoiled / times, "strips stay covered from one step to the next; begin each time with a fresh copy"),
        ]
        if not torch.allclose(seen, expected, atol=1e-4):
            hint = "for each strip: a copy, rows to 0, the fall; then the mean over the strips that covered the row"
            if not seen.isfinite().all():
                hint = "some row was covered by no strip; where does the last strip begin?"
            raise cross(what, short(seen), short(expected), best_hint(seen, mistakes, hint))
        if not torch.equal(given, image):
            hint = "the falls are right, and the image is another one afterwards; cover a copy"
            raise cross("the image after the call", "changed", "as it was", hint)
    tick("occlude_rows: the mean over all strips that covered a row, at the edges too.")


def put_back(answer: Callable) -> None:
    """Check the probability of one class as the highest rated pixels come back."""
    generator = torch.Generator().manual_seed(9)
    for rows, columns, step, of_class in [(4, 5, 1, 2), (6, 6, 4, 0), (3, 8, 6, 1)]:
        image = torch.rand(rows, columns, generator=generator) + 0.2
        rating = torch.randperm(rows * columns, generator=generator).reshape(rows, columns).float() - 6
        weights = torch.randn(rows * columns, 3, generator=generator)

        def ask(images: torch.Tensor, weights=weights) -> torch.Tensor:
            return (3 * images.flatten(1) @ weights).softmax(dim=1)

        def curve(order: torch.Tensor, start: torch.Tensor, end: torch.Tensor, image=image, ask=ask, step=step):
            found = []
            for number in range(0, len(order) + 1, step):
                shown = start.flatten().clone()
                shown[order[:number]] = end.flatten()[order[:number]]
                found.append(ask(shown.reshape(1, *image.shape))[0])
            return torch.stack(found)

        descending, black = rating.flatten().argsort(descending=True), torch.zeros_like(image)
        right = curve(descending, black, image)
        expected = right[:, of_class]
        what = f"put_back, image of {rows} × {columns}, step {step}"
        asked = wraps(answer)(lambda a, b, ask=ask, c=of_class, step=step: answer(ask, a, b, c, step))
        result = call(asked, image, rating)
        if isinstance(result, list | tuple) and result and all(isinstance(value, torch.Tensor) for value in result):
            result = [as_number(f"a value of {what}", value) for value in result]
        count = len(expected)
        length = "the first value has no pixel put back, the last has all of them"
        seen = as_tensor(what, result, expected, length)
        by_size = rating.flatten().abs().argsort(descending=True)
        single = [right[0, of_class]]
        for number in range(step, rows * columns + 1, step):
            shown = black.flatten().clone()
            shown[descending[number - step : number]] = image.flatten()[descending[number - step : number]]
            single.append(ask(shown.reshape(1, *image.shape))[0, of_class])
        mistakes = [
            (curve(descending.flip(0), black, image)[:, of_class], "the highest ratings come first, not the lowest"),
            (right.amax(dim=1), "the class in question stays the same, even where another becomes more probable"),
            (curve(descending, image, black)[:, of_class], "this deletes; here we begin with black and put back"),
            (torch.stack(single), "what was put back stays; yours shows the last pixels alone"),
            (
                curve(by_size, black, image)[:, of_class],
                "the ratings have signs; a very negative one comes last",
            ),
            (curve(torch.arange(rows * columns), black, image)[:, of_class], "the order comes from the ratings"),
            (
                curve(descending.argsort(), black, image)[:, of_class],
                "argsort gives the places in their order, the highest first; it gives no pixel its rank",
            ),
        ]
        if not torch.allclose(seen, expected, atol=1e-4):
            hint = f"{count} images: black, then with the {step} highest rated pixels of the original, and so on"
            raise cross(what, short(seen), short(expected), best_hint(seen, mistakes, hint))
    tick("put_back: highest ratings first, one class from beginning to end.")
