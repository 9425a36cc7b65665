"""A merchant's ladder of grades, and who stands on which step. All of it is dated."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from affiliate import clock, events
from affiliate.db import among, db, inserting
from affiliate.errors import Conflict, FieldError, Invalid, invalid
from affiliate.i18n import _
from affiliate.money import EXPONENTS, LARGEST
from affiliate.people import queries as people
from affiliate.programs import queries
from affiliate.programs.grades import MEASURES, MONEY, Figures
from affiliate.programs.models import Grade, GradeStanding, Rule, RuleVersion

Needs = Sequence[Sequence[Mapping[str, Any]]]
LISTS, LENGTH = 10, 10


class GradeExists(Conflict):
    code = "grade_exists"


class GradeInUse(Conflict):
    code = "grade_in_use"


def create_grade(merchant_id: int, *, name: str, rank: int, needs: Needs = ()) -> Grade:
    """A new step. Without needs nobody earns it: it is given by hand."""
    _check(needs)
    grade = Grade(merchant_id=merchant_id, name=name, rank=rank, needs=_plain(needs))
    return _stored(grade)


def change_grade(grade: Grade, changes: Mapping[str, Any]) -> Grade:
    """Other needs count from the next closed period on; who has the grade keeps it until then."""
    if "needs" in changes:
        _check(changes["needs"])
        changes = {**changes, "needs": _plain(changes["needs"])}
    for name, value in changes.items():
        setattr(grade, name, value)
    grade.version += 1
    return _stored(grade)


def end_grade(grade: Grade) -> Grade:
    """Nobody has it any more from now on. Refused while a rule asks for it; safe to repeat."""
    if grade.ended_at is not None:
        return grade
    asking = _rules_asking(grade)
    if asking:
        message = _("Rules of %(programs)s ask for this grade.", programs=", ".join(asking))
        raise GradeInUse(message)
    hold_ladder(grade.merchant_id)
    grade.ended_at = clock.now()
    grade.version += 1
    _close(grade.merchant_id, GradeStanding.grade_id == grade.id, at=grade.ended_at)
    db.session.flush()
    return grade


def _stored(grade: Grade) -> Grade:
    try:
        with db.session.begin_nested():
            db.session.add(grade)
            db.session.flush()
    except sa.exc.IntegrityError as error:
        name = getattr(getattr(error.orig, "diag", None), "constraint_name", "")
        if name not in {"grades_rank_idx", "grades_name_idx"}:
            raise
        pointer = "/rank" if name == "grades_rank_idx" else "/name"
        message = _("There is a grade of this rank or name already.")
        raise GradeExists(
            message, errors=(FieldError(pointer, "grade_exists", message),)
        ) from error
    return grade


def _rules_asking(grade: Grade) -> list[str]:
    """The names of programs with a rule whose last version asks for it."""
    of_rule = sa.and_(RuleVersion.merchant_id == Rule.merchant_id, RuleVersion.rule_id == Rule.id)
    rows = db.session.execute(
        sa.select(Rule.merchant_id, Rule.program_id)
        .join(RuleVersion, of_rule)
        .where(
            Rule.merchant_id == grade.merchant_id,
            RuleVersion.conditions["grades"].contains([grade.id]),
        )
        .distinct()
    )
    found = queries.rules_of([(merchant_id, program_id) for merchant_id, program_id in rows])
    latest = {rule.rule_id: (key, rule) for key, rules in found.items() for rule in rules}
    asking = {
        key
        for key, rule in latest.values()
        if not rule.ended and grade.id in rule.conditions.grades
    }
    return sorted(program.name for program in queries.by_keys(asking).values())


@dataclass(frozen=True, slots=True)
class Change:
    """Where a promoter stands from now on (None: on no step), and what made it."""

    promoter_id: int
    grade_id: int | None
    figures: Figures | None = None


def stand(
    merchant_id: int,
    changes: Iterable[Change],
    *,
    since: datetime,
    period: date | None = None,
    by: int | None = None,
) -> None:
    """Write down where promoters stand from an instant on; each is told. The former ends there."""
    changes = list(changes)
    who = [change.promoter_id for change in changes]
    _close(merchant_id, among(GradeStanding.promoter_id, who), at=since)
    rows = [
        {
            "merchant_id": merchant_id,
            "promoter_id": change.promoter_id,
            "grade_id": change.grade_id,
            "since": since,
            "period": period,
            "figures": change.figures.as_json() if change.figures else None,
            "user_id": by,
            "created_at": clock.now(),
        }
        for change in changes
        if change.grade_id is not None
    ]
    if rows:
        db.session.execute(inserting(GradeStanding, rows))
    names = {grade.id: grade.name for grade in queries.ladder(merchant_id)}
    merchant = people.merchant(merchant_id).name
    events.record_all(
        events.Happening(
            "grade.changed",
            merchant_id=merchant_id,
            promoter_id=change.promoter_id,
            payload={
                "grade": names.get(change.grade_id or 0),
                "merchant": merchant,
                "since": since.isoformat(),
            },
        )
        for change in changes
    )


def give_grade(grade: Grade, promoter_id: int, *, by: int | None = None) -> None:
    """By hand and from now on; the next closed period may take it up or down like any other."""
    if grade.ended_at is not None:
        raise GradeInUse(_("This grade is not used any more."))
    if not queries.is_known(grade.merchant_id, promoter_id):
        raise invalid("/promoter", "unknown_promoter", _("There is no such promoter here."))
    hold_ladder(grade.merchant_id)
    now = clock.now()
    held = queries.grades_as_of(grade.merchant_id, [(promoter_id, now)])
    if held.get((promoter_id, now)) != grade.id:
        stand(grade.merchant_id, [Change(promoter_id, grade.id)], since=now, by=by)


def hold_ladder(merchant_id: int) -> None:
    """Until the end of the transaction nobody else of this merchant's changes who stands where."""
    key = sa.func.hashtextextended(f"grades/{merchant_id}", 0)
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def _close(merchant_id: int, which: sa.ColumnElement[bool], *, at: datetime) -> None:
    db.session.execute(
        sa.update(GradeStanding)
        .where(GradeStanding.merchant_id == merchant_id, which, GradeStanding.until.is_(None))
        .values(until=sa.func.greatest(GradeStanding.since, at))
    )


