"""Programs and enrolments for tests."""

from affiliate.people.models import Merchant, Promoter
from affiliate.programs import queries, service
from affiliate.programs.models import Membership, Program
from affiliate.programs.rules import OFFER_FIELDS, Offer
from tests.factories.people import a_merchant, a_promoter


def a_program(
    merchant: Merchant | None = None, *, name: str = "Amigas da Ana", **fields: object
) -> Program:
    """Ten per cent and no tiers, unless the fields (of the program or its terms) say otherwise."""
    merchant = merchant or a_merchant()
    stated = {"default_rate_ppm": 100_000} | {k: v for k, v in fields.items() if k in OFFER_FIELDS}
    others = {k: v for k, v in fields.items() if k not in OFFER_FIELDS}
    return service.create_program(merchant.id, name=name, offer=Offer(**stated), **others)


def an_enrolment(program: Program | None = None, promoter: Promoter | None = None) -> Membership:
    """An active one, however the program takes people in."""
    program = program or a_program()
    promoter = promoter or a_promoter()
    member = service.enrol(program, promoter.id, by_merchant=True)
    return service.approve(member) if member.state == "applied" else member


def enrolled(program: Program, promoter: Promoter) -> Membership | None:
    return queries.membership(program.merchant_id, program.id, promoter.id)
