"""Try every claim of the lessons under other seeds and in both number formats: it must hold by more than chance.

Each lesson is executed once for each seed and format. What it trains is kept in `runs/audit-…/`, so that after a claim
was worded anew only the cells around the trainings are executed again. It knows a change of a lesson, but not one of
`helpers`: after one that changes a training, delete `runs/audit-…/` and `benchmarks/results/audit.json`. A processor
without instructions for bfloat16 emulates it: it rounds as bfloat16 does and computes in float32.
"""

import argparse
import ast
import itertools
import json
import os
import re

import nbformat
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from benchmarks.record import conditions, entries_with, read, start, write
from build_tools import series
from helpers import config
from helpers.device import get_device, may_be_faster_in_bfloat16
from helpers.machine import markdown_table

SEEDS = (1, 2, 3)  # the committed outputs are those of seed 0
FORMATS = ("float32", "bfloat16")


def emulates_bfloat16() -> bool:
    """Tell whether the device that trains has no instructions for bfloat16, and so emulates it."""
    if get_device().type == "cuda":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    return not may_be_faster_in_bfloat16(get_device())


def label_of(lesson: str, number_format: str, seed: int) -> str:
    """Return the key under which a run on this machine's device is recorded."""
    return f"{lesson}, {number_format}, seed {seed}, {get_device().type}"


def run_lesson(lesson: str, number_format: str, seed: int, run_name: str) -> dict:
    """Execute one lesson on a kernel that was prepared for the audit.

    Parameters
    ----------
    lesson, number_format, seed
        Such as "02_mlp_baseline", "bfloat16" and 1.
    run_name : str
        Folder of `runs/` that keeps what is trained.

    Returns
    -------
    dict
        lesson, format, emulated, seed, code (SHA-256 of the code cells), claims (each with claim, holds and numbers),
        error (None, or what stopped the lesson), conditions.
    """
    folder = config.ROOT / "runs" / run_name
    folder.mkdir(parents=True, exist_ok=True)
    claims = folder / f"{lesson}.claims"
    claims.unlink(missing_ok=True)
    path = config.NOTEBOOKS_DIR / f"{lesson}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    code = series.code_hash(notebook)
    emulated = number_format == "bfloat16" and emulates_bfloat16()
    call = f"prepare({seed}, {number_format!r}, {emulated}, Path({str(claims)!r}))"
    lines = ["import sys", "from pathlib import Path", f"sys.path.insert(0, {str(config.ROOT)!r})"]
    lines += ["from benchmarks.audited_kernel import prepare", call]
    notebook.cells = [nbformat.v4.new_code_cell("\n".join(lines)), *notebook.cells]
    found_under = conditions()
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    client.widget_registry = {}  # see `series.execute`
    error = None
    try:
        client.execute(env=os.environ | {"RUN_NAME": run_name, "TQDM_DISABLE": "1"})
    except CellExecutionError as failed:
        error = f"{failed.ename}: {failed.evalue}"
    nbformat.write(notebook, folder / path.name)
    lines = claims.read_text(encoding="utf-8").splitlines() if claims.is_file() else []
    return {
        "lesson": lesson,
        "format": number_format,
        "emulated": emulated,
        "seed": seed,
        "code": code,
        "claims": [json.loads(line) for line in lines],
        "error": error,
        "conditions": found_under,
    }


def failed_before(earlier: dict) -> list[dict]:
    """Return the claims that failed in an earlier run of the lesson, also those of runs before that one."""
    failed = [*earlier.get("failed_before", []), *(found for found in earlier.get("claims", []) if not found["holds"])]
    return list({found["claim"]: found for found in failed}.values())


def current_code(lesson: str) -> str:
    """Return the SHA-256 of the code cells of a lesson as it stands."""
    return series.code_hash(nbformat.read(config.NOTEBOOKS_DIR / f"{lesson}.ipynb", as_version=4))


def is_there(lesson: str, number_format: str, seed: int) -> bool:
    """Tell whether a run of the lesson as it stands is recorded, on whatever device."""
    wanted = {"lesson": lesson, "format": number_format, "seed": seed, "code": current_code(lesson), "error": None}
    return bool(entries_with("audit", **wanted))


