"""The slides: every cell has its place, the rule does what it says, and the built page shows all of it."""

import re
from html import unescape

import nbformat
import pytest
from committed import read_committed
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from build_tools import series, slides

LESSONS = series.lesson_paths()


def code(source, text=""):
    return new_code_cell(source, outputs=[new_output("stream", text=text)] if text else [])


def kinds(*cells):
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), code("import torch"), *cells])
    return [kind for _, _, kind in slides.arrange(notebook, by_rule=True)][2:]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_cell_carries_a_slide_type_and_the_first_opens_a_slide(path):
    cells = read_committed(path).cells
    types = [cell.metadata.get("slideshow", {}).get("slide_type") for cell in cells]
    assert set(types) <= set(slides.TYPES), "run python -m build_tools.slides stamp"
    assert types[0] == "slide"


def test_the_set_up_cell_is_skipped():
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), code("import torch")])
    assert [kind for _, _, kind in slides.arrange(notebook, by_rule=True)] == ["slide", "skip"]


def test_a_question_waits_alone_until_a_key_brings_code_and_then_the_answer():
    question = new_markdown_cell("Words.\n\n**Before you run it:** how many?")
    answer = new_markdown_cell("Answer\n\nThree.")
    after = new_markdown_cell("More words.\n\n### Next\nWords.\n\n## Section\nWords.")
    assert kinds(question, code("print(3)", "3\n"), answer, after) == [
        "subslide",
        "fragment",
        "fragment",
        "fragment",
        "subslide",
        "slide",
    ]


def test_what_does_not_fit_opens_a_subslide():
    three = [code("\n".join(["x = 1"] * 20)) for _ in range(3)]
    assert kinds(*three) == ["fragment", "subslide", "subslide"]


def test_outputs_that_do_not_fit_below_their_code_get_a_slide_without_it():
    tall = code("print(a)\n" * 10, "line\n" * 25)
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), code("import torch"), tall])
    arranged = slides.arrange(notebook, by_rule=True)[2:]
    assert [(number, kind) for number, _, kind in arranged] == [(2, "fragment"), (2, "subslide")]
    page = slides.slides_page(notebook, "tall")
    assert page.count('<span class="nb">print</span>') == 10 and page.count("line\nline") > 0


def test_controls_and_records_are_skipped_and_claims_are_notes():
    control = [code("from helpers.widgets import browse, turn"), code("x = 1\nturn(x)")]
    assert kinds(*control)[-1] == "skip"
    assert kinds(code("_ = record_result(1)")) == ["skip"]
    assert kinds(code("claim('a', True)", "✓ a\n✓ b\n")) == ["notes"]
    assert kinds(code("claim('a', True)\nprint(3)", "✓ a\n3\n")) == ["fragment"]


def test_a_type_set_by_hand_is_kept():
    cell = code("print(1)", "1\n")
    cell.metadata["slideshow"] = {"slide_type": "skip"}
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), code("import torch"), cell, code("print(2)")])
    assert [kind for _, _, kind in slides.arrange(notebook, by_rule=False)] == ["slide", "skip", "skip", "fragment"]


def test_stamping_changes_slide_types_only(tmp_path, monkeypatch):
    monkeypatch.setattr(series.config, "NOTEBOOKS_DIR", tmp_path)
    monkeypatch.setattr(series.config, "LESSONS", [LESSONS[0].stem])
    monkeypatch.setattr(series.config, "APPENDICES", [])
    before = nbformat.read(LESSONS[0], as_version=4)
    for cell in before.cells:
        cell.metadata.pop("slideshow", None)
    nbformat.write(before, tmp_path / LESSONS[0].name)
    slides.stamp()
    after = nbformat.read(tmp_path / LESSONS[0].name, as_version=4)
    assert {cell.metadata.pop("slideshow")["slide_type"] for cell in after.cells} <= set(slides.TYPES)
    assert after == before


@pytest.mark.parametrize("local", [False, True])
def test_the_built_page_has_a_section_for_every_slide(local, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(slides, "OUT", tmp_path / "slides")
    monkeypatch.setattr(series, "lesson_paths", lambda: LESSONS[:2])
    if local:
        (tmp_path / "slides" / "node_modules" / "reveal.js").mkdir(parents=True)
    slides.build()
    page = (tmp_path / "slides" / f"{LESSONS[0].stem}.html").read_text(encoding="utf-8")
    notebook = nbformat.read(LESSONS[0], as_version=4)
    types = [kind for _, _, kind in slides.arrange(notebook, by_rule=False)]
    # reveal.js wants a section around each slide and its subslides, and one for each of them.
    assert len(re.findall("<section", page)) == 2 * types.count("slide") + types.count("subslide") > 20
    assert len(re.findall('<div class="fragment"', page)) == types.count("fragment")
    figures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    words = re.findall(r'<img alt="([^"]*)"[^>]+src="data:image/png', page)
    assert [unescape(text) for text in words] == [figure.metadata["image/png"]["alt"] for figure in figures]
    assert len(words) > 5
    loaded = re.findall(r'(?:src|href)="([^"]+\.(?:js|css)[^"]*)"', page)
    assert len(loaded) >= 5
    assert all(address.startswith("node_modules/" if local else "https://") for address in loaded)
    assert (
        f'href="{LESSONS[1].stem}.html"' in page
        and "00_start_here.html" not in page
        and ".ipynb" not in re.sub(r"<code>.*?</code>", "", page)
    )
    assert ("without a network" if local else "need the network") in capsys.readouterr().out
