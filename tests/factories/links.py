"""Links for tests, with all that they need."""

from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Product
from affiliate.links import service
from affiliate.links.models import Link
from affiliate.people import queries as people
from affiliate.people.models import Promoter
from affiliate.programs.models import Program
from tests.factories.catalog import a_shop
from tests.factories.people import a_promoter
from tests.factories.programs import a_program, an_enrolment, enrolled


def a_link(
    program: Program | None = None,
    promoter: Promoter | None = None,
    *,
    product: Product | None = None,
    url: str | None = None,
    **fields: object,
) -> Link:
    """A link of an enrolled promoter; without product or url it leads to the shop's front page."""
    program = program or a_program()
    promoter = promoter or a_promoter()
    if enrolled(program, promoter) is None:
        an_enrolment(program, promoter)
    if product is None and url is None:
        url = f"https://{_some_shop(program).domain}/"
    return service.create_link(program, promoter.id, product=product, url=url, **fields)


def _some_shop(program: Program):
    shops = catalog.shops(program.merchant_id, program.shop_ids)
    return shops[0] if shops else a_shop(people.merchant(program.merchant_id))
