"""Money to settle, for tests: entries with their transfers, payout accounts, settlements.

`an_entry` writes what the engine would have written for one order line, so that settlement can be
tried without orders; journeys use the engine itself.
"""

import itertools
from datetime import UTC, datetime

import pyotp
import sqlalchemy as sa

from affiliate import clock, security
from affiliate.catalog.models import Shop
from affiliate.commissions.models import Commission, Entry, State
from affiliate.db import db, unit_of_work
from affiliate.ledger import service as ledger
from affiliate.ledger.service import Code, Posting
from affiliate.orders.models import Line, Order
from affiliate.payouts import service as payouts
from affiliate.payouts.models import Payout, PayoutAccount
from affiliate.people import service as people
from affiliate.people.models import Agency, Merchant, Promoter, User
from affiliate.programs.models import Program
from affiliate.settlement import runs, service
from affiliate.settlement.models import Settlement

IBAN = {"account_holder": "Bruna Souza", "iban": "DE89 3704 0044 0532 0130 00"}
PLAIN = {"account_holder": "Bruna Souza", "bank_code": "001", "branch": "0042-1",
         "account_number": "12345678-9"}  # fmt: skip
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
THROUGH = datetime(2026, 11, 1, tzinfo=UTC)
_numbers = itertools.count(1)


def an_account(payee: Promoter | Agency, *, currency: str = "BRL", **fields: str) -> PayoutAccount:
    return payouts.add_account(
        kind_of(payee),
        payee.id,
        rail="file",
        country=fields.get("iban", "BR")[:2],
        currency=currency,
        fields=fields or PLAIN,
    )


def an_entry(
    merchant: Merchant,
    payee: Promoter | Agency,
    amount: int,
    *,
    currency: str = "BRL",
    state: State = State.AVAILABLE,
    hold_until: datetime | None = LONG_AGO,
    on_hold: str | None = None,
    commission: Commission | None = None,
) -> Entry:
    """An entry with its transfers. A negative one in `available` is a reversal after release."""
    commission = commission or a_commission(merchant, payee, currency=currency)
    taken_back = amount < 0 and state == State.AVAILABLE
    entry = Entry(
        merchant_id=merchant.id,
        commission_id=commission.id,
        order_id=commission.order_id,
        payee_kind=kind_of(payee),
        payee_id=payee.id,
        currency=currency,
        amount=amount,
        state=state,
        hold_until=None if taken_back else hold_until,
        on_hold=on_hold,
        released_at=clock.now() if state == State.AVAILABLE and not taken_back else None,
        reason=["test", {}],
    )
    db.session.add(entry)
    db.session.flush()
    for posting in _postings(entry):
        ledger.post([posting])
    return entry


def _postings(entry: Entry) -> list[Posting]:
    owner = (entry.merchant_id, entry.payee_kind, entry.payee_id, entry.currency)
    owed = ledger.receivable(entry.merchant_id, entry.currency)
    cause = f"entry:{entry.id}"
    if entry.amount < 0:
        source = ledger.available(*owner)
        code = Code.REVERSE_AVAILABLE
        if entry.state == State.PENDING:
            source, code = ledger.pending(*owner), Code.REVERSE
        return [Posting(code, cause, source, owed, -entry.amount)]
    pending, available = ledger.pending(*owner), ledger.available(*owner)
    accrued = Posting(Code.ACCRUE, cause, owed, pending, entry.amount)
    released = Posting(Code.RELEASE, cause, pending, available, entry.amount)
    return [accrued, released] if entry.state == State.AVAILABLE else [accrued]


def kind_of(payee: Promoter | Agency) -> str:
    return "agency" if isinstance(payee, Agency) else "promoter"


def a_commission(
    merchant: Merchant,
    payee: Promoter | Agency,
    *,
    currency: str = "BRL",
    via: Promoter | None = None,
) -> Commission:
    order, line, program = _an_order(merchant, currency)
    commission = Commission(
        merchant_id=merchant.id, order_id=order.id, line_id=line.id, payee_kind=kind_of(payee),
        payee_id=payee.id, role="direct", via_id=(via or payee).id, program_id=program.id,
        terms_id=1, currency=currency, base=10_000, remaining=10_000, rate_ppm=100_000,
    )  # fmt: skip
    db.session.add(commission)
    db.session.flush()
    return commission


def _an_order(merchant: Merchant, currency: str) -> tuple[Order, Line, Program]:
    number = next(_numbers)
    shop = db.session.scalar(sa.select(Shop).filter_by(merchant_id=merchant.id).limit(1))
    if shop is None:
        shop = Shop(
            merchant_id=merchant.id, platform="standard", domain=f"shop{number}.example.com",
            name="Shop", currency=currency, country="BR", credentials=b"",
        )  # fmt: skip
    program = db.session.scalar(sa.select(Program).filter_by(merchant_id=merchant.id).limit(1))
    program = program or Program(merchant_id=merchant.id, name="Program")
    db.session.add_all([shop, program])
    db.session.flush()
    order = Order(
        merchant_id=merchant.id, shop_id=shop.id, external_id=f"o{number}", status="paid",
        currency=currency, paid_at=LONG_AGO,
    )  # fmt: skip
    db.session.add(order)
    db.session.flush()
    line = Line(
        merchant_id=merchant.id, order_id=order.id, external_id="l1", position=0, title="Thing",
        kind="product", quantity=1, amount=10_000, discount=0,
    )  # fmt: skip
    db.session.add(line)
    db.session.flush()
    return order, line, program


def a_settlement(
    merchant: Merchant, maker: User, *, through: datetime = THROUGH, size: int = 5000, **fields
) -> Settlement:
    """Made and built: it waits for review."""
    with unit_of_work():
        settlement = service.create(
            merchant.id, through=through, by=maker.id, in_background=False, **fields
        )
    for _ in runs.build(merchant.id, settlement.id, size=size):
        pass
    db.session.refresh(settlement)
    return settlement


def with_totp(user: User) -> User:
    people.set_up_totp(user)
    return user


def a_code(user: User) -> str:
    """A code that is good now and was not used before, however fast the test is."""
    secret = security.unseal(user.totp_secret, place=people.TOTP_PLACE).decode()
    db.session.execute(sa.update(User).where(User.id == user.id).values(totp_last_step=0))
    return pyotp.TOTP(secret).at(clock.now())


def approved(settlement: Settlement, checker: User) -> Settlement:
    with unit_of_work():
        service.approve(
            settlement.merchant_id, settlement.id, by=checker.id, seen=settlement.hash,
            otp=a_code(checker),
        )  # fmt: skip
    return settlement


def executed(settlement: Settlement, by: User) -> Settlement:
    with unit_of_work():
        service.execute(settlement.merchant_id, settlement.id, by=by.id)
    runs.execute(settlement.merchant_id, settlement.id)
    db.session.refresh(settlement)
    return settlement


def payouts_of(settlement: Settlement) -> list[Payout]:
    return list(
        db.session.scalars(
            sa.select(Payout)
            .filter_by(merchant_id=settlement.merchant_id, settlement_id=settlement.id)
            .order_by(Payout.id)
            .execution_options(populate_existing=True)
        )
    )


def states_of(*entries: Entry) -> list[str]:
    """As the database has them now."""
    for entry in entries:
        db.session.refresh(entry)
    return [entry.state for entry in entries]
