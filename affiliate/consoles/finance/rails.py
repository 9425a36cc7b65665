"""What rails leave to people: results of a bank's file, payouts by hand, and what nobody knows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from affiliate import i18n, ids
from affiliate.consoles import lists
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.finance.payouts import LONGEST, find
from affiliate.consoles.finance.settlements import find as find_settlement
from affiliate.consoles.session import current_person, current_scope
from affiliate.errors import AffiliateError, invalid
from affiliate.i18n import _, _n
from affiliate.links import share
from affiliate.payouts import queries, rails, service
from affiliate.payouts.models import Payout, PayoutAccount, State
from affiliate.payouts.rails.interface import Instruction
from affiliate.people.queries import within
from affiliate.people.rules import Right

MOST_BYTES = 2 * 1024 * 1024  # of a file of results
SHOWN = 200  # lines of a preview
SCAN = 208  # pixels of a code to scan


@bp.get("/payouts/by-hand")
def by_hand() -> ResponseReturnValue:
    """What is to be paid by hand, with the words that say how; only for who handles money."""
    access.only(next(filter(access.may, access.HANDLERS), access.HANDLERS[0]))
    mine = sa.or_(*(within(Payout.merchant_id, current_scope(each)) for each in _held()))
    found, cursor = lists.page(
        sa.select(Payout).where(
            mine, Payout.state == State.ACCEPTED, Payout.rail.in_(rails.by_hand())
        ),
        [Payout.id],
    )
    accounts = queries.accounts({each.account_id for each in found})
    return render_template(
        "finance/by_hand.html",
        rows=[_task(each, accounts[each.account_id]) for each in found],
        payees=words.payees((each.payee_kind, each.payee_id) for each in found),
        next=cursor,
    )


def _task(payout: Payout, account: PayoutAccount) -> dict[str, Any]:
    """What somebody has to pay, and how."""
    fields = service.open_fields(account.fields)
    task = rails.hand_rail(payout.rail).task(
        Instruction(payout.reference, payout.net, payout.currency, account.country, fields)
    )
    return {
        "payout": payout,
        "key": ids.encode("pay", payout.merchant_id, payout.id),
        "holder": fields["account_holder"],
        "task": task,
        "picture": _picture(task.scan) if task.scan else None,
    }


def _picture(text: str) -> Markup:
    size = f'<svg width="{SCAN}" height="{SCAN}" '
    return Markup(share.svg(text).replace("<svg ", size, 1))  # noqa: S704 (numbers alone)


def _held() -> list[Right]:
    return [each for each in access.HANDLERS if access.may(each)]


@bp.get("/payouts/<payout_id>/outcome")
def outcome(payout_id: str) -> ResponseReturnValue:
    row = find(payout_id)
    access.require(access.HANDLERS, row.merchant_id)
    return _outcome(row, payout_id, {}, None)


@bp.post("/payouts/<payout_id>/outcome")
def tell_outcome(payout_id: str) -> ResponseReturnValue:
    """`do`: state it, confirm what another stated, or drop it."""
    row = find(payout_id)
    access.require(access.HANDLERS, row.merchant_id)
    refusal = access.refused(lambda: _do(row, request.form))
    if refusal and refusal.status != 409:
        return _outcome(row, payout_id, request.form, refusal)
    if refusal:
        flash(_("It moved on meanwhile. This is how it stands now."), "wait")
    else:
        flash(_("That is noted."), "done")
    return redirect(url_for("finance.payout", payout_id=payout_id), 303)


def _do(row: Payout, typed: Mapping[str, str]) -> None:
    key, by = (row.merchant_id, row.id), current_person().user.id
    if typed.get("do") == "confirm":
        service.confirm_outcome(*key, by=by)
    elif typed.get("do") == "drop":
        service.drop_outcome(*key, by=by)
    else:
        _state(key, by, typed)


def _state(key: tuple[int, int], by: int, typed: Mapping[str, str]) -> None:
    if typed.get("outcome") not in {State.PAID, State.FAILED}:
        raise invalid("/outcome", "missing", _("Choose what happened."))
    proof = typed.get("proof", "").strip()[:LONGEST]
    if not proof:
        raise invalid("/proof", "missing", _("Say what shows it."))
    service.state_outcome(
        *key,
        by=by,
        outcome=State(typed["outcome"]),
        proof=proof,
        reference=typed.get("reference", "").strip()[:LONGEST] or None,
        paid_at=_day(typed.get("paid_on", "").strip()),
    )


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=i18n.zone())
    except ValueError:
        raise invalid("/paid_at", "bad_day", _("Choose a day.")) from None


def _outcome(
    row: Payout, payout_id: str, typed: Mapping[str, str], refusal: AffiliateError | None
) -> ResponseReturnValue:
    proof = queries.proof(row)
    shown = render_template(
        "finance/outcome.html",
        payout=row,
        key=payout_id,
        payee=words.payees([(row.payee_kind, row.payee_id)])[row.payee_kind, row.payee_id],
        call=queries.call(row),
        proof=proof,
        people=words.users([proof.stated_by] if proof else []),
        me=current_person().user.id,
        typed=typed,
        refusal=refusal,
        faults=_faults(refusal),
    )
    return shown, refusal.status if refusal else 200


@bp.get("/settlements/<settlement_id>/results")
def results(settlement_id: str) -> ResponseReturnValue:
    row = find_settlement(settlement_id)
    access.require(access.HANDLERS, row.merchant_id)
    return _results(settlement_id, None, "", None)


@bp.post("/settlements/<settlement_id>/results")
def take_results(settlement_id: str) -> ResponseReturnValue:
    """A file is looked at first; its text comes back with the button that takes it."""
    request.max_form_memory_size = MOST_BYTES
    row = find_settlement(settlement_id)
    access.require(access.HANDLERS, row.merchant_id)
    is_sure = request.form.get("do") == "take"
    content, reports = "", []

    def take() -> None:
        nonlocal content
        content = request.form.get("content", "") if is_sure else uploaded()
        reports.append(
            service.take_results(
                row.merchant_id, row.id, content, by=current_person().user.id, dry_run=not is_sure
            )
        )

    if refusal := access.refused(take):
        return _results(settlement_id, None, "", refusal)
    if not is_sure:
        return _results(settlement_id, reports[0], content, None)
    done = len(reports[0].changes)
    flash(_n("%(num)s payout has its result.", "%(num)s payouts have their result.", done), "done")
    return redirect(url_for("finance.settlement", settlement_id=settlement_id), 303)


def uploaded() -> str:
    """The text of the file that was sent."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise invalid("/file", "missing", _("Choose a file."))
    try:
        return str(file.read(MOST_BYTES + 1), "utf-8-sig")
    except UnicodeDecodeError:
        message = _("This is no text in UTF-8: save it as CSV UTF-8.")
        raise invalid("/file", "not_text", message) from None


def _results(
    settlement_id: str, report: Any, content: str, refusal: AffiliateError | None
) -> ResponseReturnValue:
    shown = render_template(
        "finance/results.html",
        key=settlement_id,
        report=report,
        payees=words.payees(
            (each.payout.payee_kind, each.payout.payee_id) for each in report.changes[:SHOWN]
        )
        if report
        else {},
        most=SHOWN,
        content=content,
        refusal=refusal,
        lines=[
            (each.pointer.rpartition("/")[2], each.message)
            for each in (refusal.errors if refusal else ())
            if each.pointer.startswith("/content/")
        ],
        faults=_faults(refusal),
    )
    return shown, refusal.status if refusal else 200


def _faults(refusal: AffiliateError | None) -> dict[str, Any]:
    return {each.pointer[1:]: each.message for each in refusal.errors} if refusal else {}
