"""Drawing posters ahead, and keeping what merchants and promoters give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from flask import current_app
from PIL import Image
from sqlalchemy.dialects import postgresql

from affiliate import clock, formats, i18n, jobs
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Product
from affiliate.db import db, let_go, unit_of_work
from affiliate.errors import AffiliateError, invalid
from affiliate.i18n import _
from affiliate.jobs import Job
from affiliate.links import captions
from affiliate.links import queries as links
from affiliate.links.models import Link
from affiliate.material import fetching, pictures, posters, queries, store, words
from affiliate.material.colours import HEX, SEAL
from affiliate.material.fetching import Unfetched
from affiliate.material.lettering import Lettering
from affiliate.material.models import (
    PICTURES_MOST,
    Caption,
    DrawnPoster,
    Look,
    Material,
    MaterialFile,
    ShopPicture,
)
from affiliate.material.pictures import BadPicture, Taken
from affiliate.material.posters import TEMPLATES, Poster
from affiliate.material.queries import Subject
from affiliate.money import Money
from affiliate.people.models import Merchant

AT_ONCE = 200  # links whose posters are asked for by one sweep
POSTER_SIDE = 1440
THUMB_SIDE = 320
KEPT = queries.LATELY * 3


# --- posters -------------------------------------------------------------------------------------


def want_posters(link: Link) -> None:
    """Have them drawn by the time that somebody looks."""
    jobs.ring(Job.DRAW_POSTERS, link.merchant_id, link.id, once_per_ms=2_000)


def poster(link: Link, template: str, tag: str) -> Path:
    """One poster as a file, drawn now if it is not there. Ends the transaction that has only read
    when a shop must be asked for a picture.
    """
    subject = queries.subject(link)
    if subject.wants_picture and subject.address:
        let_go()
        taken = _fetched(subject.address)
        subject = subject.with_picture(_keep(subject, taken) or subject.picture)
    file, fingerprint = _file_of(subject, template, tag)
    _note(subject, template, tag, fingerprint)
    return file


def draw_posters(merchant_id: int, link_id: int) -> None:
    """All templates of a link in the languages that are asked for. The shop is asked for its
    picture, and the posters are drawn, outside of transactions.
    """
    with unit_of_work():
        subject = queries.subject(links.link(merchant_id, link_id))
        tags = {captions.language_of(subject.country)} | queries.languages_of(link_id)
    if subject.wants_picture and subject.address:
        taken = _fetched(subject.address)
        with unit_of_work():
            subject = subject.with_picture(_keep(subject, taken) or subject.picture)
    drawn = [
        (template, tag, _file_of(subject, template, tag)[1])
        for tag in sorted(tags)
        for template in TEMPLATES
    ]
    with unit_of_work():
        for each in drawn:
            _note(subject, *each)


def sweep() -> None:
    """Ask for the posters that were overtaken by a new price, picture or colour."""
    for merchant_id, link_id in queries.outdated(AT_ONCE):
        jobs.ring(Job.DRAW_POSTERS, merchant_id, link_id, once_per_ms=60_000)


def forget() -> None:
    """What nobody looked at for weeks can be drawn again."""
    old = sa.delete(DrawnPoster).where(DrawnPoster.used_at < clock.now() - KEPT)
    db.session.execute(old)
    store.forget(store.POSTERS, KEPT)


def sample(look: Look | None, merchant: Merchant, template: str) -> bytes:
    """How the posters of a merchant look, on something made up."""
    tag = captions.language_of(merchant.country)
    with i18n.read_as(captions.nearest(tag, merchant.country)):
        now, before, less = (
            formats.price(Money(amount, merchant.currency)) for amount in (12_800, 16_000, 3_200)
        )
        shown = Poster(
            template=template, title=str(_("A thing that people like to share")), price=now,
            before=before, saves=str(_("Save %(price)s", price=less)), shop=merchant.name,
            name="Mei", recommends=str(_("%(name)s recommends", name="Mei")),
            label=captions.label(tag).strip("[]【】"), invite=str(_("Scan, or hold to open")),
            url=f"{current_app.config['SETTINGS'].address}/",
            color=(look.color if look else None) or SEAL,
            picture=None, logo=look.logo if look else None,
        )  # fmt: skip
    return _drawn(shown)


def _file_of(subject: Subject, template: str, tag: str) -> tuple[Path, str]:
    wanted = words.poster(subject, template, tag, letters())
    fingerprint = wanted.fingerprint
    name = f"{fingerprint}.jpg"
    found = store.path(store.POSTERS, name)
    if found is None:
        store.put(store.POSTERS, _drawn(wanted), "jpg", fingerprint)
        found = store.path(store.POSTERS, name)
        assert found is not None
    store.used(found)
    return found, fingerprint


def _drawn(wanted: Poster) -> bytes:
    return posters.draw(wanted, letters(), _picture(wanted.picture), logo_image(wanted.logo))


def letters() -> Lettering:
    further: Path | None = current_app.config["SETTINGS"].poster_font
    return Lettering(further)


def _picture(name: str | None) -> Image.Image | None:
    """What was there and cannot be read any more is drawn like a missing one."""
    if name is None:
        return None
    own = name.startswith(queries.OWN)
    path = queries.own_picture(name) if own else store.path(store.PICTURES, name)
    try:
        return pictures.opened(path.read_bytes(), POSTER_SIDE).convert("RGB") if path else None
    except (OSError, BadPicture):
        return None


def logo_of(code: str) -> bytes | None:
    """What stands in the middle of this link's QR codes."""
    path = logo_file(queries.logo_of(code))
    return path.read_bytes() if path else None


