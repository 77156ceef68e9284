"""Measure the page that classifies, in a real Chromium: its first load, its time for a picture, and its numbers."""

import functools
import io
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.record import entries_with, measure_once, spread, start
from build_tools import demo
from build_tools.npm import PACKAGES
from helpers.explain import logits_of
from helpers.machine import markdown_table
from helpers.photo import draw_garment

IMAGES, ROUNDS = 200, 20
# Return the logits of images one at a time, and the milliseconds that each took.
ONE_BY_ONE = """async (images) => {
    const { network } = await import("./demo.js");
    const [logits, milliseconds] = [[], []];
    for (const image of images) {
        const started = performance.now();
        logits.push(Array.from(await network.logits(Uint8Array.from(image))));
        milliseconds.push(performance.now() - started);
    }
    return [logits, milliseconds];
}"""
# Return the milliseconds from a photo's file to its probabilities, and of an occlusion map, several times.
WHOLE_WAY = """async ([file, rounds]) => {
    const { network } = await import("./demo.js");
    const { convertSteps, readPhoto } = await import("./photo.js");
    const blob = new Blob([Uint8Array.from(file)], { type: "image/png" });
    const [photos, maps] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
        let started = performance.now();
        const image = convertSteps(await readPhoto(blob), true).at(-1).picture.data;
        await network.probabilities(image);
        photos.push(performance.now() - started);
        started = performance.now();
        await network.occlusionMap(image, 0);
        maps.push(performance.now() - started);
    }
    return [photos, maps];
}"""


@contextmanager
def counting_server(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Serve a folder as `python -m http.server` does; give the address, and a list that takes each answer's bytes."""
    sent = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *words) -> None:
            pass

        def copyfile(self, source, outputfile) -> None:
            content = source.read()
            sent.append(len(content))
            outputfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", sent
    finally:
        server.shutdown()


def in_order(values: list[float], digits: int) -> list[float]:
    """Return median, lowest and highest."""
    return [round(value, digits) for value in (median(values), min(values), max(values))]


def measure_page() -> dict:
    """Build the page, open it, and measure it; the logits of validation images are compared with PyTorch's."""
    from playwright.sync_api import sync_playwright  # only this needs it

    images = demo.validation_images()[0][:IMAGES]
    expected = logits_of(demo.sprint_network(), images).numpy()
    file = io.BytesIO()
    Image.fromarray(draw_garment("T-shirt/top")).save(file, "PNG")
    folder = demo.build()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with counting_server(folder) as (address, sent), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        started = time.perf_counter()
        page.goto(address)
        page.locator("#examples button").last.wait_for()
        ready = time.perf_counter() - started
        page.get_by_text("works without a network").wait_for()
        loaded = sum(sent)
        page.evaluate(ONE_BY_ONE, images[:20].flatten(1).tolist())  # to warm up
        logits, milliseconds = page.evaluate(ONE_BY_ONE, images.flatten(1).tolist())
        photos, maps = page.evaluate(WHOLE_WAY, [list(file.getvalue()), ROUNDS])
        version = browser.version
        browser.close()
    found = np.array(logits)
    return {
        "first_load_mb": round(loaded / 1e6, 2),
        "ready_seconds": round(ready, 2),
        "image_ms": in_order(milliseconds, 2),
        "photo_ms": in_order(photos[1:], 0),
        "map_ms": in_order(maps[1:], 0),
        "images": IMAGES,
        "largest_difference": float(f"{np.abs(found - expected).max():.1e}"),
        "same_class": int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        "chromium": version,
        "onnxruntime_web": PACKAGES["onnxruntime-web"][0],
    }


def demo_table() -> str:
    """Return what was measured of the page as a table in Markdown."""
    rows = []
    for found in entries_with("demo"):
        rows += [
            ["first load, with all that is kept for a time without network", f"{found['first_load_mb']:.1f} MB"],
            ["from the address to a network that answers", f"{found['ready_seconds']:.1f} s"],
            ["one image through the network", spread(found["image_ms"], " ms")],
            ["a photo of 762 × 1,000 pixels, from its file to ten probabilities", spread(found["photo_ms"], " ms")],
            ["an occlusion map, 170 images", spread(found["map_ms"], " ms")],
            [
                f"largest difference to PyTorch's logits, {found['images']} validation images",
                f"{found['largest_difference']:g}",
            ],
            ["of these with the same answer", f"{found['same_class']}"],
            ["Chromium, onnxruntime-web", f"{found['chromium']}, {found['onnxruntime_web']}"],
        ]
    return markdown_table(["what", "measured"], rows)


def main() -> None:
    """Measure the page, unless that is done."""
    measure_once("demo", {"what": "page"}, measure_page)
    print(demo_table())


if __name__ == "__main__":
    start(main)