def _plain(needs: Needs) -> list[list[dict[str, Any]]]:
    return [[dict(need) for need in each] for each in needs]


def _check(needs: Needs) -> None:
    faults = []
    if len(needs) > LISTS or any(not 0 < len(each) <= LENGTH for each in needs):
        message = _("At most ten lists of one to ten needs.")
        faults.append(FieldError("/needs", "out_of_range", message))
    for number, each in enumerate(needs):
        for place, need in enumerate(each):
            faults += _need_faults(f"/needs/{number}/{place}", need)
    if faults:
        raise Invalid(_("This grade cannot be stated."), errors=tuple(faults))


def _need_faults(pointer: str, need: Mapping[str, Any]) -> list[FieldError]:
    found = measure_faults(pointer, need["measure"], need.get("currency"))
    if not 1 <= need["at_least"] <= LARGEST:
        message = _("From %(least)s to %(most)s.", least=1, most=LARGEST)
        found.append(FieldError(f"{pointer}/at_least", "out_of_range", message))
    return found


def measure_faults(pointer: str, measure: str, currency: str | None) -> list[FieldError]:
    """Whether a measure is known, and has a currency exactly where it is money."""
    if measure not in MEASURES:
        message = _("One of %(allowed)s.", allowed=", ".join(MEASURES))
        return [FieldError(f"{pointer}/measure", "unknown_value", message)]
    if measure in MONEY and currency not in EXPONENTS:
        message = _("An amount has a currency.")
        return [FieldError(f"{pointer}/currency", "unknown_currency", message)]
    if measure not in MONEY and currency is not None:
        message = _("Orders are counted in all currencies together.")
        return [FieldError(f"{pointer}/currency", "not_for_measure", message)]
    return []
