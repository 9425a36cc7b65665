"""Making links and changing them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
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
from affiliate.links import domains, slugs
from affiliate.links.models import ContentItem, Link
from affiliate.links.targets import CONDITIONS, KNOWN, MINIPROGRAM, TARGETS_MAX
from affiliate.people import queries as people
from affiliate.programs import queries as programs
from affiliate.programs import utm as templates
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
    item: ContentItem | None = None,
    expires_at: datetime | None = None,
    slug: str | None = None,
    fallback_url: str | None = None,
    targets: Sequence[Mapping[str, Any]] = (),
    utm: Mapping[str, str] | None = None,
) -> Link:
    _check_taking_part(program, promoter_id)
    shop, address = _target(program, product, url)
    shops = catalog.shops(program.merchant_id, program.shop_ids)
    domain = domains.for_new_link(shop.country)
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
        content=item.title if item else content,
        content_id=item and _own(item, promoter_id).id,
        expires_at=expires_at,
        pauses=[],
        fallback_url=fallback_url and _on_shops(shops, fallback_url, "/fallback_url")[1],
        targets=_targets(shops, shop, targets),
        utm=templates.checked(utm),
        domain_id=domain and domain.id,
    )
    db.session.add(link)
    db.session.flush()
    if slug:
        _name(link, slug)
    # Somebody may have asked for this code before there was a link.
    _forget(link)
    return link


def change_link(link: Link, changes: Mapping[str, Any]) -> Link:
    """`paused`, `expires_at`, `sub_ids`, `content` or `item`, `slug`, `fallback_url`, `targets`,
    `utm`. What the link leads to stays, and so do the words that led to it.
    """
    for name in ("expires_at", "sub_ids"):
        if name in changes:
            setattr(link, name, changes[name])
    _change_content(link, changes)
    if {"fallback_url", "targets"} & set(changes):
        program = programs.program(link.merchant_id, link.program_id)
        shops = catalog.shops(program.merchant_id, program.shop_ids)
        if "fallback_url" in changes:
            url = changes["fallback_url"]
            link.fallback_url = url and _on_shops(shops, url, "/fallback_url")[1]
        if "targets" in changes:
            shop = catalog.shop(link.merchant_id, link.shop_id)
            link.targets = _targets(shops, shop, changes["targets"])
    if "utm" in changes:
        link.utm = templates.checked(changes["utm"])
    if changes.get("paused") is True and link.paused_at is None:
        link.paused_at = clock.now()
    if changes.get("paused") is False and link.paused_at is not None:
        link.pauses = [*link.pauses, [link.paused_at.isoformat(), clock.now().isoformat()]]
        link.paused_at = None
    if "slug" in changes:
        _forget(link)
        _name(link, changes["slug"])
    link.version += 1
    db.session.flush()
    _forget(link)
    return link


def _change_content(link: Link, changes: Mapping[str, Any]) -> None:
    if "content" in changes:
        link.content, link.content_id = changes["content"], None
    if "item" in changes:
        item: ContentItem | None = changes["item"]
        if item is not None:
            link.content, link.content_id = item.title, _own(item, link.promoter_id).id
        elif link.content_id is not None:
            link.content = link.content_id = None


def _own(item: ContentItem, promoter_id: int) -> ContentItem:
    if item.promoter_id != promoter_id or item.archived_at is not None:
        raise invalid("/content_item", "unknown_content", _("The promoter has no such content."))
    return item


def _name(link: Link, slug: str | None) -> None:
    """Give it a word of its own, or none again: the code answers always."""
    if not slug:
        link.slug = None
        return
    # What reads as a code belongs to the link of that number, which may not be made yet.
    checked = slugs.checked(slug, is_code=lambda word: bool(_codes().decode(word)))
    slugs.take(link, checked)
    link.slug = checked
    db.session.flush()


def _forget(link: Link) -> None:
    """This process at once; the others hear of it."""
    for word in {link.code, link.word}:
        after_commit(partial(current_app.extensions["links"].forget, word))


def code_of(link_id: int) -> str:
    return str(_codes().encode(link_id))


def _codes() -> Any:
    return _hashids(security.key("link codes").hex())


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
    return _on_shops(shops, url, "/url")


def _on_shops(shops: Sequence[Shop], url: str, pointer: str) -> tuple[Shop, str]:
    try:
        address = addresses.web_address(url)
    except addresses.BadAddress as error:
        raise invalid(pointer, "bad_url", str(error)) from None
    shop = catalog.shop_of_address(shops, address)
    if shop is None:
        hosts = ", ".join(shop.domain for shop in shops) or "none yet"
        message = _("Links of this program lead to its shops only: %(hosts)s.", hosts=hosts)
        raise ForeignHost(message, errors=(FieldError(pointer, "foreign_host", message),))
    return shop, address


def _targets(
    shops: Sequence[Shop], shop: Shop, given: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """As they are kept. The first that fits wins, so their order is the promoter's."""
    if len(given) > TARGETS_MAX:
        message = _("A link has at most %(most)s targets.", most=TARGETS_MAX)
        raise invalid("/targets", "too_many", message)
    kept = []
    for number, each in enumerate(given):
        target: dict[str, Any] = _conditions(each, f"/targets/{number}")
        if each.get("kind") == MINIPROGRAM:
            if shop.miniprogram is None:
                message = _("%(shop)s has no mini program set up.", shop=shop.name)
                raise invalid(f"/targets/{number}/kind", "no_miniprogram", message)
        else:
            target["url"] = _on_shops(shops, each.get("url") or "", f"/targets/{number}/url")[1]
        kept.append(target)
    return kept


def _conditions(given: Mapping[str, Any], pointer: str) -> dict[str, list[str]]:
    kept = {}
    for name in CONDITIONS:
        values = sorted(set(given.get(name) or ()))
        if not all(KNOWN[name](each) for each in values):
            message = _("Not all of these are known: %(values)s", values=", ".join(values)[:200])
            raise invalid(f"{pointer}/{name}", "unknown_value", message)
        if values:
            kept[name] = values
    return kept
