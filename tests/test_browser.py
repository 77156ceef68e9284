"""What a student sees: the notebooks in a real JupyterLab, in a real Chromium."""

import json
import posixpath
import re
import secrets
import shutil
import time
from urllib.parse import quote

import nbformat
import numpy as np
import pytest
from browser import (
    RERUN,
    RUN_NAME,
    answers,
    choose,
    chromium,
    free_port,
    new_page,
    picture,
    press,
    running,
    show_seconds,
    trouble,
    use,
)
from PIL import Image
from playwright.sync_api import Error
from test_recipes import cell_of, sources

from build_tools import exercises, series
from helpers import config, photo

pytestmark = RERUN

NOTEBOOKS = [series.START, *series.all_paths(), *exercises.solution_paths()]
NOTEBOOKS += map(exercises.student_path, [*exercises.solution_paths(), *series.case_paths()])
# The first and the last of each folder; `make test-full` opens all.
FOLDERS = {path.parent: [other for other in NOTEBOOKS if other.parent == path.parent] for path in NOTEBOOKS}
OPENED = [path for paths in FOLDERS.values() for path in (paths[0], paths[-1])] if config.FAST else NOTEBOOKS
PAGES = [*NOTEBOOKS, *config.ROOT.glob("*.md"), *config.ROOT.glob("[!.]*/README.md")]
READY = "Python 3 (ipykernel) | Idle"  # JupyterLab's status bar


def read(path):
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser():
    """Give the Chromium that all tests here share."""
    with chromium() as shared:
        yield shared


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Copy all pages of the project, each in its place, since JupyterLab saves what it opens."""
    folder = tmp_path_factory.mktemp("project")
    for path in PAGES:
        copied = folder / path.relative_to(config.ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    return folder


def jupyterlab_in(name):
    """Return what the Makefile or the README starts JupyterLab with: its folder and the notebook that it opens."""
    [line] = [line for line in read(config.ROOT / name).splitlines() if "--notebook-dir" in line]
    return re.findall(r"--notebook-dir=\S+|\S+\.ipynb", line)


@pytest.fixture(scope="module")
def server(project, tmp_path_factory):
    """Start JupyterLab as `make lab` does and make the function that gives an address."""
    address, token = f"http://127.0.0.1:{(port := free_port())}", secrets.token_hex(16)
    command = ["jupyterlab", *jupyterlab_in("Makefile"), "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    # It lets the page's own commands open the next notebook.
    command += ["--LabApp.expose_app_in_browser=True"]
    with running(command, f"{address}/api/status?token={token}", tmp_path_factory.mktemp("lab"), project):
        yield lambda place: f"{address}{quote(place)}?reset&token={token}"


def links(path):
    """Return what the links of a page inside the project lead to, as paths from the project's folder."""
    text = read(path)
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        outputs = [
            output.get("data", {}).get("text/markdown", "") for cell in cells for output in cell.get("outputs", [])
        ]
        text = "\n".join([*(cell.source for cell in cells if cell.cell_type == "markdown"), *outputs])
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    inside = [target for target in targets if not re.match("[a-z]+:", target)]
    return {posixpath.normpath(path.relative_to(config.ROOT).parent.joinpath(target).as_posix()) for target in inside}


def test_every_link_leads_to_a_file_that_jupyterlab_shows(server):
    targets = {target: path for path in PAGES for target in links(path)}
    assert "README.md" in targets and "notebooks/exercises/01_data_exploration.ipynb" in targets
    served = {path.relative_to(config.ROOT).as_posix() for path in PAGES}
    broken = {}
    for target, page in targets.items():
        there = target in served and answers(server(f"/api/contents/{target}"))
        # What is no page is not copied; in the project it has its place below the same folder. What is hidden there, is
        # not shown.
        hidden = any(part.startswith(".") for part in target.split("/"))
        if not there and (target in served or hidden or not (config.ROOT / target).exists()):
            broken[target] = page.name
    assert broken == {}


def test_the_command_in_the_readme_starts_jupyterlab_as_make_does():
    assert jupyterlab_in("README.md") == jupyterlab_in("Makefile")
    assert len(jupyterlab_in("README.md")) == 2


