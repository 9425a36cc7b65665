"""Whose a coupon code or a platform's sharer id is, from when to when."""

from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from affiliate import clock
from affiliate.attribution.models import Coupon, Sharer
from affiliate.catalog.models import Shop
from affiliate.db import db
from affiliate.errors import Conflict, FieldError, invalid
from affiliate.i18n import _
from affiliate.programs import queries as programs
from affiliate.programs.book import normal_code
from affiliate.programs.models import Program
from affiliate.programs.service import NotEnrolled, ProgramEnded

LONGEST = 100
Owned = TypeVar("Owned", Coupon, Sharer)


class Taken(Conflict):
    """Somebody else has it; end that first."""

    code = "taken"


def add_coupon(program: Program, promoter_id: int, code: str) -> Coupon:
    """From now on orders with this code are this promoter's."""
    _require_member(program, promoter_id)
    normal = normal_code(code)
    if not normal or len(normal) > LONGEST:
        message = _("From %(least)s to %(most)s.", least=1, most=LONGEST)
        raise invalid("/code", "out_of_range", message)
    row = Coupon(
        merchant_id=program.merchant_id,
        program_id=program.id,
        promoter_id=promoter_id,
        code=code.strip(),
        normal_code=normal,
        since=clock.now(),
    )
    return _add(row, "/code")


def add_sharer(program: Program, promoter_id: int, shop: Shop, external_id: str) -> Sharer:
    """From now on orders of this shop that name this sharer are this promoter's."""
    _require_member(program, promoter_id)
    row = Sharer(
        merchant_id=program.merchant_id,
        shop_id=shop.id,
        external_id=external_id,
        program_id=program.id,
        promoter_id=promoter_id,
        since=clock.now(),
    )
    return _add(row, "/external_id")


def end_coupon(coupon: Coupon) -> Coupon:
    """The code is free again; orders made before stay as they are."""
    return _end(coupon)


def note_change(coupon: Coupon) -> None:
    """Something that belongs to it is another one: who read it before must read it again."""
    coupon.version += 1
    db.session.flush()


def end_sharer(sharer: Sharer) -> Sharer:
    return _end(sharer)


def _add(row: Owned, pointer: str) -> Owned:
    try:
        with db.session.begin_nested():
            db.session.add(row)
            db.session.flush()
    except IntegrityError as error:
        message = _("Another promoter has it. End that first.")
        raise Taken(message, errors=(FieldError(pointer, "taken", message),)) from error
    return row


def _end(row: Owned) -> Owned:
    if row.until is None:
        row.until = max(clock.now(), row.since)
        row.version += 1
        db.session.flush()
    return row


def _require_member(program: Program, promoter_id: int) -> None:
    if program.ended_at is not None:
        raise ProgramEnded(_("This program has ended."))
    member = programs.membership(program.merchant_id, program.id, promoter_id)
    if member is None or not member.was_active(clock.now()):
        message = _("The promoter does not take part in this program.")
        raise NotEnrolled(message, errors=(FieldError("/promoter", "not_enrolled", message),))
