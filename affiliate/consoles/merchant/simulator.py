"""What would this order pay, and why: the engine itself is asked about an order typed in.

Asking changes nothing, so the question stands in the address: it can be kept, sent and asked again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue

from affiliate import formats
from affiliate.attribution import trace
from affiliate.catalog import queries as catalog
from affiliate.commissions import service
from affiliate.commissions.service import Outcome
from affiliate.commissions.targets import PLATFORM_FEE, Target
from affiliate.consoles.merchant import bp
from affiliate.consoles.merchant.typed_order import TypedOrder, suggestions
from affiliate.consoles.session import current_merchant_id
from affiliate.i18n import _
from affiliate.money import Money
from affiliate.orders.facts import Line, Order
from affiliate.people import queries as people
from affiliate.programs import queries

TONES = MappingProxyType(
    {
        "rule_chosen": ("done", "circle-check"),
        "own_rate": ("done", "circle-check"),
        "rule_beaten": ("calm", "arrow-down"),
        "rule_passed_over": ("calm", "circle-x"),
        "rate_locked": ("moving", "clock"),
        "cap_cut": ("wait", "triangle-alert"),
        "share": ("yours", "hand-coins"),
    }
)


@bp.get("/programs/<int:program_id>/simulator")
def simulator(program_id: int) -> ResponseReturnValue:
    program = queries.program(current_merchant_id(), program_id)
    shops = catalog.shops(program.merchant_id, program.shop_ids)
    asked = TypedOrder(program, shops, request.args) if shops else None
    answer = _ask(asked) if asked and "ask" in request.args else None
    page = render_template(
        "merchant/simulator.html",
        program=program,
        shops=shops,
        asked=asked,
        answer=answer,
        suggestions=suggestions(program, asked.shop) if asked else None,
    )
    return page, 422 if asked and asked.faults else 200


@dataclass(frozen=True, slots=True)
class Payee:
    """What somebody gets of the whole order in one role."""

    name: Any
    role: str
    rates: Sequence[int]  # of its lines, where it is a rate
    base: Money
    amount: Money


@dataclass(frozen=True, slots=True)
class Reason:
    tone: str
    drawing: str
    words: Any


@dataclass(frozen=True, slots=True)
class Because:
    """Why a line pays what it pays; without a line, what is said of the whole order."""

    line: Line | None
    known_as: Any
    reasons: Sequence[Reason]


@dataclass(frozen=True, slots=True)
class Budget:
    """A cap of this month."""

    whose: Any
    cap: Money
    used: Money
    added: Money
    left: Money


@dataclass(frozen=True, slots=True)
class Answer:
    paid: Money
    payees: Sequence[Payee]
    commission: Money
    fee: Money
    why: Sequence[Because]
    budgets: Sequence[Budget]
    cut: bool  # by a cap

    @property
    def stays(self) -> Money:
        return self.paid - self.commission - self.fee


def _ask(asked: TypedOrder) -> Answer | None:
    promoter = asked.promoter()
    order, known_as = asked.order()
    if asked.faults or promoter is None:
        return None
    found = service.simulate(asked.program, asked.shop, promoter.id, order, content=asked.content)
    return _answer(order, known_as, found)


def _answer(order: Order, known_as: Mapping[str, Any], found: Outcome) -> Answer:
    currency = order.currency
    promoters = people.promoters(
        {each.share.payee_id for each in found.pays if each.share.payee_kind == "promoter"}
        | {each.payee_id for each in found.rooms}
    )
    agencies = people.agencies(
        each.share.payee_id for each in found.pays if each.share.payee_kind == "agency"
    )
    names = {row_id: row.name for row_id, row in promoters.items()}
    payees = {("promoter", row_id): name for row_id, name in names.items()}
    payees |= {("agency", row_id): row.name for row_id, row in agencies.items()}
    fee = sum(each.amount for each in found.pays if each.share.role == PLATFORM_FEE)
    everything = sum(each.amount for each in found.pays)
    return Answer(
        paid=Money(sum(each.amount - each.discount for each in order.lines), currency),
        payees=_payees(found.pays, payees, currency),
        commission=Money(everything - fee, currency),
        fee=Money(fee, currency),
        why=_why(order, known_as, found),
        budgets=[
            Budget(
                names[room.payee_id] if room.payee_id else _("The whole program"),
                *(Money(each, currency) for each in (room.cap, room.used, room.added, room.left)),
            )
            for room in found.rooms
        ],
        cut=any(code == "cap_cut" for code, _told in found.notes),
    )


def _payees(
    pays: Sequence[Target], names: Mapping[tuple[str, int], str], currency: str
) -> list[Payee]:
    """One row for each payee and role, as they stand in the order."""
    rows: dict[tuple[str, int, str], list[Target]] = {}
    for each in pays:
        key = (each.share.payee_kind, each.share.payee_id, each.share.role)
        rows.setdefault(key, []).append(each)
    return [
        Payee(
            names.get((kind, payee_id), _("Platform")),
            trace.role(role),
            list(dict.fromkeys(each.ppm for each in found if each.ppm or not each.rule_id)),
            Money(sum(each.base for each in found), currency),
            Money(sum(each.amount for each in found), currency),
        )
        for (kind, payee_id, role), found in rows.items()
    ]


def _why(order: Order, known_as: Mapping[str, Any], found: Outcome) -> list[Because]:
    """The sentences of the trace, by line; what concerns the order stands first."""
    of_line: dict[str, list[Reason]] = {line.external_id: [] for line in order.lines}
    general: list[Reason] = []
    chosen = {told["line"] for code, told in found.notes if code == "rule_chosen"}
    for line_id in of_line.keys() - chosen:
        rate = next(
            (
                each.ppm
                for each in found.pays
                if each.line == line_id and each.share.role == "direct"
            ),
            None,
        )
        if rate is not None:
            words = _("No rule counts here, so the program's own rate does: %(rate)s.",
                      rate=formats.ppm(rate))  # fmt: skip
            of_line[line_id].append(Reason(*TONES["own_rate"], words))
    for code, told in found.notes:
        words = trace.sentence([code, told], order.currency)
        reason = Reason(*TONES.get(code, ("moving", "info")), words)
        of_line.get(told.get("line", ""), general).append(reason)
    why = [
        Because(line, known_as[line.external_id], of_line[line.external_id]) for line in order.lines
    ]
    return [Because(None, None, general), *why] if general else why
