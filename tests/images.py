"""Small images for tests."""

import io
import struct
import zlib

from PIL import Image


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


def encoded(image_format: str, frames: int = 1) -> bytes:
    file = io.BytesIO()
    first, *others = [Image.new("L", (8, 8), number % 256) for number in range(frames)]
    animation = {"save_all": True, "append_images": others} if others else {}
    first.save(file, image_format, **animation)
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">4sIIBBBBB", b"IHDR", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + crc + png(1, 1)[33:]
