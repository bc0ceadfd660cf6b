"""Small PNG images as base64 text: written, and read back with distrust."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib

from tfunlearn.report import png

__all__ = ["MOST", "encode", "size"]

MOST = 64
"""Pixels on a side, at most."""

_LENGTH = 20_000  # of the text: the most that pixels can come to, with room for headers
_CHUNKS = [b"IHDR", b"IDAT", b"IEND"]


def encode(pixels: bytes, width: int, height: int, channels: int) -> str:
    """Returns an image as the base64 text of a PNG file; arguments as of `png.encode`.

    Raises:
        ValueError: If a side is longer than 64 pixels, and as `png.encode`.
    """
    if max(width, height) > MOST:
        raise ValueError(
            f"pixels must be a small image's. Expected at most {MOST} on a side. "
            f"Received {width} x {height}."
        )
    return base64.b64encode(png.encode(pixels, width, height, channels)).decode("ascii")


def size(text: str) -> tuple[int, int]:
    """Returns width and height of an image that `encode` wrote, or could have written.

    Everything is checked, down to the number of pixels, as the text may come from a file of
    someone else's and goes into a page.

    Args:
        text: The base64 text.

    Raises:
        ValueError: If it is something else.

    Example:
        >>> size(encode(bytes(6), width=3, height=2, channels=1))
        (3, 2)
        >>> size("<script>")
        Traceback (most recent call last):
        ValueError: image must be a small PNG file as base64 text... Received no base64 text...
    """
    reason = "a text that is too long"
    if len(text) <= _LENGTH:
        try:
            return _read(base64.b64decode(text.encode("ascii"), validate=True))
        except (UnicodeEncodeError, binascii.Error):
            reason = "no base64 text"
        except (ValueError, struct.error, zlib.error) as error:
            reason = f"{error}"
    raise ValueError(
        "image must be a small PNG file as base64 text. Expected 8 bits a channel, grey or RGB, "
        f"at most {MOST} pixels on a side, in one piece. Received {reason}: {text!r:.40}."
    )


def _read(data: bytes) -> tuple[int, int]:
    """Returns width and height of a PNG file, or raises with what is wrong."""
    chunks = _chunks(data)
    if [kind for kind, _ in chunks] != _CHUNKS or len(chunks[0][1]) != 13 or chunks[2][1]:
        raise ValueError("other chunks than a header, pixels and an end")
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[0][1])
    channels = {(8, own, 0, 0, 0): count for count, own in png.COLOUR_TYPES.items()}.get((*kind,))
    if channels is None or not (1 <= width <= MOST and 1 <= height <= MOST):
        raise ValueError("an image of another kind or size")
    wanted = height * (1 + width * channels)
    reader = zlib.decompressobj()
    found = reader.decompress(chunks[1][1], wanted + 1)  # never more, whatever the file says
    if len(found) != wanted or not reader.eof or reader.unused_data:
        raise ValueError("another number of pixels than the header says")
    return width, height


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Returns names and contents of the chunks of a PNG file, their check sums right."""
    if not data.startswith(png.SIGNATURE):
        raise ValueError("no PNG file")
    found, place = [], len(png.SIGNATURE)
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 8 + length
        named = data[place + 4 : end]
        if struct.unpack_from(">I", data, end) != (zlib.crc32(named),):
            raise ValueError("a PNG file with a wrong check sum")
        found.append((named[:4], named[4:]))
        place = end + 4
    return found
