"""A sponsor tree at one merchant, and what the engine left in the database."""

from datetime import timedelta

import sqlalchemy as sa

from affiliate import clock as time
from affiliate.attribution.models import Attribution
from affiliate.commissions.models import Entry
from affiliate.db import db, unit_of_work
from affiliate.ledger.verify import verify
from affiliate.links import token
from tests.factories.catalog import a_shop
from tests.factories.links import a_link
from tests.factories.people import a_merchant, a_promoter
from tests.factories.programs import a_program, an_enrolment


class Town:
    """Cida sponsors Bia, Bia sponsors Ana; Ana shares. 12% direct, 3% and 1% above."""

    def __init__(self, **terms):
        terms = {"default_rate_ppm": 120_000, "tiers_ppm": [30_000, 10_000]} | terms
        with unit_of_work():
            self.merchant = a_merchant()
            self.shop = a_shop(self.merchant)
            self.cida = a_promoter("Cida")
            self.bia = a_promoter("Bia", sponsor=self.cida)
            self.ana = a_promoter("Ana", sponsor=self.bia)
            self.program = a_program(self.merchant, **terms)
            for who in (self.cida, self.bia, self.ana):
                an_enrolment(self.program, who)
            self.link = a_link(self.program, self.ana)

    def tk(self, link=None, before=timedelta(0)):
        return token.make((link or self.link).id, time.now() - before, b"abc")


def earned():
    """{(role, name of payee): net} over all commissions."""
    rows = db.session.execute(
        sa.text(
            "SELECT c.role, p.name, coalesce(sum(e.amount), 0)::bigint FROM commissions c"
            " LEFT JOIN entries e ON e.merchant_id = c.merchant_id AND e.commission_id = c.id"
            " LEFT JOIN promoters p ON p.id = c.payee_id AND c.payee_kind = 'promoter'"
            " GROUP BY 1, 2"
        )
    )
    return {(role, name): net for role, name, net in rows}


def states():
    rows = db.session.scalars(sa.select(Entry).order_by(Entry.id))
    return [(row.amount, row.state) for row in rows]


def balance(who, kind):
    found = db.session.scalar(
        sa.text(
            "SELECT sum(credits - debits)::bigint FROM ledger_accounts"
            " WHERE owner_kind = 'promoter' AND owner_id = :who AND kind = :kind"
        ),
        {"who": who.id, "kind": kind},
    )
    return found or 0


def refusal():
    return db.session.scalars(sa.select(Attribution.refusal)).one()


def codes():
    trace = db.session.scalars(sa.select(Attribution.trace)).one()
    return [code for code, _ in trace["choice"]]


def clean():
    report = verify()
    assert report.ok, report.breaches
