"""Change one place of the helpers at a time, and see whether the tests of the changed module notice.

The changes are cosmic-ray's: another operator, another number, a loop that never starts, a condition turned round. Of
all places that it can change a random sample is tried, each with one random change, in a copy of the last commit.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from benchmarks.record import entries_with, measure_once
from helpers import config
from helpers.machine import markdown_table

SAMPLE, SEED = 200, 0
LIMIT = 300  # seconds: a mutant whose tests never end is noticed, too
COPY = config.ROOT / "runs" / "mutants" / "copy"
# Changes of `|` are left out: nearly all would be changes of annotations, which fail when they are imported.
LEFT_OUT = ("core/NoOp", "core/ReplaceBinaryOperator_BitOr")
# Tests of the whole project, too slow or too far from one module.
WHOLE = {"audit", "benchmarks", "browser", "demo", "exercises", "hub", "install", "marking", "planted_faults", "setup"}
WHOLE |= {"site", "tuning_postgres"}


def copy_project() -> None:
    """Copy the last commit anew, with the data of this folder."""
    shutil.rmtree(COPY, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--shared", config.ROOT, COPY], check=True)
    (COPY / "data").mkdir(exist_ok=True)
    (COPY / "data" / "FashionMNIST").symlink_to(config.ROOT / "data" / "FashionMNIST")


def draw_sample() -> list:
    """Draw places of the helpers, each with one of the changes that cosmic-ray has for it.

    Returns
    -------
    list of cosmic_ray.work_item.MutationSpec
        By module and line.
    """
    from cosmic_ray.commands import init
    from cosmic_ray.work_db import use_db

    places = {}
    with use_db(COPY.parent / "session.sqlite") as session:
        init(sorted((COPY / "helpers").rglob("*.py")), session, {})
        for change in (mutation for item in session.work_items for mutation in item.mutations):
            if not change.operator_name.startswith(LEFT_OUT):
                place = (str(change.module_path.relative_to(COPY)), tuple(change.start_pos), tuple(change.end_pos))
                places.setdefault(place, []).append(change)
    chance = random.Random(SEED)
    return [
        chance.choice(sorted(places[place], key=lambda change: change.operator_name))
        for place in sorted(chance.sample(sorted(places), SAMPLE))
    ]


def tests_of(module: Path) -> list[str]:
    """Return the tests of a module of the helpers: its own file, or else those that import it, or its folder's."""
    tests = COPY / "tests"
    if (tests / f"test_{module.stem}.py").exists():
        return [f"tests/test_{module.stem}.py"]
    imports = re.compile(rf"helpers\.(\w+\.)?{module.stem}\b|from helpers(\.\w+)? import .*\b{module.stem}\b")
    files = [path for path in sorted(tests.glob("test_*.py")) if path.stem.removeprefix("test_") not in WHOLE]
    found = [f"tests/{path.name}" for path in files if imports.search(path.read_text(encoding="utf-8"))]
    of_folder = f"tests/test_{module.parent.name}.py"  # tests/test_checks.py is of helpers/checks
    return found or ([of_folder] if (COPY / of_folder).exists() else [])


def all_pass(tests: list[str]) -> bool:
    """Run test files of the copy up to the first failure, and tell whether all pass in time."""
    options = ["-x", "-o", "pythonpath=tests", "-p", "no:cacheprovider", "-p", "nbval.plugin"]
    # The kernels of the notebooks, too, take the helpers of the copy.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(COPY)}
    command = [sys.executable, "-m", "pytest", *options, *tests]
    try:
        done = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1, 2):  # 2: the changed module cannot be imported
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def try_change(change) -> dict:
    """Make a change, run the tests of its module and take it back.

    Returns
    -------
    dict
        definition, before and after (the changed line), tests, killed.
    """
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    path, tests = change.module_path, tests_of(change.module_path)
    code = path.read_text(encoding="utf-8")
    changed = mutate_code(code, get_operator(change.operator_name)(), change.occurrence)
    pairs = zip(code.splitlines(), changed.splitlines(), strict=False)
    before, after = next((old.strip(), new.strip()) for old, new in pairs if old != new)
    path.write_text(changed, encoding="utf-8")
    try:
        survived = not tests or all_pass(tests)
    finally:
        path.write_text(code, encoding="utf-8")
    return {
        "definition": change.definition_name,
        "before": before,
        "after": after,
        "tests": tests,
        "killed": not survived,
    }


def measure() -> None:
    """Try what is missing of the sample, after the tests of each module have passed without a change."""
    copy_project()
    passed = set()
    for change in draw_sample():
        key = {
            "module": str(change.module_path.relative_to(COPY)),
            "line": change.start_pos[0],
            "column": change.start_pos[1],
            "change": change.operator_name.removeprefix("core/"),
        }
        if entries_with("mutants", **key):
            continue
        tests = tests_of(change.module_path)
        if tests and tuple(tests) not in passed and not all_pass(tests):
            raise SystemExit(f"Without any change {' '.join(tests)} does not pass in the copy {COPY}.")
        passed.add(tuple(tests))
        entry = measure_once("mutants", key, partial(try_change, change))
        print("killed" if entry["killed"] else f"SURVIVED: {entry['before']}  ->  {entry['after']}", flush=True)


