"""Slides of the lessons: `python -m build_tools.slides` builds them; `stamp` behind it sets what goes where.

Every cell of a lesson carries a slide type. `stamp` sets it by the rule of `arrange`; a lecturer may change it by hand
in JupyterLab. `build` also splits a text at its headings, without touching the notebooks.
"""

import argparse
import base64
import re
import struct
from html import escape
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from traitlets.config import Config

from build_tools import series
from helpers import config

OUT = config.ROOT / "runs" / "slides"
PAGE_PARTS = Path(__file__).parent / "slides.html"
WIDTH, HEIGHT = 1280, 720
# A slide that is a little too full is shrunk in the browser; by more than this it is hard to read from the last row.
SMALLEST = 0.8
OUTPUTS_ALONE = "outputs-alone"
TYPES = ("slide", "subslide", "fragment", "skip", "notes")
LOCAL_COPIES = {
    "reveal_url_prefix": "node_modules/reveal.js",
    "mathjax_url": "node_modules/mathjax/MathJax.js?config=TeX-AMS_CHTML-full,Safe",
    "jquery_url": "node_modules/jquery/dist/jquery.min.js",
    "require_js_url": "node_modules/requirejs/require.js",
}


def text_height(text: str) -> float:
    """Estimate the height of a text in Markdown on a slide, in pixels."""
    height = 0
    for line in re.sub(r"(?<!\n)\n(?![\n#|>$\d*-])", " ", text).split("\n"):
        if line.startswith("#"):
            height += 65
        elif line.startswith("|"):
            height += 36
        elif line.startswith("$$"):
            height += 80
        elif line:
            height += 34 * -(-len(line) // 110) + (0 if line[0] in "-*" else 14)
    return height


def output_height(output: nbformat.NotebookNode) -> float:
    """Estimate the height of an output on a slide, in pixels."""
    data = output.get("data", {})
    if "image/png" in data:
        width, height = struct.unpack(">II", base64.b64decode(data["image/png"])[16:24])
        return height * min(1, WIDTH / width) + 20
    if "text/html" in data:
        return 34 * data["text/html"].count("<tr") + 20
    if "text/markdown" in data:
        return text_height(data["text/markdown"])
    return 23 * (output.get("text", "") or data.get("text/plain", "")).count("\n") + 20


def height(cell: nbformat.NotebookNode) -> float:
    """Estimate the height of a text, or of code without its outputs, on a slide, in pixels."""
    return text_height(cell.source) if cell.cell_type == "markdown" else 23 * (cell.source.count("\n") + 1) + 25


def pieces(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Split a text before each heading; a code cell stays whole."""
    if cell.cell_type == "code":
        return [cell]
    return [new_markdown_cell(text) for text in re.split(r"\n\n(?=#{1,3} )", cell.source)]


def special_type(cell: nbformat.NotebookNode, widgets: list[str]) -> str | None:
    """Return "skip" or "notes" for code that an audience need not see, else None."""
    if "record_result(" in cell.source and not cell.outputs:
        return "skip"
    # A control needs a running kernel; on a slide its cell would be empty.
    if any(re.search(rf"^{name}\(", cell.source, flags=re.MULTILINE) for name in widgets):
        return "skip"
    lines = "".join(output.get("text", "?") for output in cell.outputs).splitlines()
    if lines and "claim(" in cell.source and all(line.startswith("✓ ") for line in lines):
        return "notes"
    return None


def arrange(notebook: nbformat.NotebookNode, by_rule: bool) -> list[tuple[int, nbformat.NotebookNode, str]]:
    """Lay a lesson out on slides.

    A heading `#` or `##` opens a slide; a heading `###` or a question opens a subslide. Code, answers and other text
    follow as fragments, at the press of a key, as long as they fit, and else open a subslide too. Outputs that do not
    fit below their code come on a subslide of their own. The set-up cell, what needs a running kernel and what only
    records is skipped. Claims that print nothing but ticks are notes.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        A lesson with its outputs.
    by_rule : bool
        False keeps the slide type that a cell carries, and uses the rule for the rest of a cell that is split.

    Returns
    -------
    list of (int, nbformat.NotebookNode, str)
        For each piece: the number of its cell, the piece, and its slide type.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    imported = re.findall(r"^from helpers\.widgets import (.+)$", "\n".join(cell.source for cell in code), re.MULTILINE)
    widgets = [name.strip() for names in imported for name in names.split(",")]
    full = HEIGHT / SMALLEST
    arranged, room = [], 0.0
    for number, cell in enumerate(notebook.cells):
        for position, piece in enumerate(pieces(cell)):
            is_code = cell.cell_type == "code"
            stamped = cell.metadata.get("slideshow", {}).get("slide_type")
            if stamped and position == 0 and not by_rule:
                kind = stamped
            elif cell is code[0]:
                kind = "skip"
            elif is_code:
                kind = special_type(cell, widgets) or ("subslide" if height(cell) > room else "fragment")
            elif re.match("##? ", piece.source):
                kind = "slide"
            else:
                opens = re.search(r"^### |\*\*Before you run it:", piece.source)
                kind = "subslide" if opens or height(piece) > room else "fragment"
            arranged.append((number, piece, kind))
            if kind in ("skip", "notes"):
                continue
            room = (room if kind == "fragment" else full) - height(piece)
            shown = sum(map(output_height, cell.outputs)) if is_code else 0
            if shown > room:
                outputs = new_code_cell(cell.source, outputs=cell.outputs, metadata={"tags": [OUTPUTS_ALONE]})
                arranged[-1:] = [(number, new_code_cell(cell.source), kind), (number, outputs, "subslide")]
                room = full
            room -= shown
    return arranged


def stamp() -> None:
    """Write the slide type of every cell into the lessons. Nothing else of them changes."""
    for path in series.lesson_paths():
        notebook = nbformat.read(path, as_version=4)
        # Backwards, so that the first piece of a cell has the last word.
        for number, _, kind in reversed(arrange(notebook, by_rule=True)):
            notebook.cells[number].metadata["slideshow"] = {"slide_type": kind}
        nbformat.write(notebook, path)


def slides_page(notebook: nbformat.NotebookNode, title: str, **settings: str) -> str:
    """Return a lesson's slides as an HTML page.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        A lesson with its outputs.
    title : str
        Shown by the browser.
    **settings
        Of nbconvert's SlidesExporter, such as reveal_url_prefix.
    """
    shown = []
    for _, piece, kind in arrange(notebook, by_rule=False):
        piece.metadata["slideshow"] = {"slide_type": kind}
        shown.append(piece)
    exporter = SlidesExporter(
        reveal_theme="white",
        reveal_transition="none",
        reveal_number="h.v",
        reveal_width=str(WIDTH),
        reveal_height=str(HEIGHT),
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
        config=Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": [OUTPUTS_ALONE]}}),
        **settings,
    )
    exporter.log.setLevel("ERROR")  # it warns of every figure without an alternative text
    laid_out = new_notebook(cells=shown, metadata=notebook.metadata)
    page, _ = exporter.from_notebook_node(laid_out, {"metadata": {"name": title}})
    # nbconvert's template for slides leaves out what its other templates show.
    words = {
        "".join(output.data["image/png"].split()): output.metadata.get("image/png", {}).get("alt")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    }
    page = re.sub(
        r'<img alt="[^"]*"([^>]*?src="data:image/png;base64,([^"]+)")',
        lambda found: f'<img alt="{escape(words.get("".join(found[2].split())) or "a figure")}"{found[1]}',
        page,
    )
    # Links to other lessons lead to their slides; what is not among the slides stays as plain words.
    for path in series.lesson_paths():
        page = page.replace(f'href="{path.name}"', f'href="{path.stem}.html"')
    page = re.sub(r'<a href="(?!https?:|[^"/]+\.html")[^"]*">(.*?)</a>', r"\1", page)
    # No lesson draws with mermaid, and without a network the attempt to load it only costs time.
    page = re.sub(r'<script type="module">\s*import mermaid.*?</script>', "", page, flags=re.DOTALL)
    own = PAGE_PARTS.read_text(encoding="utf-8").replace("REVEAL", exporter.reveal_url_prefix)
    return page.replace("</html>", f"{own}</html>")


def build() -> None:
    """Build the slides of all lessons in runs/slides/."""
    OUT.mkdir(parents=True, exist_ok=True)
    local = (OUT / "node_modules" / "reveal.js").is_dir()
    for path in series.lesson_paths():
        notebook = nbformat.read(path, as_version=4)
        page = slides_page(notebook, path.stem, **(LOCAL_COPIES if local else {}))
        (OUT / f"{path.stem}.html").write_text(page, encoding="utf-8")
        print(f"runs/slides/{path.stem}.html")
    print("They work without a network." if local else "They need the network when they are shown; see OPERATIONS.md.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["build", "stamp"], nargs="?", default="build")
    {"build": build, "stamp": stamp}[parser.parse_args().what]()
