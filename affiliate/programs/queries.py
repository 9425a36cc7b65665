"""What is known of programs: their terms as of an instant, and who takes part."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog.models import Product
from affiliate.db import among, among_keys, db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.programs import agencies, book
from affiliate.programs.book import Book
from affiliate.programs.grades import Band
from affiliate.programs.models import (
    AgencyRate,
    AgencyRateVersion,
    Grade,
    GradeStanding,
    Group,
    GroupMember,
    Invitee,
    Membership,
    MembershipState,
    PlanType,
    Program,
    Rule,
    RuleVersion,
    Terms,
)

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
    of_programs: dict[ProgramKey, set[int]] = {}
    for *program, promoter_id in keys:
        of_programs.setdefault((program[0], program[1]), set()).add(promoter_id)
    wanted = (
        sa.and_(
            Membership.merchant_id == merchant_id,
            Membership.program_id == program_id,
            among(Membership.promoter_id, promoter_ids),
        )
        for (merchant_id, program_id), promoter_ids in of_programs.items()
    )
    rows = db.session.scalars(sa.select(Membership).where(sa.or_(sa.false(), *wanted)))
    return {(row.merchant_id, row.program_id, row.promoter_id): row for row in rows}


def by_keys(keys: Collection[ProgramKey]) -> dict[ProgramKey, Program]:
    wanted = sa.tuple_(Program.merchant_id, Program.id)
    rows = db.session.scalars(sa.select(Program).where(wanted.in_(list(set(keys)))))
    return {(row.merchant_id, row.id): row for row in rows}


def books(programs: Collection[ProgramKey], *, share: bool = False) -> dict[ProgramKey, Book]:
    """The whole rule book of each program: terms and rules, each version earliest first.

    With `share` nobody changes these programs until the end of the transaction, so that what is
    booked by these books is counted by whoever sees the next ones.
    """
    if not programs:
        return {}
    if share:
        wanted = sa.tuple_(Program.merchant_id, Program.id).in_(list(programs))
        db.session.execute(
            sa.select(Program.id).where(wanted).order_by(Program.id).with_for_update(read=True)
        )
    terms, rules, rates = terms_of(programs), rules_of(programs), agency_rates_of(programs)
    return {
        key: Book(
            [
                book.Terms(
                    each.effective_from,
                    each.default_rate_ppm,
                    each.max_total_ppm,
                    any(cap["per"] != "order" for cap in each.caps),
                    each.notice_days,
                )
                for each in terms[key]
            ],
            rules.get(key, []),
            rates.get(key, []),
        )
        for key in programs
    }


def inline_rates(merchant_id: int, product_ids: Collection[int]) -> dict[tuple[int, int], int]:
    """The rates that hold now of what was typed into the product table: by program and product."""
    rows = db.session.execute(
        sa.select(Rule.program_id, Rule.product_id, RuleVersion.rate_ppm, RuleVersion.ended)
        .join(
            RuleVersion,
            sa.and_(RuleVersion.merchant_id == Rule.merchant_id, RuleVersion.rule_id == Rule.id),
        )
        .where(
            Rule.merchant_id == merchant_id,
            Rule.product_id.in_(product_ids),
            Rule.inline,
            RuleVersion.effective_from <= clock.now(),
        )
        .order_by(RuleVersion.effective_from)
    )
    latest = {(row.program_id, row.product_id): row for row in rows}
    return {key: row.rate_ppm for key, row in latest.items() if not row.ended}


def rules_of(programs: Collection[ProgramKey]) -> dict[ProgramKey, list[book.Rule]]:
    """All versions of all rules of these programs, earliest first."""
    rows = db.session.execute(
        sa.select(Rule, RuleVersion, Product.shop_id, Product.external_id)
        .join(
            RuleVersion,
            sa.and_(RuleVersion.merchant_id == Rule.merchant_id, RuleVersion.rule_id == Rule.id),
        )
        .outerjoin(
            Product,
            sa.and_(Product.merchant_id == Rule.merchant_id, Product.id == Rule.product_id),
        )
        .where(sa.tuple_(Rule.merchant_id, Rule.program_id).in_(list(programs)))
        .order_by(RuleVersion.effective_from, RuleVersion.id)
    )
    found: dict[ProgramKey, list[book.Rule]] = {}
    for rule, version, shop_id, external_id in rows:
        product = None if external_id is None else (shop_id, external_id)
        key = (rule.merchant_id, rule.program_id)
        found.setdefault(key, []).append(_version(rule, version, product))
    return {key: book.standing(versions) for key, versions in found.items()}


def agency_rates_of(
    programs: Collection[ProgramKey],
) -> dict[ProgramKey, list[agencies.AgencyRate]]:
    """All versions of what agencies get in these programs, earliest first."""
    of_rate = sa.and_(
        AgencyRateVersion.merchant_id == AgencyRate.merchant_id,
        AgencyRateVersion.rate_id == AgencyRate.id,
    )
    of_product = sa.and_(
        Product.merchant_id == AgencyRate.merchant_id, Product.id == AgencyRate.product_id
    )
    rows = db.session.execute(
        sa.select(AgencyRate, AgencyRateVersion, Product.shop_id, Product.external_id)
        .join(AgencyRateVersion, of_rate)
        .outerjoin(Product, of_product)
        .where(sa.tuple_(AgencyRate.merchant_id, AgencyRate.program_id).in_(list(programs)))
        .order_by(AgencyRateVersion.effective_from, AgencyRateVersion.id)
    )
    found: dict[ProgramKey, list[agencies.AgencyRate]] = {}
    for rate, version, shop_id, external_id in rows:
        found.setdefault((rate.merchant_id, rate.program_id), []).append(
            agencies.AgencyRate(
                rate_id=rate.id,
                version_id=version.id,
                agency_id=rate.agency_id,
                effective_from=version.effective_from,
                mode=version.mode,
                ppm=version.ppm,
                ended=version.ended,
                promoter_id=rate.promoter_id,
                product=None if external_id is None else (shop_id, external_id),
            )
        )
    return found


def agency_rate(
    merchant_id: int, program_id: int, rate_id: int, *, lock: bool = False
) -> AgencyRate:
    found = db.session.get(AgencyRate, (merchant_id, rate_id), with_for_update=lock or None)
    if found is None or found.program_id != program_id:
        raise NotFound(_("There is no such rate."))
    return found


def latest_agency_rates(
    rates: Collection[tuple[int, int]],
) -> dict[tuple[int, int], AgencyRateVersion]:
    """What each rate of an agency says last, by merchant and rate."""
    rows = db.session.scalars(
        sa.select(AgencyRateVersion)
        .where(among_keys(AgencyRateVersion.merchant_id, AgencyRateVersion.rate_id, list(rates)))
        .order_by(AgencyRateVersion.effective_from)
    )
    return {(row.merchant_id, row.rate_id): row for row in rows}


def _version(rule: Rule, version: RuleVersion, product: book.Product | None) -> book.Rule:
    return book.Rule(
        rule_id=rule.id,
        version_id=version.id,
        scope=rule.scope,
        effective_from=version.effective_from,
        kind=version.kind,
        rate_ppm=version.rate_ppm,
        amount=version.amount,
        currency=version.currency,
        priority=version.priority,
        ended=version.ended,
        promoter_id=rule.promoter_id,
        group_id=rule.group_id,
        product=product,
        category=rule.category,
        conditions=conditions_of(version.conditions),
    )


def conditions_of(stored: Mapping[str, Any]) -> book.Conditions:
    """Conditions as rules read them, from the JSON they are stored as."""
    given = dict(stored)
    for name in ("since", "until"):
        if name in given:
            given[name] = datetime.fromisoformat(given[name])
    for name in ("contents", "grades"):
        if name in given:
            given[name] = tuple(given[name])
    if "volume" in given:
        given["volume"] = Band(**given["volume"])
    return book.Conditions(**given)


def latest_versions(rules: Collection[tuple[int, int]]) -> dict[tuple[int, int], RuleVersion]:
    """What each rule says last, by merchant and rule; it may begin later than now."""
    rows = db.session.scalars(
        sa.select(RuleVersion)
        .where(sa.tuple_(RuleVersion.merchant_id, RuleVersion.rule_id).in_(list(rules)))
        .order_by(RuleVersion.id)
    )
    return {(row.merchant_id, row.rule_id): row for row in rows}


def rule(merchant_id: int, program_id: int, rule_id: int, *, lock: bool = False) -> Rule:
    found = db.session.get(Rule, (merchant_id, rule_id), with_for_update=lock or None)
    if found is None or found.program_id != program_id:
        raise NotFound(_("There is no such rule."))
    return found


def group(merchant_id: int, group_id: int, *, lock: bool = False) -> Group:
    found = db.session.get(Group, (merchant_id, group_id), with_for_update=lock or None)
    if found is None:
        raise NotFound(_("There is no such group."))
    return found


Membered = dict[int, list[GroupMember]]  # by promoter


def groups_of(promoter_id: int, at: datetime) -> frozenset[int]:
    """All groups of all merchants that this promoter was in at an instant."""
    rows = db.session.scalars(sa.select(GroupMember).filter_by(promoter_id=promoter_id))
    return groups_as_of(rows, at)


def group_members(merchant_id: int, promoter_ids: Collection[int]) -> Membered:
    """Every time these promoters spent in groups of this merchant."""
    found: Membered = {}
    rows = db.session.scalars(
        sa.select(GroupMember).where(
            GroupMember.merchant_id == merchant_id,
            GroupMember.promoter_id.in_(set(promoter_ids)),
        )
    )
    for row in rows:
        found.setdefault(row.promoter_id, []).append(row)
    return found


def groups_as_of(members: Iterable[GroupMember], at: datetime) -> frozenset[int]:
    """The groups a promoter was in at an instant."""
    return frozenset(
        each.group_id
        for each in members
        if each.since <= at and (each.until is None or at < each.until)
    )


def grade(merchant_id: int, grade_id: int, *, lock: bool = False) -> Grade:
    how = {"key_share": True} if lock else None
    found = db.session.get(Grade, (merchant_id, grade_id), with_for_update=how)
    if found is None:
        raise NotFound(_("There is no such grade."))
    return found


def ladder(merchant_id: int) -> list[Grade]:
    """The merchant's grades that are in use, the best first."""
    return list(
        db.session.scalars(
            sa.select(Grade)
            .where(Grade.merchant_id == merchant_id, Grade.ended_at.is_(None))
            .order_by(Grade.rank.desc())
        )
    )


