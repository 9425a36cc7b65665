"""Taking promoters in."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid, NotFound
from affiliate.people import service as people
from affiliate.programs import queries, service
from affiliate.programs.models import Membership
from tests.factories.people import a_promoter
from tests.factories.programs import a_program, an_enrolment


@pytest.fixture
def promoter():
    return a_promoter()


def test_an_open_program_takes_everybody_in_at_once(promoter, clock):
    now = clock.stand("2026-11-22T12:00:00Z")
    member = service.enrol(a_program(), promoter.id, by_merchant=False)

    assert (member.state, member.active_from, member.active_until) == ("active", now, None)


def test_approval_is_waited_for(promoter, clock):
    clock.stand("2026-11-22T12:00:00Z")
    member = service.enrol(a_program(enrolment="approval"), promoter.id, by_merchant=False)
    assert (member.state, member.active_from) == ("applied", None)

    approved = clock.move(days=1)
    service.approve(member)

    assert (member.state, member.active_from) == ("active", approved)


def test_only_the_merchant_invites(promoter):
    program = a_program(enrolment="invite")

    with pytest.raises(service.InviteOnly):
        service.enrol(program, promoter.id, by_merchant=False)
    assert service.enrol(program, promoter.id, by_merchant=True).state == "active"


def test_nobody_is_enrolled_twice(promoter):
    for enrolment in ("open", "approval"):
        program = a_program(enrolment=enrolment)
        service.enrol(program, promoter.id, by_merchant=False)
        with pytest.raises(service.AlreadyEnrolled):
            service.enrol(program, promoter.id, by_merchant=True)


def test_who_was_refused_may_apply_again(promoter):
    program = a_program(enrolment="approval")
    member = service.enrol(program, promoter.id, by_merchant=False)
    service.refuse(member)
    assert (member.state, member.active_from) == ("refused", None)

    assert service.enrol(program, promoter.id, by_merchant=False).state == "applied"


@pytest.mark.parametrize("decide", [service.approve, service.refuse])
def test_only_who_waits_is_decided_upon(promoter, decide):
    member = service.enrol(a_program(), promoter.id, by_merchant=False)

    with pytest.raises(service.NotWaiting):
        decide(member)


def test_only_who_takes_part_can_leave(promoter):
    member = service.enrol(a_program(enrolment="approval"), promoter.id, by_merchant=False)

    with pytest.raises(service.NotEnrolled):
        service.end(member)


def test_a_program_that_ended_takes_nobody(promoter):
    program = a_program()
    service.change_program(program, {"ended": True})

    with pytest.raises(service.ProgramEnded):
        service.enrol(program, promoter.id, by_merchant=True)


def test_a_promoter_who_is_unknown_or_stopped_is_not_taken(promoter):
    program = a_program()
    people.suspend(promoter)

    for promoter_id in (promoter.id, 999_999):
        with pytest.raises(Invalid) as refused:
            service.enrol(program, promoter_id, by_merchant=True)
        assert refused.value.errors[0].pointer == "/promoter"


@pytest.mark.parametrize("enrolment", ["open", "approval"])
def test_whether_somebody_took_part_is_known_of_any_instant(promoter, clock, enrolment):
    start = clock.stand("2026-11-01T00:00:00Z")
    program = a_program(enrolment=enrolment)

    def come():
        member = service.enrol(program, promoter.id, by_merchant=False)
        return service.approve(member) if enrolment == "approval" else member

    member = come()
    clock.move(days=2)
    service.end(member)
    clock.move(days=2)
    come()
    clock.move(days=2)
    service.end(member)
    clock.move(days=1)
    come()

    took_part = [day for day in range(9) if member.was_active(start + timedelta(days=day))]
    assert took_part == [0, 1, 4, 5, 7, 8]
    assert not member.was_active(start - timedelta(microseconds=1))
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Membership)) == 1


def test_who_waits_again_took_part_before(promoter, clock):
    start = clock.stand("2026-11-01T00:00:00Z")
    program = a_program(enrolment="approval")
    member = an_enrolment(program, promoter)
    clock.move(days=1)
    service.end(member)
    service.enrol(program, promoter.id, by_merchant=False)

    assert member.state == "applied"
    assert member.was_active(start)
    assert not member.was_active(start + timedelta(days=1))
    service.refuse(member)
    assert member.was_active(start)


def test_memberships_of_many_are_found_at_once(promoter):
    members = [an_enrolment(a_program(), promoter) for _ in range(3)]
    keys = [(each.merchant_id, each.program_id, each.promoter_id) for each in members]

    found = queries.memberships([*keys, (1, 2, 3)])

    assert found == dict(zip(keys, members, strict=True))
    assert queries.memberships([]) == {}


def test_an_enrolment_is_found_in_its_own_program_only(promoter):
    member = an_enrolment(a_program(), promoter)

    assert queries.enrolment(member.merchant_id, member.program_id, member.id) is member
    with pytest.raises(NotFound):
        queries.enrolment(member.merchant_id, member.program_id + 1, member.id)


def test_two_asking_at_once_are_one_enrolment(app, committed):
    with unit_of_work():
        program, promoter = a_program(), a_promoter()
    results = []

    def ask():
        with app.app_context():
            try:
                with unit_of_work():
                    service.enrol(program, promoter.id, by_merchant=False)
                results.append("in")
            except service.AlreadyEnrolled:
                results.append("already")

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(results) == ["already"] * 5 + ["in"]
