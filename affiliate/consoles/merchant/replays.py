"""A past period under a draft: what would have been paid, beside what was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, formats
from affiliate.attribution import trace
from affiliate.catalog import queries as catalog
from affiliate.commissions import service
from affiliate.commissions.models import Simulation
from affiliate.commissions.service import Draft
from affiliate.consoles import lists
from affiliate.consoles.merchant import bp, rule_words, typed_draft
from affiliate.consoles.merchant.typed_draft import Typed, TypedDraft
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.i18n import _
from affiliate.money import Money
from affiliate.people import queries as people
from affiliate.people.rules import Right
from affiliate.programs import queries
from affiliate.programs.models import Program

SHOWN = 10  # of each kind of row
STALLED = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Sums:
    """One currency of a replay."""

    currency: str
    paid: Money
    would: Money

    @property
    def difference(self) -> Money:
        return self.would - self.paid

    @property
    def change_ppm(self) -> int | None:
        """In steps of a tenth of a percent."""
        return self.difference.minor * 1000 // self.paid.minor * 1000 if self.paid.minor else None


@dataclass(frozen=True, slots=True)
class Row:
    """Somebody or something whose money would change. `part` is out of the largest change's 100."""

    name: Any
    under: Any
    difference: Money
    part: int


@dataclass(frozen=True, slots=True)
class Table:
    title: Any
    head: Any
    rows: Sequence[Row]
    others: int  # that are not shown
    rest: Money  # what those would change


@bp.get("/programs/<int:program_id>/replays")
def replays(program_id: int) -> ResponseReturnValue:
    program, zone = _program(program_id), _zone()
    terms = queries.latest_terms(program.merchant_id, program.id)
    typed = typed_draft.as_it_is(terms, zone)
    if (same := request.args.get("like", "")).isdecimal() and len(same) < 19:
        typed = typed_draft.like(program, _simulation(program, int(same)), terms, zone)
    return _form(_read(program, typed))


@bp.post("/programs/<int:program_id>/replays")
def start_replay(program_id: int) -> ResponseReturnValue:
    current_caller().require(Right.RUN_MERCHANT, current_merchant_id())
    program = _program(program_id)
    asked = _read(program, request.form)
    period, draft = asked.period(), asked.draft()
    if asked.faults or period is None:
        return _form(asked)
    since, until = period
    made = service.begin(program, draft, since=since, until=until, by=current_caller().user_id)
    return redirect(_address(made), 303)


@bp.get("/programs/<int:program_id>/replays/<int:simulation_id>")
def replay(program_id: int, simulation_id: int) -> ResponseReturnValue:
    program = _program(program_id)
    return _page(program, _simulation(program, simulation_id))


@bp.get("/programs/<int:program_id>/replays/<int:simulation_id>/progress")
def replay_progress(program_id: int, simulation_id: int) -> ResponseReturnValue:
    """Asked every second by the page; once the work is over it gets its whole new middle."""
    program = _program(program_id)
    row = _simulation(program, simulation_id)
    if "HX-Request" not in request.headers:
        return redirect(_address(row), 303)
    if row.state == "running":
        return render_template("merchant/_replaying.html", program=program, **_working(row))
    response = make_response(_page(program, row))
    response.headers["HX-Retarget"] = response.headers["HX-Reselect"] = "#main"
    response.headers["HX-Reswap"] = "outerHTML"
    return response


def _program(program_id: int) -> Program:
    return queries.program(current_merchant_id(), program_id)


def _simulation(program: Program, simulation_id: int) -> Simulation:
    found = service.simulation(program.merchant_id, simulation_id)
    if found.program_id != program.id:
        abort(404)
    return found


def _address(row: Simulation) -> str:
    return url_for("merchant.replay", program_id=row.program_id, simulation_id=row.id)


def _zone() -> ZoneInfo:
    return ZoneInfo(people.merchant(current_merchant_id()).timezone)


def _read(program: Program, typed: Typed) -> TypedDraft:
    return TypedDraft(
        program,
        queries.latest_terms(program.merchant_id, program.id),
        catalog.shops(program.merchant_id, program.shop_ids),
        _zone(),
        typed,
    )


def _form(asked: TypedDraft) -> ResponseReturnValue:
    program = asked.program
    mine = sa.select(Simulation).where(
        Simulation.merchant_id == program.merchant_id, Simulation.program_id == program.id
    )
    found, cursor = lists.page(mine, [Simulation.id], limit=20)
    products = catalog.suggested(program.merchant_id, [each.id for each in asked.shops])
    page = render_template(
        "merchant/replays.html",
        program=program,
        typed=asked.typed,
        faults=asked.faults,
        levels=typed_draft.levels(asked.terms),
        rules=rule_words.standing(program, clock.now()),
        products=products,
        categories=sorted({each.category for each in products if each.category}),
        groups=typed_draft.groups(program.merchant_id),
        earlier=[
            (each, _period(each), in_words(program, each.draft), sums(each)) for each in found
        ],
        next=cursor,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )
    return page, 422 if asked.faults else 200


