"""Small files that claim or unpack to a lot."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIDE = 60_000


def jpeg(height=24, width=32):
    """Bytes of an ordinary JPEG."""
    pixels = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((width, height)).save(stream, "JPEG")
    return stream.getvalue()


def jpeg_that_claims(height, width):
    """The same, whose header gives another size."""
    data = bytearray(jpeg())
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def png_bomb(rows=1000):
    """A gray PNG of SIDE x SIDE zeros, the first `rows` of which, 1000 times as large unpacked, are there."""
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(bytes(SIDE + 1)) for _ in range(rows)) + packer.flush()
    return png_that_claims(SIDE, SIDE, packed)


def png_that_claims(height, width, packed=b""):
    """A gray PNG of that size with some bytes of packed rows."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def gif_that_claims(height, width):
    """A GIF whose screen and frame are of a size that its few bytes do not fill."""
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "GIF")
    data = stream.getvalue().replace(struct.pack("<HH", 8, 8), struct.pack("<HH", width, height))
    return data


def laughs():
    """A PASCAL-VOC annotation whose name unpacks to a billion laughs."""
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    doctype = f'<!DOCTYPE annotation [<!ENTITY l0 "lol">{entities}]>'
    return f"<?xml version='1.0'?>{doctype}<annotation><object><name>&l9;</name></object></annotation>".encode()