def grades_by_id(merchant_id: int, grade_ids: Collection[int]) -> dict[int, Grade]:
    wanted = sa.select(Grade).where(Grade.merchant_id == merchant_id, among(Grade.id, grade_ids))
    return {row.id: row for row in db.session.scalars(wanted)}


def grades_as_of(
    merchant_id: int, wanted: Collection[tuple[int, datetime]]
) -> dict[tuple[int, datetime], int]:
    """The grade (its id) of each promoter as of an instant; who had none is left out."""
    rows = db.session.execute(
        sa.select(
            GradeStanding.promoter_id,
            GradeStanding.grade_id,
            GradeStanding.since,
            GradeStanding.until,
        )
        .where(
            GradeStanding.merchant_id == merchant_id,
            among(GradeStanding.promoter_id, {promoter_id for promoter_id, _ in wanted}),
        )
        .order_by(GradeStanding.since, GradeStanding.id)
    )
    held: dict[int, list[tuple[int, datetime, datetime | None]]] = {}
    for promoter_id, grade_id, since, until in rows:
        held.setdefault(promoter_id, []).append((grade_id, since, until))
    return {
        (promoter_id, at): grade_id
        for promoter_id, at in wanted
        for grade_id, since, until in held.get(promoter_id, [])  # of two, the later one
        if since <= at and (until is None or at < until)
    }


