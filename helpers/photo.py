"""Read any image file, turn a photo into 28 × 28 pixels step by step, and make images of the data set look like photos.

`read_photo` opens a file or says in one message why it cannot. `convert_photo` does what the authors of the data set
did (Xiao et al., 2017, https://arxiv.org/abs/1708.07747). `even_background` is our addition.
"""

import io
import math
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from ipywidgets import Checkbox, FileUpload, Output, VBox
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import binary_fill_holes, binary_opening, uniform_filter
from torch import nn

from helpers.config import CLASS_NAMES
from helpers.data import normalize
from helpers.evaluation import confidence_in_words
from helpers.plotting import BLUE, LIGHT_BLUE, plot_image

MOST_PIXELS = 150_000_000  # 600 MB while Pillow holds them; the largest phone photos have 108 or 200 million
LONGEST = 1024  # pixels of the longest edge that are kept; 28 are needed in the end
SIZE = 28
CLOSE = 0.05  # of the distance from black to white: what still counts as background
# Raster formats that Pillow reads by itself. EPS and the like start another program, so they are left out.
FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "AVIF", "HEIF"]
# What the first bytes of a file give away: where, the bytes, what it is, and what to do.
HEIC_ADVICE = (
    "Open it on the phone or computer that made it and export it as JPEG. An iPhone takes JPEGs after "
    "Settings, Camera, Formats, Most Compatible"
)
OTHER_KINDS = [
    (4, b"ftypheic", "a HEIC photo, the format of iPhones, for which Pillow has no decoder here", HEIC_ADVICE),
    (4, b"ftypheix", "a HEIC photo, the format of iPhones, for which Pillow has no decoder here", HEIC_ADVICE),
    (4, b"ftypmif1", "a HEIF photo, for which Pillow has no decoder here", HEIC_ADVICE),
    (4, b"ftypmsf1", "a HEIF photo, for which Pillow has no decoder here", HEIC_ADVICE),
    (4, b"ftyphevc", "a HEIC photo, the format of iPhones, for which Pillow has no decoder here", HEIC_ADVICE),
    (4, b"ftypavif", "an AVIF photo, for which this Pillow has no decoder", "Export it as JPEG or PNG"),
    (4, b"ftyp", "a film", "Take a still picture of it, and save that as JPEG or PNG"),
    (0, b"%PDF", "a PDF document", "Save the page as PNG, or take a screenshot of it"),
    (0, b"%!PS", "a PostScript drawing", "Export it as PNG"),
    (0, b"8BPS", "a Photoshop file", "Export it as JPEG or PNG"),
    (0, b"PK\x03\x04", "a ZIP archive", "Unpack it, and choose a picture inside"),
    (0, b"\x1f\x8b", "a compressed archive", "Unpack it, and choose a picture inside"),
    (0, b"RIFF", "sound, a film or a damaged WebP picture", "Export the picture as JPEG or PNG"),
]
# How to turn a picture, by the number that a camera notes (EXIF, tag 274). Cameras save what the sensor sees.
ORIENTATION = 274
TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, "mirrored"),
    3: (Image.Transpose.ROTATE_180, "turned upside down"),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, "mirrored from top to bottom"),
    5: (Image.Transpose.TRANSPOSE, "turned and mirrored"),
    6: (Image.Transpose.ROTATE_270, "turned a quarter to the right"),
    7: (Image.Transpose.TRANSVERSE, "turned and mirrored"),
    8: (Image.Transpose.ROTATE_90, "turned a quarter to the left"),
}
FAULTS = ("smaller", "shifted", "rotated", "grey background", "uneven light", "JPEG")
SCALE = 4  # how many pixels of a made-up photo stand for one of the data set


class PhotoError(ValueError):
    """A file or a photo cannot be used. The message says what happened, why, and what to do."""


class Photo(NamedTuple):
    """A photo as it was read, upright and in colour."""

    pixels: np.ndarray  # uint8 (H, W, 3)
    notes: tuple[str, ...]  # what reading had to do, in words, such as "turned a quarter to the right"


