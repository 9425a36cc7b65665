"""A payee's balances: what is estimated, held, free, on its way and paid, per merchant."""

from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import AgencyId, MerchantId, Money, PromoterId, Resource
from affiliate.commissions import queries as commissions
from affiliate.errors import NotFound
from affiliate.ledger import queries as ledger
from affiliate.people.rules import Caller, Right

STAGES = ("estimated", "pending", "available", "reserved", "paid")


class BalanceShown(Resource):
    """`available` may be below zero: then later earnings are set against it first."""

    merchant: MerchantId
    currency: str
    estimated: Money
    pending: Money
    available: Money
    reserved: Money
    paid: Money


class Balances(Resource):
    data: list[BalanceShown]


@endpoint("GET", "/promoters/{promoter_id}/balances", needs=(Right.PROMOTE, Right.READ_MONEY))
def balances(caller: Caller, promoter_id: PromoterId) -> Balances:
    """Per merchant and currency; a merchant's people see their own part."""
    return _balances(caller, "promoter", promoter_id)


@endpoint("GET", "/agencies/{agency_id}/balances", needs=(Right.RUN_AGENCY, Right.READ_MONEY))
def of_agency(caller: Caller, agency_id: AgencyId) -> Balances:
    """Per merchant and currency; a merchant's people see their own part."""
    return _balances(caller, "agency", agency_id)


def _balances(caller: Caller, kind: str, payee_id: int) -> Balances:
    amounts: dict[tuple[int, str], dict[str, int]] = {}
    for balance in ledger.balances_of(kind, payee_id):
        amounts.setdefault((balance.merchant_id, balance.currency), {})[balance.kind] = (
            balance.amount
        )
    for sums in commissions.sums_of(kind, payee_id):
        row = amounts.setdefault((sums.merchant_id, sums.currency), {})
        row |= {"estimated": sums.estimated, "paid": sums.paid}
    if not caller.is_payee(kind, payee_id):
        amounts = {key: row for key, row in amounts.items() if caller.has(Right.READ_MONEY, key[0])}
        if not amounts and not caller.may(Right.ADMINISTER):
            raise NotFound(f"There is no such {kind} here.")
    return Balances(
        data=[
            BalanceShown(
                merchant=merchant_id,
                currency=currency,
                **{stage: Money.of(row.get(stage, 0), currency) for stage in STAGES},
            )
            for (merchant_id, currency), row in sorted(amounts.items())
        ]
    )
