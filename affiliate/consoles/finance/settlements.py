"""Settlements: made, watched while they are built, looked through before somebody approves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from flask import (
    Response,
    abort,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from affiliate import audit, clock, ids
from affiliate.consoles import lists
from affiliate.consoles.finance import access, bp, funding, words
from affiliate.consoles.session import current_person, current_place, current_scope
from affiliate.db import db
from affiliate.errors import AffiliateError, invalid
from affiliate.i18n import _, _n
from affiliate.money import Money
from affiliate.payouts import queries as payout_queries
from affiliate.payouts.models import Payout, PayoutLine
from affiliate.payouts.models import State as PayoutState
from affiliate.people.queries import within
from affiliate.people.rules import Right
from affiliate.settlement import queries, service
from affiliate.settlement.models import (
    ApprovalException,
    CarryOver,
    Flag,
    Settlement,
    State,
)

WORKING = (State.BUILDING, State.EXECUTING)


@dataclass(frozen=True, slots=True)
class Row:
    """A payout in a list, with what to look at twice before it is approved."""

    payout: Payout
    key: str
    payee: str
    masked: str
    taken_back: Money | None  # by entries below zero among those it pays
    lost_since: Money | None  # after it was built, so the next settlement bears it
    flags: list[Any]  # what the build found, in words


@dataclass(frozen=True, slots=True)
class Sums:
    """A currency of a settlement, beside what the one before it paid."""

    currency: str
    payouts: int
    gross: Money
    withheld: Money
    net: Money
    before: int | None


@bp.get("/settlements/")
def settlements() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [Settlement.id])
    by = [user for each in found for user in (each.created_by, each.approved_by)]
    paid = queries.to_pay(found)
    return render_template(
        "finance/settlements.html",
        rows=[(each, key(each), sums(paid[each.id])) for each in found],
        merchants=words.merchant_names({each.merchant_id for each in found}),
        choices=access.merchants(),
        people=words.users(by),
        next=cursor,
        may_make=access.may(Right.MAKE_SETTLEMENTS),
    )


@bp.get("/settlements/new")
def new_settlement() -> ResponseReturnValue:
    access.only(Right.MAKE_SETTLEMENTS)
    return _form({"through": _yesterday().isoformat()}, None)


@bp.post("/settlements/new")
def create_settlement() -> ResponseReturnValue:
    """One for the chosen merchant; without a choice one for each that has anything to settle."""
    typed = request.form
    access.only(Right.MAKE_SETTLEMENTS)
    merchant_id = access.asked_merchant(typed.get("merchant")) or current_place().merchant_id
    made: list[Settlement] = []
    if refusal := access.refused(lambda: made.extend(_make(typed, merchant_id))):
        return _form(typed, refusal)
    if len(made) == 1:
        return redirect(url_for("finance.settlement", settlement_id=key(made[0])), 303)
    words_ = _n(
        "%(num)s settlement is being built.", "%(num)s settlements are being built.", len(made)
    )
    flash(words_ if made else _("Nobody has anything to settle."), "done" if made else "wait")
    return redirect(url_for("finance.settlements"), 303)


@bp.get("/settlements/<settlement_id>")
def settlement(settlement_id: str) -> ResponseReturnValue:
    return page(find(settlement_id))


@bp.get("/settlements/<settlement_id>/progress")
def progress(settlement_id: str) -> ResponseReturnValue:
    """Asked every second by the page; once the work is done it gets its whole new middle."""
    row = find(settlement_id)
    if "HX-Request" not in request.headers:
        return redirect(url_for("finance.settlement", settlement_id=settlement_id), 303)
    if row.state in WORKING:
        return render_template("finance/_working.html", **_working(row))
    response = make_response(page(row))
    response.headers["HX-Retarget"] = response.headers["HX-Reselect"] = "#main"
    response.headers["HX-Reswap"] = "outerHTML"
    return response


@bp.get("/settlements/<settlement_id>/left")
def left(settlement_id: str) -> ResponseReturnValue:
    """Whose money this settlement did not take, and why."""
    row = find(settlement_id)
    chosen = sa.select(CarryOver).where(
        CarryOver.merchant_id == row.merchant_id, CarryOver.settlement_id == row.id
    )
    if reason := request.args.get("reason"):
        chosen = chosen.where(CarryOver.reason == reason)
    found, cursor = lists.page(chosen, [CarryOver.id])
    return render_template(
        "finance/left.html",
        settlement=row,
        key=settlement_id,
        rows=found,
        payees=words.payees((each.payee_kind, each.payee_id) for each in found),
        left=words.LEFT,
        next=cursor,
    )


@bp.get("/settlements/<settlement_id>/files/<file_id>")
def file(settlement_id: str, file_id: str) -> ResponseReturnValue:
    row = find(settlement_id)
    access.require(access.HANDLERS, row.merchant_id)
    found = queries.file((row.merchant_id, row.id), access.key_of("fil", file_id))
    audit.record("file.downloaded", subject=f"fil:{found.id}", merchant_id=found.merchant_id)
    kind = "application/xml" if found.name.endswith(".xml") else "text/csv"
    response = Response(service.open_file(found), mimetype=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{found.name}"'
    return response


def find(settlement_id: str) -> Settlement:
    merchant_id, row_id = access.key_of("stl", settlement_id)
    found = db.session.get(Settlement, (merchant_id, row_id), populate_existing=True)
    return found or abort(404)


def key(row: Settlement) -> str:
    return ids.encode("stl", row.merchant_id, row.id)


def page(row: Settlement) -> str:
    lost = queries.reversed_since(row) if row.ended_at is None else []
    twice = _looked_at_twice(row, lost)
    found, cursor = lists.page(_payouts_of(row, twice), [Payout.id])
    before = queries.before(row)
    paid = queries.to_pay([row, before] if before else [row])
    me = current_person()
    exception = _exception(row)
    is_own = row.created_by == me.user.id and exception is None
    by = [row.created_by, row.approved_by, row.approved_for, row.executed_by, row.discarded_by]
    return render_template(
        "finance/settlement.html",
        **_working(row),
        sums=sums(paid[row.id], paid[before.id] if before else {}),
        before=before,
        merchant=words.merchant_names([row.merchant_id])[row.merchant_id],
        people=words.users(by),
        is_own=is_own,
        exception=exception,
        payouts=payout_rows(found, lost),
        next=cursor,
        flagged=db.session.scalar(sa.select(sa.func.count()).where(twice)),
        carried=queries.carried_over([row])[row.id],
        left=words.LEFT,
        missing=funding.missing_for(row) if row.state in {State.REVIEW, State.APPROVED} else [],
        files=[
            (each, ids.encode("fil", each.merchant_id, each.id))
            for each in (queries.files(row.merchant_id, row.id) if row.executed_at else [])
        ],
        me=me,
        may_approve=access.may(Right.APPROVE_SETTLEMENTS),
        may_discard=access.may(*access.DECIDERS),
        may_handle=access.may(*access.HANDLERS),
    )


def payout_rows(found: Sequence[Payout], lost: Sequence[Any] = ()) -> list[Row]:
    names = words.payees((each.payee_kind, each.payee_id) for each in found)
    accounts = payout_queries.accounts({each.account_id for each in found})
    taken = _taken_back(found)
    flags = _flags(found)
    since = {each.id: each.amount for each in lost}
    return [
        Row(
            each,
            ids.encode("pay", each.merchant_id, each.id),
            names[each.payee_kind, each.payee_id],
            accounts[each.account_id].masked,
            _money(taken.get((each.merchant_id, each.id)), each.currency),
            _money(since.get(each.id), each.currency),
            flags[each.merchant_id, each.id],
        )
        for each in found
    ]


def sums(paid: queries.Totals, before: queries.Totals = MappingProxyType({})) -> list[Sums]:
    return [
        Sums(
            currency,
            each["payouts"],
            Money(each["gross"], currency),
            Money(each["withheld"], currency),
            Money(each["net"], currency),
            before.get(currency, {}).get("net"),
        )
        for currency, each in sorted(paid.items())
    ]


def _chosen() -> sa.Select[Any]:
    found = sa.select(Settlement).where(
        within(Settlement.merchant_id, current_scope(Right.READ_MONEY))
    )
    if merchant_id := access.asked_merchant():
        found = found.where(Settlement.merchant_id == merchant_id)
    if (state := request.args.get("state")) in list(State):
        found = found.where(Settlement.state == state)
    return found


def _yesterday() -> date:
    return (clock.now() - timedelta(days=1)).date()


def _form(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    allowed = current_app.config["SETTINGS"].allow_future
    shown = render_template(
        "finance/settlement_form.html",
        typed=typed,
        refusal=refusal,
        merchants=[
            (ids.encode("mer", each.id), each.name)
            for each in access.merchants(Right.MAKE_SETTLEMENTS)
        ],
        latest=None if allowed else _yesterday(),
    )
    return shown, refusal.status if refusal else 200


def _make(typed: Any, merchant_id: int | None) -> list[Settlement]:
    through = _through(typed.get("through", ""))
    if merchant_id is not None:
        return [_make_one(typed, merchant_id, through)]
    scope = current_scope(Right.MAKE_SETTLEMENTS)
    return [
        _make_one(typed, each, through) for each in queries.merchants_with_money(through, scope)
    ]


def _through(text: str) -> datetime:
    try:
        found = clock.instant(text.strip())
    except (ValueError, OverflowError):
        found = datetime.min.replace(tzinfo=UTC)
    if not 1970 <= found.year <= 2200:
        raise invalid("/through", "bad_instant", _("Choose a day."))
    return found


def _make_one(typed: Any, merchant_id: int, through: datetime) -> Settlement:
    """The same asked for twice, in two tabs or by going back, is the one that is open already."""
    by = current_person().user.id
    name = sa.func.hashtextextended(f"settlement form:{merchant_id}", 0)
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(name)))
    known = db.session.scalar(
        sa.select(Settlement).where(
            Settlement.merchant_id == merchant_id,
            Settlement.through == through,
            Settlement.created_by == by,
            Settlement.state.in_([State.BUILDING, State.REVIEW]),
        )
    )
    note = typed.get("note", "").strip()[:1000] or None
    return known or service.create(merchant_id, through=through, by=by, note=note)


def _working(row: Settlement) -> dict[str, Any]:
    stalled = row.state in WORKING and row.worked_at < clock.now() - queries.QUIET
    counts = queries.payouts_by_state([row])[row.id]
    waiting = counts.get(PayoutState.APPROVED, 0) + counts.get(PayoutState.SUBMITTING, 0)
    to_hand = sum(counts.values()) - counts.get(PayoutState.CANCELLED, 0)
    return {
        "states": counts,
        "handed": to_hand - waiting,
        "to_hand": to_hand,
        "settlement": row,
        "key": key(row),
        "is_working": row.state in WORKING,
        "stalled": stalled,
    }


def _exception(row: Settlement) -> ApprovalException | None:
    """The one it was approved under; before, the one its maker may make use of."""
    if row.exception_id is not None:
        return service.exception(row.merchant_id, row.exception_id)
    is_own = row.created_by == current_person().user.id and access.may(Right.APPROVE_SETTLEMENTS)
    return service.open_exception(row.merchant_id) if is_own and row.state == State.REVIEW else None


def _payouts_of(row: Settlement, twice: sa.ColumnElement[bool]) -> sa.Select[Any]:
    found = sa.select(Payout).where(
        Payout.merchant_id == row.merchant_id, Payout.settlement_id == row.id
    )
    state = request.args.get("state")
    if state == "flagged":
        return found.where(twice)
    return found.where(Payout.state == state) if state in list(PayoutState) else found


def _looked_at_twice(row: Settlement, lost: Sequence[Any]) -> sa.ColumnElement[bool]:
    below_zero = (
        sa.select(PayoutLine.payout_id)
        .where(
            PayoutLine.merchant_id == row.merchant_id,
            PayoutLine.payout_id == Payout.id,
            PayoutLine.amount < 0,
        )
        .exists()
    )
    return sa.and_(
        Payout.merchant_id == row.merchant_id,
        Payout.settlement_id == row.id,
        Payout.state != PayoutState.CANCELLED,
        sa.or_(
            below_zero,
            Payout.id.in_([each.id for each in lost]),
            sa.exists().where(Flag.merchant_id == Payout.merchant_id, Flag.payout_id == Payout.id),
        ),
    )


def _flags(found: Sequence[Payout]) -> dict[tuple[int, int], list[Any]]:
    keys = [(each.merchant_id, each.id) for each in found]
    rows = db.session.scalars(
        sa.select(Flag)
        .where(sa.tuple_(Flag.merchant_id, Flag.payout_id).in_(keys))
        .order_by(Flag.id)
    )
    told: dict[tuple[int, int], list[Any]] = {key: [] for key in keys}
    for each in rows:
        told[each.merchant_id, each.payout_id].append(words.FLAGS.get(each.code, each.code))
    return told


def _taken_back(found: Sequence[Payout]) -> dict[tuple[int, int], int]:
    payouts = [(each.merchant_id, each.id) for each in found]
    rows = db.session.execute(
        sa.select(
            PayoutLine.merchant_id,
            PayoutLine.payout_id,
            sa.cast(sa.func.sum(PayoutLine.amount), sa.BigInteger),
        )
        .where(
            sa.tuple_(PayoutLine.merchant_id, PayoutLine.payout_id).in_(payouts),
            PayoutLine.amount < 0,
        )
        .group_by(PayoutLine.merchant_id, PayoutLine.payout_id)
    )
    return {(merchant_id, payout_id): amount for merchant_id, payout_id, amount in rows}


def _money(amount: int | None, currency: str) -> Money | None:
    return None if amount is None else Money(amount, currency)
