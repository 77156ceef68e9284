"""Execute the lessons in order (`run`), and put a full run's outputs and results in the project (`publish`)."""

import argparse
import atexit
import base64
import datetime
import hashlib
import io
import json
import logging
import os
import platform
import re
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import nbformat
import torch
from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from PIL import Image

from helpers import config
from helpers.alt_text import describe_figure
from helpers.device import describe_processor, describe_seconds, get_device, leave_busy_cores, processor
from helpers.experiments import recorded_experiments
from helpers.fetch import DataError, fetch
from helpers.files import write_json
from helpers.home import cannot_keep
from helpers.machine import INSTALL, free_memory, markdown_table
from helpers.plotting import plot_scoreboard, use_theme
from helpers.recipes import RECIPES
from helpers.replay import RECORDINGS, compare_with_recordings, read_recording, recordings_of_this_run
from helpers.results import (
    OTHERWISE,
    headlines_table,
    read_entries,
    read_headlines,
    read_results,
    results_path,
    results_table,
    scoreboard,
    scores_path,
)
from helpers.speed import steps_per_second

README = config.ROOT / "README.md"
INSTRUCTORS = config.ROOT / "INSTRUCTORS.md"
START = config.NOTEBOOKS_DIR / "00_start_here.ipynb"
LAB = config.NOTEBOOKS_DIR / "impossible"
LAB_START = LAB / "00_read_me_first.ipynb"
RESULTS = config.NOTEBOOKS_DIR / "results.json"
RUN_TIMES = config.NOTEBOOKS_DIR / "run_times.json"
SCOREBOARD = config.NOTEBOOKS_DIR / "scoreboard.svg"
TIMES_OF_THIS_RUN = config.RUNS_DIR / "run_times.json"
COPIES = config.RUNS_DIR / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"


def lesson_path(name: str) -> Path:
    """Return the notebook of a lesson."""
    return config.NOTEBOOKS_DIR / f"{name}.ipynb"


def lesson_paths() -> list[Path]:
    """Return the notebooks of the lessons in order, then those of the appendices."""
    return [lesson_path(name) for name in [*config.LESSONS, *config.APPENDICES]]


def case_paths() -> list[Path]:
    """Return the solutions of the lab's cases, of which the students' notebooks are made."""
    return [LAB / "solutions" / f"{name}.ipynb" for name in config.LAB_CASES]


def all_paths() -> list[Path]:
    """Return what a run executes: lessons, appendices, the lab's first page and the solutions of its cases."""
    return [*lesson_paths(), *([LAB_START] if config.LAB_CASES else []), *case_paths()]


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """Return the SHA-256 of the code cells, which tells whether outputs belong to this code."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


def make_repeatable(notebook: nbformat.NotebookNode) -> None:
    """Take widgets, memory addresses and the random names of styled tables out of the outputs."""
    for number, cell in enumerate(notebook.cells):
        if any(WIDGET in output.get("data", {}) for output in cell.get("outputs", [])):
            # A widget lives only as long as its kernel; saved, it is an error message on the next page view.
            cell.outputs = []
        for output in cell.get("outputs", []):
            for kind, text in output.get("data", {}).items():
                if kind in ("text/plain", "text/html"):
                    text = re.sub(r" at 0x[0-9a-f]+", "", text)
                    output.data[kind] = re.sub(r"\bT_[0-9a-f]{5}(?![0-9a-f])", f"T_{number}", text)


def shrink_pictures(notebook: nbformat.NotebookNode) -> None:
    """Store each picture of the outputs with 256 colours, where that is smaller."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        png = output.get("data", {}).get("image/png")
        if png is None:
            continue
        picture, smaller = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA"), io.BytesIO()
        if picture.getextrema()[3][0] < 255:  # transparent somewhere
            continue
        picture.convert("RGB").quantize(256).save(smaller, "png", optimize=True)
        output.data["image/png"] = min(png, base64.b64encode(smaller.getvalue()).decode(), key=len)


def executed_copy(path: Path) -> Path:
    """Return where the executed copy of a notebook is kept."""
    return COPIES / path.relative_to(config.NOTEBOOKS_DIR)


class Execution(NamedTuple):
    """What the execution of a notebook took."""

    seconds: float  # from the kernel's start to the last cell
    gigabytes: float | None  # the most memory that the kernel held; None where the system does not tell


