"""A lesson as a Voila page, in a real Chromium."""

from contextlib import suppress

import pytest
from browser import (
    RERUN,
    UPSTREAM,
    UPSTREAM_LIST,
    barriers,
    choose,
    chromium,
    free_port,
    new_page,
    press,
    running,
    show_seconds,
    trouble,
    use,
)
from playwright.sync_api import TimeoutError

from helpers import config

pytestmark = RERUN


@pytest.fixture
def page():
    """Give an empty page. Without a browser the test is skipped."""
    with chromium() as browser, new_page(browser) as fresh:
        yield fresh


def open_voila(page, address):
    """Open a Voila page, which runs the notebook first; again if it hangs.

    Now and then Voila 0.5 misses the kernel's answer while it sends a widget's state, and then waits for ever: with
    nothing else at work never in ten times, beside other tests up to three times in a row.
    """
    for seconds in (25, 45, 45, 45, 45, 45):
        with suppress(TimeoutError):
            page.goto(address, timeout=1000 * seconds)
            return
    pytest.fail("Voila gave no page in six attempts.")


def test_a_lesson_works_as_a_voila_page(page, tmp_path, capsys):
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = ["voila", str(config.NOTEBOOKS_DIR), "--no-browser", "--show_tracebacks=True", f"--port={port}"]
    with running(command, address, tmp_path):
        page.goto(address)
        assert {rule for rule, _, _ in barriers(page, least=3)} == UPSTREAM_LIST
        open_voila(page, f"{address}/voila/render/01_data_exploration.ipynb")
        page.locator(".widget-interact img").wait_for()
        assert page.locator(".jp-RenderedMarkdown").count() > 10
        assert page.locator(".jp-CodeCell .jp-InputArea, .jp-Editor, .highlight").count() == 0
        assert "browse_classes(" not in page.locator("body").text_content()

        seconds = [use(page, "page", press("ArrowRight")), use(page, "class", choose(label="Bag"))]
        seconds += [use(page, "page", press("ArrowLeft")), use(page, "class", choose(label="Sneaker"))]
        assert trouble(page) == []
        assert {rule for rule, _, _ in barriers(page)} <= set(UPSTREAM)
    show_seconds(capsys, "Lesson 01 in Voila", seconds)