def _page(program: Program, row: Simulation) -> str:
    return render_template(
        "merchant/replay.html",
        program=program,
        period=_period(row),
        draft=in_words(program, row.draft),
        results=[(each, _tables(row, each.currency)) for each in sums(row)],
        may_write=current_caller().may(Right.RUN_MERCHANT),
        **_working(row),
    )


def _working(row: Simulation) -> dict[str, Any]:
    stalled = row.state == "running" and row.worked_at < clock.now() - STALLED
    return {"simulation": row, "stalled": stalled}


def _period(row: Simulation) -> str:
    """First and last day, as the merchant counts them."""
    zone = _zone()
    first = row.since.astimezone(zone).date()
    last = (row.until.astimezone(zone) - timedelta(microseconds=1)).date()
    return formats.days(first, last)


def sums(row: Simulation) -> list[Sums]:
    paid, would = row.result.get("paid", {}), row.result.get("would", {})
    return [
        Sums(each, Money(paid.get(each, 0), each), Money(would.get(each, 0), each))
        for each in sorted({*paid, *would})
    ]


# --- a draft in words --------------------------------------------------------------------------


def in_words(program: Program, stored: Mapping[str, Any]) -> list[Any]:
    """What would be different, one sentence each."""
    draft = Draft(**stored)
    found = [each for name in sorted(draft.terms) for each in _term(name, draft.terms[name])]
    found += [
        _("Without the rule: %(rule)s", rule=each)
        for each in rule_words.latest(program, draft.ended)
    ]
    found += [_("One rule more: %(rule)s", rule=each) for each in _drafted(program, draft)]
    return found or [_("The terms and rules as they are now")]


def _drafted(program: Program, draft: Draft) -> list[Any]:
    """Rules that nobody can read any more, after an update say, are told as such."""
    try:
        return rule_words.in_words(program.merchant_id, service.drafted(draft))
    except (KeyError, TypeError, ValueError):
        return [_("unreadable")]


def _term(name: str, value: Any) -> list[Any]:
    if name == "default_rate_ppm":
        return [_("The seller earns %(rate)s", rate=formats.ppm(value))]
    if name == "max_total_ppm":
        return [_("At most %(rate)s in all", rate=formats.ppm(value))]
    if name == "tiers_ppm":
        levels = [
            _("Level %(level)s earns %(rate)s", level=level, rate=formats.ppm(ppm))
            for level, ppm in enumerate(value, start=2)
        ]
        return [*levels, _("Nothing from level %(level)s on", level=len(value) + 2)]
    return [_("Other terms: %(name)s", name=name)]


# --- what came out -----------------------------------------------------------------------------


def _tables(row: Simulation, currency: str) -> list[Table]:
    """Who and what would get more or less, the largest differences first."""
    by = row.result.get("by", {})
    changed = {
        kind: _changed(by.get(kind, {}), currency)
        for kind in ("promoter", "agency", "product", "role")
    }
    names = people.promoters(int(key) for key, _amount in changed["promoter"][:SHOWN])
    promoters = {str(row_id): (each.name, "") for row_id, each in names.items()}
    agencies = people.agencies(int(key) for key, _amount in changed["agency"][:SHOWN])
    firms = {str(row_id): (each.name, "") for row_id, each in agencies.items()}
    products = _products(row.merchant_id, [key for key, _amount in changed["product"][:SHOWN]])
    roles = {key: (trace.role(key), "") for key, _amount in changed["role"]}
    titles = ((_("By promoter"), _("Promoter"), "promoter", promoters),
              (_("By agency"), _("Agency"), "agency", firms),
              (_("By product"), _("Product"), "product", products),
              (_("By role"), _("As"), "role", roles))  # fmt: skip
    return [
        _table(title, head, changed[kind], known, currency)
        for title, head, kind, known in titles
        if changed[kind] or kind != "agency"  # most programs have none
    ]


def _changed(amounts: Mapping[str, int], currency: str) -> list[tuple[str, int]]:
    """Of this currency, what would not stay the same."""
    found = [
        (key.rpartition("/")[0], amount)
        for key, amount in amounts.items()
        if amount and key.rpartition("/")[2] == currency
    ]
    return sorted(found, key=lambda each: (-abs(each[1]), each[0]))


def _table(
    title: Any,
    head: Any,
    changed: Sequence[tuple[str, int]],
    known: Mapping[str, tuple[Any, Any]],
    currency: str,
) -> Table:
    largest = abs(changed[0][1]) if changed else 1
    rows = [
        Row(*known.get(key, (key, "")), Money(amount, currency), amount * 100 // largest)
        for key, amount in changed[:SHOWN]
    ]
    rest = changed[SHOWN:]
    return Table(title, head, rows, len(rest), Money(sum(each for _key, each in rest), currency))


def _products(merchant_id: int, keys: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Titles with their shop; by the shop's id, a colon, and the product's id there."""
    split = {key: (int(key.partition(":")[0]), key.partition(":")[2]) for key in keys}
    known = catalog.by_external_ids(merchant_id, list(split.values()))
    shops = {each.id: each.name for each in catalog.shops(merchant_id)}
    found = {}
    for key, (shop_id, external_id) in split.items():
        product = known.get((shop_id, external_id))
        title = product.title if product else external_id or _("Lines of no product")
        found[key] = (title, shops.get(shop_id, ""))
    return found