def peak_memory(process: int) -> float | None:
    """Return the most memory that a running process has held so far, in GB; None on other systems than Linux."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next(round(int(line.split()[1]) / 1e6, 2) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None


def execute(path: Path, record: bool = False) -> Execution:
    """Execute one notebook on a fresh kernel, with a line for each code cell, and keep the executed copy.

    Parameters
    ----------
    path : Path
        Of the notebook.
    record : bool
        Also record its experiments for a replay.

    Returns
    -------
    Execution
        seconds, gigabytes.

    Raises
    ------
    CellExecutionError
        If a cell fails. The copy is written all the same.
    SystemExit
        If the kernel cannot start, or ends within a cell. What was executed is written all the same.
    """
    notebook = nbformat.read(path, as_version=4)
    numbers = [number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    cell_started, memory, place = time.perf_counter(), None, "its first cell"

    def on_start(cell, cell_index):
        nonlocal cell_started, place
        cell_started = time.perf_counter()
        place = f"cell {numbers.index(cell_index) + 1} of {len(numbers)}"
        first_line = cell.source.strip().split("\n")[0][:56]
        print(f"  cell {numbers.index(cell_index) + 1:2} of {len(numbers)}  {first_line:56}", end="", flush=True)

    def on_end(cell, cell_index, execute_reply):
        nonlocal memory
        memory = peak_memory(client.km.provisioner.pid)
        print(f" {time.perf_counter() - cell_started:7.1f} s", flush=True)

    client = NotebookClient(
        notebook,
        timeout=None,
        startup_timeout=600,  # a minute, the default, is short on a machine that is busy
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # its warnings would break the lines of progress
        on_cell_execute=on_start,
        on_cell_executed=on_end,
    )
    # The client answers a widget's messages itself, and now and then it then misses that a cell has ended.
    client.widget_registry = {}
    started = time.perf_counter()
    try:
        # A bar that moves would leave its remains in the executed copy, and take the cell's other outputs with it.
        client.execute(env=os.environ | {"TQDM_DISABLE": "1"} | ({"RECORD_AS": path.stem} if record else {}))
    except NoSuchKernel:
        raise SystemExit(f"{path.stem} was not executed, since the package ipykernel is missing. {INSTALL}") from None
    except DeadKernelError:
        held = "" if memory is None else f" It had held up to {memory:.1f} GB in the cells before."
        raise SystemExit(
            f"\n\n{path.stem} stopped: its kernel was ended from outside in {place}. That is nearly always the system, "
            f"because memory ran out.{held} Now {free_memory():.1f} GB are free. Close other programs and notebooks, "
            f"or give the container more memory, and start again.\nThe copy up to this cell is {executed_copy(path)}."
        ) from None
    except RuntimeError as error:
        if memory is not None:  # it has executed a cell, so this is something else
            raise
        raise SystemExit(
            f"{path.stem} was not executed, since its kernel does not start: {error}. If memory ran out, close other "
            f"programs and notebooks and start again: {free_memory():.1f} GB are free. If not, a package is damaged. "
            f"{INSTALL}"
        ) from None
    except AssertionError:
        if client.km is not None:
            raise
        # Ctrl-C makes nbclient end the kernel, and stumble over its absence.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise KeyboardInterrupt from None
    finally:
        atexit.unregister(client._cleanup_kernel)  # left behind where the kernel did not start or was ended
        make_repeatable(notebook)
        shrink_pictures(notebook)
        notebook.metadata = nbformat.from_dict(
            {
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
                "language_info": {"name": "python"},
                "series": {"code_sha256": code_hash(notebook), "fast": config.FAST},
            }
        )
        copy = executed_copy(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, copy)
    return Execution(time.perf_counter() - started, memory)


def unborne_claims(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the lines in which an executed lesson says that a claim did not hold."""
    texts = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    return [line for text in texts for line in text.splitlines() if line.startswith(OTHERWISE)]


def recorded_elsewhere(times: dict) -> str:
    """Return by what this machine differs from the one that recorded the other lessons; empty if by nothing."""
    recorded = json.loads(RUN_TIMES.read_text())
    return ", ".join(
        f"{name} {times[name]} instead of {recorded[name]}"
        for name in ("processor", "processor_mark", "device", "python", "torch")
        if times[name] != recorded.get(name, times[name])  # an older recording has no mark
    )


