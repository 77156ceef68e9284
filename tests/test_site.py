"""The site: built once without a warning, then read as files, and in a real Chromium."""

import contextlib
import io
import os
import re
import sys
from collections import Counter
from types import ModuleType, SimpleNamespace
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from browser import RERUN, barriers, chromium, serving
from bs4 import BeautifulSoup
from IPython.core.inputtransformer2 import TransformerManager
from torch import nn

from build_tools import helper_errors, series, site
from helpers import config, inputs, training
from helpers.data import normalize

pytestmark = RERUN

HEAVIEST = 1_500_000  # bytes that a page may load, uncompressed
# A page of each kind. SITE_PAGES=all looks at every page, which takes some minutes.
KINDS = [
    "index.html",
    "lessons.html",
    "notebooks/04_batchnorm_cnn.html",  # with captions of tables
    "notebooks/05_error_analysis.html",
    "notebooks/exercises/02_mlp_baseline.html",
    "notebooks/solutions/03_cnn_dropout.html",
    "notebooks/impossible/case_1.html",
    "cheat_sheets/03.html",
    "glossary.html",
    "errors.html",
    "INSTRUCTORS.html",
    "benchmarks/README.html",
    "search.html",
]
LESSONS = series.lesson_paths()


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Build the site once, as a repository on GitHub would without a demo, in a folder of the tests, and give it."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "SOURCE", folder / "source")
        patch.setattr(site, "OUT", folder / "site")
        patch.setattr(site, "DEMO", folder / "no_demo")
        patch.setattr(site, "repository", lambda: "https://github.com/someone/fashion")
        site.build()
    return folder / "site"


@pytest.fixture(scope="session")
def pages(built):
    """Give the parsed pages by their paths."""
    paths = [path for path in built.rglob("*.html") if "_static" not in path.parts]
    return {
        path.relative_to(built).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in paths
    }


def page_of(path):
    return path.relative_to(config.ROOT).with_suffix(".html").as_posix()


def outputs_with_pictures(path):
    cells = nbformat.read(path, as_version=4).cells
    found = [output for cell in cells for output in cell.get("outputs", [])]
    return [output for output in found if "image/png" in output.get("data", {})]


def test_every_page_of_the_project_is_there_and_has_one_title(pages):
    wanted = [*map(page_of, site.notebook_paths()), "INSTRUCTORS.html", "OPERATIONS.html", "benchmarks/README.html"]
    assert set(wanted) <= set(pages) and len(wanted) > 50
    several = {page for page, soup in pages.items() if len(soup.find_all("h1")) != 1}
    assert several == {"INSTRUCTORS.html"}  # a page of two parts
    titles = Counter(soup.h1.text for soup in pages.values())
    assert [title for title, times in titles.items() if times > 1] == []