# The share of the mutants that the tests should notice.
GOAL = 0.95
# Why no test has to notice a survivor, with the changed lines.
REASONS = {
    "another input for the student's function, as good as the one before": [
        "(( 6,), (4, 1)),",
        "((24, 9, 40), 5, 7, 3, False),",
        "running_var = 1.5 + torch.rand(shape[1], generator=generator)",
        '{"A": (20, 90.0), "B": (45, 93.1), "C": (60, 92.0), "D": (110, 93.1), "E": (150, 93.6), "F": (150, 92.8)},',
        "for right, down in [(2, 1), (-1, -2), ( 1, 0), (0, 1), (-1, 3), (0, 0), (7, 0), (-9, 2)]:",
        "([5, 10, 20], [ -0.5, 0.6, 0.7], 0.75),",
        "torch.manual_seed( 12)",
        "for size, classes, n, length in [((4, 5), 6, 12, 6), (( 6, 4), 6, 20, 9), ((3, 3), 10, 7, 6), (("
        "2, 8), 3, 1, 4)]:",
        "for n, classes, k, mistaken in [(40, 10, 6, 20), (60, 4, 1, 18), (15, 3, 20, 6), (9, 5, 3, 1), ("
        "5, 10, 3, 1)]:",
        "(27, [(5, 1, 2), (2, 0, 2), (3, -1, 1)]),",
        'maps = nn.MaxPool2d(2)(batch_norm(convolution(torch.empty( 2, *shape, device="meta"))))',
        "cases = [(70, 12, 3, 15), ( 2, 5, 5, 8), (20, 0, 0, 5), (8, 0, 6, 0), (90, 760, 660, 40)]",
        '("a whole cycle of only 16 steps", "right", _one_cycle( 17, 0.25)),',
        "image = torch.rand(rows, columns, generator=generator) % 0.1",
    ],
    "an answer as wrong as that has met an earlier hint": ["((count - 1) >> splits, real_one),"],
    "both are of the same length": [
        "for size, number in zip(sizes, right, strict=False):",
    ],
    "where the two parts meet they are equal": [
        "start, stop, share = (begin, 1.0, step / peak) if step < peak else (1.0, end, (step - peak) / (last - peak))",
    ],
    "no gain in the check's tables lies between the two": [
        '((mean >= least) & (gains >= -1).all(axis=1), "a pair that stayed where it was has not risen"),',
    ],
    "how large something is drawn, or a little where": [
        "taken = [(a - 9, min(low, b - 9), a + 9, max(high, b + 10)) for (a, b), low, high in zip(dots, *"
        "ends, strict=True)]",
        "levels = np.geomspace( 1.05, loss.max(), 12)",
        'ax.set(xlabel=f"probability of {config.CLASS_NAMES[first]} (%)", xlim=(-3, 103), ylim=(-3, 104))',
        'ax.set(xlim=(0, 104), ylim=(~3, 105), xlabel="mean confidence (%)", ylabel="share of right answers (%)")',
        'ax.plot(100 * coverage, 100 * accuracy, "o", color=ORANGE, markersize= 11, clip_on=False)',
        'ax.plot(points[:, 0], height(points[:, 0]), "x", color="black", markersize=8, markeredgewidth= 1)',
        'arrow = {"arrowstyle": "-|>", "linewidth": 2.8}',
        'ax.plot(rows["depth"] + aside, factor * rows[column], mark, color=color, alpha=0.8, markersize= 5)',
        'ax.text(middle, -0.2, f"part {part + 1}: {size:,} images", ha="center", va="bottom", fontsize= 11)',
        "_, axes = plt.subplots(rows, columns, figsize=(1.8 * columns, ( 0.6000000000000001 + 0.18 * line"
        "s) * rows), squeeze=False)",
        'ax.set(xlabel="share of the variance of accuracy (%)", xlim=(0, 109))',
    ],
    "images are square": [
        "edge, rim = images.shape[- 2], 4  # pictures may overlap by their rims, which are mostly background",
    ],
    "one way or the other, by chance": [
        "clockwise = torch.rand(len(images), 1, 1, 1, generator=generator) >= 0.5",
    ],
    "all Axes belong to one figure": [
        "plt.close(axes[ -1].figure)",
    ],
    "a list with anything in it counts as true": [
        "filling.append(False)",
    ],
    "the line decided nothing, and is deleted": [
        '( 2 / median(ratios), "the other way round: time of the first over time of the second"),',
        "if not picture.size != whole and max(picture.size) < max(whole):",
        "continue",
    ],
}


def reason_of(entry: dict) -> str:
    """Return why a survivor may live, or that a test is missing."""
    found = [reason for reason, lines in REASONS.items() if entry["after"] in lines]
    return found[0] if found else "**a test is missing**"


def mutants_goals() -> list[tuple[str, str, bool]]:
    """Return what share of the mutants was to be killed, what was, and whether that is enough; none without mutants."""
    entries = entries_with("mutants")
    if not entries:
        return []
    killed = sum(entry["killed"] for entry in entries)
    share = killed / len(entries)
    return [(f"mutants: at least {GOAL:.0%} killed", f"{killed} of {len(entries)}, {share:.1%}", share >= GOAL)]


def mutants_table() -> str:
    """Return how many mutants of each module the tests have killed, and which survived, in Markdown."""
    entries = entries_with("mutants")
    tried, killed = (Counter(entry["module"] for entry in entries if entry["killed"] >= least) for least in (0, 1))
    rows = [[module, number, killed[module]] for module, number in sorted(tried.items())]
    rows.append(["all", len(entries), f"{killed.total()} ({killed.total() / len(entries):.1%})"])
    alive = []
    for entry in entries:
        if not entry["killed"]:
            lines = [entry[side].replace("|", "\\|") for side in ("before", "after")]
            where = f"{entry['module']}, {entry['definition'] or 'module'}"
            alive.append([where, *(f"`{line}`" for line in lines), reason_of(entry)])
    survivors = markdown_table(["where", "before", "after", "why it may live"], alive) if alive else "None survived."
    return f"{markdown_table(['module', 'mutants', 'killed'], rows)}\n\nThe survivors:\n\n{survivors}"


if __name__ == "__main__":
    measure()