def scores_entered_by(paths: list[Path]) -> set[str]:
    """Return the names that notebooks enter on the scoreboard, as their code says them."""
    code = [
        cell.source for path in paths for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    ]
    return set(re.findall(r"""record_score\(\s*["']([^"']+)["']""", "\n".join(code)))


@contextmanager
def scores_so_far(path: Path) -> Iterator[None]:
    """Hide from a lesson what only later lessons enter on the scoreboard; afterwards it stands there again."""
    lessons = all_paths()
    number = lessons.index(path) + 1
    later = scores_entered_by(lessons[number:]) - scores_entered_by(lessons[:number])
    before = read_entries(scores_path())
    hidden = [entry for entry in before if entry["name"] in later]
    if hidden:
        write_json(scores_path(), [entry for entry in before if entry not in hidden])
    try:
        yield
    finally:
        if hidden:
            write_json(scores_path(), [*read_entries(scores_path()), *hidden])


def lessons_to_run_before(only: list[str]) -> list[str]:
    """Return the lessons whose scores the lessons to record show on the scoreboard, and the run folder lacks."""
    there = {entry["name"] for entry in read_entries(scores_path())}
    paths = all_paths()
    showing = [path for path in paths if path.stem in only and "scoreboard(" in path.read_text(encoding="utf-8")]
    before = paths[: paths.index(showing[-1])] if showing else []
    return [path.stem for path in before if path.stem not in only and scores_entered_by([path]) - there]


def run(only: list[str] | None = None, record: bool = False) -> dict[str, Execution]:
    """Execute all lessons in order; print what each model reached, each time, and which claims did not hold.

    Parameters
    ----------
    only : list of str, optional
        Names of the lessons to execute. What the others left in the run folder stays there.
    record : bool
        Also record their experiments.

    Returns
    -------
    dict
        Of `Execution`, by lesson name.
    """
    if message := cannot_keep(config.RUNS_DIR):
        raise SystemExit(message)
    print(fetch())
    print("FAST=1: little data and few epochs; the figures mean nothing." if config.FAST else "Full training.")
    if not only:
        results_path().unlink(missing_ok=True)
        scores_path().unlink(missing_ok=True)
    shutil.rmtree(recordings_of_this_run(), ignore_errors=True)
    times = {
        "date": datetime.date.today().isoformat(),
        "processor": describe_processor(),
        "processor_mark": processor(),
        "device": get_device().type,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }
    if not (config.FAST or config.REPLAY or only):
        print("Measuring how fast this machine trains ...", flush=True)
        times["steps_per_second"] = steps_per_second()
    executions = {}
    for path in all_paths():
        if only and path.stem not in only:
            continue
        print(f"\n{path.stem}", flush=True)
        try:
            with scores_so_far(path):
                executions[path.stem] = execute(path, record)
        except CellExecutionError as error:
            raise SystemExit(
                f"\n\n{path.stem} stopped: {error.ename}: {error.evalue}\n"
                f"The executed copy up to this cell is {executed_copy(path)}."
            ) from None
    times["seconds"] = {name: round(found.seconds, 1) for name, found in executions.items()}
    times["peak_memory"] = {name: found.gigabytes for name, found in executions.items()}
    write_json(TIMES_OF_THIS_RUN, times)
    print("\nWhat each model reached\n")
    print(results_table(read_results(results_path())).to_string(index=False))
    for entry in headlines_table(read_headlines(results_path())).itertuples(index=False):
        print(f"\n{entry[0]}: {entry[1]}: {entry[2]} ({entry[3]}; {entry[4]})")
    print("\nHow long each lesson took\n")
    for name, value in times["seconds"].items():
        print(f"  {name:26} {value:7.1f} s")
    print(f"  {'all':26} {sum(times['seconds'].values()):7.1f} s")
    print(f"\nThe executed notebooks are in {COPIES}.")
    if not config.FAST and not config.REPLAY and not only:
        print("\nTrainings beside their recordings\n")
        for line in compare_with_recordings() or ["every one ends where its recording does"]:
            print(f"  {line}")
    executed = {path.stem: executed_copy(path) for path in all_paths() if path.stem in executions}
    otherwise = {name: unborne_claims(nbformat.read(copy, as_version=4)) for name, copy in executed.items()}
    if any(otherwise.values()):
        print(
            "\nClaims that did not hold in this run. Each training depends a little on the processor and on "
            "chance, so this is no fault of yours, and the lessons went on:\n"
        )
        for name, lines in otherwise.items():
            for line in lines:
                print(f"  {name}: {line.removeprefix(OTHERWISE).strip()}")
    elif not config.FAST:
        print("\nEvery claim of the lessons held in this run.")
    return executions


