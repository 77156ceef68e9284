"""Reading photos: every odd file gives the right picture or one message, and converting does what the authors did."""

import contextlib
import datetime
import io
import os
import re
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from helpers import config, photo
from helpers.photo import PhotoError

pytestmark = pytest.mark.usefixtures("figures_can_be_seen")

SMALL = (120, 160)  # width, height of the odd files' picture


def garment():
    """Return the picture that all readable odd files hold: a blue T-shirt, off the middle, so that turning shows."""
    pixels = photo.draw_garment(size=SMALL)
    pixels[5:20, 5:30] = (200, 30, 30)
    return pixels


PICTURE = Image.fromarray(garment())


def saved(picture=PICTURE, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def with_alpha(mode="RGBA"):
    """Return the garment with its background transparent, and black where it is."""
    rgba = np.dstack([garment(), np.full(SMALL[::-1], 255, np.uint8)])
    background = (garment() == garment()[80, 2]).all(axis=2)
    rgba[background] = 0
    return Image.fromarray(rgba).convert(mode)


def turned(orientation, **options):
    """Return a JPEG whose sensor's picture must be turned, by the camera's note, to be the garment."""
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270,
            2: Image.Transpose.FLIP_LEFT_RIGHT, 5: Image.Transpose.TRANSPOSE}  # fmt: skip
    exif = Image.Exif()
    exif[photo.ORIENTATION] = orientation
    return saved(PICTURE.transpose(back[orientation]), "JPEG", quality=95, exif=exif, **options)


def sixteen_bits():
    grey = np.asarray(PICTURE.convert("L")).astype(np.uint16) * 257
    return Image.fromarray(grey)


def floats():
    return Image.fromarray(np.asarray(PICTURE.convert("L"), np.float32) / 255)


def animated(kind="GIF"):
    others = [Image.new("RGB", SMALL, colour) for colour in ("red", "green")]
    return saved(PICTURE, kind, save_all=True, append_images=others, duration=100)


