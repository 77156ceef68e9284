"""Wrong answers to the exercises of lesson 10, each with a part of the hint that fits it."""

import numpy as np


def named(name, function):
    """Give a function the name of its mistake."""
    function.__name__ = name
    return function


RATES = {
    "evenly": (lambda rng, low, high, n: rng.uniform(low, high, n), "which quantity has to be drawn evenly"),
    "evenly_in_reciprocals": (
        lambda rng, low, high, n: 1 / rng.uniform(1 / high, 1 / low, n),
        "too few or too many in some part",
    ),
    "mostly_in_the_middle": (
        lambda rng, low, high, n: low * (high / low) ** rng.random((n, 2)).mean(axis=1),
        "too few or too many in some part",
    ),
    "still_logarithms": (lambda rng, low, high, n: rng.uniform(np.log10(low), np.log10(high), n), "still logarithms"),
    "two_bases": (lambda rng, low, high, n: 10 ** rng.uniform(np.log(low), np.log(high), n), "the same base"),
    "one_for_all": (
        lambda rng, low, high, n: np.full(n, np.exp(rng.uniform(np.log(low), np.log(high)))),
        "its own draw",
    ),
    "a_single_rate": (lambda rng, low, high, n: np.exp(rng.uniform(np.log(low), np.log(high))), "not the same one"),
    "a_grid": (lambda rng, low, high, n: np.linspace(low, high, n), "which quantity has to be drawn evenly"),
    "a_grid_of_logarithms": (lambda rng, low, high, n: np.geomspace(low, high, n), "but no draw"),
    "evenly_within_each_power": (
        lambda rng, low, high, n: np.minimum(
            10.0 ** rng.integers(np.log10(low).round(), np.log10(high).round(), n) * rng.uniform(1, 10, n), high
        ),
        "within a power of ten",
    ),
    "whole_powers": (
        lambda rng, low, high, n: 10 ** rng.uniform(int(np.log10(low)), int(np.log10(high)), n),
        "rounding",
    ),
    "a_seed_of_its_own": (
        lambda rng, low, high, n: low * (high / low) ** np.random.default_rng(0).random(n),
        "nothing is drawn from the rng",
    ),
    "generator_of_its_own": (
        lambda rng, low, high, n: np.exp(np.random.default_rng().uniform(np.log(low), np.log(high), n)),
        "the one that is passed in",
    ),
}


def explained(table, names, ddof=0):
    return table.groupby(names)["accuracy"].mean().var(ddof=ddof)


def pair_by(rule):
    """Answer with a wrong rule for what both, the first, the second and all trials vary."""

    def pair_share(table, first, second):
        parts = explained(table, [first, second]), explained(table, first), explained(table, second)
        return rule(*parts, table["accuracy"].var(ddof=0))

    return pair_share


PAIRS = {
    "all_of_the_pair": (pair_by(lambda both, one, two, total: both / total), "by itself"),
    "first_alone_taken_away": (pair_by(lambda both, one, two, total: (both - one) / total), "not only the first"),
    "second_alone_taken_away": (pair_by(lambda both, one, two, total: (both - two) / total), "not only the second"),
    "no_share": (pair_by(lambda both, one, two, total: both - one - two), "share of which variance"),
    "share_of_the_means": (pair_by(lambda both, one, two, total: (both - one - two) / both), "variance of all trials"),
    "the_two_alone": (pair_by(lambda both, one, two, total: (one + two) / total), "beyond them"),
    "luck_counted_too": (pair_by(lambda both, one, two, total: 1 - (one + two) / total), "counts luck too"),
    "luck": (pair_by(lambda both, one, two, total: 1 - both / total), "not even the pair explains"),
    "wrong_sign": (pair_by(lambda both, one, two, total: (one + two - both) / total), "the sign"),
    "other_variance": (
        lambda table, a, b: (
            (explained(table, [a, b], 1) - explained(table, a, 1) - explained(table, b, 1)) / table["accuracy"].var()
        ),
        "var(ddof=0)",
    ),
}


def halved_by_rounding(curves, rungs):
    running, spent, before = list(range(len(curves))), 0, 0
    for rung in rungs:
        spent += len(running) * (rung - before)
        before = rung
        running.sort(key=lambda trial, rung=rung: -curves[trial, rung - 1])
        running = running[: round(len(running) / 2)]
    return max(running, key=lambda trial: curves[trial, -1]), spent + len(running) * (curves.shape[1] - before)