def measured_on(times: dict) -> str:
    """Return in a sentence when, where and with what the lessons were recorded."""
    return (
        f"Measured on {times['date']} ({times['processor']}, {times['device']}; Python {times['python']}, "
        f"PyTorch {times['torch']})."
    )


def spared_by_replay() -> Counter[str]:
    """Return the seconds that the recorded trainings and experiments of each lesson took, by its name."""
    seconds = Counter()
    for recipe in RECIPES.values():
        path = RECORDINGS / f"{recipe.network}.safetensors"
        if path.is_file():
            seconds[recipe.lesson] += sum(read_recording(path)[1]["history"]["seconds"])
    for path, entry, _ in recorded_experiments().values():
        seconds[path.stem] += entry["seconds"]
    return seconds


def run_times_table() -> str:
    """Return the recorded run times and where they were measured, for the instructors' guide."""
    times = json.loads(RUN_TIMES.read_text())
    seconds, spared = times["seconds"], spared_by_replay()
    left = {name: value - spared[name] for name, value in seconds.items()}
    memory = {name: f"{value:.1f} GB" for name, value in times.get("peak_memory", {}).items() if value}
    rows = [
        [name, describe_seconds(value), describe_seconds(left[name]), memory.get(name, "–")]
        for name, value in seconds.items()
    ]
    rows.append(["all lessons", describe_seconds(sum(seconds.values())), describe_seconds(sum(left.values())), ""])
    table = markdown_table(["lesson", "run time", "with `REPLAY=1`", "peak memory"], rows)
    reckoned = "With `REPLAY=1` is reckoned: the run time less the time of what is recorded."
    return f"{measured_on(times)} {reckoned}\n\n{table}"


def readme_results() -> str:
    """Return the README's table of results and where they were measured, made of the recorded results alone."""
    table, times = results_table(read_results(RESULTS)), json.loads(RUN_TIMES.read_text())
    return f"{markdown_table(list(table.columns), table.values.tolist())}\n\n{measured_on(times)}"


def headlines() -> str:
    """Return the table of what the lessons of Part II measured, for README and instructors' guide."""
    table, times = headlines_table(read_headlines(RESULTS)), json.loads(RUN_TIMES.read_text())
    return f"{markdown_table(list(table.columns), table.values.tolist())}\n\n{measured_on(times)}"


def lessons_table() -> str:
    """Return the README's map: what each lesson asks, and how long it takes to read and to run."""
    seconds, rows = json.loads(RUN_TIMES.read_text())["seconds"], []
    for path in lesson_paths():
        opening = nbformat.read(path, as_version=4).cells[0].source
        title, _, rest = opening.partition("\n")
        question = " ".join(rest.strip().split("\n\n")[0].replace("**", "").split())
        reading = re.search(r"\*\*Reading time\*\* about (\d+ minutes)", opening)
        exercises = f"notebooks/exercises/{path.name}"
        rows.append(
            [
                f"[{title.removeprefix('# ')}](notebooks/{path.name})",
                question,
                reading[1] if reading else "–",
                describe_seconds(seconds[path.stem]).removeprefix("about ") if path.stem in seconds else "–",
                f"[exercises]({exercises})" if (config.ROOT / exercises).exists() else "–",
            ]
        )
    return markdown_table(["lesson", "question", "to read", "to run", "practise"], rows)


def draw_scores() -> str:
    """Draw the scoreboard of this run into the project, and return the README's line that shows it."""
    use_theme()
    table = scoreboard()
    figure, ax = plt.subplots(figsize=(8, 0.8 + 0.55 * len(table)))
    plot_scoreboard(table[table["name"] != "you"].reset_index(drop=True), ax=ax)
    ax.set_title("The scoreboard of the lessons")
    with plt.rc_context({"svg.hashsalt": "scoreboard"}):  # the same ids in each run
        figure.savefig(SCOREBOARD, metadata={"Date": None})
    plt.close(figure)
    return f"![{describe_figure(figure)}](notebooks/{SCOREBOARD.name})"


def between(text: str, name: str, content: str) -> str:
    """Replace what stands between <!--name--> and <!--/name-->."""
    pattern = rf"(<!--{name}-->).*?(<!--/{name}-->)"
    return re.sub(pattern, lambda found: found[1] + content + found[2], text, flags=re.DOTALL)


