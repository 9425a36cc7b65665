"""Programs and their dated terms."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.db import db
from affiliate.errors import Invalid
from affiliate.people.models import Role
from affiliate.programs import queries, service
from affiliate.programs.models import BEGINNING, Terms
from affiliate.programs.rules import Offer, Policy, policy_of, strictest
from affiliate.programs.service import PolicyRefuses, Waiver
from tests.factories.catalog import a_shop
from tests.factories.people import a_merchant, a_user
from tests.factories.programs import a_program


def terms_of(program) -> list[Terms]:
    key = (program.merchant_id, program.id)
    return queries.terms_of([key])[key]


def pointers(refused) -> list[tuple[str, str]]:
    return [(each.pointer, each.code) for each in refused.value.errors]


def test_a_program_says_what_it_pays_from_the_beginning():
    program = a_program(default_rate_ppm=120_000)

    [terms] = terms_of(program)

    assert terms.effective_from == BEGINNING
    assert service.offer_of(terms) == Offer(120_000)
    assert (terms.window_days, terms.model, terms.sources, terms.credit) == (
        30, "last", ["coupon", "click", "sharer", "binding"], "order"
    )  # fmt: skip
    assert (terms.hold_days, terms.hold_fallback_days, terms.max_total_ppm) == (15, 15, 1_000_000)
    assert (terms.self_purchase, terms.inactive_upline, terms.base) == ("none", "skip", "net")


def test_other_terms_hold_from_now_on_and_the_old_ones_stay(clock):
    start = clock.stand("2026-11-01T00:00:00Z")
    program = a_program(default_rate_ppm=100_000)
    changed = clock.move(days=5)
    service.change_program(program, {"default_rate_ppm": 150_000, "tiers_ppm": (30_000,)})

    versions = terms_of(program)

    assert [each.default_rate_ppm for each in versions] == [100_000, 150_000]
    assert queries.as_of(versions, start).default_rate_ppm == 100_000
    assert queries.as_of(versions, changed - timedelta(microseconds=1)).tiers_ppm == []
    assert queries.as_of(versions, changed).tiers_ppm == [30_000]
    found = queries.terms_as_of(program.merchant_id, [program.id], start)
    assert found[program.id].default_rate_ppm == 100_000


def test_a_change_of_words_is_no_change_of_terms():
    program = a_program()
    service.change_program(program, {"name": "Other", "priority": 5, "default_rate_ppm": 100_000})

    assert (program.name, program.priority, program.version) == ("Other", 5, 2)
    assert len(terms_of(program)) == 1


def test_a_clock_set_back_does_not_turn_terms_around(clock):
    clock.stand("2026-11-10T00:00:00Z")
    program = a_program()
    service.change_program(program, {"default_rate_ppm": 200_000})
    clock.stand("2026-11-09T00:00:00Z")

    service.change_program(program, {"default_rate_ppm": 300_000})

    assert queries.latest_terms(program.merchant_id, program.id).default_rate_ppm == 300_000
    assert [each.default_rate_ppm for each in terms_of(program)] == [100_000, 200_000, 300_000]


def test_a_rate_above_the_cap_cannot_be_saved():
    with pytest.raises(Invalid) as refused:
        a_program(default_rate_ppm=200_000, max_total_ppm=150_000)
    assert pointers(refused) == [("/default_rate_ppm", "above_cap")]

    program = a_program(default_rate_ppm=100_000, max_total_ppm=150_000)
    with pytest.raises(Invalid):
        service.change_program(program, {"default_rate_ppm": 150_001})
    assert len(terms_of(program)) == 1


def test_tiers_may_sum_up_above_the_cap():
    program = a_program(default_rate_ppm=200_000, tiers_ppm=(50_000, 30_000), max_total_ppm=250_000)

    assert terms_of(program)[0].tiers_ppm == [50_000, 30_000]


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("default_rate_ppm", -1, "/default_rate_ppm"),
        ("default_rate_ppm", 1_000_001, "/default_rate_ppm"),
        ("tiers_ppm", (-1,), "/tiers_ppm/0"),
        ("tiers_ppm", (1, 1_000_001), "/tiers_ppm/1"),
        ("tiers_ppm", (1,) * 10, "/tiers_ppm"),
        ("window_days", -1, "/window_days"),
        ("window_days", 10_000, "/window_days"),
        ("hold_days", -1, "/hold_days"),
        ("hold_fallback_days", 400, "/hold_fallback_days"),
        ("model", "random", "/model"),
        ("credit", "nobody", "/credit"),
        ("self_purchase", "yes", "/self_purchase"),
        ("inactive_upline", "pay", "/inactive_upline"),
        ("base", "grossest", "/base"),
        ("sources", (), "/sources"),
        ("sources", ("click", "click"), "/sources"),
        ("sources", ("claim",), "/sources/0"),
        ("enrolment", "secret", "/enrolment"),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_name(field, value, pointer):
    with pytest.raises(Invalid) as refused:
        a_program(**{field: value})

    assert pointer in [each[0] for each in pointers(refused)]


# --- policy ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "tiers", "allowed"),
    [
        ("BR", (), True),
        ("BR", (50_000, 30_000), True),
        ("BR", (50_000, 30_000, 10_000), False),
        ("BR", (50_000, 30_000, 0), True),
        ("CN", (), True),
        ("CN", (50_000,), False),
        ("CN", (0,), True),
        ("CN", (0, 50_000), False),
    ],
)
def test_paid_levels_are_as_many_as_the_shop_s_country_allows(country, tiers, allowed):
    merchant = a_merchant()
    a_shop(merchant, country=country)
    if allowed:
        assert a_program(merchant, tiers_ppm=tiers)
        return
    with pytest.raises(PolicyRefuses) as refused:
        a_program(merchant, tiers_ppm=tiers)
    assert pointers(refused) == [("/tiers_ppm", "policy_levels")]


def test_the_strictest_of_a_program_s_countries_counts():
    merchant = a_merchant()
    brazil, _ = a_shop(merchant, country="BR"), a_shop(merchant, country="CN")

    with pytest.raises(PolicyRefuses):
        a_program(merchant, tiers_ppm=(50_000,))
    assert a_program(merchant, tiers_ppm=(50_000,), shop_ids=[brazil.id])


def test_without_a_shop_the_merchant_s_own_country_counts():
    with pytest.raises(PolicyRefuses):
        a_program(a_merchant(country="CN", currency="CNY"), tiers_ppm=(50_000,))


def test_in_china_an_operator_may_allow_a_second_level_with_a_reason():
    merchant = a_merchant(country="CN", currency="CNY")
    operator = a_user()
    waiver = Waiver("Reviewed by counsel, file 12", operator.id)

    program = a_program(merchant, tiers_ppm=(50_000,), waiver=waiver)

    [terms] = terms_of(program)
    assert (terms.policy_reason, terms.policy_user_id) == (waiver.reason, operator.id)
    service.change_program(program, {"tiers_ppm": (40_000,)})
    assert terms_of(program)[-1].policy_reason == waiver.reason
    with pytest.raises(PolicyRefuses):
        service.change_program(program, {"tiers_ppm": (40_000, 10_000)}, waiver=waiver)


def test_a_reason_allows_nothing_more_elsewhere():
    with pytest.raises(PolicyRefuses):
        a_program(tiers_ppm=(1, 1, 1), waiver=Waiver("because", a_user(Role.OPERATOR).id))


def test_a_change_is_held_to_the_policy_too():
    program = a_program(tiers_ppm=(50_000, 30_000))

    with pytest.raises(PolicyRefuses):
        service.change_program(program, {"tiers_ppm": (50_000, 30_000, 10_000)})


def test_a_program_cannot_be_moved_onto_a_shop_where_it_pays_too_many():
    merchant = a_merchant()
    brazil, china = a_shop(merchant, country="BR"), a_shop(merchant, country="CN")
    program = a_program(merchant, tiers_ppm=(50_000,), shop_ids=[brazil.id])

    with pytest.raises(PolicyRefuses):
        service.change_program(program, {"shop_ids": [china.id]})


def test_a_new_shop_is_refused_where_a_program_of_all_shops_pays_too_many():
    merchant = a_merchant()
    brazil = a_shop(merchant, country="BR")
    service.check_new_shop(merchant.id, "CN")
    a_program(merchant, tiers_ppm=(50_000,), shop_ids=[brazil.id])
    service.check_new_shop(merchant.id, "CN")
    everywhere = a_program(merchant, tiers_ppm=(50_000,))

    service.check_new_shop(merchant.id, "AR")
    with pytest.raises(PolicyRefuses):
        service.check_new_shop(merchant.id, "CN")
    service.change_program(everywhere, {"ended": True})
    service.check_new_shop(merchant.id, "CN")


def test_the_database_itself_knows_no_more_than_ten_levels():
    program = a_program()
    more = sa.update(Terms).values(tiers_ppm=[1] * 10).where(Terms.program_id == program.id)

    with pytest.raises(sa.exc.IntegrityError, match="program_terms_levels_check"):
        db.session.execute(more)


def test_policies_are_dated(monkeypatch):
    now = time.now()
    later = now + timedelta(days=1)
    from affiliate.programs import rules

    dated = (*rules.POLICIES["CN"], Policy(later, levels=0, levels_with_reason=0, source="new"))
    monkeypatch.setattr(rules, "POLICIES", {**rules.POLICIES, "CN": dated})

    assert policy_of("CN", now).levels == 1
    assert policy_of("CN", later).levels == 0
    assert strictest(["BR", "CN", "US"], now)[0] == "CN"


# --- shops and fallback ----------------------------------------------------------------------


def test_a_program_lists_shops_of_its_merchant_only():
    merchant = a_merchant()
    mine, theirs = a_shop(merchant), a_shop(a_merchant("Casa Berta"))

    assert a_program(merchant, shop_ids=[mine.id, mine.id]).shop_ids == [mine.id]
    with pytest.raises(Invalid) as refused:
        a_program(merchant, shop_ids=[mine.id, theirs.id])
    assert pointers(refused) == [("/shops", "unknown_shop")]


def test_the_fallback_is_a_page_of_the_program_s_shops():
    merchant = a_merchant()
    shop, other = a_shop(merchant), a_shop(merchant)

    program = a_program(merchant, fallback_url=f"https://{shop.domain}/sale", shop_ids=[shop.id])

    assert program.fallback_url == f"https://{shop.domain}/sale"
    for url, code in [
        (f"https://{other.domain}/", "foreign_host"),
        ("https://evil.example.net/", "foreign_host"),
        ("javascript:alert(1)", "bad_url"),
    ]:
        with pytest.raises(Invalid) as refused:
            service.change_program(program, {"fallback_url": url})
        assert pointers(refused) == [("/fallback_url", code)]


def test_a_program_ends_and_begins_again():
    program = a_program()
    service.change_program(program, {"ended": True})
    ended = program.ended_at
    service.change_program(program, {"ended": True})
    assert program.ended_at == ended is not None

    service.change_program(program, {"ended": False})

    assert program.ended_at is None


def test_terms_of_many_programs_are_one_statement():
    programs = [a_program() for _ in range(3)]
    keys = [(each.merchant_id, each.id) for each in programs]
    seen = []

    def note(_conn, _cursor, statement, *_):
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    found = queries.terms_of([*keys, (999, 999)])
    sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert len(seen) == 1
    assert [len(found[key]) for key in keys] == [1, 1, 1]
    assert found[999, 999] == []
    assert queries.terms_of([]) == {}
