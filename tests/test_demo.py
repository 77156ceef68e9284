"""The page that classifies, in a real Chromium: it sees and says what Python does, to everybody, and sends nothing."""

import base64
import io
import os
import re
import shutil
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pytest
import torch
from browser import RERUN, barriers, chromium, new_page, serving
from PIL import Image
from playwright.sync_api import Error

from build_tools import demo, npm
from helpers import config, photo
from helpers.evaluation import confidence_in_words, softmax_with_temperature
from helpers.explain import logits_of, occlusion_maps

pytestmark = RERUN

IMAGES = 200
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
# Send PNG files the way of the page's own examples, and return grey levels and logits.
AS_EXAMPLES = """async (files) => {
    const { network } = await import("./demo.js");
    const { SIZE, pixelsOf, toGrey } = await import("./photo.js");
    const found = [];
    for (const file of files) {
        const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
        const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
        const grey = toGrey(pixelsOf(picture, SIZE, SIZE)).data;
        found.push([Array.from(grey), Array.from(await network.logits(grey))]);
    }
    return found;
}"""
# Send a photo the way of a file, and return every step as [name, height, width, channels, pixels in base64].
STEPS = """async ([file, kind, even]) => {
    const { convertSteps, readPhoto } = await import("./photo.js");
    const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
    const steps = convertSteps(await readPhoto(new Blob([bytes], { type: kind })), even);
    return steps.map(({ name, picture: { height, width, channels, data } }) => {
        let letters = "";
        for (let start = 0; start < data.length; start += 9999) {
            letters += String.fromCharCode(...data.subarray(start, start + 9999));
        }
        return [name, height, width, channels, btoa(letters)];
    });
}"""


@pytest.fixture(scope="module")
def folder(real, tmp_path_factory):
    """Build the page once. Without npm the test is skipped; where CI is set it fails."""
    try:
        return demo.build(tmp_path_factory.mktemp("demo") / "page")
    except npm.NpmError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def address(folder, tmp_path_factory):
    with serving(folder, tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium(*CAMERA) as shared:
        yield shared


@pytest.fixture
def page(browser, address):
    """Give the page with its network loaded. At the end no script may have failed, nor the console hold an error."""
    with new_page(browser) as fresh:
        fresh.on("console", lambda told: fresh.problems.append(told.text) if told.type == "error" else None)
        fresh.context.grant_permissions(["camera", "clipboard-read", "clipboard-write"])
        fresh.goto(address)
        fresh.locator("#message").wait_for(state="hidden")
        yield fresh
        assert fresh.problems == []


@pytest.fixture(scope="module")
def validation(real):
    images, labels = demo.validation_images()
    return images[:IMAGES], labels[:IMAGES]


def file_of(pixels, kind="PNG", **settings):
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **settings)
    return buffer.getvalue()


def text64(content):
    return base64.b64encode(content).decode()


def answer(page):
    """Wait until the page has said something of a picture, and return it."""
    page.locator("#bars").wait_for()
    return page.locator("#answer").inner_text()


def test_200_validation_images_get_pytorchs_logits_and_the_same_class(page, validation):
    images, _ = validation
    found = page.evaluate(AS_EXAMPLES, [text64(file_of(image[0].numpy())) for image in images])
    assert np.array_equal([grey for grey, _ in found], images.flatten(1).numpy())
    logits, expected = np.array([logits for _, logits in found]), logits_of(demo.sprint_network(), images).numpy()
    assert logits.shape == (IMAGES, 10)
    assert np.abs(logits - expected).max() < 1e-3
    assert np.array_equal(logits.argmax(axis=1), expected.argmax(axis=1))


def test_what_the_page_knows_of_the_network_is_what_the_lessons_found(page, validation):
    known = page.evaluate("async () => (await import('./demo.js')).network.settings")
    outputs = nbformat.read(config.NOTEBOOKS_DIR / "11_can_you_trust_it.ipynb", as_version=4).cells
    [recorded] = re.findall(r"T = ([\d.]+) takes the mean confidence", str(outputs))
    assert known["temperature"] == pytest.approx(float(recorded), abs=0.01)
    # helpers.evaluation keeps to the same line of lesson 05.
    just_below, at_line = (np.array([share, 1 - share, *[0] * 8]) for share in (known["threshold"] - 1e-9, 0.9))
    assert confidence_in_words(at_line).startswith("sure") and confidence_in_words(just_below).startswith("leaning")
    assert known["classes"] == config.CLASS_NAMES and known["parameters"] == 95_898
    assert 0.5 < known["answered"] < 1 and 0.9 < known["right"] < 1