def test_no_link_inside_the_site_is_dead_and_nothing_is_loaded_from_elsewhere(built, pages):
    anchors = {page: {tag["id"] for tag in soup.find_all(id=True)} for page, soup in pages.items()}
    dead, outside, seen = [], [], 0
    for page, soup in pages.items():
        for tag in soup.find_all(["a", "img", "script", "link"]):
            link = tag.get("href") or tag.get("src") or ""
            if re.match(r"[a-z]+:|//", link):
                outside += [(page, link)] * (tag.name != "a" and tag.get("rel") != ["canonical"])
                continue
            seen += 1
            address, _, anchor = unquote(link).partition("#")
            target = (built / page).parent / address.partition("?")[0] if address else built / page
            name = target.resolve().relative_to(built.resolve()).as_posix()
            if not target.is_file() or (anchor and name in anchors and anchor not in anchors[name]):
                dead.append((page, link))
    assert dead == [] and outside == [] and seen > 3_000
    styles = "".join(path.read_text(encoding="utf-8") for path in built.rglob("*.css"))
    assert re.findall(r"url\(\s*['\"]?(?:https?:)?//[^)]*\)|@import\s+['\"]https?:", styles) == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_figures_with_their_words_its_answers_closed_and_its_terms_linked(path, built, pages):
    soup = pages[page_of(path)]
    words = [output.metadata["image/png"]["alt"] for output in outputs_with_pictures(path)]
    assert [picture["alt"] for picture in soup.select(".bd-article img")] == words and len(words) > 1
    cells = nbformat.read(path, as_version=4).cells
    answers = [cell for cell in cells if cell.cell_type == "markdown" and cell.source.startswith("Answer\n")]
    shown = soup.select("details.answer")
    assert [answer.summary.text for answer in shown] == ["Answer"] * len(answers)
    assert not any(answer.has_attr("open") or len(answer.text) < 30 for answer in shown)
    checks = [cell for cell in cells if cell.cell_type == "code" and cell.metadata.get("jupyter")]
    assert len(soup.select("details.hide")) == len(checks) > 0
    terms = [link["href"].partition("#")[2] for link in soup.select('.bd-article a[href*="glossary.html#term-"]')]
    assert len(terms) == len(set(terms)) > 5
    formulas = [re.findall(r"\$\$.+?\$\$|\$[^$]+\$", cell.source, re.S) for cell in cells if cell.cell_type != "code"]
    assert len(soup.select(".bd-article math")) == sum(map(len, formulas))
    assert soup.select_one(".prev-next-area a")
    assert len(soup.select(f'a[href^="https://mybinder.org/v2/gh/someone/fashion/"][href$="/{path.name}"]')) == 1


def test_every_term_is_used_in_a_lesson_and_says_in_which(pages):
    explained = pages["glossary.html"].select("dl.glossary dt")
    assert len(explained) == len(site.terms()) >= 60
    assert [term.text for term in explained if not term.find_next("dd").find("a")] == []


def test_first_uses_are_linked_in_prose_alone():
    used = set()
    text = "# The logit\n`logit` $logit$ [logit](x.md) A **logit** and logits.\n\n```\nlogit\n```\nBatch normalisation"
    linked = site.link_terms(text, ["logit", "batch", "batch normalisation"], used)
    wanted = text.replace("**logit**", "**{term}`logit <logit>`**")
    wanted = wanted.replace("Batch normalisation", "{term}`Batch normalisation <batch normalisation>`")
    assert linked == wanted and used == {"logit", "batch normalisation"}
    assert site.link_terms("Batches of logits", ["logit", "batch"], used) == "{term}`Batches <batch>` of logits"


@pytest.mark.parametrize("gap", ["\n", "\n  "])
def test_a_term_that_goes_on_in_the_next_line_is_linked_and_none_over_a_paragraph(gap):
    linked = site.link_terms(f"as *early{gap}stopping* does", ["early stopping"], set())
    assert linked == "as *{term}`early stopping <early stopping>`* does"
    assert site.link_terms(f"too early{gap}\nstopping", ["early stopping"], set()) == f"too early{gap}\nstopping"


def test_exercises_hide_what_solutions_show(pages):
    shown = (
        pages["notebooks/exercises/02_mlp_baseline.html"].text,
        pages["notebooks/solutions/02_mlp_baseline.html"].text,
    )
    assert ["YOUR CODE HERE" in text for text in shown] == [True, True]  # the introduction of both names the words
    assert ["gradient_of_z @ W2" in text for text in shown] == [False, True]
    assert not any("BEGIN SOLUTION" in text for text in shown)


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://github.com/someone/fashion.git", "https://github.com/someone/fashion"),
        ("https://token@github.com/someone/fashion", "https://github.com/someone/fashion"),
        ("git@github.com:someone/fashion.mnist.git", "https://github.com/someone/fashion.mnist"),
        ("ssh://git@github.com/someone/fashion", "https://github.com/someone/fashion"),
        ("https://gitlab.com/someone/fashion", ""),
        ("https://github.com.evil.org/someone/fashion", ""),
        ("/home/someone/fashion", ""),
        ("", ""),
    ],
)
def test_an_address_is_taken_of_github_alone(origin, address):
    assert site.github_address(origin) == address