def prompts(page):
    """Return what stands before each code cell, as '[7]:' or '[*]:'; nothing before one that is collapsed."""
    return [text.strip() for text in page.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()]


def test_a_widget_answers_in_jupyterlab(desk, project, capsys):
    page = desk
    open_notebook(page, project, "notebooks/02_mlp_baseline.ipynb")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    some = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].some(item => item.textContent.includes('*'))"
    page.wait_for_function(some)
    page.wait_for_function(f"!{some}", timeout=120_000)
    assert trouble(page) == []
    numbers = {number: text for number, text in enumerate(prompts(page), start=1) if text}
    assert numbers == {number: f"[{number}]:" for number in numbers} and len(numbers) > 20

    page.locator(".widget-interact img").wait_for(state="attached")
    first = picture(page)
    seconds = [use(page, "temperature", press("ArrowRight")) for _ in range(3)]
    seconds += [use(page, "image", choose(index=index)) for index in (1, 0)]
    seconds += [use(page, "temperature", press("ArrowLeft")) for _ in range(3)]
    assert picture(page) == first, "The same settings must draw the same picture."
    assert trouble(page) == []
    show_seconds(capsys, "Lesson 02 in JupyterLab", seconds)


def press_until(page, key, there, most):
    """Press a key until a script finds what is asked for."""
    for _ in range(most):
        if page.evaluate(there):
            return
        page.keyboard.press(key)
    pytest.fail(f"{most} times {key} did not lead to: {there}")


def test_images_are_labelled_by_keyboard_alone_and_the_result_is_kept(desk, project):
    """Run lesson 01 down to its widget, then touch nothing but the keyboard: until the score stands in its file."""
    page = desk
    field, place = page.get_by_placeholder("0 to 9"), page.locator(".widget-html b")
    (config.ROOT / "runs" / RUN_NAME / "your_labels.json").unlink(missing_ok=True)  # of an attempt that failed
    open_notebook(page, project, "notebooks/01_data_exploration.ipynb")
    page.locator(".jp-Notebook .jp-Cell").first.click()
    page.keyboard.press("Escape")
    asked = "document.querySelector('.jp-Notebook .jp-mod-active')?.textContent.includes('label_images(')"
    for _ in range(60):
        found = page.evaluate(asked)
        page.keyboard.press("Control+Enter" if found else "Shift+Enter")
        if found:
            break
    field.wait_for(timeout=90_000)
    page.get_by_text(READY).wait_for()
    press_until(page, "Tab", "document.activeElement.placeholder === '0 to 9'", 20)
    assert page.locator(".jp-OutputArea", has=field).get_by_text("label of the data set").count() == 0

    page.keyboard.type("12", delay=20)
    place.get_by_text("3 of 50").wait_for()
    page.keyboard.press("Backspace")
    place.get_by_text("2 of 50").wait_for()
    press_until(page, "Tab", "document.activeElement.textContent === 'take back'", 20)
    page.keyboard.press("Space")
    place.get_by_text("1 of 50").wait_for()
    page.wait_for_function("document.activeElement.placeholder === '0 to 9'")
    page.keyboard.type("3x")
    place.get_by_text("2 of 50").wait_for()
    page.keyboard.type("0123456789" * 4 + "012345678", delay=10)

    result = page.get_by_text("You and the data set agree on")
    result.wait_for()
    right, images = map(int, re.search(r"on (\d+) of (\d+) images", result.text_content()).groups())
    assert images == 50
    page.get_by_role("columnheader", name="label of the data set").wait_for()
    page.get_by_text("some labels of the data set are mistakes").wait_for()
    assert trouble(page) == []
    kept = config.ROOT / "runs" / RUN_NAME
    assert json.loads(read(kept / "your_labels.json"))["answers"] == "3" + "0123456789" * 4 + "012345678"
    scores = {score["name"]: score for score in json.loads(read(kept / "scoreboard.json"))}
    assert scores["you"] == {"name": "you", "right": right, "images": 50}


def run(page, command, arguments=None):
    """Run one of JupyterLab's own commands."""
    # In braces, so that nothing is returned: playwright cannot carry a whole JupyterLab widget over.
    script = "async ([command, args]) => { await window.jupyterapp.commands.execute(command, args); }"
    page.evaluate(script, [command, arguments or {}])