def logo_file(name: str | None) -> Path | None:
    return store.path(store.MATERIAL, name) if name else None


def logo_image(name: str | None) -> Image.Image | None:
    path = logo_file(name)
    return _logo(path) if path else None


@lru_cache(maxsize=64)
def _logo(path: Path) -> Image.Image:
    """A file never changes under its name."""
    return pictures.opened(path.read_bytes(), pictures.LOGO_SIDE).convert("RGBA")


def _fetched(address: str) -> Taken | str:
    """The picture as we keep it, or why there is none."""
    try:
        content = fetching.fetch(address, private=current_app.config["SETTINGS"].private_pictures)
        return pictures.taken(content, POSTER_SIDE)
    except Unfetched as error:
        return error.code
    except BadPicture:
        return "bad_picture"


def _keep(subject: Subject, taken: Taken | str) -> str | None:
    """Write down what came of it. One that was good stays when the shop fails this time."""
    name = store.put(store.PICTURES, taken.content, "jpg") if isinstance(taken, Taken) else None
    fault = None if isinstance(taken, Taken) else taken
    row = postgresql.insert(ShopPicture).values(
        merchant_id=subject.merchant_id, address=subject.address, file=name, fault=fault,
        tried_at=clock.now(),
    )  # fmt: skip
    given = row.excluded
    db.session.execute(
        row.on_conflict_do_update(
            index_elements=[ShopPicture.merchant_id, ShopPicture.address],
            set_={
                "file": sa.func.coalesce(given.file, ShopPicture.file),
                "fault": given.fault,
                "tried_at": given.tried_at,
            },
        )
    )
    return name


def _note(subject: Subject, template: str, tag: str, fingerprint: str) -> None:
    """That this poster is there and wanted; once a day is enough to know the latter."""
    row = postgresql.insert(DrawnPoster).values(
        merchant_id=subject.merchant_id, link_id=subject.link_id, template=template, language=tag,
        fingerprint=fingerprint, product_version=subject.product_version,
        look_version=subject.look_version, used_at=clock.now(),
    )  # fmt: skip
    given = row.excluded
    db.session.execute(
        row.on_conflict_do_update(
            index_elements=[DrawnPoster.link_id, DrawnPoster.template, DrawnPoster.language],
            set_={
                name: given[name]
                for name in ("fingerprint", "product_version", "look_version", "used_at")
            },
            where=sa.or_(
                DrawnPoster.fingerprint != given.fingerprint,
                DrawnPoster.product_version != given.product_version,
                DrawnPoster.look_version != given.look_version,
                DrawnPoster.used_at < clock.now() - store.A_DAY,
            ),
        )
    )


# --- how a merchant looks ------------------------------------------------------------------------


def change_look(merchant_id: int, changes: Mapping[str, Any]) -> Look:
    """`color` as #rrggbb or None, `logo` as the bytes of a picture or None."""
    taken: dict[str, str | None] = {}
    if "color" in changes:
        taken["color"] = _color(changes["color"])
    if "logo" in changes:
        small = pictures.logo(changes["logo"]).content if changes["logo"] else None
        taken["logo"] = store.put(store.MATERIAL, small, "png") if small else None
    look = queries.look(merchant_id, lock=True)
    if look is None:
        look = Look(merchant_id=merchant_id, version=0)
        db.session.add(look)
    for name, value in taken.items():
        setattr(look, name, value)
    look.version += 1
    db.session.flush()
    return look


def _color(text: str | None) -> str | None:
    if not text:
        return None
    if not HEX.fullmatch(text):
        raise invalid("/color", "bad_color", _("A colour is written like #c2410c."))
    return text.lower()


# --- words ---------------------------------------------------------------------------------------


