"""A real JupyterLab or Voila, and a real Chromium that looks at it: what the browser tests share."""

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, Page, sync_playwright

from helpers import config

RUN_NAME = f"{os.environ['RUN_NAME']}-browser"  # beside the folder of this test run
HOMES = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# A widget answers far sooner; a busy machine may take its time, a broken widget never answers.
ANSWER_LIMIT = 3.0
ELSEWHERE = re.compile(r"^(https?|wss?)://(?!localhost[:/]|127\.0\.0\.1[:/])")

# What JupyterLab, its widgets and Voila show when something went wrong. JupyterLab draws an error as stderr.
ERROR_TEXT = '[data-mime-type="application/vnd.jupyter.stderr"], [data-mime-type="application/vnd.jupyter.error"]'
SIGNS_OF_TROUBLE = {"dialog": ".jp-Dialog", "error notification": ".Toastify__toast--error"}
WORDS_OF_TROUBLE = (
    "Error loading",
    "Error displaying widget",
    "Error creating widget",
    "state key missing",
    "interactive(children=",  # a widget that nobody draws
)

# A browser or a server that other tests starve of a core may come too late, once. `-rR` names what was run again.
RERUN = pytest.mark.flaky(reruns=1)

# What axe finds in the markup of JupyterLab's parts, which Voila shares, by its rule: where it was reported.
UPSTREAM = {
    "image-alt": "https://github.com/jupyter/enhancement-proposals/issues/120",  # the words are there and not shown
    "aria-input-field-name": "https://github.com/leongersen/noUiSlider/issues/1223",  # the sliders of ipywidgets
    "link-in-text-block": "https://github.com/jupyterlab/jupyterlab/issues/9399",  # links without an underline
}
# And in the template of Voila's list of notebooks, of which no report was found.
UPSTREAM_LIST = {"html-has-lang"}
# Half faded in, a text has half its contrast.
SETTLED = """() => Promise.allSettled(document.getAnimations()
    .filter(animation => animation.effect.getComputedTiming().endTime < Infinity)
    .map(animation => animation.finished))"""


def find_chromium() -> str | None:
    """Return the path of a Chromium: the system's, else the one that playwright brought, else None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


@contextmanager
def chromium(*flags: str):
    """Give a running Chromium, with further flags. Without one the test is skipped; where CI is set it fails."""
    path = find_chromium()
    if path is None:
        reason = (
            "The browser tests need Chromium: install the system's package `chromium`, "
            "or run `python -m playwright install chromium`."
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        yield browser
        browser.close()


@contextmanager
def new_page(browser):
    """Give an empty page that reaches this machine only, in `page.problems` uncaught errors of its scripts."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.route(ELSEWHERE, lambda route: route.abort())
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(f"script error: {error}"))
    yield page
    context.close()


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(address: str) -> bool:
    """Tell whether a web server answers with a page."""
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def running(command: list[str], address: str, folder: Path, start_in: Path | None = None, seconds: float = 60):
    """Run a server until the block ends, with short runs of its own and all its files in one folder.

    Parameters
    ----------
    command : list of str
        Arguments of `python -m`.
    address : str
        Must answer before the block begins.
    folder : Path
        Takes the server's log, and what it would else write to the home folder.
    start_in : Path, optional
        The server's working directory.
    seconds : float
        How long to wait for the answer.

    Raises
    ------
    RuntimeError
        If the server ends or does not answer; the message has the last lines of its log.
    """
    places = {name: str(folder / name) for name in HOMES}
    environment = os.environ | places | {"FAST": "1", "RUN_NAME": RUN_NAME}
    environment.pop("TQDM_DISABLE", None)  # the bars that a student sees belong to the test
    log = folder / "server.log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=start_in,
            start_new_session=True,  # a group of its own, so that it can be ended with everything it started
        )
    try:
        deadline = time.monotonic() + seconds
        while not answers(address):
            if process.poll() is not None:
                what = f"ended with status {process.returncode}"
            elif time.monotonic() > deadline:
                what = f"gave no answer in {seconds:.0f} s"
            else:
                time.sleep(0.2)
                continue
            tail = "\n".join(log.read_text().splitlines()[-15:])
            raise RuntimeError(f"{command[0]} {what}. The last lines of its log:\n{tail}")
        yield
    finally:
        end(process)
        shutil.rmtree(config.ROOT / "runs" / RUN_NAME, ignore_errors=True)


