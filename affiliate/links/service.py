"""Making links and changing them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from flask import current_app
from hashids import Hashids

from affiliate import clock, security
from affiliate.catalog import queries as catalog
from affiliate.catalog import rules as addresses
from affiliate.catalog.models import Product, Shop
from affiliate.db import after_commit, db
from affiliate.errors import AffiliateError, FieldError, invalid
from affiliate.i18n import _
from affiliate.links.models import Link
from affiliate.people import queries as people
from affiliate.programs import queries as programs
from affiliate.programs.models import Program
from affiliate.programs.service import NotEnrolled, ProgramEnded

# Without 0 O 1 I l: codes are read out loud and copied from paper.
ALPHABET = "23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_CHARACTERS_MIN = 6


class ForeignHost(AffiliateError):
    """Links lead to the program's own shops only, so nobody can borrow their good name."""

    status = 422
    code = "foreign_host"


def create_link(
    program: Program,
    promoter_id: int,
    *,
    product: Product | None = None,
    url: str | None = None,
    sub_ids: Sequence[str] = (),
    content: str | None = None,
    expires_at: datetime | None = None,
) -> Link:
    _check_taking_part(program, promoter_id)
    shop, address = _target(program, product, url)
    # The code is made of the id, so the id has to be known first.
    link_id = db.session.scalars(_NEXT_ID).one()
    link = Link(
        id=link_id,
        merchant_id=program.merchant_id,
        program_id=program.id,
        promoter_id=promoter_id,
        shop_id=shop.id,
        product_id=product and product.id,
        url=address,
        code=code_of(link_id),
        sub_ids=list(sub_ids),
        content=content,
        expires_at=expires_at,
        pauses=[],
    )
    db.session.add(link)
    db.session.flush()
    # Somebody may have asked for this code before there was a link.
    after_commit(lambda: current_app.extensions["links"].forget(link.code))
    return link


def change_link(link: Link, changes: Mapping[str, Any]) -> Link:
    """`paused`, `expires_at`, `sub_ids`, `content`. What the link leads to stays."""
    for name in ("expires_at", "sub_ids", "content"):
        if name in changes:
            setattr(link, name, changes[name])
    if changes.get("paused") is True and link.paused_at is None:
        link.paused_at = clock.now()
    if changes.get("paused") is False and link.paused_at is not None:
        link.pauses = [*link.pauses, [link.paused_at.isoformat(), clock.now().isoformat()]]
        link.paused_at = None
    link.version += 1
    db.session.flush()
    after_commit(lambda: current_app.extensions["links"].forget(link.code))
    return link


def code_of(link_id: int) -> str:
    return str(_hashids(security.key("link codes").hex()).encode(link_id))


@lru_cache(maxsize=4)
def _hashids(salt: str) -> Any:
    made: Any = Hashids
    return made(salt=salt, min_length=CODE_CHARACTERS_MIN, alphabet=ALPHABET)


_NEXT_ID = sa.text("SELECT nextval(pg_get_serial_sequence('links', 'id'))")


def _check_taking_part(program: Program, promoter_id: int) -> None:
    if program.ended_at is not None:
        raise ProgramEnded(_("This program has ended."))
    promoter = people.promoters([promoter_id]).get(promoter_id)
    member = programs.membership(program.merchant_id, program.id, promoter_id)
    suspended = promoter is None or promoter.suspended_at is not None
    if suspended or member is None or not member.was_active(clock.now()):
        message = _("The promoter does not take part in this program.")
        raise NotEnrolled(message, errors=(FieldError("/promoter", "not_enrolled", message),))


def _target(program: Program, product: Product | None, url: str | None) -> tuple[Shop, str]:
    if (product is None) == (url is None):
        raise invalid("/url", "one_target", _("A link leads to a product or to an address."))
    shops = catalog.shops(program.merchant_id, program.shop_ids)
    if product is not None:
        shop = next((shop for shop in shops if shop.id == product.shop_id), None)
        if shop is None:
            message = _("This product's shop does not take part in the program.")
            raise invalid("/product", "foreign_product", message)
        return shop, product.url
    assert url is not None
    try:
        address = addresses.web_address(url)
    except addresses.BadAddress as error:
        raise invalid("/url", "bad_url", str(error)) from None
    shop = catalog.shop_of_address(shops, address)
    if shop is None:
        hosts = ", ".join(shop.domain for shop in shops) or "none yet"
        message = _("Links of this program lead to its shops only: %(hosts)s.", hosts=hosts)
        raise ForeignHost(message, errors=(FieldError("/url", "foreign_host", message),))
    return shop, address
