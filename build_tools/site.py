"""The site: `python -m build_tools.site` gathers its pages from the whole project and builds them with Sphinx.

Nothing is executed: what a page shows is what the committed notebooks and tables hold. Pages keep their places below
the project's folder, so that their links to each other stay right.
"""

import ast
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

from build_tools import exercises, series
from build_tools.helper_errors import helper_messages
from helpers import config
from helpers.results import headlines_table, read_headlines

WEBSITE = config.ROOT / "website"
SOURCE = config.ROOT / "runs" / "site_source"
OUT = config.ROOT / "runs" / "site"
DEMO = config.ROOT / "runs" / "demo"
SHEETS = WEBSITE / "cheat_sheets"
GUIDES = ("INSTRUCTORS.md", "OPERATIONS.md", "CONTRIBUTING.md", "benchmarks/README.md", "data/README.md")
# The sections of the README that stand on a page of their own.
SETTING_UP = ("Setting up", "What is where", "If something goes wrong")
# What a reader meets as prose: neither code, formulas, links, headings nor comments.
NOT_PROSE = re.compile(
    r"^(?:`{3,}|~{3,}).*?^(?:`{3,}|~{3,})|`[^`]+`|\$\$.*?\$\$|\$[^$]+\$|!?\[[^\]]*\]\([^)]*\)|^#+ .*?$|<[^>]*>",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def github_address(origin: str) -> str:
    """Return the web address of a repository on GitHub, of its remote's address; "" for any other remote."""
    found = re.fullmatch(
        r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?", origin
    )
    return f"https://github.com/{found[1]}" if found else ""


def repository() -> str:
    """Return the GitHub address of this project's own origin, "" where there is none."""
    try:
        asked = subprocess.run(
            ["git", "remote", "get-url", "origin"], cwd=config.ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # a downloaded archive on a machine without git
        return ""
    return github_address(asked.stdout.strip())


def launch_links(address: str, page: str) -> str:
    """Return a line of links that open a notebook in a running environment, "" without an address.

    Parameters
    ----------
    address : str
        What `repository` returns.
    page : str
        The notebook's path from the project's folder.
    """
    if not address:
        return ""
    name = address.removeprefix("https://github.com/")
    places = {
        "Binder": f"https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/{page}",
        "Colab": f"https://colab.research.google.com/github/{name}/blob/main/{page}",
        "Codespaces": f"https://codespaces.new/{name}",
    }
    return "Run it in " + " · ".join(f"[{place}]({link})" for place, link in places.items()) + "."


def colab_cell(address: str) -> str:
    """Return the cell that Colab needs before a lesson, with a word to it, as Markdown; "" without an address."""
    if not address:
        return ""
    lines = [
        "On Colab, which opens a lesson without the project, run this cell first:",
        "",
        "```",
        "import sys",
        "",
        'if "google.colab" in sys.modules:  # elsewhere it does nothing',
        f"    !git clone -q --depth 1 {address} project",
        "    %cd project",
        "    %pip install -q -r requirements.txt",
        "    %cd notebooks",
        '    sys.path.insert(0, "..")',
        "```",
    ]
    return "\n".join(lines)


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def readme_pages() -> dict[str, str]:
    """Split the README into the start page and the page about setting up, by their names in the site."""
    text = series.between(series.README.read_text(encoding="utf-8"), "launch", "")  # the start page has its own
    parts = re.split(r"\n(?=## )", text)
    apart = [part for part in parts if part.removeprefix("## ").partition("\n")[0] in SETTING_UP]
    start = "\n".join(part for part in parts if part not in apart)
    return {"index.md": start, "setting_up.md": "# Getting it to run\n\n" + "\n".join(apart)}


def notebook_paths() -> list[Path]:
    """Return the notebooks of the site."""
    solutions = [*exercises.solution_paths(), *series.case_paths()]
    students = map(exercises.student_path, solutions)
    return [series.START, *series.lesson_paths(), series.LAB_START, *students, *solutions]


class Links:
    """What the links of a page lead to, in the site.

    Parameters
    ----------
    pages : set of str
        Paths of the site's pages, which are those in the project for all but the two made of the README.
    anchors : set of str
        Anchors on the page `setting_up.md`.
    address : str
        The project on GitHub, "" without.
    """

    def __init__(self, pages: set[str], anchors: set[str], address: str):
        self.pages, self.anchors, self.address = pages, anchors, address

    def rewrite(self, text: str, page: str) -> str:
        """Return a page's text with links to pages of the site, to GitHub, or, where neither exists, as plain words."""

        def one(found: re.Match) -> str:
            picture, words, link = found.groups()
            target, _, anchor = link.partition("#")
            if picture or re.match(r"[a-z]+:", link) or not (target or page == "index.md"):
                return found[0]
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), target or "README.md"))
            if target == "README.md":
                target = "setting_up.md" if anchor in self.anchors else "index.md"
            if target in self.pages:
                link = posixpath.relpath(target, posixpath.dirname(page) or ".") + (f"#{anchor}" if anchor else "")
                return f"[{words}]({link})"
            return f"[{words}]({self.address}/blob/main/{target})" if self.address else words

        return LINK.sub(one, text)