def fill(page: Path, name: str, content: str) -> None:
    """Rewrite what stands between <!--name--> and <!--/name--> in a page."""
    page.write_text(between(page.read_text(encoding="utf-8"), name, f"\n{content}\n"), encoding="utf-8")


def publish(only: list[str] | None = None) -> None:
    """Do a full run, then rewrite the committed notebooks, the recorded results and the tables that show them.

    Parameters
    ----------
    only : list of str, optional
        Names of the lessons to record anew, on the machine that recorded the others.
    """
    if config.FAST:
        raise SystemExit("The committed outputs come from a full run: do not set FAST.")
    if config.REPLAY:
        raise SystemExit("The committed outputs come from trainings of this run: do not set REPLAY.")
    if leave_busy_cores():
        raise SystemExit("Run times that are published need a machine with nothing else at work.")
    if peak_memory(os.getpid()) is None:
        raise SystemExit("The memory that each lesson takes is published, too, and only Linux tells it. Publish there.")
    if only and (lacking := lessons_to_run_before(only)):
        raise SystemExit(
            f"{config.RUNS_DIR} lacks the scores of {', '.join(lacking)}, which what you record shows. Train them "
            f"first, without REPLAY: .venv/bin/python -m build_tools.series run {' '.join(lacking)}"
        )
    executions = run(only, record=True)
    times = json.loads(TIMES_OF_THIS_RUN.read_text())
    if only and (differences := recorded_elsewhere(times)):
        raise SystemExit(f"The other lessons were recorded on another machine: {differences}. Record all of them.")
    paths = [path for path in all_paths() if path.stem in executions]
    executed = {path: nbformat.read(executed_copy(path), as_version=4) for path in paths}
    if any(map(unborne_claims, executed.values())):
        raise SystemExit("The committed outputs must bear out what the lessons claim, so this run is not published.")
    for path, notebook in executed.items():
        first = notebook.cells[0]
        first.source = between(first.source, "run-time", describe_seconds(executions[path.stem].seconds))
        nbformat.write(notebook, path)
    if only:
        recorded = json.loads(RUN_TIMES.read_text())
        for kind in ("seconds", "peak_memory"):
            found = recorded[kind] | times[kind]
            times[kind] = {path.stem: found[path.stem] for path in all_paths() if path.stem in found}
        times = recorded | times
    write_json(RUN_TIMES, times)
    if recordings_of_this_run().is_dir():
        shutil.copytree(recordings_of_this_run(), RECORDINGS, dirs_exist_ok=True)
    results = read_entries(results_path())
    if only:
        others = [entry for entry in read_entries(RESULTS) if entry["lesson"] not in only]
        results = [*others, *(entry for entry in results if entry["lesson"] in only)]
    write_json(RESULTS, sorted(results, key=lambda entry: entry["lesson"]))
    fill(README, "results", readme_results())
    fill(README, "lessons", lessons_table())
    fill(README, "headlines", headlines())
    if not only:  # the run folder may lack what the other lessons enter on the scoreboard
        fill(README, "picture", draw_scores())
    fill(INSTRUCTORS, "run-times", run_times_table())
    fill(INSTRUCTORS, "headlines", headlines())
    # Last, since it predicts from the times that were just recorded.
    print(f"\n{START.stem}", flush=True)
    execute(START)
    shutil.copy(executed_copy(START), START)


def named_lessons(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read a command whose last words, `only`, are the names of lessons; without them all are meant."""
    parser.add_argument("only", nargs="*", metavar="LESSON", help="such as 02_mlp_baseline; all if none is named")
    arguments = parser.parse_args()
    names = [path.stem for path in all_paths()]
    if unknown := set(arguments.only) - set(names):
        parser.error(f"no lesson is called {', '.join(sorted(unknown))}. The lessons: {', '.join(names)}")
    return arguments


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "publish"])
    arguments = named_lessons(parser)
    try:
        {"run": run, "publish": publish}[arguments.what](arguments.only)
    except DataError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        print(
            f"\n\nStopped by you. The lessons executed up to now are in {COPIES}, and what they trained is in "
            f"{config.RUNS_DIR}. Start again whenever you like.",
            file=sys.stderr,
        )
        sys.exit(128 + signal.SIGINT)