def grades_held(promoter_id: int, merchant_ids: Collection[int]) -> dict[int, Grade]:
    """What grade a promoter has now, by merchant."""
    rows = db.session.scalars(
        sa.select(Grade)
        .join(
            GradeStanding,
            sa.and_(
                GradeStanding.merchant_id == Grade.merchant_id, GradeStanding.grade_id == Grade.id
            ),
        )
        .where(
            GradeStanding.promoter_id == promoter_id,
            GradeStanding.until.is_(None),
            among(GradeStanding.merchant_id, merchant_ids),
        )
    )
    return {row.merchant_id: row for row in rows}


def grade_counts(merchant_id: int) -> dict[int, int]:
    """How many promoters have each grade now."""
    rows = db.session.execute(
        sa.select(GradeStanding.grade_id, sa.func.count().label("number"))
        .where(GradeStanding.merchant_id == merchant_id, GradeStanding.until.is_(None))
        .group_by(GradeStanding.grade_id)
    )
    return {row.grade_id: row.number for row in rows}


def invitees_of(program: Program) -> list[Invitee]:
    """Whom the program names now."""
    return list(
        db.session.scalars(
            sa.select(Invitee)
            .where(
                Invitee.merchant_id == program.merchant_id,
                Invitee.program_id == program.id,
                Invitee.until.is_(None),
            )
            .order_by(Invitee.id)
        )
    )


def invitees(programs: Collection[ProgramKey]) -> dict[ProgramKey, list[Invitee]]:
    """Whom these programs ever named."""
    found: dict[ProgramKey, list[Invitee]] = {}
    wanted = sa.tuple_(Invitee.merchant_id, Invitee.program_id)
    for row in db.session.scalars(sa.select(Invitee).where(wanted.in_(list(programs)))):
        found.setdefault((row.merchant_id, row.program_id), []).append(row)
    return found


def named(promoter_id: Any) -> sa.ColumnElement[bool]:
    """The clause for programs that this promoter may see: public ones, and those that name them."""
    in_group = sa.exists().where(
        GroupMember.merchant_id == Invitee.merchant_id,
        GroupMember.group_id == Invitee.group_id,
        GroupMember.promoter_id == promoter_id,
        GroupMember.until.is_(None),
    )
    return sa.or_(
        Program.plan_type == PlanType.PUBLIC,
        sa.exists().where(
            Invitee.merchant_id == Program.merchant_id,
            Invitee.program_id == Program.id,
            Invitee.until.is_(None),
            sa.or_(Invitee.promoter_id == promoter_id, in_group),
        ),
    )


def is_named(program: Program, promoter_id: int) -> bool:
    """Whether this promoter may take part now, as far as the plan type goes."""
    found = sa.select(Program.id).where(
        Program.merchant_id == program.merchant_id, Program.id == program.id, named(promoter_id)
    )
    return db.session.scalar(found) is not None


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


def is_known(merchant_id: int, promoter_id: int) -> bool:
    """Whether this promoter applied to, takes or took part in a program of the merchant."""
    found = sa.exists().where(
        Membership.merchant_id == merchant_id, Membership.promoter_id == promoter_id
    )
    return bool(db.session.scalar(sa.select(found)))


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