def png_that_claims(width, height):
    """Return a PNG whose header promises a size that its data does not have."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


# Files that hold the garment: contents, how exactly, and a part of the notes. "grey" compares brightness alone.
READABLE = {
    "plain.png": (saved(), 0, ""),
    "photo.jpg": (saved(kind="JPEG", quality=95), 6, ""),
    "PHOTO.JPEG": (saved(kind="JPEG", quality=95, progressive=True), 6, ""),
    "grey.jpg": (saved(PICTURE.convert("L"), "JPEG", quality=95), "grey", ""),
    "inks.jpg": (saved(PICTURE.convert("CMYK"), "JPEG", quality=95), 6, "CMYK"),
    "inks.tif": (saved(PICTURE.convert("CMYK"), "TIFF"), 6, "CMYK"),
    "alpha.png": (saved(with_alpha()), "on white", "transparent"),
    "alpha.webp": (saved(with_alpha(), "WEBP", lossless=True), "on white", "transparent"),
    "grey_alpha.png": (saved(with_alpha("LA")), "grey on white", "transparent"),
    "palette.png": (saved(PICTURE.quantize(64)), 12, "palette"),
    "palette_with_gap.png": (saved(with_alpha().quantize(64)), "on white", "transparent"),
    "one_bit.png": (saved(PICTURE.convert("1", dither=Image.Dither.NONE)), "one bit", "black and white"),
    "sixteen.png": (saved(sixteen_bits()), "grey", "16 bits"),
    "sixteen.tif": (saved(sixteen_bits(), "TIFF"), "grey", "16 bits"),
    "floats.tif": (saved(floats(), "TIFF"), "grey", "32 bits"),
    "still.gif": (saved(PICTURE, "GIF"), 12, "palette"),
    "moving.gif": (animated(), 12, "first of 3"),
    "moving.webp": (animated("WEBP"), 40, "first of 3"),
    "pages.tif": (animated("TIFF"), 0, "first of 3"),
    "picture.bmp": (saved(kind="BMP"), 0, ""),
    "picture.webp": (saved(kind="WEBP", quality=95), 25, ""),
    "picture.jp2": (saved(kind="JPEG2000"), 2, ""),
    "picture.ppm": (saved(kind="PPM"), 0, ""),
    "upside_down.jpg": (turned(3), 6, "upside down"),
    "quarter_right.jpg": (turned(6), 6, "quarter to the right"),
    "quarter_left.jpg": (turned(8), 6, "quarter to the left"),
    "mirrored.jpg": (turned(2), 6, "mirrored"),
    "turned_and_mirrored.jpg": (turned(5), 6, "turned and mirrored"),
    "broken_exif.jpg": (saved(kind="JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), 6, ""),
    "a png called.jpg": (saved(), 0, ""),
    "no ending": (saved(), 0, ""),
    "Jacke grün 上着.png": (saved(), 0, ""),
}  # fmt: skip
# Files without a usable picture: contents and a part of the one message.
NOT_READABLE = {
    "empty.jpg": (b"", "is empty"),
    "text.jpg": (b"This was meant to be a photo.\n", "holds text"),
    "umlauts.jpg": ("Größe ".encode() * 20, "holds text"),
    "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "without pixels"),
    "cut_off.jpg": (saved(kind="JPEG")[:-1500], "is damaged"),
    "cut_off.png": (saved()[: len(saved()) // 2], "is damaged"),
    "header_only.jpg": (saved(kind="JPEG")[:20], "is damaged"),
    "header_only.png": (saved()[:20], "is damaged"),
    "wrong_inside.png": (saved()[:100] + b"\0" * 200 + saved()[300:], "is damaged"),
    "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100, "is a HEIC photo"),
    "phone.jpg": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 100, "is a HEIF photo"),
    "clip.mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 100, "is a film"),
    "paper.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF"),
    "vector.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is a PostScript drawing"),
    "archive.jpg": (b"PK\x03\x04" + b"\0" * 60, "is a ZIP archive"),
    "noise.jpg": (bytes(range(128, 256)) * 4, "is of no kind"),
    "bomb.png": (png_that_claims(60_000, 60_000), "is too large"),
    "rather_large.png": (png_that_claims(13_000, 12_500), "is too large"),
    "lies.png": (png_that_claims(3_000, 3_000), "is damaged"),
    "one_pixel.png": (saved(Image.new("RGB", (1, 1), "red")), "Nothing stands out"),
    "one_colour.jpg": (saved(Image.new("RGB", SMALL, "beige"), "JPEG"), "Nothing stands out"),
    "all_transparent.png": (saved(Image.new("RGBA", SMALL, (0, 0, 0, 0))), "Nothing stands out"),
}  # fmt: skip


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def test_there_are_enough_odd_files():
    assert len(READABLE) + len(NOT_READABLE) >= 50


@pytest.mark.parametrize("name", READABLE)
def test_an_odd_file_gives_the_right_picture(tmp_path, name):
    content, how, note = READABLE[name]
    pixels, notes = photo.read_photo(write(tmp_path, name, content))
    assert pixels.dtype == np.uint8 and pixels.shape == (*SMALL[::-1], 3)
    assert note in "; ".join(notes) and (note or not notes)
    expected = garment().astype(float)
    if isinstance(how, str):
        if "on white" in how:
            expected[(garment() == garment()[80, 2]).all(axis=2)] = 255
        if "grey" in how or how == "one bit":
            expected = np.repeat(expected @ [[0.299], [0.587], [0.114]], 3, axis=2)
        if how == "one bit":
            expected = 255.0 * (expected >= 128)
    away = abs(pixels - expected)
    # Lossy formats smear colours along edges, so most pixels are judged, and the mean.
    limit = how if isinstance(how, int) else 12
    assert away.mean() <= max(0.6, limit / 3) and np.quantile(away, 0.9) <= max(2, limit)


@pytest.mark.parametrize("name", NOT_READABLE)
def test_a_file_without_a_picture_gives_one_message(tmp_path, name, capfd):
    content, part = NOT_READABLE[name]
    with pytest.raises(PhotoError) as caught:
        photo.convert_photo(photo.read_photo(write(tmp_path, name, content)).pixels)
    message = str(caught.value)
    assert part in message and len(re.findall(r"[.!?](?: |$)", message)) >= 2 and len(message) < 400
    assert name in message or part == "Nothing stands out"
    assert str(tmp_path) not in message and "Error" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [*READABLE, *NOT_READABLE])
def test_bytes_are_read_like_a_file(tmp_path, name):
    content = {**READABLE, **NOT_READABLE}[name][0]
    path = write(tmp_path, name, content)
    with warnings.catch_warnings(record=True) as caught_warnings, contextlib.suppress(PhotoError):
        warnings.simplefilter("always")
        photo.read_photo(path)
    assert caught_warnings == []
    try:
        pixels, notes = photo.read_photo(path)
    except PhotoError as error:
        with pytest.raises(PhotoError) as caught:
            photo.read_photo(content, name)
        assert str(caught.value) == str(error)
    else:
        again = photo.read_photo(content, name)
        assert np.array_equal(again.pixels, pixels) and again.notes == notes


def test_what_is_no_file_gives_one_message(tmp_path, monkeypatch):
    with pytest.raises(PhotoError, match="is a folder"):
        photo.read_photo(tmp_path)
    with pytest.raises(PhotoError, match=r"There is no file gone\.jpg"):
        photo.read_photo(tmp_path / "gone.jpg")
    with pytest.raises(PhotoError, match="cannot be opened"):
        photo.read_photo("a\0b.jpg")
    with pytest.raises(PhotoError, match="cannot be opened"):
        photo.read_photo("a" * 5000)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        with pytest.raises(PhotoError, match="is a device"):
            photo.read_photo(tmp_path / "pipe.jpg")

    def forbidden(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)
    with pytest.raises(PhotoError, match="may not be read"):
        photo.read_photo(write_before := config.ROOT / "pyproject.toml")
    assert write_before.exists()


def test_too_little_memory_is_said(monkeypatch):
    def full(picture):
        raise MemoryError

    monkeypatch.setattr(photo, "decode", full)
    with pytest.raises(PhotoError, match="does not fit into memory"):
        photo.read_photo(saved())


# Of a process of its own, which tells after each photo how large it was at its largest while it read that one.
PROGRAM = """
import sys
from helpers.photo import read_photo
for path in sys.argv[1:]:
    open("/proc/self/clear_refs", "w").write("5")  # forgets how large the process has been
    pixels, notes = (photo := read_photo(path)).pixels, photo.notes
    assert "made smaller, from 12,500 × 8,000 pixels" in notes
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(*pixels.shape, int(peak) // 1000, pixels[len(pixels) // 2, pixels.shape[1] // 2].max(), pixels[5, 5].min())
"""
HUGE = {"JPEG": "RGB", "PNG": "RGBA", "GIF": "P", "TIFF": "I;16"}


@pytest.fixture(scope="module")
def read_by_kind(tmp_path_factory):
    """Save a picture of 100 megapixels in each format, let one process read all, and give what it tells of each."""
    folder = tmp_path_factory.mktemp("huge")
    for kind, mode in HUGE.items():
        picture = Image.new(mode, (12_500, 8_000), 60_000 if kind == "TIFF" else 1 if kind == "GIF" else "white")
        if kind == "GIF":
            picture.putpalette([0, 0, 128, 255, 255, 255])
        picture.paste(0 if kind in ("TIFF", "GIF") else "navy", (3_000, 2_000, 9_000, 6_000))
        picture.save(folder / kind, kind, **({"compress_level": 1} if kind == "PNG" else {}))
        del picture
    command = [sys.executable, "-c", PROGRAM, *(str(folder / kind) for kind in HUGE)]
    out = subprocess.run(command, cwd=config.ROOT, check=True, capture_output=True, text=True)
    assert out.stderr == ""
    return dict(zip(HUGE, out.stdout.splitlines(), strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in other units elsewhere")
@pytest.mark.parametrize("kind", HUGE)
def test_100_megapixels_are_read_within_2_gb(read_by_kind, kind):
    height, width, channels, megabytes, middle, corner = map(int, read_by_kind[kind].split())
    assert channels == 3 and photo.LONGEST <= max(height, width) < 2.1 * photo.LONGEST
    assert abs(width / height - 12_500 / 8_000) < 0.01
    assert megabytes < 2_000
    assert middle < 140 < corner


def shirt():
    return photo.draw_garment(size=(200, 260))


def test_the_steps_are_those_of_the_authors():
    steps = photo.convert_steps(shirt())
    assert list(steps) == ["photo", "trimmed", "subsampled", "sharpened", "extended", "negated", "grey"]
    assert max(steps["subsampled"].shape[:2]) == 28 and min(steps["subsampled"].shape[:2]) < 28
    assert steps["extended"].shape == (28, 28, 3)
    assert np.array_equal(steps["negated"], 255 - steps["extended"])
    grey = steps["grey"]
    assert grey.shape == (28, 28) and grey[0, 0] <= 2 and grey[14, 14] > 100
    edges = [grey[0].max(), grey[-1].max(), grey[:, 0].max(), grey[:, -1].max()]
    assert sum(edge > 100 for edge in edges) >= 2  # the longest side touches both edges


def test_trimming_leaves_what_differs_by_more_than_5_per_cent():
    pixels = np.full((20, 30, 3), 250, np.uint8)
    pixels[6:9, 10:25] = 0
    pixels[2, 2] = 250 - 12  # 4.7 per cent
    assert photo.find_box(pixels) == (6, 9, 10, 25)
    pixels[2, 2] = 250 - 14  # 5.5 per cent
    assert photo.find_box(pixels) == (2, 9, 2, 25)
    assert photo.find_box(np.full((5, 5, 3), 7, np.uint8)) is None


def test_the_ground_may_have_another_colour_in_each_corner():
    pixels = np.zeros((20, 30, 3), np.uint8)
    for rows, columns, level in ((0, 0, 50), (0, 1, 100), (1, 0, 150), (1, 1, 200)):
        pixels[10 * rows : 10 * rows + 10, 15 * columns : 15 * columns + 15] = level
    pixels[8:13, 12:20] = 250
    assert photo.find_box(pixels) == (8, 13, 12, 20)


def test_subsampling_leaves_pixels_out_and_invents_none():
    pixels = np.arange(56 * 28 * 3, dtype=np.uint32).reshape(56, 28, 3)
    smaller = photo.subsample(pixels)
    assert smaller.shape == (28, 14, 3)
    assert np.isin(smaller, pixels).all()
    assert np.array_equal(smaller, pixels[1::2, 1::2])
    assert photo.subsample(np.zeros((3, 900, 3), np.uint8)).shape == (1, 28, 3)


def test_sharpening_leaves_even_areas_and_widens_steps():
    step = np.zeros((9, 9, 3), np.uint8)
    step[:, :4], step[:, 4:] = 80, 160
    sharp = photo.sharpen(step)
    assert (sharp[:, :3] == 80).all() and (sharp[:, 6:] == 160).all()
    assert (sharp[:, 3] < 80).all() and (sharp[:, 4] > 160).all()
    # Against Pillow's own convolution, inside, where no border matters.
    away = np.exp(-np.array([1, 0, 1]) / 2)
    kernel = -np.outer(away, away)
    kernel[1, 1] = -2 * kernel.sum()
    noise = np.random.default_rng(0).integers(90, 160, (12, 12), dtype=np.uint8)
    by_pillow = Image.fromarray(noise).filter(ImageFilter.Kernel((3, 3), kernel.flatten().tolist()))
    assert abs(photo.sharpen(noise[..., None])[..., 0].astype(int) - np.asarray(by_pillow))[1:-1, 1:-1].max() <= 1


def test_grey_is_as_pillow_weighs_it():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    by_pillow = np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
    assert abs(photo.to_grey(pixels).astype(int) - by_pillow).max() <= 1


def test_evening_makes_a_slanted_background_white_and_keeps_the_garment():
    across = np.linspace(0.6, 1, 112)
    background = 180 * across[None, :] * np.ones((112, 1))
    pixels = background.copy()
    pixels[40:80, 40:70] *= 0.3
    even = photo.even_background(pixels.round().astype(np.uint8)[..., None])[..., 0]
    assert (even[:30] == 255).all() and (even[:, 85:] == 255).all()
    assert abs(even[45:75, 45:65] - 0.3 * 255).max() < 5
    light = background.copy()
    light[40:80, 40:70] *= 1.3  # lighter than its background: dark afterwards, by as much
    even = photo.even_background(light.round().astype(np.uint8)[..., None])[..., 0]
    assert abs(even[45:75, 45:65] - 0.7 * 255).max() < 5


def test_evening_takes_noise_away_so_that_trimming_finds_the_garment():
    noisy = 150 + 5 * np.random.default_rng(1).standard_normal((112, 112))
    noisy[50:80, 40:70] = 60
    even = photo.even_background(noisy.round().astype(np.uint8)[..., None])
    top, bottom, left, right = photo.find_box(even)
    assert max(abs(top - 50), abs(bottom - 80), abs(left - 40), abs(right - 70)) <= 2


def images(number=20):
    """Return bright boxes on black, of different sizes."""
    drawn = torch.zeros(number, 1, 28, 28, dtype=torch.uint8)
    for position in range(number):
        drawn[position, 0, 2 : 14 + position % 12, 6 : 22 - position % 5] = 200
    return drawn


def make(faults, number=20, seed=3):
    return photo.looks_like_photo(images(number), torch.Generator().manual_seed(seed), faults)


def test_without_faults_a_photo_is_the_negative_enlarged():
    made = make(())
    assert made.shape == (20, 1, 112, 112) and made.dtype == torch.uint8
    inside = images().repeat_interleave(4, 2).repeat_interleave(4, 3)
    right = (made.int() - (255 - inside.int())).abs() < 20
    assert right.float().mean() > 0.9
    assert (photo.convert_photos(made) > 100).flatten(1).any(dim=1).all()


def test_the_same_generator_gives_the_same_photos_and_another_others():
    assert torch.equal(make(photo.FAULTS), make(photo.FAULTS))
    assert not torch.equal(make(photo.FAULTS), make(photo.FAULTS, seed=4))


def darkness(made):
    return (255 - made.float()).clamp(min=0)


def test_each_fault_does_what_it_says_and_leaves_the_rest():
    plain, rows = make(()), torch.arange(112.0)
    corner = {fault: make((fault,))[:, 0, 0, 0] for fault in photo.FAULTS}
    assert (corner["grey background"] >= 110).all() and (corner["grey background"] <= 230).all()
    assert all((corner[fault] == 255).all() for fault in ("smaller", "shifted", "rotated"))
    share = darkness(make(("smaller",))).sum((1, 2, 3)) / darkness(plain).sum((1, 2, 3))
    assert (share > 0.9 * 0.45**2).all() and (share < 1.1 * 0.85**2).all()
    moved = make(("shifted",))
    middle = lambda made: (darkness(made)[:, 0].sum(2) * rows).sum(1) / darkness(made).sum((1, 2, 3))  # noqa: E731
    assert (middle(moved) - middle(plain)).abs().max() > 3
    turned = darkness(make(("rotated",))).sum((1, 2, 3)) / darkness(plain).sum((1, 2, 3))
    assert (turned > 0.8).all() and not torch.equal(make(("rotated",)), plain)
    light = make(("uneven light",)).float()
    corners = light[:, 0][:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert ((corners.amin(1) / corners.amax(1)) < 0.95).all() and corners.amin() >= 0.45 * 255 - 1
    assert 0.5 < (make(("JPEG",)).float() - plain.float()).abs().mean() < 12


def test_a_fault_keeps_its_random_numbers_whatever_else_is_asked_for():
    both, alone = make(("rotated", "grey background")), make(("rotated",))
    assert torch.equal(both[:, 0, 0, 0], make(("grey background",))[:, 0, 0, 0])
    assert ((both < 60) != (alone < 60)).float().mean() < 0.003 and (alone < 60).float().mean() > 0.1


def test_no_frame_of_the_image_shows_in_a_photo():
    empty = torch.zeros(5, 1, 28, 28, dtype=torch.uint8)
    faults = ("smaller", "shifted", "rotated", "grey background")
    made = photo.looks_like_photo(empty, torch.Generator().manual_seed(0), faults)
    assert torch.equal(made, made[:, :, :1, :1].expand_as(made))


def test_an_unknown_fault_is_named():
    with pytest.raises(ValueError, match="no fault 'fog': choose from smaller"):
        make(("fog",))


def test_photos_in_which_nothing_stands_out_become_black():
    assert photo.convert_photos(torch.full((2, 1, 40, 40), 200, dtype=torch.uint8)).sum() == 0


def test_shrinking_averages_and_negates():
    photos = torch.zeros(1, 1, 112, 112, dtype=torch.uint8)
    photos[:, :, :2, :4] = 255
    shrunk = photo.shrink_photos(photos)
    assert shrunk[0, 0, 0, 0] in (127, 128) and shrunk[0, 0, 5, 5] == 255


def test_outlines_of_garments_lie_within_the_picture():
    for name, shapes in photo.OUTLINES.items():
        assert all(0 <= place <= 1 for corners, _ in shapes for corner in corners for place in corner), name


def test_a_garment_is_drawn_in_every_outline():
    for name in photo.OUTLINES:
        assert name in config.CLASS_NAMES
        pixels = photo.draw_garment(name, size=(90, 120))
        assert pixels.shape == (120, 90, 3) and photo.find_box(pixels) is not None


def test_a_photo_is_answered_in_evaluation_mode_and_the_model_is_left(spy, tmp_path):
    path = write(tmp_path, "shirt.png", saved())
    spy.train()
    answer = photo.answer_photo(spy, path)
    assert spy.training and spy.modes == [False]
    assert answer.image.shape == (1, 28, 28) and abs(answer.probabilities.sum() - 1) < 1e-9
    axes = photo.plot_answer(answer)
    assert len(axes) == 3 and [label.get_text() for label in axes[2].get_yticklabels()] == config.CLASS_NAMES
    axes = photo.plot_steps(photo.convert_steps(answer.photo.pixels))
    assert [ax.get_title().split()[0] for ax in axes] == list("0234567") and "grey" in axes[-1].get_title()
    axes = photo.plot_steps(photo.convert_steps(answer.photo.pixels, even=True))
    assert axes[1].get_title().startswith("1 background evened") and axes[2].get_title().startswith("2 trimmed")


def test_an_upload_shows_its_answer_or_its_message(spy, monkeypatch):
    shown = []
    monkeypatch.setattr(photo, "display", shown.append)
    photo.show_answer(spy, saved(with_alpha()), "shirt.png", even=True)
    assert "transparent parts" in shown[0].data and len(shown) == 2
    photo.show_answer(spy, b"words, words", "words.png", even=True)
    assert shown[-1].data.startswith("**No answer.** words.png holds text")


def test_the_widget_answers_an_upload(spy, monkeypatch):
    shown, asked = [], []
    monkeypatch.setattr(photo, "display", shown.append)
    monkeypatch.setattr(photo, "show_answer", lambda *arguments: asked.append(arguments[1:]))
    photo.ask_about_photos(spy)
    upload, even, _ = shown[0].children
    now = datetime.datetime.now()
    assert asked == []
    upload.set_trait(
        "value", ({"name": "a.png", "content": memoryview(b"123"), "type": "", "size": 3, "last_modified": now},)
    )
    even.value = False
    assert asked == [(b"123", "a.png", True), (b"123", "a.png", False)]