@contextmanager
def serving(folder: Path, log_folder: Path):
    """Serve a folder's files until the block ends, in the way that the builders advise; give the address."""
    address = f"http://127.0.0.1:{(port := free_port())}/"
    command = ["http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)]
    with running(command, address, log_folder):
        yield address


def barriers(page: Page, least: int = 11) -> list[tuple[str, str, str]]:
    """List what axe finds on a page against WCAG 2.2, levels A and AA: rule, element, and what is wrong with it.

    Parameters
    ----------
    page : Page
        As it is shown.
    least : int
        How many rules the page must pass at least, or axe has hardly looked at it; fewer for a page with little on it.
    """
    page.evaluate(SETTLED)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}).response
    assert len(found["passes"]) >= least, "axe has hardly looked at the page"
    return [
        (rule["id"], node["html"][:200], node["failureSummary"])
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def end(process: subprocess.Popen) -> None:
    """End a server and its group: first ask, so that it can stop its kernels, then insist."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=15)


def is_warning(text: str) -> bool:
    """Tell a library's warning, which a short run on little data may cause, from an error."""
    return "Warning: " in text and "Traceback" not in text


def trouble(page: Page) -> list[str]:
    """List everything on a page that tells of an error."""
    found = list(page.problems)
    for what, selector in SIGNS_OF_TROUBLE.items():
        found += [f"{what}: {text[:200]}" for text in page.locator(selector).all_text_contents()]
    errors = page.locator(ERROR_TEXT).all_text_contents()
    found += [f"error in an output: … {text[-300:]}" for text in errors if not is_warning(text)]
    outputs = "\n".join(page.locator(".jp-OutputArea-output").all_text_contents())
    return found + [f"the words {words!r} in an output" for words in WORDS_OF_TROUBLE if words in outputs]


def control(page: Page, description: str):
    """Return the row of a widget's control, by its description, and scroll it into view."""
    label = page.locator(".widget-label", has_text=re.compile(f"^{re.escape(description)}$"))
    row = page.locator(".widget-inline-hbox", has=label)
    row.scroll_into_view_if_needed()
    return row


def picture(page: Page) -> str:
    """Return the source of the picture below the controls, '' while there is none."""
    images = page.locator(".widget-interact .jp-OutputArea img")
    return images.first.get_attribute("src") if images.count() == 1 else ""


def seconds_to_new_picture(page: Page, old: str, limit: float) -> float:
    """Wait until the picture below the controls differs from an older one, and return how long it took.

    Raises
    ------
    AssertionError
        If nothing changes in time; the message says what is wrong on the page.
    """
    started = time.monotonic()
    while time.monotonic() - started < limit:
        with suppress(Error):  # the picture may be replaced while it is asked
            if picture(page) not in ("", old):
                return time.monotonic() - started
        page.wait_for_timeout(20)
    raise AssertionError(f"The picture did not change in {limit} s. On the page: {trouble(page) or 'no error'}")


def use(page: Page, description: str, action) -> float:
    """Do something with a control and return after how many seconds the picture was another."""
    old = picture(page)
    action(control(page, description))
    return seconds_to_new_picture(page, old, ANSWER_LIMIT)


def press(key: str):
    """Make the action that presses a key on a slider."""
    return lambda row: row.locator(".noUi-handle").press(key)


def choose(**option):
    """Make the action that chooses in a list."""
    return lambda row: row.locator("select").select_option(**option)


def show_seconds(capsys, where: str, seconds: list[float]) -> None:
    """Print answer times past pytest's capture."""
    with capsys.disabled():
        print(f"\n{where}: a new picture after {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s")
