"""What the books know by heart: whose account is whose, and which ways money may go."""

from dataclasses import dataclass

from affiliate.ledger.models import Code, Kind, OwnerKind

DEBIT_SIDE = {Kind.RECEIVABLE, Kind.RAIL_COSTS, Kind.BAD_DEBT}
PAYEES = {OwnerKind.PROMOTER, OwnerKind.AGENCY}

# From which kind of account to which. The database has the same list (`ledger_shape_fits`) and
# refuses everything else; so tax, for one, can come from nowhere but a payout.
SHAPES: dict[Code, tuple[Kind, Kind]] = {
    Code.ACCRUE: (Kind.RECEIVABLE, Kind.PENDING),
    Code.REVERSE: (Kind.PENDING, Kind.RECEIVABLE),
    Code.RELEASE: (Kind.PENDING, Kind.AVAILABLE),
    Code.UNRELEASE: (Kind.AVAILABLE, Kind.PENDING),
    Code.REVERSE_AVAILABLE: (Kind.AVAILABLE, Kind.RECEIVABLE),
    Code.PLATFORM_FEE: (Kind.RECEIVABLE, Kind.FEES),
    Code.REVERSE_FEE: (Kind.FEES, Kind.RECEIVABLE),
    Code.RESERVE: (Kind.AVAILABLE, Kind.RESERVED),
    Code.UNRESERVE: (Kind.RESERVED, Kind.AVAILABLE),
    Code.PAY: (Kind.RESERVED, Kind.CLEARING),
    Code.WITHHOLD: (Kind.RESERVED, Kind.TAX),
    Code.RAIL_COST: (Kind.RAIL_COSTS, Kind.CLEARING),
    Code.RETURN: (Kind.CLEARING, Kind.AVAILABLE),
    Code.RETURN_TAX: (Kind.TAX, Kind.AVAILABLE),
    Code.PAY_IN: (Kind.CLEARING, Kind.RECEIVABLE),
    Code.RETURN_PAY_IN: (Kind.RECEIVABLE, Kind.CLEARING),
    Code.REMIT: (Kind.TAX, Kind.CLEARING),
    Code.WRITE_OFF: (Kind.BAD_DEBT, Kind.AVAILABLE),
    Code.RECOVER: (Kind.AVAILABLE, Kind.BAD_DEBT),
}


@dataclass(frozen=True, slots=True, order=True)
class AccountKey:
    """Names an account, whether or not it is open yet."""

    merchant_id: int
    owner_kind: str
    owner_id: int
    kind: str
    currency: str


@dataclass(frozen=True, slots=True)
class Posting:
    """One transfer to be made. Code and cause say which it is, and are booked once."""

    code: Code
    cause: str
    source: AccountKey
    target: AccountKey
    amount: int

    def __post_init__(self) -> None:
        source, target = self.source, self.target
        assert self.amount > 0, f"a transfer moves a positive amount, not {self.amount}"
        assert SHAPES[self.code] == (source.kind, target.kind), f"{self.code} does not go that way"
        assert source.merchant_id == target.merchant_id, "one payer"
        assert source.currency == target.currency, "one currency"
        assert not is_of_others(source, target), "a payee's money goes to nobody else's account"


def is_of_others(source: AccountKey, target: AccountKey) -> bool:
    """Whether money would pass from one payee to another."""
    return {source.owner_kind, target.owner_kind} <= PAYEES and (
        (source.owner_kind, source.owner_id) != (target.owner_kind, target.owner_id)
    )


def balance(kind: str, debits: int, credits_: int) -> int:
    """Positive is what the kind of account is for: owed by the merchant, owed to the payee."""
    return debits - credits_ if kind in DEBIT_SIDE else credits_ - debits


def receivable(merchant_id: int, currency: str) -> AccountKey:
    return AccountKey(merchant_id, OwnerKind.MERCHANT, merchant_id, Kind.RECEIVABLE, currency)


def bad_debt(merchant_id: int, currency: str) -> AccountKey:
    return AccountKey(merchant_id, OwnerKind.MERCHANT, merchant_id, Kind.BAD_DEBT, currency)


def pending(merchant_id: int, payee_kind: str, payee_id: int, currency: str) -> AccountKey:
    return AccountKey(merchant_id, payee_kind, payee_id, Kind.PENDING, currency)


def available(merchant_id: int, payee_kind: str, payee_id: int, currency: str) -> AccountKey:
    return AccountKey(merchant_id, payee_kind, payee_id, Kind.AVAILABLE, currency)


def reserved(merchant_id: int, payee_kind: str, payee_id: int, currency: str) -> AccountKey:
    return AccountKey(merchant_id, payee_kind, payee_id, Kind.RESERVED, currency)


def fees(merchant_id: int, currency: str) -> AccountKey:
    return AccountKey(merchant_id, OwnerKind.PLATFORM, 0, Kind.FEES, currency)


def tax(merchant_id: int, currency: str) -> AccountKey:
    return AccountKey(merchant_id, OwnerKind.AUTHORITY, 0, Kind.TAX, currency)


def clearing(merchant_id: int, currency: str) -> AccountKey:
    return AccountKey(merchant_id, OwnerKind.RAIL, 0, Kind.CLEARING, currency)


def rail_costs(merchant_id: int, currency: str) -> AccountKey:
    return AccountKey(merchant_id, OwnerKind.RAIL, 0, Kind.RAIL_COSTS, currency)
