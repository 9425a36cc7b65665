"""A merchant with a seller, who brought somebody and was brought by somebody; for their console."""

import itertools
from contextlib import contextmanager

import sqlalchemy as sa

from affiliate import clock as time
from affiliate import ids
from affiliate.db import db
from affiliate.links import token
from affiliate.orders.models import Order
from affiliate.people.models import Role
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.orders import an_order, deliver
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.programs import a_program, an_enrolment

BUYER = {"external_id": "c1", "email": "buyer@example.org", "phone": "+5511988887777"}
_numbers = itertools.count(1)


class Town:
    """Eva brought Ana, Ana brought Bia. Ana sells; level two is paid three per cent."""

    def __init__(self, name, **fields):
        self.name = name
        self.merchant = a_merchant(f"Casa {name}")
        self.shop = a_shop(self.merchant, name=f"Loja {name}")
        self.product = a_product(
            self.shop, title=f"Camisa {name}", external_id="p1", stock=7,
            image_url="/static/demo/linen-shirt.svg",
        )  # fmt: skip
        given = {"tiers_ppm": (30_000,), "max_total_ppm": 200_000} | fields
        self.program = a_program(self.merchant, name=f"Amigas {name}", **given)
        self.eva = a_promoter(f"Eva {name}")
        self.ana = a_promoter(f"Ana {name}", sponsor=self.eva)
        self.bia = a_promoter(f"Bia {name}", sponsor=self.ana)
        for each in (self.eva, self.ana, self.bia):
            an_enrolment(self.program, each)
        self.link = a_link(self.program, self.ana, content="stories")
        self.user = a_user(Role.PROMOTER, promoter=self.ana)

    def order(self, client, link=None, **facts):
        tk = token.make((link or self.link).id, time.now(), b"abc")
        told = an_order(
            tk, **({"number": f"#{next(_numbers)}", "total": "100.00", "customer": BUYER} | facts)
        )
        deliver(client, self.shop, told)
        return told


def key_of_newest():
    row = db.session.scalars(sa.select(Order).order_by(Order.id.desc())).first()
    return ids.encode("ord", row.merchant_id, row.id)


@contextmanager
def statements():
    """What is sent to the database, but for the savepoints of the test bed."""
    sent = []

    def note(_conn, _cursor, statement, *_):
        if "SAVEPOINT" not in statement:
            sent.append(statement)

    engine = sa.engine.Engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