def read_photo(source: str | os.PathLike | bytes, name: str | None = None) -> Photo:
    """Read an image file of any usual kind, upright, in colour, 8 bits, at most about 2,000 pixels wide or high.

    A huge photo is read at a fraction of its size: a JPEG while it is decoded, others right after. 100 million pixels
    need well below 2 GB.

    Parameters
    ----------
    source : str, path or bytes
        A file, or what stands in one.
    name : str, optional
        What messages call it; by default the file's name.

    Returns
    -------
    Photo
        pixels and notes. Transparent parts lie on white, as in a shop's catalogue.

    Raises
    ------
    PhotoError
        If there is no picture to be had. Its message says what happened, why, and what to do.
    """
    if name is None:
        name = "The upload" if isinstance(source, bytes) else Path(os.fspath(source)).name or str(source)
    file = open_source(source, name)
    with file:
        head = file.read(64)
        file.seek(0)
        if not head:
            raise PhotoError(
                f"{name} is empty: it has 0 bytes, as after a download that did not start. Save it or send it again."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and odd metadata; our limits are our own
            picture = open_picture(file, name, head)
            pixels = picture.width * picture.height
            if pixels > MOST_PIXELS:
                raise too_large(name, f"{picture.width:,} × {picture.height:,} pixels")
            try:
                return decode(picture)
            except MemoryError:
                raise PhotoError(
                    f"{name} does not fit into memory: it has {picture.width:,} × {picture.height:,} pixels. "
                    "Close other programs, or save the photo smaller."
                ) from None
            except Exception as error:  # decoders raise many kinds of errors, and all mean the same to a reader
                reason = str(error) or type(error).__name__
                raise PhotoError(
                    f"{name} is damaged: it begins as a {picture.format} picture and cannot be read to its end "
                    f"({short(reason)}). It was probably cut off. Copy or download it again."
                ) from None


def open_source(source, name: str):
    """Open a file or bytes for reading, or say why that cannot be."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        path = Path(source)
        if path.is_dir():
            raise PhotoError(f"{name} is a folder, not a picture. Choose one picture inside it.")
        if path.exists() and not path.is_file():
            raise PhotoError(f"{name} is a device, not a file. Choose a picture that lies on the disk.")
        return open(path, "rb")
    except FileNotFoundError:
        raise PhotoError(
            f"There is no file {name}. Look for a misspelt name or another folder; the present one is "
            f"{Path.cwd().name!r}."
        ) from None
    except PermissionError:
        raise PhotoError(
            f"{name} may not be read: your account has no right to. Copy it to a folder of yours."
        ) from None
    except (OSError, ValueError) as error:
        if isinstance(error, PhotoError):
            raise
        raise PhotoError(
            f"{short(name)} cannot be opened ({short(str(error))}). Copy the picture to your own disk."
        ) from None


def open_picture(file, name: str, head: bytes) -> Image.Image:
    """Read a picture's header, or say what the file is in place of a picture."""
    Image.init()
    try:
        return Image.open(file, formats=[kind for kind in FORMATS if kind in Image.OPEN])
    except Image.DecompressionBombError:
        raise too_large(name, "far more pixels than any camera makes") from None
    except Exception:  # mostly UnidentifiedImageError; what a broken header raises differs from format to format
        pass
    for start, mark, kind, advice in OTHER_KINDS:
        if head[start : start + len(mark)] == mark:
            raise PhotoError(f"{name} is {kind}. {advice}.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml")):
        raise PhotoError(f"{name} is a drawing made of lines or another XML text, without pixels. Export it as PNG.")
    if text.startswith((b"<!doctype", b"<html")):
        raise PhotoError(f"{name} is a web page, not a picture: the address led to a page. Save the picture itself.")
    if looks_like_text(head):
        raise PhotoError(
            f"{name} holds text, whatever its name says: an ending such as .jpg does not make a picture. "
            "Choose the picture itself."
        )
    if head.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")):
        raise PhotoError(
            f"{name} is damaged: it begins as a picture and ends, or goes wrong, within its header. "
            "Copy or download it again."
        )
    raise PhotoError(
        f"{name} is of no kind that can be read here: its first bytes are none of a known picture. "
        "Open it in the program that made it, and export it as JPEG or PNG."
    )