def photos():
    shirt, boot = photo.draw_garment(size=(300, 400)), photo.draw_garment("Ankle boot", background=(150, 145, 140))
    sideways = Image.Exif()
    sideways[photo.ORIENTATION] = 6
    clear = np.dstack([shirt, np.where((shirt == shirt[0, 0]).all(axis=2), 0, 255)]).astype(np.uint8)
    images, _ = demo.validation_images()
    at_home = photo.looks_like_photo(images[:3], torch.Generator().manual_seed(0))[:, 0].numpy()
    return {
        "drawing": (file_of(shirt), "image/png", 1),
        "grey background": (file_of(boot), "image/png", 1),
        "cut-out": (file_of(clear), "image/png", 1),
        "one line": (file_of(shirt[200:201]), "image/png", 1),
        "noise": (file_of(np.random.default_rng(0).integers(0, 256, (57, 83, 3), np.uint8)), "image/png", 1),
        "turned by the camera": (file_of(Image.fromarray(boot), "JPEG", exif=sideways), "image/jpeg", 4),
        **{f"at home {number}": (file_of(one), "image/png", 1) for number, one in enumerate(at_home)},
    }


@pytest.mark.parametrize("even", [False, True], ids=["as it is", "evened"])
def test_every_step_is_that_of_lesson_13_within_a_few_grey_levels(even, page, real, capsys):
    worst = 0
    for name, (content, kind, levels) in photos().items():
        asked = [text64(content), kind, even]
        try:
            steps = photo.convert_steps(photo.read_photo(content).pixels, even)
        except photo.PhotoError:
            with pytest.raises(Error, match="Nothing stands out"):
                page.evaluate(STEPS, asked)
            continue
        found = page.evaluate(STEPS, asked)
        assert [step[0] for step in found] == list(steps), name
        for (step, height, width, channels, data), expected in zip(found, steps.values(), strict=True):
            pixels = np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, channels)
            expected = expected if expected.ndim == 3 else expected[..., None]
            assert pixels.shape == expected.shape, f"{name}, {step}"
            difference = np.abs(pixels.astype(int) - expected).max()
            assert difference <= levels, f"{name}, {step}"
            worst = max(worst, difference)
    with capsys.disabled():
        print(f"\nDemo page: a step differs from that of helpers.photo by {worst} grey levels at most.")


def test_a_large_photo_made_smaller_by_the_browser_ends_near_pythons(page):
    content = file_of(photo.draw_garment("Ankle boot", size=(2400, 3200)), "JPEG", quality=90)
    expected = photo.convert_steps(photo.read_photo(content).pixels)["grey"]
    *_, data = page.evaluate(STEPS, [text64(content), "image/jpeg", False])[-1]
    found = np.frombuffer(base64.b64decode(data), np.uint8).reshape(28, 28).astype(int)
    # The filters differ that make it smaller, and then one pixel of many is taken: edges may move by a pixel.
    assert np.abs(found - expected).mean() < 3 and (np.abs(found - expected) > 8).mean() < 0.05


def test_the_answer_in_words_is_that_of_the_lessons_and_abstains_below_the_line(page):
    shares = np.random.default_rng(0).dirichlet([0.2] * 10, 200)
    script = "async ([all, names]) => (m => all.map(p => m.inWords(p, names)))(await import('./network.js'))"
    said = page.evaluate(script, [shares.tolist(), config.CLASS_NAMES])
    assert said == [confidence_in_words(share) for share in shares]

    images, _ = demo.validation_images()
    network, known = demo.sprint_network(), page.evaluate("async () => (await import('./demo.js')).network.settings")
    probabilities = softmax_with_temperature(logits_of(network, images[:IMAGES]), known["temperature"])
    unsure = int(probabilities.max(axis=1).argmin())
    script = "async (image) => (await import('./demo.js')).answer(Uint8Array.from(image))"
    page.evaluate(script, images[unsure].flatten().tolist())
    assert answer(page) == "I would rather not say."
    assert confidence_in_words(probabilities[unsure]) in page.locator("#reason").inner_text()
    bars = page.locator("#bars tbody tr")
    assert bars.count() == 10
    widths = page.locator(".bar").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
    assert np.allclose(widths, 100 * probabilities[unsure], atol=0.1)


