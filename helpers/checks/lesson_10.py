"""Checks of the exercises to lesson 10, tuning."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from helpers.checks.tools import UNREADABLE, CheckFailed, as_number, call, cross, first_hint, is_pair, short, tick


def draw_rates(answer: Callable) -> None:
    """Check learning rates drawn evenly on a log scale, from a generator, two ends and a number."""
    for low, high, number in ((1e-3, 10.0, 4000), (0.003, 0.7, 3000)):
        what = f"draw_rates(rng, {low:g}, {high:g}, {number})"
        rates = _rates(what, call(answer, np.random.default_rng(5), low, high, number), number)
        if not (rates >= low - 1e-9).all() or not (rates <= high + 1e-9).all():
            hints = [
                (
                    bool((rates < 0).any()),
                    "these are still logarithms: how do you come back from a logarithm to a rate?",
                ),
                (
                    low == 0.003,
                    "the ends need not be powers of ten; do both come from `low` and `high`, without rounding?",
                ),
                (True, "draw and come back with the same base: exp undoes log, and 10 ** undoes log10"),
            ]
            ends = f"{rates.min():.3g} to {rates.max():.3g}"
            raise cross(f"the ends of {what}", ends, f"{low:g} to {high:g}", first_hint(hints, ""))
        if len(np.unique(rates)) < number / 2:
            raise cross(f"the different rates in {what}", len(np.unique(rates)), number, "each rate needs its own draw")
        places = np.log(rates / low) / np.log(high / low)
        shares = np.histogram(places, bins=4, range=(0, 1))[0] / number
        if (abs(shares - 0.25) > 0.05).any():
            hint = "most rates are in the highest part; which quantity has to be drawn evenly?"
            hint = hint if shares[-1] > 0.6 else "too few or too many in some part: draw the logarithm evenly"
            parts = f"four equal parts of the log scale in {what}"
            raise cross(f"the shares of {parts}", shares.round(2), "0.25 each", hint)
        fine = np.histogram(places, bins=16, range=(0, 1))[0] / number
        if (abs(fine - 1 / 16) > 0.025).any():
            hint = "within a power of ten, 1 to 2 and 5 to 10 are equally wide: draw the logarithm itself evenly"
            parts = f"sixteen equal parts of the log scale in {what}"
            raise cross(f"the shares of {parts}", f"{fine.min():.2f} to {fine.max():.2f}", "0.06 each", hint)
        again, other = (
            _rates(f"{words} call of {what}", call(answer, np.random.default_rng(seed), low, high, number), number)
            for words, seed in (("a second", 5), ("another", 6))
        )
        if not np.array_equal(rates, again):
            hint = "the same rng must give the same rates: draw from the one that is passed in"
            raise cross(f"a second call of {what}", short(again[:3]), short(rates[:3]), hint)
        if np.array_equal(np.sort(rates), np.sort(other)):
            hint = "nothing is drawn from the rng that is passed in; a grid is evenly spaced, but no draw"
            raise cross(f"{what} with another rng", "the same rates", "others", hint)
    tick("draw_rates: each power of ten gets its share, by draws from the given generator.")


def _rates(what: str, seen: object, number: int) -> np.ndarray:
    """Return drawn rates as an array."""
    try:
        rates = np.asarray(seen, dtype=float)
    except UNREADABLE:
        raise cross(f"what {what} is", short(seen), "an array of numbers", "what should it return?") from None
    if rates.shape != (number,):
        hint = "one draw for each of the rates, not the same one for all"
        raise cross(f"the shape of {what}", rates.shape, (number,), hint)
    return rates


def _example(seed: int, effect: float, names: tuple[str, str]) -> pd.DataFrame:
    rng, rows = np.random.default_rng(seed), []
    for x in range(4):
        for y in range(3):
            for _ in range(2):
                value = 0.5 + 0.05 * x + 0.04 * y + effect * (x - 1.5) * (y - 1) + 0.01 * rng.normal()
                rows.append((x, f"kind {y}", value))
    return pd.DataFrame(rows, columns=[*names, "accuracy"])


def pair_share(answer: Callable) -> None:
    """Check what two settings explain together, from a table and two names of its columns."""
    for seed, effect, names in ((1, 0.05, ("rate", "kind")), (2, 0.02, ("dropout", "batches")), (3, 0.0, ("a", "b"))):
        table = _example(seed, effect, names)
        total = table["accuracy"].var(ddof=0)
        one, two, both = (table.groupby(group)["accuracy"].mean().var(ddof=0) for group in (*names, list(names)))
        expected = (both - one - two) / total
        what = f"pair_share(table, '{names[0]}', '{names[1]}')"
        seen = as_number(what, call(answer, table.copy(), *names))
        if abs(seen - expected) < 1e-6:
            continue
        mistakes = [
            (both / total, "that is all that the pair explains; what does each of the two explain by itself?"),
            ((both - one) / total, "take away both settings, not only the first"),
            ((both - two) / total, "take away both settings, not only the second"),
            (both - one - two, "that is a variance: as a share of which variance is it asked?"),
            (
                (both - one - two) / both,
                "as a share of the variance of all trials, the luck among them, not of the means",
            ),
            ((one + two) / total, "these are the two by themselves; what does the pair explain beyond them?"),
            (1 - (one + two) / total, "this counts luck too: begin with the means of the combinations, not the trials"),
            ((total - both) / total, "that is the rest that not even the pair explains: luck"),
            ((one + two - both) / total, "the sign: begin with what the pair explains, and take away"),
        ]
        hint = next((words for value, words in mistakes if abs(seen - value) < 1e-6), None)
        hint = hint or "are all the variances those of var(ddof=0), and of means over the same trials?"
        raise cross(what, f"{seen:.4f}", f"{expected:.4f}", hint)
    tick("pair_share: right for three tables, one of them without anything that belongs to the pair.")


def _halve(curves, rungs, keep=None, score=None, odd=1, end=lambda curves: curves[:, -1]):
    """Successive halving in which single steps can be replaced by wrong ones."""
    running, spent, before = list(range(len(curves))), 0, 0
    for rung in rungs:
        spent += len(running) * (rung - before)
        before = rung
        value = (lambda trial, rung=rung: curves[trial, rung - 1]) if score is None else score(curves, rung)
        running.sort(key=lambda trial, value=value: -value(trial))
        half = (len(running) + odd) // 2
        running = running[:half] if keep is None else running[-half:]
    return max(running, key=lambda trial: end(curves)[trial]), spent + len(running) * (curves.shape[1] - before)


def halve(answer: Callable) -> None:
    """Check successive halving, from accuracies (trials, epochs) and the epochs after which is halved."""
    rng, highest = np.random.default_rng(2), lambda curves: curves.max(axis=1)
    for trials, epochs, rungs in ((16, 5, [1, 2, 4]), (7, 6, [2, 3]), (13, 4, [1, 3]), (5, 3, [])):
        curves = rng.uniform(0.1, 0.9, (trials, epochs))
        curves = np.sort(curves, axis=1) if trials == 16 else curves  # the others go up and down
        # The trial that ends highest begins low, so that a plan that looks ahead would find it.
        curves[trials // 2] = np.linspace(0.05, 0.99, epochs)
        expected, what = _halve(curves, rungs), f"halve(curves of {trials} trials and {epochs} epochs, {rungs})"
        result = call(answer, curves.copy(), list(rungs))
        if not is_pair(result):
            raise cross(f"what {what} gives back", short(result), "a pair", "return the winner, then the epochs")
        winner, spent = (
            as_number(f"the {name} of {what}", part) for name, part in zip(("winner", "epochs"), result, strict=True)
        )
        if spent != expected[1]:
            cumulative, alive = 0, trials
            for rung in rungs:
                cumulative += alive * rung
                alive = (alive + 1) // 2
            mistakes = [
                (spent == trials * epochs, "that is what all trials would take; who stops, and when?"),
                (spent == _halve(curves, rungs, odd=0)[1], "of an odd number the larger half goes on"),
                (
                    spent == cumulative + alive * epochs,
                    "a trial that goes on does not begin again: count only its new epochs",
                ),
                (spent == alive * epochs, "the trials that were stopped have trained too"),
                (spent == expected[1] - alive * (epochs - (rungs[-1] if rungs else 0)), "and after the last rung?"),
            ]
            hint = first_hint(mistakes, "between two rungs, each running trial trains the difference of the two epochs")
            raise cross(f"the epochs of {what}", f"{spent:g}", expected[1], hint)
        if winner != expected[0]:
            final = _halve(curves, rungs, score=lambda c, rung: lambda trial: c[trial, -1])[0]
            best_yet = curves[:, -1].argmax()
            late = _halve(curves, rungs, score=lambda c, rung: lambda trial: c[trial, min(rung, c.shape[1] - 1)])[0]
            mistakes = [
                (winner == _halve(curves, rungs, keep="worse")[0], "the better half goes on; which half is yours?"),
                (winner == late, "compare after which epoch? An array counts its columns from 0"),
                (winner in (final, best_yet), "at a rung nobody knows yet how a trial will end"),
                (
                    winner == _halve(curves, rungs, score=lambda c, rung: lambda trial: c[trial, :rung].max())[0],
                    "compared is the accuracy after that epoch alone, not the best one so far",
                ),
                (
                    winner in (_halve(curves, rungs, end=highest)[0], highest(curves).argmax()),
                    "the winner is the one with the highest last accuracy, not the highest one ever",
                ),
            ]
            hint = first_hint(mistakes, "write down for each rung which trials go on, by their rows in `curves`")
            raise cross(f"the winner of {what}", f"{winner:g}", expected[0], hint)
    tick("halve: the right winner and the right number of epochs for four plans.")


LOGS = [
    (
        5,
        [
            *[(0, "complete"), (1, "failed"), (2, "failed"), (2, "pruned"), (1, "waiting"), (3, "failed")],
            *2 * [(0, "complete")],
        ],
    ),
    (3, [(2, "complete"), (0, "running"), (0, "failed"), (1, "complete"), (1, "failed"), (2, "pruned")]),
    (4, []),
]


def ledger(answer: Callable) -> None:
    """Check the count of tickets, from a log of (ticket, state) and the number of tickets."""
    for number, log in LOGS:
        what = f"ledger({short(log, 80)}, {number})"
        result = call(answer, list(log), number)
        if not isinstance(result, dict) or set(result) != {"done", "lost", "twice"}:
            hint = "return a dictionary with exactly these three keys"
            raise cross(f"what {what} gives back", short(result), '{"done": …, "lost": …, "twice": …}', hint)
        states = {ticket: [state for one, state in log if one == ticket] for ticket in range(number)}
        ended = {t: sum(state in ("complete", "pruned") for state in found) for t, found in states.items()}
        alive = {t: any(state in ("running", "waiting") for state in found) for t, found in states.items()}
        expected = {
            "done": [t for t in states if ended[t]],
            "lost": [t for t in states if not ended[t] and not alive[t]],
            "twice": [t for t in states if ended[t] > 1],
        }
        for key, right in expected.items():
            try:
                seen = [int(ticket) for ticket in result[key]]
            except UNREADABLE:
                raise cross(f'"{key}" of {what}', short(result[key]), right, "a list of tickets") from None
            if seen == right:
                continue
            complete = {t: found.count("complete") for t, found in states.items()}
            mistakes = {
                "done": [
                    (sorted(set(seen)) == right, "a ticket counts once, however often it was done, and in order"),
                    (
                        seen == [t for t in states if complete[t]],
                        "a pruned trial is done too: nobody will run it again",
                    ),
                    (set(seen) > set(right), "which states mean that a result is there?"),
                    (
                        seen == [t for t in states if states[t] and states[t][-1] in ("complete", "pruned")],
                        "at least one trial, not the last one: a result stays when a later trial fails",
                    ),
                ],
                "lost": [
                    (seen == [t for t in states if "failed" in states[t]], "a failed trial may have been done again"),
                    (
                        seen == [t for t in states if "failed" in states[t] and not ended[t]],
                        "is another trial of this ticket still running or waiting? And a ticket without any trial?",
                    ),
                    (set(seen) < set(right), "a ticket that is not in the log at all is lost too"),
                    (seen == [t for t in states if not ended[t]], "one that is running or waiting may still come"),
                ],
                "twice": [
                    (seen == [t for t in states if len(states[t]) > 1], "tried twice is not done twice"),
                    (seen == [t for t in states if complete[t] > 1], "a pruned trial is done too"),
                    (seen == [t for t in states if ended[t] == 2], "three are more than one, too"),
                ],
            }[key]
            hint = first_hint(mistakes, "write down all states of each ticket, then decide for one ticket at a time")
            raise cross(f'"{key}" of {what}', seen, right, hint)
    tick("ledger: right for three logs, with a ticket done twice, lost ones, and an empty log.")


def plan(answer: Callable) -> None:
    """Check a plan of how many of 3,000 images choose the best of 20 trials and how many are fresh."""
    result = call(answer)
    if not is_pair(result):
        raise cross("what plan() gives back", short(result), "a pair", "return the images that choose, then the fresh")
    choosing, fresh = (as_number(name, part) for name, part in zip(("choosing", "fresh"), result, strict=True))
    if choosing + fresh > 3000:
        hint = "no image may do both: one that chose the winner is not fresh"
        raise cross("choosing + fresh", f"{choosing + fresh:g}", "at most 3000", hint)
    if choosing < 1 or fresh < 1:
        raise CheckFailed(
            f"✗ the plan\n  seen:     {choosing:g} choose, {fresh:g} are fresh\n  expected: some of both\n"
            "  hint:     without fresh images nobody knows what the winner is worth; without the others none is chosen"
        )
    # The mean of the largest of 20 standard normal numbers is 1.867.
    optimism, width = 1.867 * np.sqrt(0.1275 / choosing), 1.96 * np.sqrt(0.1275 / fresh)
    if optimism > 0.0203:
        hint = "the best of 20 promises too much: read the number of images off the figure, where it crosses the line"
        raise cross(f"the optimism with {choosing:g} images", f"{100 * optimism:.2f} points", "at most 2", hint)
    if width > 0.01805:
        hint = "the interval is too wide: solve the formula for m"
        raise cross(f"the interval on {fresh:g} fresh images", f"±{100 * width:.2f} points", "at most ±1.8", hint)
    tick(f"plan: {choosing:g} images choose, {fresh:g} are fresh, and both wishes hold.")