def place_among_the_rest(curves, rungs):
    rest = curves
    for rung in rungs:
        rest = rest[np.argsort(-rest[:, rung - 1])[: (len(rest) + 1) // 2]]
    return rest[:, -1].argmax(), plan_by()(curves, rungs)[1]


def plan_by(better=True, at=lambda curves, rung: curves[:, rung - 1], odd=1, count="new", end=lambda curve: curve[-1]):
    """Halve with single steps replaced by wrong ones."""

    def halve(curves, rungs):
        running, spent, before, last = list(range(len(curves))), 0, 0, curves.shape[1]
        for rung in rungs:
            going = (len(running) + odd) // 2 if count == "halved first" else len(running)
            spent += going * (rung if count == "from the start" else rung - before)
            before = rung
            running.sort(key=lambda trial, rung=rung: at(curves, rung)[trial], reverse=better)
            running = running[: (len(running) + odd) // 2]
        if count != "no end":
            spent += len(running) * (last if count == "from the start" else last - before)
        spent = {"all": curves.size, "survivors": len(running) * last}.get(count, spent)
        return max(running, key=lambda trial: end(curves[trial])), spent

    return halve


HALVES = {
    "all_run_to_the_end": (plan_by(count="all"), "who stops, and when"),
    "smaller_half": (plan_by(odd=0), "the larger half goes on"),
    "begun_again": (plan_by(count="from the start"), "does not begin again"),
    "stopped_ones_are_free": (plan_by(count="survivors"), "have trained too"),
    "last_part_forgotten": (plan_by(count="no end"), "after the last rung"),
    "worse_half": (plan_by(better=False), "which half is yours"),
    "looks_ahead": (plan_by(at=lambda curves, rung: curves[:, -1]), "nobody knows yet"),
    "best_so_far": (plan_by(at=lambda curves, rung: curves[:, :rung].max(axis=1)), "not the best one so far"),
    "one_epoch_later": (
        plan_by(at=lambda curves, rung: curves[:, min(rung, curves.shape[1] - 1)]),
        "counts its columns from 0",
    ),
    "highest_ever": (plan_by(end=max), "not the highest one ever"),
    "halved_by_rounding": (halved_by_rounding, "the larger half goes on"),
    "halved_before_they_train": (plan_by(count="halved first"), "trains the difference of the two epochs"),
    "place_among_the_rest": (place_among_the_rest, "by their rows in `curves`"),
    "winner_alone": (lambda curves, rungs: 3, "return the winner, then the epochs"),
}


def ledger_by(is_done=("complete", "pruned"), lost=None, twice=None, done=None):
    """Count tickets with single rules replaced by wrong ones."""

    def ledger(log, number):
        states = {ticket: [state for one, state in log if one == ticket] for ticket in range(number)}
        ended = {ticket: sum(state in is_done for state in found) for ticket, found in states.items()}
        alive = {ticket: {"running", "waiting"} & set(found) for ticket, found in states.items()}
        return {
            "done": done(log) if done else [ticket for ticket in states if ended[ticket]],
            "lost": [t for t in states if (lost(states[t], ended[t]) if lost else not ended[t] and not alive[t])],
            "twice": [t for t in states if (twice(states[t]) if twice else ended[t] > 1)],
        }

    return ledger


LEDGERS = {
    "trials_counted": (
        ledger_by(done=lambda log: sorted(t for t, state in log if state in ("complete", "pruned"))),
        "a ticket counts once",
    ),
    "pruned_is_not_done": (ledger_by(is_done=("complete",)), "a pruned trial is done too"),
    "running_is_done": (ledger_by(is_done=("complete", "pruned", "running", "waiting")), "which states mean"),
    "every_failure_is_lost": (ledger_by(lost=lambda found, ended: "failed" in found), "may have been done again"),
    "running_is_lost": (ledger_by(lost=lambda found, ended: not ended), "may still come"),
    "every_failure_without_a_result": (
        ledger_by(lost=lambda found, ended: "failed" in found and not ended),
        "still running or waiting? And a ticket without any trial",
    ),
    "pruned_is_lost": (
        ledger_by(lost=lambda found, ended: not {"complete", "running", "waiting"} & set(found)),
        "write down all states of each ticket",
    ),
    "no_trial_is_not_lost": (
        ledger_by(lost=lambda found, ended: bool(found) and not ended and not {"running", "waiting"} & set(found)),
        "not in the log at all",
    ),
    "last_state_counts": (
        ledger_by(done=lambda log: sorted(t for t, state in dict(log).items() if state in ("complete", "pruned"))),
        "not the last one",
    ),
    "exactly_twice": (
        ledger_by(twice=lambda found: sum(state in ("complete", "pruned") for state in found) == 2),
        "three are more than one",
    ),
    "tried_twice": (ledger_by(twice=lambda found: len(found) > 1), "is not done twice"),
    "two_lists": (lambda log, number: ([], []), "exactly these three keys"),
}

PLANS = {
    "same_images_do_both": (lambda: (3000, 3000), "no image may do both"),
    "none_is_fresh": (lambda: (3000, 0), "nobody knows what the winner is worth"),
    "few_choose": (lambda: (500, 2500), "promises too much"),
    "few_are_fresh": (lambda: (2400, 600), "solve the formula for m"),
    "one_number": (lambda: 1300, "the images that choose, then the fresh"),
}
TABLES = {"draw_rates": RATES, "pair_share": PAIRS, "halve": HALVES, "ledger": LEDGERS, "plan": PLANS}
WRONG = {
    check: [(named(name, function), hint) for name, (function, hint) in table.items()]
    for check, table in TABLES.items()
}
