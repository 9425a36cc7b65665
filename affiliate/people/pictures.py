"""Pictures of promoters, drawn again: what a camera wrote into a file (where and when, by whom) and
what does harm in one is left behind.
"""

import hashlib
import io
from collections.abc import Collection

import sqlalchemy as sa
from PIL import Image, ImageOps, UnidentifiedImageError

from affiliate.db import among, db
from affiliate.errors import invalid
from affiliate.i18n import _
from affiliate.people.models import Avatar

LARGEST = 4 * 1024 * 1024  # bytes of the file that is sent
PIXELS = 60_000_000  # more than phones have; a small file may claim any number
SIDE = 256
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


def draw(content: bytes) -> bytes:
    """A square WebP from the middle of it."""
    if len(content) > LARGEST:
        raise invalid("/picture", "too_large", _("Take a picture of at most 4 MB."))
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > PIXELS:
                raise Image.DecompressionBombError
            picture.draft("RGB", (SIDE * 2, SIDE * 2))  # a JPEG need not be read in full
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        message = _("This picture has too many pixels.")
        raise invalid("/picture", "too_large", message) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        message = _("This is no picture we can read: take a JPEG, PNG or WebP.")
        raise invalid("/picture", "no_picture", message) from error
    square = ImageOps.fit(upright, (SIDE, SIDE), Image.Resampling.LANCZOS)
    drawn = io.BytesIO()
    square.save(drawn, "WEBP", quality=82)
    return drawn.getvalue()


def keep(promoter_id: int, picture: bytes) -> Avatar:
    row = db.session.get(Avatar, promoter_id) or Avatar(promoter_id=promoter_id)
    row.picture, row.mark = picture, hashlib.sha256(picture).hexdigest()[:12]
    db.session.add(row)
    db.session.flush()
    return row


def remove(promoter_id: int) -> None:
    db.session.execute(sa.delete(Avatar).where(Avatar.promoter_id == promoter_id))


def of(promoter_id: int) -> Avatar | None:
    return db.session.get(Avatar, promoter_id)


def marks(promoter_ids: Collection[int]) -> dict[int, str]:
    """Who of these has a picture, and the mark in its address."""
    rows = db.session.execute(
        sa.select(Avatar.promoter_id, Avatar.mark).where(among(Avatar.promoter_id, promoter_ids))
    )
    return {row.promoter_id: row.mark for row in rows}
