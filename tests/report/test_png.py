"""PNG images: what is written is read by others as the same pixels; what is strange is refused."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from tfunlearn.report import png, png_text

SHAPES = [(1, 1), (2, 3), (28, 28), (64, 64), (1, 64), (5, 7, 1), (8, 8, 3), (64, 64, 3)]


def pixels_of(shape):
    return np.random.default_rng(len(shape)).integers(0, 256, shape).astype("uint8")


def written(pixels):
    """Returns the file of an image of shape (H, W), (H, W, 1) or (H, W, 3)."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return png.encode(pixels.tobytes(), pixels.shape[1], pixels.shape[0], channels)


def decoded(data):
    """Returns shape and pixels of a file with one IDAT chunk, read by the specification's words."""
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    place = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[place - 4 : place])
    raw = zlib.decompress(data[place + 4 : place + 4 + length])
    lines = np.frombuffer(raw, "uint8").reshape(height, -1)
    assert depth == 8
    assert not lines[:, 0].any()  # unfiltered
    return lines[:, 1:].reshape(height, width, {0: 1, 2: 3}[colour])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matplotlib_reads_the_same_pixels(shape):
    pixels = pixels_of(shape)
    found = matplotlib_image.imread(io.BytesIO(written(pixels)), format="png")
    assert found.shape == (shape if shape[-1] == 3 and len(shape) == 3 else shape[:2])
    np.testing.assert_array_equal(np.rint(255 * found), pixels.reshape(found.shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_so_does_a_reader_by_hand(shape):
    pixels = pixels_of(shape)
    found = decoded(written(pixels))
    np.testing.assert_array_equal(found, pixels.reshape(found.shape))


def test_the_bytes_of_one_white_pixel():
    data = written(np.array([[255]], "uint8"))
    start, end = data[:33].hex(), data[-12:].hex()
    assert start == "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    assert end == "0000000049454e44ae426082"
    assert zlib.decompress(data[41:-16]) == b"\0\xff"


@pytest.mark.parametrize(
    "size", [(2, 2, 2), (2, 2, 4), (0, 2, 1), (2, 0, 1), (2, 3, 1), (-2, -2, 1)]
)
def test_pixels_must_fill_the_image(size):
    with pytest.raises(ValueError, match=r"pixels must fill an image .* Received 4 bytes for "):
        png.encode(bytes(4), *size)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_text_has_the_size_of_its_image(shape):
    pixels = pixels_of(shape)
    channels = 1 if len(shape) == 2 else shape[2]
    text = png_text.encode(pixels.tobytes(), shape[1], shape[0], channels)
    assert base64.b64decode(text) == written(pixels)
    assert png_text.size(text) == (shape[1], shape[0])


def test_a_large_image_is_no_text():
    with pytest.raises(ValueError, match=r"Expected at most 64 on a side. Received 65 x 1"):
        png_text.encode(bytes(65), 65, 1, 1)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + png._chunk(kind, content)[-4:]


def file(header=(2, 2, 8, 0, 0, 0, 0), raw=bytes(6), more=b"", end=b""):
    """Returns a grey image of 2 x 2 pixels, or something like it."""
    chunks = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", *header)),
        more,
        chunk(b"IDAT", zlib.compress(raw)),
        chunk(b"IEND", end),
    ]
    return png.SIGNATURE + b"".join(chunks)


WHOLE = file()
STRANGE = {
    "nothing": (b"", "no PNG file"),
    "a GIF": (b"GIF89a" + WHOLE, "no PNG file"),
    "cut": (WHOLE[:-6], "unpack"),
    "cut after the signature": (WHOLE[:10], "unpack"),
    "more behind it": (WHOLE + b"<script>", "unpack|check sum"),
    "one bit of the pixels": (WHOLE[:45] + bytes([WHOLE[45] ^ 1]) + WHOLE[46:], "check sum"),
    "text in it": (file(more=chunk(b"tEXt", b"a\0b")), "other chunks"),
    "text behind the end": (WHOLE + chunk(b"tEXt", b"a\0b"), "other chunks"),
    "a signature alone": (png.SIGNATURE, "other chunks"),
    "an end with content": (file(end=b"x"), "other chunks"),
    "no pixels": (png.SIGNATURE + chunk(b"IEND", b""), "other chunks"),
    "16 bits": (file((2, 2, 16, 0, 0, 0, 0), bytes(10)), "another kind"),
    "a palette": (file((2, 2, 8, 3, 0, 0, 0)), "another kind"),
    "alpha": (file((2, 2, 8, 6, 0, 0, 0), bytes(18)), "another kind"),
    "interlaced": (file((2, 2, 8, 0, 0, 0, 1)), "another kind"),
    "65 wide": (file((65, 1, 8, 0, 0, 0, 0), bytes(66)), "another kind or size"),
    "65 high": (file((1, 65, 8, 0, 0, 0, 0), bytes(130)), "another kind or size"),
    "no width": (file((0, 2, 8, 0, 0, 0, 0), bytes(2)), "another kind or size"),
    "too few pixels": (file(raw=bytes(5)), "number of pixels"),
    "too many": (file(raw=bytes(7)), "number of pixels"),
    "far too many": (file(raw=bytes(10**6)), "number of pixels"),
}


def test_the_whole_file_is_one():
    assert png_text.size(base64.b64encode(WHOLE).decode()) == (2, 2)


@pytest.mark.parametrize("name", STRANGE)
def test_another_file_is_refused(name):
    data, reason = STRANGE[name]
    with pytest.raises(ValueError, match=rf"small PNG file as base64 text.*Received.*({reason})"):
        png_text.size(base64.b64encode(data).decode())


@pytest.mark.parametrize("text", ["<script>", '"', "AA A", "AAAA\n", "é", "A", "data:image/png;"])
def test_what_is_no_base64_is_refused(text):
    with pytest.raises(ValueError, match="Received no base64 text"):
        png_text.size(text)


def test_around_a_good_text_nothing_else_is_taken():
    good = base64.b64encode(WHOLE).decode()
    for text in (good + '"', good + "\n", " " + good, good[:30] + "\n" + good[30:]):
        with pytest.raises(ValueError, match="Received no base64 text"):
            png_text.size(text)
    with pytest.raises(ValueError, match="Received a text that is too long"):
        png_text.size(good + "A" * 20_000)