def test_the_occlusion_map_on_request_is_that_of_lesson_11(page, validation):
    images, labels = validation
    script = """async ([image, name]) =>
        Array.from(await (await import("./demo.js")).network.occlusionMap(Uint8Array.from(image), name))"""
    found = page.evaluate(script, [images[3].flatten().tolist(), int(labels[3])])
    expected = occlusion_maps(demo.sprint_network(), images[3:4], labels[3:4])
    assert np.abs(np.reshape(found, (28, 28)) - expected[0].numpy()).max() < 1e-3

    page.get_by_role("button", name="Ankle boot").click()
    assert answer(page) and page.locator("#map").is_hidden()
    page.get_by_role("button", name="What does this answer rest on?").click()
    page.get_by_text("It costs most to cover").wait_for()
    page.get_by_role("button", name="Sandal").click()
    page.locator("#map").wait_for(state="hidden")  # the map of another picture would mislead


def test_every_example_has_its_class_as_alternative_text(page):
    examples = page.locator("#examples img")
    assert examples.evaluate_all("images => images.map(image => image.alt)") == config.CLASS_NAMES
    # The page's script asks for them, so they may still be on their way.
    examples.evaluate_all("images => Promise.all(images.map(image => image.decode()))")
    assert all(examples.evaluate_all("images => images.map(image => image.naturalWidth === 28)"))


