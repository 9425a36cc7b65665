"""What a promoter's link can do besides: its word, end, content, and where it leads whom."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import i18n, ids
from affiliate.catalog.models import Shop
from affiliate.consoles.promoter import bp, market, sharing
from affiliate.consoles.session import current_promoter_id
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound, invalid
from affiliate.i18n import _
from affiliate.links import domains, queries, service
from affiliate.links.models import ContentItem, Link
from affiliate.links.targets import CONDITIONS, MINIPROGRAM, TARGETS_MAX
from affiliate.programs import utm
from affiliate.programs.models import MembershipState, Program

LONGEST = 2000
ROWS_MORE = 2  # empty ones for targets to come
_ROW = re.compile(r"target_([0-9]{1,2})_[a-z]+")


@bp.get("/share/new")
def new_link() -> ResponseReturnValue:
    return _new_form({}, None)


@bp.post("/share/new")
def make_own_link() -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    market.require_running(promoter_id)
    try:
        with db.session.begin_nested():  # a link whose word is taken is not made without it
            link = service.create_link(
                _program(promoter_id),
                promoter_id,
                url=_typed("url"),
                item=_item(promoter_id),
                slug=_typed("slug") or None,
            )
    except AffiliateError as refusal:
        return _new_form(request.form, refusal)
    return redirect(url_for("promoter.sheet", link_id=sharing.key_of(link)), 303)


@bp.get("/share/<link_id>/settings")
def link_settings(link_id: str) -> ResponseReturnValue:
    return _form(sharing.own_link(current_promoter_id(), link_id), None, None)


@bp.post("/share/<link_id>/settings")
def change_link(link_id: str) -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    link = sharing.own_link(promoter_id, link_id)
    typed = Typed(request.form)
    try:
        with db.session.begin_nested():  # all of it or nothing
            service.change_link(link, typed.changes() | {"item": _item(promoter_id)})
    except AffiliateError as refusal:
        return _form(link, typed, refusal)
    flash(_("Saved. It holds from the next visit on."), "done")
    return redirect(url_for("promoter.sheet", link_id=link_id), 303)


@bp.post("/share/<link_id>/pause")
def pause_link(link_id: str) -> ResponseReturnValue:
    """Or let it run again."""
    link = sharing.own_link(current_promoter_id(), link_id)
    paused = request.form.get("paused") == "1"
    service.change_link(link, {"paused": paused})
    words = (
        _("The link is paused: it leads to the fallback.") if paused else _("The link runs again.")
    )
    flash(words, "done")
    return redirect(url_for("promoter.link_settings", link_id=link_id), 303)


@dataclass(slots=True)
class Typed:
    """What stands in the form; blanks mean nothing is wished."""

    form: Mapping[str, str]
    numbers: list[int] = field(default_factory=list)  # rows of the targets that are filled in

    def changes(self) -> dict[str, Any]:
        return {
            "slug": self.get("slug") or None,
            "expires_at": self._instant("expires_at"),
            "fallback_url": self.get("fallback_url") or None,
            "sub_ids": self._sub_ids(),
            "utm": {name: self.get(name) for name in utm.NAMES if self.get(name)} or None,
            "targets": self._targets(),
        }

    def get(self, name: str) -> str:
        return self.form.get(name, "").replace("\0", "").strip()[:LONGEST]

    def _instant(self, name: str) -> datetime | None:
        text = self.get(name)
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text).replace(tzinfo=i18n.zone()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise invalid(f"/{name}", "no_time", _("This is no day and time.")) from None
        if not 1970 < at.year < 2200:
            raise invalid(f"/{name}", "no_time", _("This is no day and time."))
        return at

    def _sub_ids(self) -> list[str]:
        subs = (
            [each.strip() for each in self.get("sub_ids").split(",")] if self.get("sub_ids") else []
        )
        if len(subs) > 5 or any(len(each) > 100 for each in subs):
            message = _("Up to five, each with at most 100 characters.")
            raise invalid("/sub_ids", "too_many", message)
        return subs

    def _targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for number in _filled_rows(self.form):
            row = {name: self._list(f"target_{number}_{name}", name) for name in CONDITIONS}
            url, mini = self.get(f"target_{number}_url"), self.get(f"target_{number}_mini")
            if not url and not mini:
                if any(row.values()):
                    at = f"/targets/{len(found)}/url"
                    self.numbers.append(number)
                    raise invalid(at, "missing", _("Where to? An address of the shop, please."))
                continue
            self.numbers.append(number)
            found.append(row | ({"kind": MINIPROGRAM} if mini else {"url": url}))
        return found

    def _list(self, place: str, name: str) -> list[str]:
        text = self.get(place).replace("，", ",").replace(";", ",")
        values = [each.strip() for each in text.split(",") if each.strip()]
        return [each.upper() if name == "countries" else each.lower() for each in values]

    def faults(self, refusal: AffiliateError | None) -> dict[str, Any]:
        """Sentences by the name of their field."""
        faults = {}
        for each in refusal.errors if refusal else ():
            first, *rest = each.pointer.strip("/").split("/")
            if first == "targets" and rest:
                number = self.numbers[int(rest[0])] if int(rest[0]) < len(self.numbers) else 0
                faults[f"target_{number}_{rest[1] if len(rest) > 1 else 'url'}"] = each.message
            else:
                faults[rest[0] if first == "utm" and rest else first] = each.message
        return faults


def _new_form(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    faults = {each.pointer.strip("/"): each.message for each in refusal.errors} if refusal else {}
    page = render_template(
        "promoter/link_new.html",
        programs=[
            (each.key, f"{each.merchant} · {each.program.name}") for each in _mine(promoter_id)
        ],
        items=_items(promoter_id),
        typed=typed,
        faults=faults,
        refusal=refusal if refusal and not faults else None,
    )
    return page, refusal.status if refusal else 200


def _form(link: Link, typed: Typed | None, refusal: AffiliateError | None) -> ResponseReturnValue:
    faults = (typed or Typed({})).faults(refusal)
    shop = db.session.get_one(Shop, (link.merchant_id, link.shop_id))
    values = typed.form if typed else _values(link)
    filled = _filled_rows(values)
    page = render_template(
        "promoter/link_settings.html",
        link=link,
        key=sharing.key_of(link),
        title=queries.titles([link])[link.id],
        shop=shop,
        base=domains.base_of(link),
        items=_items(link.promoter_id, also=link.content_id),
        rows=range(min(max(filled, default=-1) + 1 + ROWS_MORE, TARGETS_MAX)),
        filled=filled,
        has_utm=any(values.get(name) for name in utm.NAMES),
        utm_names=utm.NAMES,
        utm_places=utm.PLACES,
        typed=values,
        faults=faults,
        refusal=refusal if refusal and not faults else None,
    )
    return page, refusal.status if refusal else 200


def _filled_rows(values: Mapping[str, str]) -> list[int]:
    """The rows of targets in which anything stands."""
    names = (_ROW.fullmatch(name) for name, text in values.items() if text.strip())
    return sorted({int(found[1]) for found in names if found})


def _values(link: Link) -> dict[str, str]:
    """The link as the form has it."""
    until = link.expires_at and link.expires_at.astimezone(i18n.zone())
    values = {
        "slug": link.slug or "",
        "item": ids.encode("cnt", link.content_id) if link.content_id else "",
        "expires_at": until.strftime("%Y-%m-%dT%H:%M") if until else "",
        "fallback_url": link.fallback_url or "",
        "sub_ids": ", ".join(link.sub_ids),
        **(link.utm or {}),
    }
    for number, target in enumerate(link.targets):
        values[f"target_{number}_url"] = target.get("url", "")
        values[f"target_{number}_mini"] = "" if "url" in target else "1"
        for name in CONDITIONS:
            values[f"target_{number}_{name}"] = ", ".join(target.get(name, ()))
    return values


def _mine(promoter_id: int) -> list[market.Place]:
    places = market.places_of(promoter_id)
    return [each for each in places if each.state == MembershipState.ACTIVE]


def _program(promoter_id: int) -> Program:
    for each in _mine(promoter_id):
        if each.key == request.form.get("program"):
            return each.program
    raise invalid("/program", "unknown_program", _("Choose the program."))


def _items(promoter_id: int, *, also: int | None = None) -> list[tuple[str, str]]:
    """Content to choose from: what is not put away, and what the link stands in already."""
    open_ones = sa.or_(ContentItem.archived_at.is_(None), ContentItem.id == also)
    found = db.session.scalars(
        sa.select(ContentItem)
        .where(ContentItem.promoter_id == promoter_id, open_ones)
        .order_by(ContentItem.id.desc())
        .limit(200)
    )
    return [(ids.encode("cnt", each.id), each.title) for each in found]


def _item(promoter_id: int) -> ContentItem | None:
    key = request.form.get("item", "")
    if not key:
        return None
    try:
        item = queries.content_item(ids.decode_one("cnt", key))
    except NotFound:
        item = None
    if item is None or item.promoter_id != promoter_id:
        raise invalid("/item", "unknown_content", _("You have no such content."))
    return item


def _typed(name: str) -> str:
    return request.form.get(name, "").replace("\0", "").strip()[:LONGEST]