def terms() -> list[str]:
    """Return the glossary's terms, as they are written there."""
    text = (WEBSITE / "glossary.md").read_text(encoding="utf-8")
    [body] = re.findall(r"^:::\{glossary\}\n(.*?)^:::", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^(\S.*)$", body, flags=re.MULTILINE)


def link_terms(text: str, known: list[str], used: set[str]) -> str:
    """Link the first use of each term in a text of Markdown to the glossary.

    Parameters
    ----------
    text : str
        Its headings, code, formulas and links stay as they are.
    known : list of str
        The terms. A plural is recognised, and so are a capital at the beginning and a break of the line within.
    used : set of str
        Terms that the page has linked already. The new ones are added.
    """
    # A longer term first, so that "batch normalisation" is no use of "batch".
    words = "|".join(re.escape(term) for term in sorted(known, key=len, reverse=True)).replace(r"\ ", r"(?: |\n *)")
    pattern = re.compile(rf"(?<![\w-])({words})(s|es)?(?![\w-])", flags=re.IGNORECASE)
    by_lower = {term.lower(): term for term in known}

    def one(found: re.Match) -> str:
        term = by_lower[" ".join(found[1].lower().split())]
        if term in used:
            return found[0]
        used.add(term)
        return f"{{term}}`{' '.join(found[0].split())} <{term}>`"

    linked, end = [], 0
    for protected in NOT_PROSE.finditer(text):
        linked += [pattern.sub(one, text[end : protected.start()]), protected[0]]
        end = protected.end()
    return "".join([*linked, pattern.sub(one, text[end:])])


def as_dropdown(text: str) -> str:
    """Return a closed answer, a text whose first line is the word `Answer`, as a dropdown."""
    return f'<details class="answer">\n<summary>Answer</summary>\n\n{text.removeprefix("Answer").strip()}\n\n</details>'


def title(path: Path) -> str:
    """Return the title of a notebook in the site, where solutions must not be called as their exercises are."""
    words = nbformat.read(path, as_version=4).cells[0].source.partition("\n")[0].removeprefix("# ")
    if path.parent.name != "solutions":
        return words
    return words.replace("Exercises", "Solutions") if words.startswith("Exercises") else f"{words}, solved"


def site_notebook(path: Path, links: Links, known: list[str]) -> tuple[nbformat.NotebookNode, set[str]]:
    """Return a notebook as the site shows it, and the terms that it links to the glossary."""
    notebook, page = nbformat.read(path, as_version=4), path.relative_to(config.ROOT).as_posix()
    is_lesson, used = path in series.lesson_paths(), set()
    for cell in notebook.cells:
        hidden = cell.metadata.get("jupyter", {}).get("source_hidden")
        if cell.cell_type == "markdown":
            text = links.rewrite(without_comments(cell.source), page)
            text = link_terms(text, known, used) if is_lesson else text
            cell.source = as_dropdown(text) if hidden else text
        elif hidden:
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                output.data["text/markdown"] = links.rewrite(output.data["text/markdown"], page)
    first = notebook.cells[0]
    first.source = f"# {title(path)}\n{first.source.partition(chr(10))[2]}"
    for cell in notebook.cells:
        cell.source = re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", cell.source, flags=re.MULTILINE)
    if line := " ".join(filter(None, [companions(path), launch_links(links.address, page)])):
        notebook.cells.insert(1, new_markdown_cell(line))
    return notebook, used


def without_comments(text: str) -> str:
    """Return Markdown without its HTML comments, which mark where tables are filled in."""
    return re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)