def looks_like_text(head: bytes) -> bool:
    """Tell whether bytes are readable text in UTF-8, but for a letter that is cut off at their end."""
    words = head.decode("utf-8", errors="ignore")
    return len(words.encode()) >= len(head) - 3 and all(letter.isprintable() or letter in "\t\r\n" for letter in words)


def too_large(name: str, size: str) -> PhotoError:
    """Build the message for a picture beyond the limit."""
    return PhotoError(
        f"{name} is too large: {size}. More than {MOST_PIXELS // 10**6} million pixels could fill the memory, "
        "so they are not read. Save it smaller: 28 × 28 are needed in the end."
    )


def short(text: str, length: int = 80) -> str:
    """Return a text in one line of at most so many letters."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def decode(picture: Image.Image) -> Photo:
    """Decode an opened picture: its first frame, small enough, upright, on white, as 8-bit RGB.

    Parameters
    ----------
    picture : PIL.Image.Image
        Opened, not loaded.
    """
    notes = []
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":  # a phone's MPO holds the photo first, then a preview or depth
        notes.append(f"the first of {frames} pictures in the file")
    whole = picture.size
    picture.draft(None, (LONGEST, LONGEST))  # only a JPEG can be decoded at a fraction of its size
    picture.load()
    try:
        orientation = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # a camera's notes may be broken where its picture is sound
        orientation = 1
    picture = to_eight_bits(picture, notes)
    factor = max(picture.size) // LONGEST
    if factor > 1:
        picture = picture.reduce(factor)
    if max(picture.size) < max(whole):
        notes.append(f"made smaller, from {whole[0]:,} × {whole[1]:,} pixels")
    if orientation in TURNS:
        turn, words = TURNS[orientation]
        picture = picture.transpose(turn)
        notes.append(f"{words}, as the camera noted")
    if picture.mode in ("RGBA", "LA", "RGBa", "La", "PA"):
        picture = picture.convert("RGBA")
        if picture.getextrema()[3][0] < 255:
            notes.append("transparent parts put on white")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return Photo(np.asarray(picture.convert("RGB")).copy(), tuple(notes))


def to_eight_bits(picture: Image.Image, notes: list[str]) -> Image.Image:
    """Return a picture in a mode that Pillow can make smaller: eight bits a channel, no palette."""
    if picture.mode in ("P", "1"):
        notes.append("a palette looked up" if picture.mode == "P" else "black and white only")
        has_gaps = "transparency" in picture.info or getattr(picture.palette, "mode", "RGB") == "RGBA"
        return picture.convert("RGBA" if has_gaps else "L" if picture.mode == "1" else "RGB")
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        notes.append(f"{'16' if picture.mode != 'F' else '32'} bits brought to 8")
        step = max(1, max(picture.size) // LONGEST)
        values = np.asarray(picture)[::step, ::step].astype(np.float32)  # numbers of 32 bits need four times the memory
        values = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
        if picture.mode == "F":
            highest = values.max()
            scale = 255 if highest <= 1 else 1 if highest <= 255 else 255 / highest
        else:
            scale = 255 / 65535
        return Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))
    if picture.mode == "CMYK":
        notes.append("inks (CMYK) turned into light (RGB)")
    if picture.mode == "LAB":
        raise ValueError("its colours are stored as LAB, which is not read here; export it as RGB")
    return picture


def find_box(pixels: np.ndarray, close: float = CLOSE) -> tuple[int, int, int, int] | None:
    """Find the smallest box around all that differs from the corners: step 2 of the authors.

    Parameters
    ----------
    pixels : np.ndarray
        uint8, (H, W, C), C channels.
    close : float
        Up to this share of the distance from black to white a colour counts as that of a corner, 0 to 1.

    Returns
    -------
    tuple of int or None
        top, bottom, left, right, as slices want them. None where all is as the corners are.
    """
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.float32)
    colours = pixels.astype(np.float32)
    limit = (close * 255) ** 2 * pixels.shape[2]
    differs = np.ones(pixels.shape[:2], bool)
    for corner in np.unique(corners, axis=0):
        differs &= ((colours - corner) ** 2).sum(axis=2) > limit
    if not differs.any():
        return None
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def subsample(pixels: np.ndarray, longest: int = SIZE) -> np.ndarray:
    """Bring the longest edge to a length by leaving out rows and columns, or repeating them: step 3.

    Parameters
    ----------
    pixels : np.ndarray
        uint8, (H, W, 3).
    longest : int
        Pixels of the longest edge afterwards; the other has at least one.
    """
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    rows = ((np.arange(new_height) + 0.5) * height / new_height).astype(int)
    columns = ((np.arange(new_width) + 0.5) * width / new_width).astype(int)
    return pixels[rows][:, columns]


def sharpen(pixels: np.ndarray) -> np.ndarray:
    """Sharpen with a 3 × 3 kernel that takes away a Gaussian of standard deviation 1: step 4.

    The article names "a Gaussian operator of the radius and standard deviation of 1.0". The kernel is the negative
    Gaussian with a centre twice as strong as the whole of it, divided by its sum: our reading, after ImageMagick.

    Parameters
    ----------
    pixels : np.ndarray
        uint8, (H, W, 3).
    """
    away = np.exp(-np.array([1, 0, 1]) / 2)
    kernel = -np.outer(away, away)
    kernel[1, 1] = -2 * kernel.sum()
    kernel /= kernel.sum()
    padded = np.pad(pixels.astype(np.float32), ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = pixels.shape[:2]
    total = sum(
        kernel[row, column] * padded[row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    )
    return total.round().clip(0, 255).astype(np.uint8)


def extend(pixels: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Put a picture in the middle of a white square: step 5."""
    height, width = pixels.shape[:2]
    square = np.full((size, size, pixels.shape[2]), 255, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Weigh red, green and blue as bright as they look (ITU-R BT.601, as Pillow does): step 7.

    Parameters
    ----------
    pixels : np.ndarray
        uint8, (H, W, 3); or (H, W, 1), which is grey already.

    Returns
    -------
    np.ndarray
        uint8, (H, W).
    """
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    return (pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).round().astype(np.uint8)


def even_background(pixels: np.ndarray, border: float = 0.06) -> np.ndarray:
    """Replace the background by white: no part of the authors' way, who photographed on white.

    A plane is fitted to the brightness along the border, without what does not fit it; each pixel, averaged with its
    nearest neighbours against noise, is then compared with the plane. What is as bright as it becomes white, what is
    darker, or brighter, becomes darker by as much. Differences within the noise of the border count as none, and so do
    specks.

    Parameters
    ----------
    pixels : np.ndarray
        uint8, (H, W, C).
    border : float
        Share of height and width that is taken for background on each side, 0 to 0.5.

    Returns
    -------
    np.ndarray
        uint8, the same shape; grey in all channels.
    """
    grey = to_grey(pixels).astype(np.float32)
    height, width = grey.shape
    size = max(1, round(max(height, width) / 40))
    grey = uniform_filter(grey, size)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    rows, columns = rows / max(1, height - 1) - 0.5, columns / max(1, width - 1) - 0.5
    outside = (abs(rows) >= 0.5 - border) | (abs(columns) >= 0.5 - border)
    places = np.stack([np.ones(outside.sum()), rows[outside], columns[outside]], axis=1)
    values, kept = grey[outside], np.ones(outside.sum(), bool)
    for _ in range(3):
        plane = np.linalg.lstsq(places[kept], values[kept], rcond=None)[0]
        away = abs(values - places @ plane)
        kept = away <= max(8.0, 2 * np.sqrt((away[kept] ** 2).mean()))
    background = np.maximum(plane[0] + plane[1] * rows + plane[2] * columns, 16)  # so that no noise is blown up
    away = abs(grey / background - 1)
    noise = np.sqrt((away[outside][kept] ** 2).mean()) if kept.any() else 0
    away[away < max(CLOSE, 3 * noise)] = 0
    away[~binary_opening(away > 0, np.ones((size, size)))] = 0  # a speck of noise would keep it from being trimmed
    result = (255 * (1 - away)).round().clip(0, 255).astype(np.uint8)
    return np.repeat(result[..., None], pixels.shape[2], axis=2)


def convert_steps(pixels: np.ndarray, even: bool = False) -> dict[str, np.ndarray]:
    """Turn a photo into 28 × 28 pixels as the authors of the data set did, and keep the picture after every step.

    Parameters
    ----------
    pixels : np.ndarray
        uint8, (H, W, 3), upright; or (H, W, 1).
    even : bool
        Whether `even_background` comes first, which the authors did not need.

    Returns
    -------
    dict of str to np.ndarray
        By the name of the step uint8 pictures, (h, w, 3) or (h, w, 1); the last, "grey", is (28, 28), a
        bright garment on black.

    Raises
    ------
    PhotoError
        If nothing stands out from the background.
    """
    steps = {"photo": pixels}
    if even:
        pixels = steps["background evened"] = even_background(pixels)
    box = find_box(pixels)
    if box is None:
        height, width = pixels.shape[:2]
        raise PhotoError(
            f"Nothing stands out in this photo of {height:,} × {width:,} pixels: all of it is within {CLOSE:.0%} of "
            "the colour in its corners. Lay the garment on a background that is lighter or darker, and take it again."
        )
    top, bottom, left, right = box
    pixels = steps["trimmed"] = pixels[top:bottom, left:right]
    pixels = steps["subsampled"] = subsample(pixels)
    pixels = steps["sharpened"] = sharpen(pixels)
    pixels = steps["extended"] = extend(pixels)
    pixels = steps["negated"] = 255 - pixels
    steps["grey"] = to_grey(pixels)
    return steps


def convert_photo(pixels: np.ndarray, even: bool = False) -> torch.Tensor:
    """Turn a photo into what the network takes.

    Parameters
    ----------
    pixels, even
        As for `convert_steps`.

    Returns
    -------
    torch.Tensor
        uint8, (1, 28, 28).

    Raises
    ------
    PhotoError
        If nothing stands out from the background.
    """
    return torch.from_numpy(convert_steps(pixels, even)["grey"])[None]


def convert_photos(photos: torch.Tensor, even: bool = False) -> torch.Tensor:
    """Convert many grey photos. One in which nothing stands out becomes black, which is wrong and is counted so.

    Parameters
    ----------
    photos : torch.Tensor
        uint8, (N, 1, H, W), a dark garment on a light background.
    even : bool
        As for `convert_steps`.

    Returns
    -------
    torch.Tensor
        uint8, (N, 1, 28, 28).
    """
    converted = torch.zeros(len(photos), 1, SIZE, SIZE, dtype=torch.uint8)
    for number, photo in enumerate(photos[:, 0].numpy()):
        try:
            converted[number] = convert_photo(photo[..., None], even)
        except PhotoError:
            continue
    return converted


def shrink_photos(photos: torch.Tensor) -> torch.Tensor:
    """Make photos 28 × 28 by averaging, and negate them: what one does who has not read the article.

    Parameters
    ----------
    photos : torch.Tensor
        uint8, (N, 1, H, W).

    Returns
    -------
    torch.Tensor
        uint8, (N, 1, 28, 28).
    """
    return 255 - F.adaptive_avg_pool2d(photos.float(), SIZE).round().to(torch.uint8)


def looks_like_photo(
    images: torch.Tensor, generator: torch.Generator, faults: tuple[str, ...] = FAULTS
) -> torch.Tensor:
    """Make images of the data set look like photos that someone took at home.

    Each is enlarged and negated, so that it is dark on white, and gets the faults asked for. All random numbers are
    drawn whatever faults are asked for, so the same generator gives an image the same angle in every experiment.

    Parameters
    ----------
    images : torch.Tensor
        uint8, (N, 1, 28, 28), bright on black.
    generator : torch.Generator
        On the CPU.
    faults : tuple of str
        Of `FAULTS`: "smaller" (45 to 85 % of the frame), "shifted" (as far as there is room, at most a fifth of the
        frame), "rotated" (up to 25 degrees either way), "grey background" (grey level 110 to 230 behind the garment),
        "uneven light" (falls to 45 to 85 % across the frame, in any direction), "JPEG" (quality 15 to 40, after a
        sensor's noise with a standard deviation of 4 grey levels).

    Returns
    -------
    torch.Tensor
        uint8, (N, 1, 112, 112), a dark garment on a light background.

    Raises
    ------
    ValueError
        For a fault of another name.
    """
    if unknown := set(faults) - set(FAULTS):
        raise ValueError(f"There is no fault {sorted(unknown)[0]!r}: choose from {', '.join(FAULTS)}.")
    number, side = len(images), SCALE * SIZE

    def draw(low: float, high: float, fault: str, without: float) -> torch.Tensor:
        drawn = low + (high - low) * torch.rand(number, generator=generator)
        return drawn if fault in faults else torch.full((number,), without)

    size = draw(0.45, 0.85, "smaller", 1.0)
    angle = draw(-25, 25, "rotated", 0.0) * math.pi / 180
    right, down = draw(-0.4, 0.4, "shifted", 0.0), draw(-0.4, 0.4, "shifted", 0.0)
    level = draw(110, 230, "grey background", 255.0)
    darkest, direction = draw(0.45, 0.85, "uneven light", 1.0), draw(0, 2 * math.pi, "uneven light", 0.0)
    quality = torch.randint(15, 41, (number,), generator=generator)

    # A garment may hold pixels as white as the background, so its outline is filled. The palest pixels at its edge
    # are half background, and would become a white fringe.
    inside = torch.from_numpy(np.stack([binary_fill_holes(image) for image in (images[:, 0] > 40).numpy()]))[:, None]
    layers = torch.cat([images * inside, 255 * inside], dim=1).float()  # black outside, so no frame shows
    # The place in the image for each place in the photo: the inverse of shrinking, turning and moving.
    if "shifted" in faults:
        room = (1 - size).clamp(min=0.15)  # a garment that fills the frame is cut off at its edge
        right, down = right * room / 0.4, down * room / 0.4
    matrix = place_in_image(angle, size, right, down)
    grid = F.affine_grid(matrix, (number, 2, side, side), align_corners=False)
    darkness, mask = F.grid_sample(layers, grid, align_corners=False).split(1, dim=1)
    photo = level.reshape(-1, 1, 1, 1) * (1 - mask / 255) + mask - darkness

    across = torch.linspace(-1, 1, side)
    slope = direction.cos().reshape(-1, 1, 1) * across + direction.sin().reshape(-1, 1, 1) * across[:, None]
    share = (slope / 2**0.5 + 1)[:, None] / 2  # 0 in the darkest corner, 1 in the brightest
    photo = photo * (darkest.reshape(-1, 1, 1, 1) * (1 - share) + share)
    if "JPEG" not in faults:
        return photo.round().clamp(0, 255).to(torch.uint8)
    noise = torch.randn(number, 1, side, side, generator=generator)  # the last to be drawn, so it may be left out
    noisy = (photo + 4 * noise).round().clamp(0, 255).to(torch.uint8)
    return torch.stack([through_jpeg(one[0], int(q)) for one, q in zip(noisy, quality, strict=True)])[:, None]


def place_in_image(angle: torch.Tensor, size: torch.Tensor, right: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Build the matrices that lead from each place in a new picture to its place in the image, for `F.affine_grid`.

    Parameters
    ----------
    angle, size, right, down : torch.Tensor
        float, (N,): by how much the image is turned (radians), resized (a factor) and moved (1 is half a side).

    Returns
    -------
    torch.Tensor
        float, (N, 2, 3): the inverse of resizing, turning and moving.
    """
    cosine, sine = angle.cos() / size, angle.sin() / size
    first = torch.stack([cosine, sine, -(cosine * right + sine * down)], dim=1)
    second = torch.stack([-sine, cosine, -(-sine * right + cosine * down)], dim=1)
    return torch.stack([first, second], dim=1)


def through_jpeg(picture: torch.Tensor, quality: int) -> torch.Tensor:
    """Write a grey picture, uint8 (H, W), as a JPEG and read it again."""
    buffer = io.BytesIO()
    Image.fromarray(picture.numpy()).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.asarray(Image.open(buffer)).copy())


# Outlines of garments, each a list of polygons with corners (across, down) from 0 to 1, and a share of brightness.
OUTLINES = {
    "T-shirt/top": [
        ([(0.34, 0.1), (0.44, 0.15), (0.56, 0.15), (0.66, 0.1), (0.92, 0.28), (0.83, 0.43), (0.72, 0.36),
          (0.73, 0.9), (0.27, 0.9), (0.28, 0.36), (0.17, 0.43), (0.08, 0.28)], 1.0),
        ([(0.28, 0.42), (0.72, 0.42), (0.72, 0.5), (0.28, 0.5)], 1.5),
        ([(0.28, 0.58), (0.72, 0.58), (0.73, 0.66), (0.27, 0.66)], 1.5),
    ],
    "Trouser": [
        ([(0.33, 0.06), (0.67, 0.06), (0.72, 0.94), (0.56, 0.94), (0.5, 0.36), (0.44, 0.94), (0.28, 0.94)], 1.0),
        ([(0.33, 0.06), (0.67, 0.06), (0.675, 0.11), (0.325, 0.11)], 0.6),
    ],
    "Dress": [
        ([(0.36, 0.05), (0.44, 0.05), (0.46, 0.16), (0.54, 0.16), (0.56, 0.05), (0.64, 0.05), (0.63, 0.4),
          (0.76, 0.95), (0.24, 0.95), (0.37, 0.4)], 1.0),
        ([(0.37, 0.38), (0.63, 0.38), (0.635, 0.43), (0.365, 0.43)], 0.6),
    ],
    "Bag": [
        ([(0.3, 0.42), (0.34, 0.2), (0.66, 0.2), (0.7, 0.42), (0.64, 0.42), (0.61, 0.27), (0.39, 0.27),
          (0.36, 0.42)], 0.7),
        ([(0.14, 0.4), (0.86, 0.4), (0.92, 0.85), (0.08, 0.85)], 1.0),
        ([(0.46, 0.45), (0.54, 0.45), (0.54, 0.55), (0.46, 0.55)], 1.6),
    ],
    "Ankle boot": [
        ([(0.5, 0.15), (0.82, 0.15), (0.84, 0.5), (0.9, 0.8), (0.88, 0.86), (0.7, 0.86), (0.66, 0.8), (0.48, 0.86),
          (0.08, 0.86), (0.08, 0.72), (0.3, 0.62), (0.46, 0.5)], 1.0),
        ([(0.08, 0.82), (0.48, 0.82), (0.66, 0.78), (0.89, 0.82), (0.88, 0.86), (0.7, 0.86), (0.66, 0.82),
          (0.48, 0.87), (0.08, 0.87)], 0.5),
    ],
}  # fmt: skip


def draw_garment(
    name: str = "T-shirt/top",
    size: tuple[int, int] = (762, 1000),
    colour: tuple[int, int, int] = (45, 75, 130),
    background: tuple[int, int, int] = (253, 253, 253),
) -> np.ndarray:
    """Draw a garment of polygons, in the size and on the light grey of the authors' own photos.

    Parameters
    ----------
    name : str
        A key of `OUTLINES`, a class name.
    size : tuple of int
        Width and height of the picture, in pixels.
    colour, background : tuple of int
        Red, green and blue, 0 to 255.

    Returns
    -------
    np.ndarray
        uint8, (height, width, 3).
    """
    width, height = size
    picture = Image.new("RGB", size, background)
    side = 0.9 * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    draw = ImageDraw.Draw(picture)
    for corners, brightness in OUTLINES[name]:
        shade = tuple(min(255, round(brightness * part)) for part in colour)
        draw.polygon([(left + side * x, top + side * y) for x, y in corners], fill=shade)
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(side / 600))).copy()


