"""Small images as PNG files in memory: 8 bits a channel, grey or RGB."""

from __future__ import annotations

import struct
import zlib

__all__ = ["COLOUR_TYPES", "SIGNATURE", "encode"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""The first eight bytes of a PNG file."""

COLOUR_TYPES = {1: 0, 3: 2}
"""Channels to the colour type that the header names: grey, RGB."""


def encode(pixels: bytes, width: int, height: int, channels: int) -> bytes:
    r"""Returns a PNG file of three chunks, its lines unfiltered.

    Args:
        pixels: The values 0 to 255, line by line from the top, each line from the left, the
            channels of a pixel side by side; as of `ndarray.tobytes` of shape
            (height, width, channels).
        width: Pixels in a line, at least 1.
        height: Lines, at least 1.
        channels: 1 for grey, 3 for RGB.

    Raises:
        ValueError: If there are other channels, no pixels, or not as many bytes as it takes.

    Example:
        >>> encode(bytes([0, 255]), width=2, height=1, channels=1)[:8]
        b'\x89PNG\r\n\x1a\n'

    Reference: W3C, "Portable Network Graphics (PNG) Specification", sections 5, 9 and 11.
    """
    line = width * channels
    if channels not in COLOUR_TYPES or min(width, height) < 1 or len(pixels) != line * height:
        raise ValueError(
            "pixels must fill an image of 1 or 3 channels. Expected width x height x channels "
            f"bytes. Received {len(pixels)} bytes for {width} x {height} x {channels}."
        )
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    lines = (b"\0" + pixels[start : start + line] for start in range(0, len(pixels), line))
    data = zlib.compress(b"".join(lines), 9)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    """Returns length, name, content and check sum of name and content."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