def set_caption(
    merchant_id: int,
    language: str,
    text: str,
    *,
    product_id: int | None = None,
    program_id: int | None = None,
    link_id: int | None = None,
) -> Caption | None:
    """One text of each language; an empty one takes it away."""
    if language not in i18n.LANGUAGES:
        raise invalid("/language", "unknown_language", _("There is no such language here."))
    of = {"product_id": product_id, "program_id": program_id, "link_id": link_id}
    row = db.session.scalar(
        sa.select(Caption)
        .where(Caption.merchant_id == merchant_id, Caption.language == language)
        .where(*(getattr(Caption, name).is_not_distinct_from(key) for name, key in of.items()))
        .with_for_update()
    )
    if not text.strip():
        if row is not None:
            db.session.delete(row)
            db.session.flush()
        return None
    if row is not None:
        return change_caption(row, text)
    kept = captions.checked(text)
    row = Caption(merchant_id=merchant_id, language=language, text=kept, **of)
    db.session.add(row)
    db.session.flush()
    return row


def change_caption(row: Caption, text: str) -> Caption:
    row.text = captions.checked(text)
    row.version += 1
    db.session.flush()
    return row


# --- material ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """A file as a browser sent it."""

    name: str
    content: IO[bytes]


class TooMany(AffiliateError):
    status = 422
    code = "too_many_files"


def add_material(product: Product, text: str, sent: Sequence[Sent]) -> Material:
    """All of it is taken or nothing. Pictures are written anew; a video stands alone."""
    words_ = captions.checked(text) if text.strip() else ""
    taken = [_taken(each) for each in sent]
    _check_set(taken, words_)
    material = Material(merchant_id=product.merchant_id, product_id=product.id, text=words_)
    db.session.add(material)
    db.session.flush()
    for position, each in enumerate(taken, 1):
        _add_file(material, position, each)
    db.session.flush()
    return material


def put_file(material: Material, position: int, content: bytes) -> MaterialFile:
    """One more picture, or another one in its place."""
    here = queries.files_of(material.merchant_id, [material.id])[material.id]
    others = [each for each in here if each.position != position]
    taken = _read(content)
    if others and "video" in (_kind(taken), *(each.kind for each in others)):
        raise TooMany(_("Nine pictures at most, or one video."))
    for each in here:
        if each.position == position:
            db.session.delete(each)
    db.session.flush()
    row = _add_file(material, position, taken)
    material.version += 1
    db.session.flush()
    return row


def change_material(material: Material, changes: Mapping[str, Any]) -> Material:
    """`text`, and `ended`: it is offered no more."""
    if "text" in changes:
        text = changes["text"]
        material.text = captions.checked(text) if text.strip() else ""
    if changes.get("ended") is True and material.ended_at is None:
        material.ended_at = clock.now()
    material.version += 1
    db.session.flush()
    return material


def new_material(merchant_id: int, product_id: int, text: str) -> Material:
    """Its files come one by one."""
    product = catalog.product(merchant_id, product_id)
    material = Material(merchant_id=merchant_id, product_id=product.id, text=captions.checked(text))
    db.session.add(material)
    db.session.flush()
    return material


def _taken(sent: Sent) -> Taken:
    start = sent.content.read(64)
    sent.content.seek(0)
    most = pictures.VIDEO_BYTES_MOST if pictures.looks_like_video(start) else pictures.BYTES_MOST
    content = sent.content.read(most + 1)
    try:
        return _read(content)
    except BadPicture as error:
        raise BadPicture(
            _("%(name)s: %(fault)s", name=sent.name[:60], fault=error.message)
        ) from None


def _read(content: bytes) -> Taken:
    if pictures.looks_like_video(content[:64]):
        if len(content) > pictures.VIDEO_BYTES_MOST:
            raise BadPicture(_("A video may have at most 50 MB."))
        return pictures.video(content)
    if len(content) > pictures.BYTES_MOST:
        raise BadPicture(_("A picture may have at most 20 MB."))
    return pictures.taken(content)


def _check_set(taken: Sequence[Taken], text: str) -> None:
    kinds = [_kind(each) for each in taken]
    if len(taken) > PICTURES_MOST or ("video" in kinds and len(taken) > 1):
        raise TooMany(_("Nine pictures at most, or one video."))
    if not taken and not text:
        raise invalid("/files", "empty", _("Choose pictures or a video, or write something."))


def _kind(taken: Taken) -> str:
    return "picture" if taken.kind == "jpg" else "video"


def _thumb(taken: Taken) -> str | None:
    if _kind(taken) == "video":
        return None
    return store.put(store.MATERIAL, pictures.taken(taken.content, THUMB_SIDE).content, "jpg")


def _add_file(material: Material, position: int, taken: Taken) -> MaterialFile:
    row = MaterialFile(
        merchant_id=material.merchant_id,
        material_id=material.id,
        position=position,
        kind=_kind(taken),
        file=store.put(store.MATERIAL, taken.content, taken.kind),
        thumb=_thumb(taken),
        bytes=len(taken.content),
        width=taken.width,
        height=taken.height,
    )
    db.session.add(row)
    return row
