"""What is known of programs: their terms as of an instant, and who takes part."""

from collections.abc import Collection, Iterable
from datetime import datetime

import sqlalchemy as sa

from affiliate.catalog.models import Product
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.programs.models import Membership, MembershipState, ProductRate, Program, Terms

ProgramKey = tuple[int, int]  # merchant, program
MemberKey = tuple[int, int, int]  # merchant, program, promoter


def terms_of(programs: Collection[ProgramKey]) -> dict[ProgramKey, list[Terms]]:
    """All terms of each program, earliest first; `as_of` picks the one that holds."""
    found: dict[ProgramKey, list[Terms]] = {key: [] for key in programs}
    rows = db.session.scalars(
        sa.select(Terms)
        .where(sa.tuple_(Terms.merchant_id, Terms.program_id).in_(list(found)))
        .order_by(Terms.merchant_id, Terms.program_id, Terms.effective_from)
    )
    for row in rows:
        found[row.merchant_id, row.program_id].append(row)
    return found


def as_of(versions: Iterable[Terms], at: datetime) -> Terms:
    """Of one program's terms, earliest first, those that hold at an instant."""
    return [terms for terms in versions if terms.effective_from <= at][-1]


def terms_as_of(merchant_id: int, program_ids: Collection[int], at: datetime) -> dict[int, Terms]:
    versions = terms_of([(merchant_id, program_id) for program_id in program_ids])
    return {key[1]: as_of(found, at) for key, found in versions.items() if found}


def memberships(keys: Collection[MemberKey]) -> dict[MemberKey, Membership]:
    wanted = sa.tuple_(Membership.merchant_id, Membership.program_id, Membership.promoter_id)
    rows = db.session.scalars(sa.select(Membership).where(wanted.in_(list(set(keys)))))
    return {(row.merchant_id, row.program_id, row.promoter_id): row for row in rows}


def by_keys(keys: Collection[ProgramKey]) -> dict[ProgramKey, Program]:
    wanted = sa.tuple_(Program.merchant_id, Program.id)
    rows = db.session.scalars(sa.select(Program).where(wanted.in_(list(set(keys)))))
    return {(row.merchant_id, row.id): row for row in rows}


RateKey = tuple[int, int, str]  # program, shop, the product's id there
Dated = list[tuple[datetime, int | None]]


def product_rates(merchant_id: int, products: Collection[RateKey]) -> dict[RateKey, Dated]:
    """Every rate that products of these programs ever had of their own, earliest first."""
    found: dict[RateKey, Dated] = {}
    if not products:
        return found
    key = sa.tuple_(ProductRate.program_id, Product.shop_id, Product.external_id)
    rows = db.session.execute(
        sa.select(
            ProductRate.program_id,
            Product.shop_id,
            Product.external_id,
            ProductRate.effective_from,
            ProductRate.rate_ppm,
        )
        .join(
            Product,
            sa.and_(
                Product.merchant_id == ProductRate.merchant_id,
                Product.id == ProductRate.product_id,
            ),
        )
        .where(ProductRate.merchant_id == merchant_id, key.in_(list(products)))
        .order_by(ProductRate.effective_from)
    )
    for program_id, shop_id, external_id, since, ppm in rows:
        found.setdefault((program_id, shop_id, external_id), []).append((since, ppm))
    return found


def rate_as_of(rates: Iterable[tuple[datetime, int | None]], at: datetime) -> int | None:
    """The product's own rate at an instant; None is the program's."""
    held = [ppm for since, ppm in rates if since <= at]
    return held[-1] if held else None


def program(merchant_id: int, program_id: int, *, lock: bool = False) -> Program:
    found = db.session.get(Program, (merchant_id, program_id), with_for_update=lock or None)
    if found is None:
        raise NotFound(_("There is no such program."))
    return found


def enrolment(
    merchant_id: int, program_id: int, membership_id: int, *, lock: bool = False
) -> Membership:
    key = (merchant_id, membership_id)
    found = db.session.get(Membership, key, with_for_update=lock or None)
    if found is None or found.program_id != program_id:
        raise NotFound(_("There is no such enrolment."))
    return found


def latest_terms(merchant_id: int, program_id: int) -> Terms:
    """The terms stated last: those that hold now."""
    return db.session.scalars(
        sa.select(Terms)
        .filter_by(merchant_id=merchant_id, program_id=program_id)
        .order_by(Terms.effective_from.desc())
        .limit(1)
    ).one()


def running(merchant_id: int) -> list[tuple[Program, Terms]]:
    """The merchant's programs that have not ended, each with the terms that hold now."""
    found = db.session.scalars(
        sa.select(Program)
        .where(Program.merchant_id == merchant_id, Program.ended_at.is_(None))
        .order_by(Program.id)
    ).all()
    terms = terms_of([(merchant_id, each.id) for each in found])
    return [(each, terms[merchant_id, each.id][-1]) for each in found]


def programs_of_all_shops(merchant_id: int) -> list[tuple[Program, Terms]]:
    """The merchant's running programs that cover whatever shop there is, with their terms."""
    return [(program, terms) for program, terms in running(merchant_id) if not program.shop_ids]


def membership(merchant_id: int, program_id: int, promoter_id: int) -> Membership | None:
    find = sa.select(Membership).filter_by(
        merchant_id=merchant_id, program_id=program_id, promoter_id=promoter_id
    )
    return db.session.scalar(find)


def products_of_promoters(promoter_ids: Collection[int]) -> sa.ColumnElement[bool]:
    """The clause for products of shops in which these promoters may promote."""
    return sa.exists().where(
        Membership.promoter_id.in_(promoter_ids),
        Membership.state == MembershipState.ACTIVE,
        Membership.merchant_id == Product.merchant_id,
        Program.merchant_id == Membership.merchant_id,
        Program.id == Membership.program_id,
        Program.ended_at.is_(None),
        sa.or_(
            sa.func.cardinality(Program.shop_ids) == 0,
            Product.shop_id == sa.func.any(Program.shop_ids),
        ),
    )