def companions(path: Path) -> str:
    """Return a line of links from a lesson to its exercises, solutions and cheat sheet; "" for other notebooks."""
    around = {
        "Cheat sheet": (SHEETS / f"{path.name[:2]}.md", f"../cheat_sheets/{path.name[:2]}.md"),
        "Exercises": (exercises.EXERCISES / path.name, f"exercises/{path.name}"),
        "Solutions": (exercises.SOLUTIONS / path.name, f"solutions/{path.name}"),
    }
    if path not in series.lesson_paths():
        return ""
    return " · ".join(f"[{words}]({link})" for words, (there, link) in around.items() if there.exists())


def lesson_outputs(name: str) -> str:
    """Return all that the code cells of a lesson printed and showed as text."""
    cells = nbformat.read(series.lesson_path(name), as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(
        output.get("text", "") or output.data.get("text/markdown") or output.data.get("text/plain", "")
        for output in outputs
    )


def measured(what: str, lesson: str) -> str:
    """Return a number that a lesson measured, in words.

    Parameters
    ----------
    what : str
        "headline"; a model and a field of results.json, such as "MLP test_accuracy"; or a pattern whose first group
        stands in the outputs of the lesson.
    lesson : str
        Its name.

    Raises
    ------
    SystemExit
        If the lesson measured no such thing.
    """
    if what == "headline":
        table = headlines_table(read_headlines(series.RESULTS))
        for name, meaning, result, interval, how in table.itertuples(index=False):
            if name == lesson:
                return f"{meaning[0].upper()}{meaning[1:]}: **{result}** ({interval}; {how})."
    for entry in json.loads(series.RESULTS.read_text(encoding="utf-8")):
        model, _, field = what.partition(" ")
        if entry.get("model") == model and field in entry:
            return f"{entry[field]:.2%}" if "accuracy" in field else f"{entry[field]:,}"
    if found := re.search(what, lesson_outputs(lesson)):
        return found[1]
    raise SystemExit(
        f"The cheat sheet of {lesson} asks for {what!r}, which the lesson did not measure. Mend the sheet."
    )


def sheet(path: Path) -> str:
    """Return a cheat sheet with the numbers that its lesson measured in the places of [[…]]."""
    [lesson] = [name for name in config.LESSONS if name.startswith(path.stem)]
    text = re.sub(r"\[\[(.+?)\]\]", lambda found: measured(found[1], lesson), path.read_text(encoding="utf-8"))
    return f"{text.strip()}\n\nThe whole story: [lesson {path.stem}](../notebooks/{lesson}.ipynb).\n"


def escaped(text: str) -> str:
    """Return a plain text as Markdown that shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|$#])", r"\\\1", text)


def said_by_helpers() -> str:
    """Return what the helpers say when something is wrong, as Markdown: message, cause and cure under each module."""
    parts, messages = [], helper_messages()
    for module in dict.fromkeys(message.module for message in messages):
        tree = ast.parse((config.ROOT / "helpers" / f"{module}.py").read_text(encoding="utf-8"))
        parts.append(f"### `helpers.{module}`\n\n{escaped(ast.get_docstring(tree).splitlines()[0])}")
        for message in messages:
            if message.module != module:
                continue
            cause = f"*Cause:* {escaped(message.cause[0].upper() + message.cause[1:])}\\\n  " if message.cause else ""
            parts.append(f"**{escaped(message.says)}** ({message.error})\n: {cause}*Cure:* {escaped(message.cure)}")
    return "\n\n".join(parts)


def listing(paths: list[Path]) -> str:
    """Return links to notebooks by their titles, and the directive that puts them into the site's order."""
    pages = {path.relative_to(config.ROOT).as_posix(): title(path) for path in paths}
    return "\n".join([*(f"- [{words}]({page})" for page, words in pages.items()), "", toctree(pages)])


def toctree(pages: Iterable[str]) -> str:
    """Return the directive that puts pages into the site's order without showing it."""
    return "\n".join([":::{toctree}", ":hidden:", "", *pages, ":::"])


def fillings() -> dict[str, str]:
    """Return what stands in the pages of website/ in the places of <!--name-->, by name."""
    solutions, cases = exercises.solution_paths(), series.case_paths()
    lessons = [path.relative_to(config.ROOT).as_posix() for path in [series.START, *series.lesson_paths()]]
    sheets = [f"cheat_sheets/{path.name}" for path in sorted(SHEETS.glob("*.md"))]
    return {
        "lessons": f"{series.lessons_table()}\n\n{toctree(lessons)}",
        "colab": colab_cell(repository()),
        "exercises": listing([exercises.student_path(path) for path in solutions]),
        "lab": listing([series.LAB_START, *map(exercises.student_path, cases)]),
        "solutions": listing(solutions),
        "mended": listing(cases),
        "sheets": f":::{{toctree}}\n\n{chr(10).join(sheets)}\n:::",
        "helpers": said_by_helpers(),
    }


def gather() -> None:
    """Write the sources of all pages to runs/site_source/."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    texts = readme_pages()
    texts |= {name: (config.ROOT / name).read_text(encoding="utf-8") for name in GUIDES}
    known, met = terms(), {}
    for path in sorted(SHEETS.glob("*.md")):
        texts[f"cheat_sheets/{path.name}"] = link_terms(sheet(path), known, set())
    filled = fillings()
    for path in WEBSITE.glob("*.md"):
        texts[path.name] = re.sub(r"<!--(\w+)-->", lambda found: filled[found[1]], path.read_text(encoding="utf-8"))
    notebooks = {path.relative_to(config.ROOT).as_posix(): path for path in notebook_paths()}
    anchors = set(map(slug, re.findall(r"^#+ (.*)$", texts["setting_up.md"], flags=re.MULTILINE)))
    links = Links({*texts, *notebooks}, anchors, repository())
    for page, path in notebooks.items():
        notebook, used = site_notebook(path, links, known)
        for term in sorted(used):
            met.setdefault(term, []).append(page)
        target = SOURCE / page
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)
    texts["glossary.md"] = with_lessons(texts["glossary.md"], met)
    order = ["lessons", "practice", "solutions", "cheat_sheets", "reference", "teaching", "benchmarks/README"]
    texts["index.md"] += f"\n\n{start_links(links.address)}\n\n{toctree(order)}\n"
    for page, text in texts.items():
        target = SOURCE / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(links.rewrite(without_comments(text), page), encoding="utf-8")
    for picture in (series.SCOREBOARD, config.ROOT / "benchmarks" / "peers.svg"):
        shutil.copy(picture, SOURCE / picture.relative_to(config.ROOT))


def start_links(address: str) -> str:
    """Return the start page's links to the page that classifies, if it was built, and to running environments."""
    demo = '<a href="demo/index.html">Let the network name a garment of yours</a>, in this browser.'
    parts = [demo] if (DEMO / "index.html").exists() else []
    return "\n\n".join([*parts, launch_links(address, "notebooks/00_start_here.ipynb")]).strip()


def with_lessons(glossary: str, met: dict[str, list[str]]) -> str:
    """Return the glossary with links from each term to the lessons that use it."""

    def one(found: re.Match) -> str:
        pages = [Path(page) for page in met.get(found[1], [])]
        names = [f"[{'B' if page.stem.startswith('appendix') else page.stem[:2]}]({page.as_posix()})" for page in pages]
        where = f" *Lesson{'s' * (len(names) > 1)} {', '.join(names)}.*" if names else ""
        return found[0].rstrip("\n") + f"{where}\n"

    return re.sub(r"^(\S.*)\n(?: {2}.*\n)+", one, glossary, flags=re.MULTILINE)


def build() -> None:
    """Gather the pages and build the site in runs/site/; a warning is an error."""
    gather()
    shutil.rmtree(OUT, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", str(WEBSITE)]
    command += ["-d", str(OUT.with_name("site_doctrees")), str(SOURCE), str(OUT)]
    shutil.rmtree(OUT.with_name("site_doctrees"), ignore_errors=True)
    if subprocess.run(command, cwd=config.ROOT, env=os.environ | {"SITE_REPOSITORY": repository()}).returncode:
        raise SystemExit("The site was not built: Sphinx says above what is wrong, and on which page.")
    if (DEMO / "index.html").exists():
        shutil.copytree(DEMO, OUT / "demo")
    (OUT / ".nojekyll").touch()  # GitHub Pages would leave out folders that begin with _
    print(f"The site is built. Open {OUT / 'index.html'} in a browser; it needs no network.")


def main() -> None:
    """Build the site, and give the README its links to running environments, where the project is on GitHub."""
    series.fill(series.README, "launch", launch_links(repository(), "notebooks/00_start_here.ipynb"))
    build()


if __name__ == "__main__":
    main()