def test_launch_links_name_the_notebook_and_are_left_out_without_an_address():
    line = site.launch_links("https://github.com/someone/fashion", "notebooks/02_mlp_baseline.ipynb")
    links = re.findall(r"\((.*?)\)", line)
    assert len(links) == 3 and all("someone/fashion" in link for link in links)
    assert sum(link.endswith("notebooks/02_mlp_baseline.ipynb") for link in links) == 2
    assert site.launch_links("", "notebooks/02_mlp_baseline.ipynb") == site.colab_cell("") == ""
    links = site.Links({"index.md", "OPERATIONS.md"}, {"a"}, "")
    assert links.rewrite("[a](../LICENSE) [b](../OPERATIONS.md#x)", "notebooks/x.ipynb") == "a [b](../OPERATIONS.md#x)"
    links.address = "https://github.com/someone/fashion"
    assert links.rewrite("[a](../LICENSE)", "notebooks/x.ipynb") == f"[a]({links.address}/blob/main/LICENSE)"


def test_the_cell_for_colab_fetches_and_installs_there_and_does_nothing_elsewhere(monkeypatch):
    [cell] = re.findall(r"```\n(.*?)```", site.colab_cell("https://github.com/someone/fashion"), flags=re.DOTALL)
    code, done = TransformerManager().transform_cell(cell), []
    shell = SimpleNamespace(system=done.append, run_line_magic=lambda *words: done.append(" ".join(words)))
    monkeypatch.setattr(sys, "path", [])
    exec(code, {"get_ipython": lambda: shell})
    assert done == [] and sys.path == []
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    exec(code, {"get_ipython": lambda: shell})
    assert done[0] == "git clone -q --depth 1 https://github.com/someone/fashion project" and sys.path == [".."]
    assert done[1:] == ["cd project", "pip install -q -r requirements.txt", "cd notebooks"]


def test_the_readme_gets_its_launch_links_from_the_origin_alone(tmp_path, monkeypatch):
    page = tmp_path / "README.md"
    page.write_text(before := series.README.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(series, "README", page)
    monkeypatch.setattr(site, "build", lambda: None)
    for address in ("https://github.com/someone/fashion", ""):
        monkeypatch.setattr(site, "repository", lambda address=address: address)
        site.main()
        assert ("mybinder.org/v2/gh/someone/fashion/" in page.read_text(encoding="utf-8")) == bool(address)
        assert "mybinder" not in site.readme_pages()["index.md"]
    assert page.read_text(encoding="utf-8") == before  # the committed page knows no address


def test_the_start_page_leads_to_the_demo_only_if_it_was_built(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "DEMO", tmp_path)
    assert "demo" not in site.start_links("")
    (tmp_path / "index.html").touch()
    assert 'href="demo/index.html"' in site.start_links("")


@pytest.mark.parametrize("path", sorted(site.SHEETS.glob("*.md")), ids=lambda path: path.stem)
def test_a_cheat_sheet_has_its_parts_its_number_and_code_that_can_be_read(path):
    text = site.sheet(path)
    assert [part in text for part in ("**The idea.**", "**Measured.**", "**The pitfall.**")] == [True] * 3
    assert "[[" in path.read_text(encoding="utf-8") and "[[" not in text
    [code] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    compile(code, path.name, "exec")


def test_there_is_a_cheat_sheet_for_each_lesson():
    assert [path.stem for path in sorted(site.SHEETS.glob("*.md"))] == [name[:2] for name in config.LESSONS]


def test_a_number_that_no_lesson_measured_is_refused(monkeypatch):
    assert site.measured("MLP parameters", "02_mlp_baseline") == "535,818"
    with pytest.raises(SystemExit, match="Mend the sheet"):
        site.measured("MLP speed", "02_mlp_baseline")


ERRORS = re.findall(
    r"### (.*?)\n\n```python\n(.*?)```\n```text\n(.*?)```", (site.WEBSITE / "errors.md").read_text("utf-8"), re.DOTALL
)


@pytest.mark.parametrize(("title", "code", "said"), ERRORS, ids=[title for title, _, _ in ERRORS])
def test_a_faulty_line_says_what_the_page_says(title, code, said):
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, {"torch": torch, "nn": nn, "F": F, "np": np})
        came = printed.getvalue()
    except (RuntimeError, IndexError) as error:
        came = f"{type(error).__name__}: {error}"
    [recorded] = re.findall(r"with PyTorch (\d+\.\d+)", (site.WEBSITE / "errors.md").read_text("utf-8"))
    if not torch.__version__.startswith(f"{recorded}."):  # another version may use other words
        said = said.partition(":")[0] if ":" in said else said
    assert said.strip() in came


