"""Measure a class at a real JupyterHub: memory and seconds for each student when 1, 4 and 12 run lesson 02 at once.

It needs root on Linux, since the students are real users, made for the measurement and removed again.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil

from benchmarks.record import entries_with, measure_once, spread, start
from helpers import config
from helpers.machine import markdown_table

LESSON = "notebooks/02_mlp_baseline.ipynb"
STUDENTS = [1, 4, 12]
THREADS = [1, 2]  # on which PyTorch computes for a student
CORES = [8, 32, 64]
PATIENCE = 2  # times as long as one student alone
FOR_ALL_GB = 2  # what the system and the hub itself need


def megabytes(processes: list[psutil.Process]) -> float:
    """Return the memory that processes hold; what several processes share is divided among them (PSS)."""
    kilobytes = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1000


def processor_seconds(processes: list[psutil.Process]) -> float:
    """Return how long the cores have worked for processes and for their children that have ended."""
    return sum(sum(process.cpu_times()[:4]) for process in processes)


@contextmanager
def peak_megabytes(processes: Callable[[], list[psutil.Process]]) -> Iterator[list[float]]:
    """Look at the memory of processes every second until the block ends; the list's only item is the peak."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(1):
            peak[0] = max(peak[0], megabytes(processes()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def in_order(values: list[float]) -> list[float]:
    """Return median, lowest and highest."""
    return [round(value, 1) for value in (median(values), min(values), max(values))]


def measure_class(students: int, threads: int) -> dict:
    """Let students log in, start their servers and run the lesson, each step at the same time."""
    from build_tools.classroom import Person, at_once, processes_of, running_class  # Windows has no such users

    with running_class(students, OMP_NUM_THREADS=str(threads)) as room:
        people = at_once(Person.log_in, room.students)
        starts = at_once(Person.start_server, people)
        time.sleep(5)  # until the servers have nothing to do
        servers = megabytes(processes_of(people))
        before = processor_seconds(processes_of(people))
        with peak_megabytes(lambda: processes_of(people)) as peak:
            lessons = [seconds for _, seconds in at_once(lambda person: person.run_notebook(LESSON), people)]
        worked = processor_seconds(processes_of(people)) - before
    return {
        "start_seconds": in_order(starts),
        "lesson_seconds": in_order(lessons),
        "processor_seconds": round(worked / students, 1),
        "server_mb": round(servers / students),
        "peak_mb": round(peak[0] / students),
    }


def greediest_lesson() -> float:
    """Return the most memory that a lesson's kernel took on a full run, in GB."""
    recorded = json.loads((config.NOTEBOOKS_DIR / "run_times.json").read_text(encoding="utf-8"))
    return max(recorded["peak_memory"].values())


def capacity(cores: int, alone: dict, crowded: dict) -> tuple[int, float, float]:
    """Return how many students a server carries that all run the lesson at once, and the memory that they need.

    Parameters
    ----------
    cores : int
        Of the server, each as fast as those that were measured on.
    alone, crowded : dict
        Measurements of one student, and of the largest class.

    Returns
    -------
    students : int
        So many that the lesson takes each `PATIENCE` times as long as one student alone.
    short, full : float
        GB, when they run the lesson in the short mode, and when each has the greediest lesson open on a full run.
    """
    students = int(cores * PATIENCE * alone["lesson_seconds"][0] / crowded["processor_seconds"])
    short = FOR_ALL_GB + students * crowded["peak_mb"] / 1000
    full = FOR_ALL_GB + students * (crowded["server_mb"] / 1000 + greediest_lesson())
    return students, short, full


def capacity_table(alone: dict, crowded: dict) -> str:
    """Return how many students larger servers carry, and the memory that they need, as a table in Markdown."""
    rows = []
    for cores in CORES:
        students, short, full = capacity(cores, alone, crowded)
        rows.append([cores, students, f"{short:.0f} GB", f"{full:.0f} GB"])
    return markdown_table(["cores", "students", "memory, short mode", "memory, greediest lesson on a full run"], rows)


def hub_tables() -> str:
    """Return what was measured of a class, and what follows for larger servers, as two tables in Markdown."""
    entries = sorted(entries_with("hub"), key=lambda entry: (entry["threads"], entry["students"]))
    rows = [
        [
            entry["students"],
            entry["threads"],
            spread(entry["start_seconds"], " s"),
            spread(entry["lesson_seconds"], " s"),
            f"{entry['processor_seconds']:g} s",
            f"{entry['server_mb']} MB",
            f"{entry['peak_mb']} MB",
        ]
        for entry in entries
    ]
    columns = ["students at once", "threads each", "server starts", "lesson 02", "processor", "server", "at the peak"]
    measured = markdown_table(columns, rows)
    single = {entry["students"]: entry for entry in entries if entry["threads"] == 1}
    if not {STUDENTS[0], STUDENTS[-1]} <= single.keys():
        return measured
    return f"{measured}\n\n{capacity_table(single[STUDENTS[0]], single[STUDENTS[-1]])}"


def hub_in_words() -> str:
    """Return in sentences what a student takes and how many students a server carries."""
    single = {entry["students"]: entry for entry in entries_with("hub", threads=1)}
    alone, crowded = single[STUDENTS[0]], single[STUDENTS[-1]]
    return (
        f"On {alone['conditions']['cores']} cores, lesson 02 in the short mode takes a student alone "
        f"{alone['lesson_seconds'][0]:.0f} s and {alone['peak_mb'] / 1000:.1f} GB. "
        f"When {crowded['students']} run it in the same minute, it takes {crowded['lesson_seconds'][0]:.0f} s and "
        f"{crowded['peak_mb'] / 1000:.1f} GB each. On a larger server so many students may do that, if "
        f"it may take {PATIENCE} times as long as for one alone:\n\n{capacity_table(alone, crowded)}"
    )


def main() -> None:
    """Measure every class, unless that is done."""
    from build_tools.classroom import missing

    if lacking := missing():
        raise SystemExit(f"A class cannot be measured here: this machine lacks {lacking}.")
    for threads in THREADS:
        for students in STUDENTS:
            key = {"students": students, "threads": threads}
            measure_once("hub", key, lambda students=students, threads=threads: measure_class(students, threads))
    print(hub_tables())


if __name__ == "__main__":
    start(main)