def sentences_of(lesson: str) -> list[str]:
    """Return what a lesson claims, as regular expressions: a sentence that is filled in has a gap."""
    sentences = []
    for cell in nbformat.read(config.NOTEBOOKS_DIR / f"{lesson}.ipynb", as_version=4).cells:
        for node in ast.walk(ast.parse(cell.source if cell.cell_type == "code" else "")):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "claim":
                parts = getattr(node.args[0], "values", [node.args[0]])
                texts = (re.escape(part.value) if isinstance(part, ast.Constant) else ".*" for part in parts)
                sentences.append("".join(texts))
    return sentences


def makes_the_same_claims(entry: dict) -> bool:
    """Tell whether a recorded run made all claims that its lesson makes now, in the same words, and no other."""
    sentences, found = sentences_of(entry["lesson"]), [one["claim"] for one in entry["claims"]]
    matches = [[bool(re.fullmatch(sentence, claim)) for claim in found] for sentence in sentences]
    return all(any(row) for row in matches) and all(any(column) for column in zip(*matches, strict=True))


def seeds_by_device(runs: list[dict]) -> str:
    """Return which seeds ran on which device, as "1, 2 on cpu; 3 on cuda"; a dash for none."""
    found = {}
    for run in sorted(runs, key=lambda run: run["seed"]):
        where = run["conditions"]["device"] + (" (emulated)" if run["emulated"] else "")
        where += " (earlier code)" if run["code"] != current_code(run["lesson"]) else ""
        found.setdefault(where, []).append(str(run["seed"]))
    return "; ".join(f"{', '.join(seeds)} on {where}" for where, seeds in found.items()) or "–"


def audit_table() -> str:
    """Return what the audit found: a row for each lesson, then each claim that failed in some run.

    A run of a lesson whose code has changed since counts, and is marked, as long as the claims are the same.
    """
    entries = [
        entry
        for entry in read("audit").values()
        if entry["code"] == current_code(entry["lesson"]) or makes_the_same_claims(entry)
    ]
    rows, failing, untried = [], set(), []
    for path in series.lesson_paths():
        runs = [entry for entry in entries if entry["lesson"] == path.stem]
        claims = {found["claim"] for run in runs for found in run["claims"]}
        failed = {found["claim"] for run in runs for found in run["claims"] if not found["holds"]}
        failing |= failed
        by_format = [seeds_by_device([run for run in runs if run["format"] == asked]) for asked in FORMATS]
        rows.append([path.stem, len(claims), *by_format, len(failed)])
        lacking = set(itertools.product(FORMATS, SEEDS)) - {(run["format"], run["seed"]) for run in runs}
        untried += [f"{path.stem} ({number_format}, seed {seed})" for number_format, seed in sorted(lacking)]
    changed = {}
    for entry in entries:
        for found in entry["failed_before"]:
            if found["claim"] not in failing:
                run = f"{entry['format']}, seed {entry['seed']}: {found['numbers']}"
                changed.setdefault(f"{entry['lesson']}: “{found['claim']}”", []).append(run)
    text = markdown_table(["lesson", "claims", "seeds in float32", "seeds in bfloat16", "claims that failed"], rows)
    text += f"\n\nNot tried since a claim was worded anew: {', '.join(untried) or 'none'}."
    text += f"\n\nClaims that failed in an earlier audit and were changed: {len(changed)}.\n"
    text += "".join(f"\n- {claim} ({'; '.join(runs)})" for claim, runs in changed.items())
    text += "".join(f"\n- **still fails**: “{claim}”" for claim in sorted(failing))
    return text


def main() -> None:
    """Execute what is not recorded yet, or was recorded with other code, and say what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    asked = parser.parse_args()
    lessons = [path.stem for path in series.lesson_paths()]
    for number_format, seed, lesson in itertools.product(asked.formats, asked.seeds, lessons):
        label = label_of(lesson, number_format, seed)
        if is_there(lesson, number_format, seed):
            continue
        print(label, flush=True)
        entry = run_lesson(lesson, number_format, seed, f"audit-{number_format}-{seed}")
        recorded = read("audit")
        entry["failed_before"] = failed_before(recorded.get(label, {}))
        write("audit", {**recorded, label: entry})
        failed = [found for found in entry["claims"] if not found["holds"]]
        for found in failed:
            print(f"  fails: {found['claim']} {found['numbers']}", flush=True)
        print(f"  {len(entry['claims'])} claims, {len(failed)} failed, {entry['error'] or 'no error'}", flush=True)


if __name__ == "__main__":
    start(main)