def plot_steps(steps: dict[str, np.ndarray], columns: int = 4) -> np.ndarray:
    """Draw the pictures of `convert_steps`, each with its number, name and size, and how many numbers it holds.

    Parameters
    ----------
    steps : dict of str to np.ndarray
        From `convert_steps`.
    columns : int
        Pictures in a row.

    Returns
    -------
    np.ndarray
        Of one Axes for each step.
    """
    rows = -(-len(steps) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(2.9 * columns, 3.3 * rows), squeeze=False)
    for ax in axes.flat[len(steps) :]:
        ax.set_axis_off()
    numbers = [0, *range(9 - len(steps), 8)]  # as the authors count: step 1 saves a file, and the last is step 7
    for number, ax, (name, pixels) in zip(numbers, axes.flat, steps.items(), strict=False):
        height, width = pixels.shape[:2]
        ax.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_title(f"{number} {name}\n{height:,} × {width:,}: {pixels.size:,} numbers", fontsize=10)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    return axes.flat[: len(steps)]


class Answer(NamedTuple):
    """What a network says of a photo."""

    photo: Photo
    image: torch.Tensor  # uint8 (1, 28, 28), what the network was shown
    probabilities: np.ndarray  # float64 (10,)


@torch.inference_mode()
def answer_photo(
    model: nn.Module, source: str | os.PathLike | bytes, even: bool = True, name: str | None = None
) -> Answer:
    """Read a photo, convert it, and ask a network.

    Parameters
    ----------
    model : nn.Module
        Takes normalised images and returns logits; it is left in the mode in which it came.
    source, name
        As for `read_photo`.
    even : bool
        As for `convert_steps`.

    Returns
    -------
    Answer
        photo, image, probabilities.

    Raises
    ------
    PhotoError
        With the one message for the reader.
    """
    photo = read_photo(source, name)
    image = convert_photo(photo.pixels, even)
    was_training = model.training
    try:
        logits = model.eval()(normalize(image)[None].to(next(model.parameters()).device))
    finally:
        model.train(was_training)
    return Answer(photo, image, logits[0].double().softmax(dim=0).cpu().numpy())


