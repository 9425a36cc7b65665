"""Pictures from outside: opened within bounds, and stored only as we write them ourselves.

What comes out holds pixels and nothing else: no place, no camera, no comment, no second file.
"""

import io
import struct
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.material.colours import WHITE

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
ACCEPTED = "image/jpeg,image/png,image/webp,image/gif,image/avif"
BYTES_MOST = 20 * 1024 * 1024
PIXELS_MOST = 40_000_000  # unpacked at once; a JPEG is shrunk while it is read
JPEG_PIXELS_MOST = 120_000_000
SIDE_MOST = 1600
LOGO_SIDE = 256
QUALITY = 86
VIDEO_BYTES_MOST = 50 * 1024 * 1024
# What image libraries throw at broken files.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class BadPicture(AffiliateError):
    """A file that cannot be taken; the message says what can."""

    status = 422
    code = "bad_picture"


class Taken(NamedTuple):
    content: bytes
    kind: str
    width: int | None = None
    height: int | None = None


def opened(content: bytes | BinaryIO, side: int = SIDE_MOST) -> Image.Image:
    """Upright, in memory, not much larger than needed. BadPicture if it is none."""
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        image = Image.open(file, formats=FORMATS)
        most = JPEG_PIXELS_MOST if image.format == "JPEG" else PIXELS_MOST
        if image.width * image.height > most:
            raise Image.DecompressionBombError
        image.draft("RGB", (side, side))
        image.load()
        upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise BadPicture(_("This is no picture: JPEG, PNG, WebP, GIF and AVIF are.")) from None
    except _BOMBS:
        raise BadPicture(_("This picture has too many pixels: at most 40 million.")) from None
    except _BROKEN:
        raise BadPicture(_("This picture is broken, or larger than it says.")) from None
    if min(upright.size) < 1:
        raise BadPicture(_("This picture is broken, or larger than it says."))
    return upright


def taken(content: bytes | BinaryIO, side: int = SIDE_MOST) -> Taken:
    """As a JPEG of our own, on white where it was transparent."""
    image = _flat(opened(content, side))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return Taken(_jpeg(image), "jpg", *image.size)


def logo(content: bytes | BinaryIO) -> Taken:
    """As a small PNG, transparent where it was."""
    image = opened(content, LOGO_SIDE * 2).convert("RGBA")
    image.thumbnail((LOGO_SIDE, LOGO_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    _bare(image).save(file, "PNG", optimize=True)
    return Taken(file.getvalue(), "png", *image.size)


def video(content: bytes) -> Taken:
    """Only known by its first bytes: it is passed on, never opened here."""
    if content[4:8] == b"ftyp" and content[8:12] != b"avif":
        return Taken(content, "mp4")
    if content[:4] == b"\x1aE\xdf\xa3" and b"webm" in content[:64]:
        return Taken(content, "webm")
    raise BadPicture(_("This is no video: MP4 and WebM are."))


def looks_like_video(start: bytes) -> bool:
    return (start[4:8] == b"ftyp" and start[8:11] != b"avi") or start[:4] == b"\x1aE\xdf\xa3"


def _flat(image: Image.Image) -> Image.Image:
    if image.mode in ("RGB", "L"):
        return image.convert("RGB")
    if image.mode == "CMYK":
        return image.convert("RGB")
    clear = image.convert("RGBA")
    flat = Image.new("RGB", clear.size, WHITE)
    flat.paste(clear, mask=clear.getchannel("A"))
    return flat


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    _bare(image).save(file, "JPEG", quality=QUALITY, progressive=True)
    return file.getvalue()


def _bare(image: Image.Image) -> Image.Image:
    """Without what else the file said: Pillow would write some of it again."""
    image.info = {}
    return image