def open_notebook(page, project, path):
    """Open a notebook in the JupyterLab of the page; wait until all its cells are drawn and its kernel is there."""
    cells = nbformat.read(project / path, as_version=4).cells
    run(page, "docmanager:open", {"path": path, "factory": "Notebook"})
    drawn = """count => {
        const cells = [...document.querySelectorAll('.jp-Notebook .jp-Cell')];
        const texts = cells.filter(cell => cell.classList.contains('jp-MarkdownCell'));
        return cells.length === count
            && texts.every(cell => cell.querySelector('.jp-RenderedMarkdown, .jp-InputPlaceholder')?.textContent.trim())
            && [...document.querySelectorAll('.jp-Notebook img')].every(image => image.complete && image.naturalWidth);
    }"""
    page.wait_for_function(drawn, arg=len(cells))
    page.get_by_text(READY).wait_for()


def close_all(page):
    """Close all notebooks of the page and end their kernels."""
    run(page, "docmanager:save-all")  # a kernel adds its version to the metadata; closing would ask what to do
    run(page, "application:close-all")
    page.evaluate("async () => { await window.jupyterapp.serviceManager.sessions.shutdownAll(); }")
    page.problems.clear()


@pytest.fixture(scope="module")
def open_lab(browser, server):
    """Give the page with JupyterLab that all tests share; it is half as wide as a usual screen: that must be enough."""
    with new_page(browser) as shared:
        shared.set_viewport_size({"width": 900, "height": 1000})
        shared.goto(server("/lab"))
        shared.locator("#jp-main-dock-panel").wait_for()
        yield shared


@pytest.fixture
def desk(open_lab):
    """Give a page with JupyterLab, in which nothing is left open afterwards."""
    yield open_lab
    close_all(open_lab)


def test_notebooks_open_without_an_error(open_lab, project):
    paths = sorted(path.relative_to(config.ROOT).as_posix() for path in OPENED)
    assert len(paths) >= 10
    page, found = open_lab, {}
    for path in paths:
        try:
            open_notebook(page, project, path)
        except Error as error:
            found[path] = [str(error).splitlines()[0]]
        found[path] = found.get(path, []) + trouble(page)
        close_all(page)
    assert {path: problems for path, problems in found.items() if problems} == {}


def test_the_link_to_the_readme_on_the_start_page_opens_it(desk, project):
    open_notebook(desk, project, "notebooks/00_start_here.ipynb")
    desk.get_by_role("link", name="README").click()
    desk.get_by_role("tab", name="README.md").wait_for()
    assert trouble(desk) == []


def test_answers_and_checks_are_closed_and_open_by_click_and_by_keyboard(desk, project):
    cells = nbformat.read(config.NOTEBOOKS_DIR / "00_tensors_in_ten_minutes.ipynb", as_version=4).cells
    hidden = [cell for cell in cells if cell.metadata.get("jupyter", {}).get("source_hidden")]
    sentences = [cell.source.split("\n")[2].split(".")[0] for cell in hidden if cell.source.startswith("Answer\n")]
    page = desk
    open_notebook(page, project, "notebooks/00_tensors_in_ten_minutes.ipynb")
    closed = page.locator(".jp-Cell .jp-InputPlaceholder")
    assert closed.first.inner_text().strip().startswith("Answer")
    first, second = (page.locator(".jp-RenderedMarkdown p", has_text=text) for text in sentences[:2])
    assert first.count() == 0
    # By click.
    closed.first.click()
    first.wait_for()
    # By keyboard: Shift+Enter, which runs cell after cell, opens the answer when it comes to it.
    page.locator(".jp-CodeCell").nth(1).click()
    for _ in range(12):
        page.keyboard.press("Shift+Enter")
        if second.count():
            break
        page.wait_for_timeout(300)
    second.wait_for()