TROUSER = photo.draw_garment("Trouser", size=(300, 400))
EVENT = """([kind, name, content]) => {
    const data = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    data.items.add(new File([bytes], name, { type: "image/png" }));
    const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: data, bubbles: true })
        : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("way", ["file", "paste", "drop", "button"])
def test_a_photo_comes_in_by_file_paste_and_drop(way, page):
    content = file_of(TROUSER)
    if way == "file":
        page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": content})
    elif way == "button":
        script = """async (file) => {
            const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
            const blob = new Blob([bytes], { type: "image/png" });
            await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        }"""
        page.evaluate(script, text64(content))
        page.get_by_role("button", name="Paste").click()
    else:
        page.evaluate(EVENT, [way, "mine.png", text64(content)])
    assert "Trouser" in answer(page)
    names = page.locator("#steps strong").all_inner_texts()
    assert [name.split(",")[0] for name in names] == list(photo.convert_steps(TROUSER, even=True))
    page.get_by_label("Make the background of a photo white first").uncheck()
    page.wait_for_function("document.querySelectorAll('#steps li').length === 7")


def test_the_camera_takes_a_picture_and_is_closed(page):
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    assert answer(page)
    assert (
        page.locator("#viewfinder").is_hidden() and page.evaluate("document.querySelector('video').srcObject") is None
    )


def test_a_slow_camera_is_waited_for_or_closed_without_a_word(page):
    page.evaluate("""() => {
        const play = HTMLMediaElement.prototype.play;
        HTMLMediaElement.prototype.play = async function () {
            await new Promise((resolve) => { window.showFirstImage = resolve; });
            return play.call(this);
        };
    }""")
    camera = page.get_by_role("button", name="Use the camera")
    shoot = page.get_by_role("button", name="Take the picture")
    camera.click()
    shoot.wait_for()
    assert shoot.is_disabled() and camera.is_disabled()
    page.get_by_role("button", name="Close the camera").click()
    page.evaluate("showFirstImage()")
    assert page.locator("#message").is_hidden() and camera.is_enabled()
    camera.click()
    shoot.wait_for()
    page.wait_for_timeout(200)
    page.evaluate("showFirstImage()")
    shoot.click()
    assert answer(page)


@pytest.mark.parametrize(("name", "content", "words"), [
    ("text.jpg", b"Not a picture at all.", "text.jpg cannot be shown"),
    ("white.png", file_of(np.full((30, 40, 3), 255, np.uint8)), "Nothing stands out"),
])  # fmt: skip
def test_a_file_without_a_garment_gets_one_message_and_the_next_one_an_answer(name, content, words, page):
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})
    page.get_by_text(words).wait_for()
    page.get_by_role("button", name="Ankle boot").click()
    assert answer(page) and page.locator("#message").is_hidden()


@pytest.mark.parametrize("by", ["mouse", "finger"])
def test_a_drawing_is_classified_and_what_it_encloses_is_filled(by, page):
    paper = page.locator("#paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    page.get_by_label("Width").select_option("thin")
    corners = [(box["x"] + x, box["y"] + y) for x, y in [(60, 60), (220, 60), (220, 220), (60, 220), (60, 60)]]
    if by == "mouse":
        page.mouse.move(*corners[0])
        page.mouse.down()
        for corner in corners[1:]:
            page.mouse.move(*corner, steps=3)
        page.mouse.up()
    else:
        chrome = page.context.new_cdp_session(page)
        chrome.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
        for kind, (x, y) in zip(["touchStart", *["touchMove"] * 4], corners, strict=True):
            chrome.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        chrome.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert answer(page)
    middle = "() => document.querySelector('#paper').getContext('2d').getImageData(140, 140, 1, 1).data[0]"
    assert page.evaluate(middle) == 255
    page.get_by_role("button", name="Fill what is closed").click()
    page.wait_for_function(f"({middle})() === 0x22")
    page.get_by_role("button", name="Start again").click()
    assert page.evaluate(middle) == 255


def test_all_of_it_works_by_keyboard_and_what_has_the_focus_is_seen(page):
    """From the first Tab to the last: draw a line, classify an example, ask for the map."""
    page.keyboard.press("Tab")
    reached, outlines = [], []
    for _ in range(40):
        name, outline = page.evaluate("""() => {
            const element = document.activeElement, seen = element.closest(".button, .paper") ?? element;
            const { outlineStyle, outlineWidth } = getComputedStyle(seen);
            const name = element.id || element.querySelector("img")?.alt || element.tagName;
            return [name, outlineStyle !== "none" && parseFloat(outlineWidth) >= 2];
        }""")
        if name in ("BODY", *reached):  # after the last one
            break
        reached.append(name)
        outlines.append(outline)
        if name == "Ankle boot":
            page.keyboard.press("Enter")
            assert "Ankle boot" in answer(page)
        if name == "paper":
            for key in ("ArrowUp", "Space", *["Shift+ArrowRight"] * 5, *["Shift+ArrowDown"] * 8):
                page.keyboard.press(key)
            page.get_by_text("Cursor: row 22, column 20 of 28").wait_for()
            assert page.locator("#cursor").is_visible()
            places = [(145, 135), (165, 135), (195, 135), (195, 175), (195, 215), (60, 60)]
            look = "places => places.map(place => paper.getContext('2d').getImageData(...place, 1, 1).data[0])"
            assert page.evaluate(look, places) == [0x22] * 5 + [255]
            page.wait_for_function("document.querySelectorAll('#steps li').length === 7")
        if name == "explain":
            page.keyboard.press("Enter")
            page.locator("#map").wait_for()
        page.keyboard.press("Tab")
    ways = ["paper", "pen", "thickness", "fill", "clear", "file", "paste", "camera", "even", "explain"]
    assert reached == [*config.CLASS_NAMES, *ways]
    assert all(outlines), [name for name, seen in zip(reached, outlines, strict=True) if not seen]
    assert page.locator("#cursor").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_needs_no_scrolling_sideways(scheme, page):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 320, "height": 740})

    def check(what):
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, what
        assert barriers(page) == [], what

    check("before")
    page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": file_of(TROUSER)})
    answer(page)
    page.get_by_role("button", name="What does this answer rest on?").click()
    page.locator("#map").wait_for()
    page.get_by_role("button", name="Use the camera").click()
    page.locator("#viewfinder").wait_for()
    page.set_input_files("#file", {"name": "a_long_name.jpg" * 9, "mimeType": "image/png", "buffer": b"Not a picture."})
    page.locator("#message.wrong").wait_for()
    check("with all of it shown")


def test_nothing_leaves_the_machine_and_it_works_without_a_network(browser, folder, tmp_path):
    """A server of its own, which ends before the page is loaded again: what a browser without a network sees."""
    with new_page(browser) as page:
        requested = []
        page.context.on("request", lambda request: requested.append((request.method, request.url)))
        with serving(folder, tmp_path) as address:
            page.goto(address)
            page.get_by_text("it also works without a network").wait_for()
        page.reload()
        page.locator("#message").wait_for(state="hidden")
        page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": file_of(TROUSER)})
        assert "Trouser" in answer(page)
        page.get_by_role("button", name="Ankle boot").click()
        page.get_by_text("Ankle boot (").first.wait_for()
        assert {method for method, _ in requested} == {"GET"}
        hosts = {urlsplit(url).netloc for _, url in requested if not url.startswith(("data:", "blob:"))}
        assert hosts == {urlsplit(address).netloc}
        # The browser would refuse it, too.
        refused = "async () => { try { await fetch('http://127.0.0.1:9/?image=1'); } catch (error) { return 'no'; } }"
        with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
            assert page.evaluate(refused) == "no"
        assert page.problems == []


def break_file(folder, what):
    model = folder / "model.onnx"
    if what == "cut off":
        model.write_bytes(model.read_bytes()[:1000])
    elif what == "another network":
        content = bytearray(model.read_bytes())
        content[200_000:200_400] = bytes(400)  # a hundred weights of 0
        model.write_bytes(content)
    elif what == "a program that is damaged":
        (folder / "ort/ort-wasm-simd-threaded.wasm.packed").write_bytes(b"<html>")
    else:
        (folder / what).unlink()


@pytest.mark.parametrize(("what", "words"), [
    ("model.onnx", "model.onnx is missing"),
    ("cut off", "model.onnx is damaged"),
    ("another network", "model.onnx gives other numbers"),
    ("a program that is damaged", "ort-wasm-simd-threaded.wasm.packed is damaged"),
    ("ort/ort.wasm.min.mjs", "ort/ort.wasm.min.mjs is missing"),
    ("ort/ort-wasm-simd-threaded.mjs", "the program that runs it does not start"),
    ("settings.json", "settings.json is missing"),
    ("photo.js", "If this line stays"),
])  # fmt: skip
def test_a_broken_file_gives_one_message(what, words, browser, folder, tmp_path):
    broken = shutil.copytree(folder, tmp_path / "page")
    break_file(broken, what)
    with serving(broken, tmp_path) as address, new_page(browser) as page:
        page.goto(address)
        page.get_by_text(words).wait_for()
        assert page.get_by_text("make demo").count() == 1
        assert page.locator("#examples img").count() == 0 and page.locator("#bars").is_hidden()


def test_a_missing_npm_and_another_content_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(npm, "KEPT", tmp_path / "npm")
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    with pytest.raises(npm.NpmError, match=r"npm is missing.*Install Node\.js"):
        npm.fetch_package("onnxruntime-web")
    with pytest.raises(SystemExit, match=r"npm is missing.*Install Node\.js"):
        demo.main()
    fake = tmp_path / "fake"
    monkeypatch.setattr(npm.shutil, "which", lambda name: str(fake))
    fake.write_text('#!/bin/sh\necho other > "$4/onnxruntime-web-${2#*@}.tgz"\n')
    fake.chmod(0o755)
    with pytest.raises(npm.NpmError, match="another content than was published"):
        npm.fetch_package("onnxruntime-web")
    fake.write_text("#!/bin/sh\necho npm error code ENOTFOUND >&2\nexit 1\n")
    with pytest.raises(npm.NpmError, match=r"cannot fetch onnxruntime-web .*\(code ENOTFOUND\)\. Look at the network"):
        npm.fetch_package("onnxruntime-web")
    assert list((tmp_path / "npm").iterdir()) == []
