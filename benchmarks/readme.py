"""Write the tables of the README and of benchmarks/README.md from the recorded results."""

from pathlib import Path

from benchmarks.audit import audit_table
from benchmarks.busy import busy_table, one_busy_program
from benchmarks.demo import demo_table
from benchmarks.gpu import gpu_goals, gpu_table
from benchmarks.hub import hub_in_words, hub_tables
from benchmarks.marking import marking_in_words, marking_table
from benchmarks.mutants import mutants_goals, mutants_table
from benchmarks.peers import peers_picture, peers_table, save_picture
from benchmarks.race import race_goals, race_table
from benchmarks.record import RESULTS, described_conditions, read, write
from benchmarks.scaling import scaling_table
from benchmarks.schedules import schedules_table
from benchmarks.search import search_goals, search_table
from benchmarks.sources import sources_table, variants_table
from benchmarks.speed import speed_goals, speed_tables
from benchmarks.steps import steps_rows, steps_table
from build_tools.series import README, between
from helpers.machine import markdown_table


def goals_table() -> str:
    """Return what the benchmarks were to reach, what they reached, and whether that is enough, as a table."""
    goals = [*race_goals(), *search_goals(), *gpu_goals(), *speed_goals(), *mutants_goals()]
    rows = [[*goal, "met" if met else "**missed**"] for *goal, met in goals]
    return markdown_table(["goal", "measured", ""], rows)


OPERATIONS = README.parent / "OPERATIONS.md"
# What stands where, by the name of the benchmark, which is also the name of the marks in the page.
PAGES = {
    README: {"peers": peers_picture, "busy": one_busy_program},
    OPERATIONS: {"hub": hub_in_words, "marking": marking_in_words},
    RESULTS.parent / "README.md": {
        "peers": peers_table,
        "race": race_table,
        "search": search_table,
        "gpu": gpu_table,
        "sources": sources_table,
        "schedules": schedules_table,
        "speed": speed_tables,
        "variants": variants_table,
        "steps": steps_table,
        "busy": busy_table,
        "scaling": scaling_table,
        "demo": demo_table,
        "marking": marking_table,
        "hub": hub_tables,
        "audit": audit_table,
        "mutants": mutants_table,
    },
}


def filled(page: Path) -> str:
    """Return a page's text with its tables as the recorded results have them."""
    text = page.read_text(encoding="utf-8")
    missing = "" if page == README else "Not measured yet."
    for name, table in PAGES[page].items():
        content = f"{table()}\n\n{described_conditions(name)}" if read(name) else missing
        text = between(text, name, f"\n{content}\n")
    return between(text, "goals", f"\n{goals_table()}\n")


def main() -> None:
    """Rewrite the pages, the ladder that lesson 07 shows, and the README's first picture."""
    write("ladder", {row["step"]: row for row in steps_rows()})
    save_picture()
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")
        print(f"Tables written: {page.name} of {page.parent.name}.")


if __name__ == "__main__":
    main()