def test_a_training_is_replayed_at_once_when_one_word_is_changed(desk, project, capsys):
    page = desk
    lesson, training = cell_of("fashion_net")
    cells = sources(lesson)
    needed = [cells[0], next(cell for cell in cells if cell.startswith("class FashionNet")), training]
    notebook = nbformat.v4.new_notebook(metadata=nbformat.read(NOTEBOOKS[0], as_version=4).metadata)
    # The server's kernels are short runs, which always train.
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in ["%env FAST=0", *needed]]
    nbformat.write(notebook, project / "notebooks" / "replay.ipynb")
    open_notebook(page, project, "notebooks/replay.ipynb")
    shown = page.locator(".jp-Notebook .jp-CodeCell")
    shown.first.locator(".cm-content").click()
    page.locator(".jp-Notebook.jp-mod-editMode").wait_for()
    for number in range(3):
        page.keyboard.press("Shift+Enter")
        shown.nth(number).locator(".jp-InputPrompt", has_text=f"[{number + 1}]").wait_for(timeout=90_000)
    page.get_by_text(READY).wait_for()
    line = shown.nth(3).locator(".cm-line", has_text="replay=False")
    line.get_by_text("False").last.dblclick()
    page.keyboard.type("True")
    started = time.monotonic()
    page.keyboard.press("Control+Enter")
    shown.nth(3).get_by_text("Replayed, not trained").wait_for()
    shown.nth(3).locator(".jp-InputPrompt", has_text="[4]").wait_for()
    seconds = time.monotonic() - started
    with capsys.disabled():
        print(f"\nFashionNet, replayed in JupyterLab: {seconds:.1f} s")
    assert seconds < 5 and trouble(page) == []
    assert shown.nth(3).get_by_text("validation: loss").count() >= 1


# Between the first cell of a lesson and the widget's own: what the cells between would leave, without their trainings.
INSTEAD = {
    "08_augmentation": """sample = TensorDataset(*(part[:50] for part in validation.tensors))
trained = {way: [LeanCNN()] for way in ("nothing", "photo mixture")}""",
    "09_deeper_networks": "batch_images, batch_labels = train.tensors[0][:500], train.tensors[1][:500]",
    "10_tuning": """sizes = [1, 2, 4, 8, 16, 32, 64]
found = tuning.winners(np.random.default_rng(0).random((108, len(validation))) < 0.8, sizes, 50)""",
    "11_can_you_trust_it": """from helpers.shift import explore_shift
held_out, temperature, threshold = TensorDataset(images, labels), 1.0, 0.5""",
    "12_data_audit": """real, ranked = np.eye(10)[labels], np.arange(30)
real_suspects = np.arange(len(labels)) < 30""",
    "13_your_own_photo": "for_photos = net",
}


def run_cells_of(page, project, lesson, *words):
    """Run a notebook of the first cell of a lesson, what is there instead, and the cells with words; give its cells."""
    first, *others = sources(lesson)
    chosen = [cell for cell in others if any(word in cell for word in words)]
    assert len(chosen) == len(words)
    notebook = nbformat.v4.new_notebook(metadata=nbformat.read(NOTEBOOKS[0], as_version=4).metadata)
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (first, INSTEAD[lesson], *chosen)]
    path = project / "notebooks" / f"widget_{lesson}.ipynb"
    nbformat.write(notebook, path)
    open_notebook(page, project, path.relative_to(project).as_posix())
    run(page, "notebook:run-all-cells")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.last.locator(".jp-InputPrompt", has_text=f"[{len(notebook.cells)}]").wait_for(timeout=90_000)
    assert trouble(page) == []
    return cells


def cut_off(output):
    """List what a widget shows beyond the edges of its cell's output, where nobody sees it."""
    return output.evaluate("""output => {
        const place = output.getBoundingClientRect();
        const parts = [...output.querySelectorAll('button, input, select, img, .widget-label, .widget-readout')];
        const out = parts.map(part => [part, part.getBoundingClientRect()])
            .filter(([_, box]) => box.width && (box.left < place.left || box.right > place.right));
        return out.map(([part]) => part.outerHTML.slice(0, 80));
    }""")


def click_at(share):
    """Click on a slider, so far along it."""

    def click(row):
        track = row.locator(".noUi-base")
        size = track.bounding_box()
        track.click(position={"x": share * size["width"], "y": size["height"] / 2})

    return click