def test_what_the_helpers_say_stands_on_the_page_of_errors(pages):
    assert len(ERRORS) >= 15
    text = " ".join(pages["errors.html"].text.translate(str.maketrans("’“”", '\'""')).split())
    raised = []
    for call in (
        lambda: normalize(torch.rand(2, 1, 28, 28)),
        lambda: inputs.check_model("predict", nn.Linear(784, 10).double()),
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            call()
        raised.append(" ".join(str(caught.value).split()))
    for message in helper_errors.helper_messages():
        assert message.cure.split("…")[0].strip() in text
    patterns = {
        ".*".join(map(re.escape, message.cure.rstrip(".").split("…"))): message
        for message in helper_errors.helper_messages()
    }
    for message in raised:
        assert any(re.search(pattern, message) for pattern in patterns), message
    assert any(message.error == training.LossNotFiniteError.__name__ for message in patterns.values())


@pytest.fixture(scope="session")
def address(built, tmp_path_factory):
    """Serve the site and give its address."""
    with serving(built, tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """Give the Chromium that all tests here share."""
    with chromium() as shared:
        yield shared


@contextlib.contextmanager
def opened(browser, address, theme="light", width=1280):
    """Open a page, and note in `trouble` what its console says and what it asks elsewhere, in `bytes` what it loads."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}');")
    page, home = context.new_page(), re.match(r"http://[^/]+/", address)[0]
    page.trouble, page.bytes = [], 0
    page.on("console", lambda said: page.trouble.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith((home, "data:")) else page.trouble.append(asked.url))

    def count(response):
        page.bytes += int(response.headers.get("content-length", 0))

    page.on("response", count)
    page.goto(address, wait_until="load")
    yield page
    context.close()


def looked_at():
    if os.environ.get("SITE_PAGES") != "all":
        return KINDS
    others = [
        "setting_up",
        "practice",
        "solutions",
        "cheat_sheets",
        "reference",
        "teaching",
        "OPERATIONS",
        "CONTRIBUTING",
    ]
    sheets = [f"cheat_sheets/{path.stem}" for path in site.SHEETS.glob("*.md")]
    names = [f"{name}.html" for name in [*others, "data/README", "genindex", *sheets]]
    return sorted({*KINDS, *names, *map(page_of, site.notebook_paths())})


def test_on_paper_no_line_of_code_is_cut_and_every_answer_is_open(browser, address):
    with opened(browser, address + "notebooks/03_cnn_dropout.html", width=700) as page:
        cut = "[...document.querySelectorAll('pre')].filter(part => part.scrollWidth > part.clientWidth).length"
        closed = "[...document.querySelectorAll('details.answer p')].filter(part => !part.checkVisibility()).length"
        assert page.evaluate(cut) > 0 and page.evaluate(closed) > 0  # on a screen one scrolls and clicks
        page.emulate_media(media="print")
        assert page.evaluate(cut) == page.evaluate(closed) == 0


def test_axe_waits_for_what_is_still_fading_in(browser, address):
    with opened(browser, address + "cheat_sheets/03.html") as page:
        for ends_at, found in [(1, set()), (0.3, {"color-contrast"})]:
            page.add_style_tag(
                content=f"@keyframes slow{{from{{opacity:.3}}}}.bd-article p{{animation:slow 1s;opacity:{ends_at}}}"
            )
            assert {rule for rule, _, _ in barriers(page)} == found


@pytest.mark.parametrize("name", looked_at())
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_opens_quietly_is_light_enough_and_accessible(name, theme, browser, address, pages):
    assert name in pages
    with opened(browser, address + name, theme) as page:
        page.wait_for_load_state("networkidle")
        assert page.trouble == []
        assert 300_000 < page.bytes <= HEAVIEST
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)")
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert barriers(page) == []


@pytest.mark.parametrize("name", ["index.html", "notebooks/02_mlp_baseline.html", "glossary.html"])
def test_a_narrow_screen_is_not_scrolled_sideways(name, browser, address):
    with opened(browser, address + name, width=320) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_figures_keep_a_white_ground_and_their_colours_in_the_dark(browser, address):
    with opened(browser, address + "notebooks/03_cnn_dropout.html", "dark") as page:
        style = "image => [getComputedStyle(image).backgroundColor, getComputedStyle(image).filter]"
        assert page.locator(".bd-article img").first.evaluate(style) == ["rgb(255, 255, 255)", "none"]
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"


def test_tab_goes_through_the_page_in_order_and_shows_where_it_is(browser, address):
    where = """() => {
        const here = document.activeElement, style = getComputedStyle(here), box = here.getBoundingClientRect();
        const ring = parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== 'none' || style.boxShadow !== 'none';
        return [here.textContent.trim().slice(0, 40), ring, box.width > 0 && box.height > 0, here.tagName];
    }"""
    with opened(browser, address + "notebooks/02_mlp_baseline.html") as page:
        stops = []
        for _ in range(60):
            page.keyboard.press("Tab")
            page.wait_for_timeout(30)
            stops.append(page.evaluate(where))
        assert stops[0][0] == "Skip to main content"
        assert [stop for stop in stops if not (stop[1] and stop[2])] == []
        texts = [text for text, *_ in stops]
        order = ["Lessons", "Practice", "00 · Tensors in ten minutes", "02 · An MLP baseline", "Cheat sheet"]
        places = [texts.index(text) for text in order]
        assert places == sorted(places)
        # An answer opens by keyboard alone.
        answer = page.locator("details.answer").first
        answer.locator("summary").focus()
        page.keyboard.press("Enter")
        assert answer.evaluate("part => part.open")


def test_search_finds_a_lesson_and_code_can_be_copied(browser, address):
    with opened(browser, address + "search.html?q=occlusion") as page:
        page.locator("#search-results a", has_text="11 · Can you trust it?").first.wait_for(timeout=10_000)
        assert page.trouble == []
    with opened(browser, address + "notebooks/02_mlp_baseline.html") as page:
        assert page.locator("button.copybtn").count() > 20
        heights = page.locator("math").evaluate_all("all => all.map(part => part.getBoundingClientRect().height)")
        assert len(heights) > 3 and min(heights) > 8


def test_the_site_is_read_without_a_server(browser, built):
    with browser.new_context() as context:
        page, said = context.new_page(), []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.goto((built / "cheat_sheets" / "02.html").as_uri())
        assert page.locator("h1").inner_text().startswith("02 · An MLP") and said == []


def test_a_cheat_sheet_is_one_sheet_of_paper(browser, address):
    many = {}
    for path in site.SHEETS.glob("*.md"):
        with opened(browser, f"{address}cheat_sheets/{path.stem}.html") as page:
            printed = page.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "15mm"))
            many[path.stem] = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert many == dict.fromkeys(many, 1)
