"""What goes along with a link on the promoter's sheet: posters, own words, drafts, the merchant's
pictures and videos; and all QR codes of a program at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import exports, formats, i18n, ids
from affiliate.catalog.markup import plain
from affiliate.catalog.models import Product, Shop
from affiliate.consoles import layout
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.db import db, let_go
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.links import captions
from affiliate.links.models import Link
from affiliate.material import queries, service, writer
from affiliate.material.archives import qr_codes, set_of
from affiliate.material.models import Material, MaterialFile
from affiliate.material.posters import TEMPLATES
from affiliate.money import Money
from affiliate.programs import queries as programs

NAMES = {"window": _("Framed"), "cover": _("Full picture"), "ticket": _("Voucher")}


@dataclass(frozen=True, slots=True)
class Set:
    material: Material
    key: str
    text: str  # with the label, and with this link
    files: list[MaterialFile]


def on_sheet(
    link: Link, product: Product | None, shop: Shop, tag: str, known: dict[str, Any]
) -> dict[str, Any]:
    """What the parts of the page in templates/promoter/_*.html ask for. `known` are title, price,
    saving and address of the link.
    """
    own = queries.words_for(link, tag)
    chosen = request.args.get("poster", "")
    chosen = chosen if chosen in TEMPLATES else next(iter(TEMPLATES))
    poster = url_for("material.poster", code=link.code, template=chosen, lang=tag)
    return {
        "poster": poster,
        "poster_name": f"{link.code}-{chosen}.jpg",
        "posters": [
            (f"{layout.here_with(poster=each)}#posters", NAMES[each], None, each == chosen)
            for each in TEMPLATES
        ],
        "caption": captions.caption(tag, shop.country, text=own.text if own else None, **known),
        "own_words": own.text if own and own.link_id else "",
        "merchants_words": own is not None and own.link_id is None,
        "may_draft": writer.writer() is not None,
        "places": captions.PLACES,
        "longest": captions.TEXT_MOST,
        "sets": _sets(link, product, shop, tag, known),
    }


@bp.post("/share/<link_id>/words")
def keep_words(link_id: str) -> ResponseReturnValue:
    """One's own words in one language; none brings back those there were before."""
    link, tag = _mine(link_id), _tag()
    service.set_caption(link.merchant_id, tag, request.form.get("text", ""), link_id=link.id)
    flash(_("Your words are kept. The label and the link are put with them."), "done")
    return redirect(url_for("promoter.sheet", link_id=link_id, caption=tag), 303)


@bp.post("/share/<link_id>/drafts")
def drafts(link_id: str) -> ResponseReturnValue:
    """Proposals to pick from; nothing is kept before that."""
    link, tag = _mine(link_id), _tag()
    subject = queries.subject(link)
    product = db.session.get(Product, (link.merchant_id, link.product_id or 0))
    about = plain(product.description or "") if product else ""
    offer = subject.offer
    with i18n.read_as(captions.nearest(tag, subject.country)):
        price = formats.price(offer.low) if offer and offer.low else ""
        saves = formats.price(offer.saves) if offer and offer.saves else ""
    let_go()
    found = writer.drafts(
        tag, title=plain(subject.title), description=about, price=price, saves=saves
    )
    return render_template("promoter/_drafts.html", drafts=found, tag=tag, key=link_id)


@bp.get("/share/<link_id>/material/<material_id>.zip")
def save_all(link_id: str, material_id: str) -> ResponseReturnValue:
    link = _mine(link_id)
    merchant_id, row_id = ids.decode_pair("mat", material_id)
    material = queries.material(merchant_id, row_id)
    of_link = (link.merchant_id, link.product_id)
    if (material.merchant_id, material.product_id) != of_link or material.ended_at:
        raise NotFound
    return exports.archive(f"{link.code}-{material_id}", lambda: set_of(merchant_id, row_id))


@bp.get("/share/qr/<program_id>.zip")
def all_codes(program_id: str) -> ResponseReturnValue:
    """The QR codes of all one's links in a program."""
    promoter_id = current_promoter_id()
    merchant_id, row_id = ids.decode_pair("prg", program_id)
    if programs.membership(merchant_id, row_id, promoter_id) is None:
        raise NotFound

    def codes() -> Iterator[tuple[str, bytes]]:
        return qr_codes(merchant_id, row_id, promoter_id)

    return exports.archive("qr", codes)


def saving(price: Money | None, before: Money | None) -> Money | None:
    return before - price if price and before and before.minor > price.minor else None


def _sets(
    link: Link, product: Product | None, shop: Shop, tag: str, known: dict[str, Any]
) -> list[Set]:
    if product is None:
        return []
    found = queries.materials_of(link.merchant_id, product.id)
    files = queries.files_of(link.merchant_id, [each.id for each in found])
    return [
        Set(
            each,
            ids.encode("mat", each.merchant_id, each.id),
            captions.caption(tag, shop.country, text=each.text or None, **known),
            files[each.id],
        )
        for each in found
    ]


def _mine(link_id: str) -> Link:
    from affiliate.consoles.promoter import sharing

    return sharing.own_link(current_promoter_id(), link_id)


def _tag() -> str:
    asked = request.form.get("language", "")
    return asked if asked in i18n.LANGUAGES else i18n.DEFAULT
