"""The engine against the oracle on random cases. A failure names its seed: `case(SEED)` again."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from affiliate.commissions.rules import worths
from tests.oracle import cases, oracle

FEW, MANY = 1500, 60_000


def differences(seeds) -> Iterator[str]:
    """Where engine and oracle pay differently."""
    for seed in seeds:
        random = Random(seed)
        order = cases.an_order(random)
        world = cases.a_world(random, order)
        wanted, (got, _notes) = oracle.targets(order, world), cases.engine_targets(order, world)
        if wanted != got:
            wrong = {key for key in wanted.keys() | got.keys() if wanted.get(key) != got.get(key)}
            yield f"seed {seed}: {[(k, wanted.get(k), got.get(k)) for k in sorted(wrong)]}"


def other_choices(seeds) -> Iterator[str]:
    """Where they credit others."""
    for seed in seeds:
        case = cases.a_choice(Random(seed))
        wanted = oracle.credited(case.touches, cases.NOON, case.renewal)
        got = cases.engine_choice(case)
        if wanted != got:
            yield f"seed {seed}: {wanted} and not {got}"


def other_groups(seeds) -> Iterator[str]:
    """Where they credit others with an order that joined a group."""
    for seed in seeds:
        random = Random(seed)
        case = cases.a_joining(random)
        opened = cases.parts(random, case)
        wanted = oracle.joined(opened, cases.NOON, case.renewal)
        got = cases.engine_joined(case, opened)
        if wanted != got:
            yield f"seed {seed}: {wanted} and not {got}"


def other_steps(seeds) -> Iterator[str]:
    """Where they disagree about uplines, holds, and which entries a change makes."""
    for seed in seeds:
        for name, asked in cases.some_steps(Random(seed)).items():
            wanted, got = getattr(oracle, name)(*asked), getattr(cases, f"engine_{name}")(*asked)
            if wanted != got:
                yield f"seed {seed}: {name}{asked} is {wanted} and not {got}"


def test_the_engine_pays_what_the_oracle_says():
    assert list(islice(differences(range(FEW)), 3)) == []


def test_the_engine_credits_whom_the_oracle_says():
    assert list(islice(other_choices(range(FEW)), 3)) == []


def test_the_engine_credits_who_joins_a_group_as_the_oracle_says():
    assert list(islice(other_groups(range(FEW)), 3)) == []


def test_the_engine_steps_as_the_oracle_says():
    assert list(islice(other_steps(range(FEW)), 3)) == []


@pytest.mark.long
def test_the_engine_pays_what_the_oracle_says_many_times():
    assert list(islice(differences(range(FEW, MANY)), 3)) == []


@pytest.mark.long
def test_the_engine_credits_whom_the_oracle_says_many_times():
    assert list(islice(other_choices(range(FEW, MANY)), 3)) == []


def test_what_is_paid_and_what_stays_is_the_base():
    """Conservation: nobody pays out more than the base, and full refunds leave nothing."""
    for seed in range(FEW):
        random = Random(seed)
        order = cases.an_order(random)
        world = cases.a_world(random, order)
        paid, _notes = cases.engine_targets(order, world)
        bases = {each.line.external_id: each.base for each in worths(order, base="net")[0]}
        gross = {each.line.external_id: each.base for each in worths(order, base="gross")[0]}
        for line, base in (gross if world.gross else bases).items():
            payees = sum(
                amount
                for (key, role, *_), amount in paid.items()
                if key == line and role != "platform_fee"
            )
            assert 0 <= payees <= base, seed


def test_everything_back_leaves_nothing_for_anybody():
    for seed in range(FEW):
        random = Random(seed)
        order = cases.an_order(random)
        world = cases.a_world(random, order)
        back = replace(order, cancelled_at=cases.NOON)
        paid, _notes = cases.engine_targets(back, world)
        assert set(paid.values()) <= {0}, seed
