"""The committed notebooks: run, in order, clean, belonging to their source, and equal to the recorded results."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from committed import CHANGED, git

from build_tools import exercises, series
from helpers import config
from helpers.results import COLUMNS, read_headlines, read_results

LESSONS = series.lesson_paths()  # with the appendices
NAMES = [path.stem for path in LESSONS]
NUMBERED = [series.lesson_path(name) for name in config.LESSONS]
MODELS, HEADLINES = read_results(series.RESULTS), read_headlines(series.RESULTS)
LAB = [series.LAB_START, *series.case_paths()]
EXECUTED = [series.START, *LESSONS, *exercises.solution_paths(), *LAB]
ALL = [*EXECUTED, *map(exercises.student_path, [*exercises.solution_paths(), *series.case_paths()])]


def read(path):
    """Read a notebook as it was committed; a student's work in it is no fault."""
    if CHANGED is None:
        pytest.skip("looked at in a checkout with git only, where a student's changes can be told from the project's")
    if path in CHANGED:
        pytest.skip(f"{path.name} differs from the last commit; looked at when it is committed")
    return nbformat.read(path, as_version=4)


def name_of(path):
    return path.relative_to(config.ROOT).as_posix().removeprefix("notebooks/")


def text_of(path):
    """Return a page's text: a notebook's Markdown cells, or the whole of another file."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def number_of(path):
    """Return how the title of a lesson or an appendix begins: its two digits, or "Appendix" and its letter."""
    word, letter = path.stem.split("_")[:2]
    return f"Appendix {letter.upper()}" if word == "appendix" else word


def test_the_lessons_are_there_and_numbered_in_order():
    assert all(path.is_file() for path in LESSONS) and len(NUMBERED) >= 7
    numbers = [number_of(path) for path in LESSONS]
    assert sorted(numbers) == numbers and len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("path", EXECUTED, ids=name_of)
def test_every_code_cell_was_run_in_order(path):
    counts = [cell.execution_count for cell in code_cells(read(path))]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("path", EXECUTED, ids=name_of)
def test_outputs_hold_no_error_no_stderr_and_no_widget(path):
    notebook = read(path)
    assert "widgets" not in notebook.metadata
    for number, cell in enumerate(code_cells(notebook), 1):
        for output in cell.outputs:
            assert output.output_type != "error", f"cell {number}: {output.get('ename')}"
            assert output.get("name") != "stderr", f"cell {number}: {output.get('text')}"
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {}), f"cell {number}"


@pytest.mark.parametrize("path", EXECUTED, ids=name_of)
def test_outputs_hold_no_progress_bar_and_no_machine_path(path):
    for number, cell in enumerate(code_cells(read(path)), 1):
        for output in cell.outputs:
            texts = [output.get("text", ""), *(v for k, v in output.get("data", {}).items() if k.startswith("text/"))]
            for text in texts:
                assert not re.search(r"it/s\]|batch/s|\d+%\|", text), f"cell {number}: progress bar: {text[:80]}"
                path_found = re.search(r"(?<![\w.:])/(home|root|work|tmp|Users|usr|opt|mnt)/|[A-Z]:\\", text)
                assert not path_found, f"cell {number}: machine path: {text[:80]}"
                assert not re.search(r"0x[0-9a-f]{8,}", text), f"cell {number}: memory address: {text[:80]}"


@pytest.mark.parametrize("path", EXECUTED, ids=name_of)
def test_outputs_belong_to_the_code_and_come_from_a_full_run(path):
    notebook = read(path)
    assert notebook.metadata["series"]["code_sha256"] == series.code_hash(notebook), "run make notebooks"
    assert notebook.metadata["series"]["fast"] is False


@pytest.mark.parametrize("path", EXECUTED, ids=name_of)
def test_a_notebook_is_small_and_its_metadata_is_plain(path):
    notebook = read(path)
    assert path.stat().st_size < 1_000_000
    assert set(notebook.metadata) == {"kernelspec", "language_info", "series"}
    allowed = {"nbval-check-output", "nbval-ignore-output", "nbval-skip", "raises-exception"}
    for cell in notebook.cells:
        of_its_kind = "nbgrader" if path.parent.name == "solutions" else "slideshow"
        assert set(cell.metadata) <= {"tags", "jupyter", of_its_kind}
        assert cell.metadata.get("jupyter", {"source_hidden": True}) == {"source_hidden": True}
        assert set(cell.metadata.get("tags", [])) <= allowed


@pytest.mark.parametrize("path", EXECUTED, ids=name_of)
def test_every_figure_says_in_words_what_it_shows(path):
    outputs = [output for cell in code_cells(read(path)) for output in cell.outputs]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    described = [
        figure.metadata.get("image/png", {}).get("alt", "a figure").rstrip(".") != "a figure" for figure in figures
    ]
    assert all(described)


@pytest.mark.parametrize("path", EXECUTED, ids=name_of)
def test_no_notebook_branches_on_the_short_mode(path):
    for cell in code_cells(read(path)):
        assert not re.search(r"\bFAST\b|environ", cell.source)


@pytest.mark.parametrize("path", LESSONS, ids=NAMES)
def test_a_lesson_has_its_form(path):
    notebook = read(path)
    first, last = notebook.cells[0].source, notebook.cells[-1].source
    assert first.startswith(f"# {number_of(path)} · ")
    assert 3 <= len(re.findall(r"^- ", first, flags=re.MULTILINE)) <= 5
    assert "**You will be able to**" in first and "**You need first**" in first
    assert "## Summary" in last and ("## Exercises" in last) == (path in NUMBERED)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert text.count("**Before you run it:**") >= 3
    code = "\n".join(cell.source for cell in code_cells(notebook))
    assert code.count("claim(") >= 3
    assert any("nbval-check-output" in cell.metadata.get("tags", []) for cell in code_cells(notebook))


@pytest.mark.parametrize("path", LESSONS, ids=NAMES)
def test_every_question_is_answered_after_its_cell_and_before_the_next_question(path):
    waiting, has_run = None, False
    for cell in read(path).cells:
        if cell.cell_type == "code":
            has_run = True
            continue
        if cell.source.startswith("Answer\n\n"):
            assert waiting and has_run, f"An answer without a question or before its cell: {cell.source[:60]}"
            assert cell.metadata.get("jupyter") == {"source_hidden": True}, f"An answer stands open: {cell.source[:60]}"
            waiting = None
            continue
        for paragraph in cell.source.split("\n\n"):
            if "**Before you run it:**" in paragraph:
                assert waiting is None, f"Not answered: {waiting}"
                waiting, has_run = paragraph[:80], False
    assert waiting is None, f"Not answered: {waiting}"


PAGES = [*ALL, series.README, config.DATA_DIR / "README.md", series.INSTRUCTORS, config.ROOT / "OPERATIONS.md"]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_between_pages_resolve(path):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(path)):
        if not target.startswith(("http:", "https:")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_to_a_notebook_carry_its_title(path):
    titles = r"(?:(?:Exercises |Solutions )?\d\d|Appendix [A-Z]) · [^\]]+"
    links = re.findall(rf"\[({titles})\]\(([^)]+\.ipynb)\)", text_of(path))
    for label, target in links:
        title = read(path.parent / target).cells[0].source.split("\n")[0].removeprefix("# ")
        assert label.replace("Solutions", "Exercises") == title


@pytest.mark.parametrize("path", NUMBERED, ids=config.LESSONS)
def test_every_objective_is_tied_to_exercises_and_every_exercise_to_an_objective(path):
    first = read(path).cells[0].source
    objectives = [line.strip(" ;.") for line in re.findall(r"^- (.+)$", first, flags=re.MULTILINE)]
    title = first.split("\n")[0].removeprefix("# ")
    section = series.INSTRUCTORS.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    table = section.split("| objective | exercises |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \| ([\d, ]+) \|$", table, flags=re.MULTILINE)
    assert [objective for objective, _ in rows] == objectives
    tied = {number for _, numbers in rows for number in numbers.split(", ")}
    numbers = re.findall(r"^## Exercise (\d) · ", text_of(exercises.SOLUTIONS / path.name), flags=re.MULTILINE)
    assert tied == set(numbers)


@pytest.mark.parametrize("path", NUMBERED, ids=config.LESSONS)
def test_lessons_link_to_their_neighbours(path):
    last = read(path).cells[-1].source
    position = NUMBERED.index(path)
    for neighbour in NUMBERED[max(position - 1, 0) : position + 2]:
        if neighbour != path:
            assert f"({neighbour.name})" in last


@pytest.mark.parametrize("name", config.APPENDICES)
def test_an_appendix_and_a_lesson_link_to_each_other(name):
    last = read(series.lesson_path(name)).cells[-1].source
    assert any(f"({path.name})" in last and f"({name}.ipynb)" in text_of(path) for path in NUMBERED)


def test_every_lesson_that_records_a_model_is_among_the_recorded_results():
    recording = {
        path.stem for path in LESSONS if any("record_result(" in cell.source for cell in code_cells(read(path)))
    }
    assert {entry["lesson"] for entry in MODELS} == recording
    assert len(recording) >= 5


def test_every_lesson_of_part_two_records_its_headline_with_an_interval():
    recording = {
        path.stem for path in LESSONS if any("record_headline(" in cell.source for cell in code_cells(read(path)))
    }
    assert {entry["lesson"] for entry in HEADLINES} == recording == set(config.PART_TWO)
    for entry in HEADLINES:
        assert entry["low"] <= entry["value"] <= entry["high"] and entry["low"] < entry["high"]
        assert re.search(r"seeds|draws|repetitions|Wilson|bootstrap", entry["how"])


@pytest.mark.parametrize("path", LESSONS, ids=NAMES)
def test_the_committed_outputs_bear_out_every_claim(path):
    notebook = read(path)
    assert series.unborne_claims(notebook) == []
    told = "".join(output.get("text", "") for cell in code_cells(notebook) for output in cell.outputs)
    assert "Until the kernel is restarted" not in told, "other programs decided on threads or the number format"
    assert told.count("✓ ") >= sum(cell.source.count("claim(") for cell in code_cells(notebook))


def test_results_have_the_promised_fields():
    for entry in MODELS:
        assert list(entry) == COLUMNS
        assert 0 < entry["validation_accuracy"] < 1 and 0 < entry["test_accuracy"] < 1
        assert entry["train_images"] == (45_000 if entry["lesson"].startswith("06") else 50_000)


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry["model"])
def test_recorded_results_stand_in_the_outputs_of_their_lesson(entry):
    outputs = json.dumps(
        [cell.outputs for cell in code_cells(read(config.NOTEBOOKS_DIR / f"{entry['lesson']}.ipynb"))],
        ensure_ascii=False,
    )
    assert f"{100 * entry['test_accuracy']:.2f} %" in outputs
    assert f"{entry['test_loss']:.4f}" in outputs


def test_the_readme_says_what_was_recorded():
    readme = series.README.read_text(encoding="utf-8")
    assert series.between(readme, "results", f"\n{series.readme_results()}\n") == readme
    assert series.between(readme, "lessons", f"\n{series.lessons_table()}\n") == readme
    assert "<!--headlines-->" in readme
    assert series.between(readme, "headlines", f"\n{series.headlines()}\n") == readme


@pytest.mark.parametrize("path", LESSONS, ids=NAMES)
def test_the_run_time_in_a_lesson_is_the_recorded_one(path):
    seconds = json.loads(series.RUN_TIMES.read_text())["seconds"][path.stem]
    assert f"<!--run-time-->{series.describe_seconds(seconds)}<!--/run-time-->" in read(path).cells[0].source


def test_the_memory_of_every_lesson_is_recorded():
    gigabytes = json.loads(series.RUN_TIMES.read_text())["peak_memory"]
    assert sorted(gigabytes) == sorted([*NAMES, *(path.stem for path in LAB)])
    assert min(gigabytes.values()) > 0


def test_tracked_files_hold_no_machine_path():
    if CHANGED is None:
        pytest.skip("a question to git")
    names = ["*.py", "*.md", "*.toml", "*.txt", "*.yml", "Makefile", ".ci", f":!tests/{Path(__file__).name}"]
    assert git("ls-files", "conftest.py")
    assert git("grep", "-lE", "Fashion-(MNIST|Nothing)", "HEAD", "--", *names)  # such a search does find
    assert not git("grep", "-lE", "/(root|work|Users)/", "HEAD", "--", *names)


def test_a_notebook_that_a_student_has_run_is_left_alone_and_one_that_was_committed_is_looked_at(monkeypatch):
    monkeypatch.setitem(globals(), "CHANGED", {LESSONS[0]})
    with pytest.raises(pytest.skip.Exception, match="differs from the last commit"):
        read(LESSONS[0])
    assert read(LESSONS[1]).cells
    monkeypatch.setitem(globals(), "CHANGED", None)
    with pytest.raises(pytest.skip.Exception, match="with git only"):
        read(LESSONS[1])


@pytest.mark.skipif(not os.environ.get("CI"), reason="Only CI tests a fresh checkout.")
def test_in_ci_every_notebook_is_looked_at():
    assert CHANGED is not None and not CHANGED & set(ALL)
