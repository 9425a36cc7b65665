"""Pictures for tests, good and bad."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def a_picture(kind="JPEG", size=(640, 480), color=(180, 90, 60), **more) -> bytes:
    file = io.BytesIO()
    mode = "RGBA" if len(color) == 4 else "RGB"
    Image.new(mode, size, color).save(file, kind, **more)
    return file.getvalue()


def a_photo(size=(1200, 1200)) -> Image.Image:
    """Busy everywhere, as a garden: the worst for the size of a JPEG. Always the same one."""
    noise = np.random.default_rng(7).normal(128, 60, (size[1] // 4, size[0] // 4))
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8)).convert("RGB").resize(size)


def with_place() -> bytes:
    """With what a phone writes beside the pixels: camera, place, a comment, which way is up."""
    exif = Image.Exif()
    exif[0x010F] = "Phone of Ana"
    exif[0x0112] = 6  # turned by a quarter
    exif.get_ifd(0x8825)[1] = "S"
    return a_picture(size=(640, 480), exif=exif, comment=b"at home")


def a_bomb(width=40_000, height=40_000) -> bytes:
    """A PNG of a few bytes that says it is gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100_000)) + chunk(b"IEND", b"")
    )  # fmt: skip


A_VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(5000)