def plot_answer(answer: Answer) -> np.ndarray:
    """Draw a photo, the 28 × 28 pixels that the network saw of it, and its ten probabilities.

    Returns
    -------
    np.ndarray
        Of three Axes.
    """
    _, axes = plt.subplots(1, 3, figsize=(11, 3.4), width_ratios=(1, 1, 1.5))
    axes[0].imshow(answer.photo.pixels)
    axes[0].set(xticks=[], yticks=[])
    axes[0].set_title("the photo", fontsize=10)
    axes[0].grid(False)
    plot_image(answer.image, "what the network sees", ax=axes[1])
    best = answer.probabilities.argmax()
    colours = [BLUE if number == best else LIGHT_BLUE for number in range(len(CLASS_NAMES))]
    axes[2].barh(CLASS_NAMES, 100 * answer.probabilities, color=colours, edgecolor=BLUE)
    axes[2].invert_yaxis()
    axes[2].set(xlim=(0, 100), xlabel="probability (%)")
    axes[2].set_title(confidence_in_words(answer.probabilities), fontsize=10)
    return axes


def ask_about_photos(model: nn.Module) -> None:
    """Let a student upload a photo: `answer_photo` and `plot_answer` behind a button. The photo stays on this machine.

    Parameters
    ----------
    model : nn.Module
        As for `answer_photo`.
    """
    upload = FileUpload(accept="", multiple=False, description="choose a photo", layout={"width": "220px"})
    even = Checkbox(value=True, description="even out the background", indent=False)
    result = Output()

    def show(_=None):
        if not upload.value:
            return
        result.clear_output(wait=True)
        with result:
            show_answer(model, bytes(upload.value[0]["content"]), upload.value[0]["name"], even.value)

    upload.observe(show, "value")
    even.observe(show, "value")
    display(VBox([upload, even, result]))


def show_answer(model: nn.Module, content: bytes, name: str, even: bool) -> None:
    """Display the answer to an uploaded photo, or the one message that says why there is none."""
    try:
        answer = answer_photo(model, content, even, name)
    except PhotoError as error:
        display(Markdown(f"**No answer.** {error}"))
        return
    if answer.photo.notes:
        display(Markdown(f"{name}: {'; '.join(answer.photo.notes)}."))
    figure = plot_answer(answer)[0].figure
    display(figure)
    plt.close(figure)