# By lesson the word by which the cell of its widget is found, and all controls of that with what is done to them.
CHANGES = {
    "08_augmentation": (
        "= interact(",
        [
            ("image", click_at(0.6)),
            ("degrees", press("ArrowLeft")),
            ("right (pixels)", press("ArrowRight")),
            ("light (%)", click_at(0.3)),
        ],
    ),
    "09_deeper_networks": (
        "explore_gradients(",
        [("depth", click_at(0.8)), ("depth", press("ArrowLeft")), ("start", choose(index=1))],
    ),
    "10_tuning": ("= interact(", [("trials", press("ArrowRight")), ("trials", click_at(0.1))]),
    "11_can_you_trust_it": (
        "explore_shift(",
        [("strength", press("ArrowRight")), ("change", choose(label="inverted")), ("image", click_at(0.6))],
    ),
}


@pytest.mark.parametrize("lesson", CHANGES)
def test_each_control_of_a_lesson_draws_anew(desk, project, lesson, capsys):
    word, changes = CHANGES[lesson]
    output = run_cells_of(desk, project, lesson, word).last.locator(".jp-Cell-outputArea")
    output.locator(".widget-interact img").wait_for()
    assert set(output.locator(".widget-label").all_text_contents()) == {description for description, _ in changes}
    seconds = [use(desk, description, action) for description, action in changes]
    assert trouble(desk) == [] and cut_off(output) == []
    assert output.locator(".widget-interact .jp-OutputArea-output").count() == 1, "There is more than the picture."
    show_seconds(capsys, f"Lesson {lesson[:2]} in JupyterLab", seconds)


def test_suspects_are_labelled_blindly_and_the_next_cell_reads_the_answers(desk, project):
    kept = config.ROOT / "runs" / RUN_NAME / "your_audit.json"
    kept.unlink(missing_ok=True)  # of an attempt that failed
    words = ("blind = choose_blind(", "label_images(", "typed, _ = read_labels(")
    *_, cell, after = run_cells_of(desk, project, "12_data_audit", *words).all()
    after.get_by_text("You have labelled 0 of 45 images.").wait_for()
    output = cell.locator(".jp-Cell-outputArea")
    place, shown = output.locator(".widget-html b"), output.inner_text()
    assert "1 of 45" in shown and not re.search("label|suspect|network", shown), "No longer blind."
    assert cut_off(output) == []
    output.get_by_placeholder("0 to 9").click()
    desk.keyboard.type("12", delay=20)
    place.get_by_text("3 of 45").wait_for()
    output.get_by_role("button", name="8 · Bag").click()
    place.get_by_text("4 of 45").wait_for()
    output.get_by_role("button", name="take back").click()
    place.get_by_text("3 of 45").wait_for()
    answers = "0123456789" * 4 + "012"
    desk.keyboard.type(answers, delay=10)
    output.get_by_text("All labelled. Now run the cells of section 7.").wait_for()
    assert json.loads(read(kept))["answers"] == "12" + answers
    after.locator(".cm-content").click()
    desk.keyboard.press("Control+Enter")
    after.get_by_text("Of 30 suspects you gave").wait_for()
    assert trouble(desk) == []


def test_a_photo_is_uploaded_and_answered(desk, project, tmp_path):
    """Upload one of a phone's usual size, change how it is read, upload what is none, and one of more than 10 MB."""
    Image.fromarray(photo.draw_garment("Trouser", background=(150, 145, 140))).save(tmp_path / "trouser.jpg")
    (tmp_path / "words.png").write_text("No picture.")
    noise = np.random.default_rng(0).integers(256, size=(2000, 2000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png", compress_level=0)
    output = run_cells_of(desk, project, "13_your_own_photo", "ask_about_photos(").last.locator(".jp-Cell-outputArea")
    button, answer = output.get_by_role("button", name="choose a photo"), output.locator("img")

    def upload(name):
        with desk.expect_file_chooser() as chooser:
            button.click()
        chooser.value.set_files(tmp_path / name)

    upload("trouser.jpg")
    answer.wait_for()
    assert cut_off(output) == []
    first = answer.get_attribute("src")
    output.get_by_label("even out the background").press("Space")
    another = "old => ![undefined, old].includes(document.querySelector('.jp-Cell-outputArea img')?.src)"
    desk.wait_for_function(another, arg=first)
    upload("words.png")
    output.get_by_text("No answer. words.png holds text").wait_for()
    assert answer.count() == 0
    assert (tmp_path / "large.png").stat().st_size > 10 * 2**20
    upload("large.png")
    answer.wait_for()
    assert trouble(desk) == []
