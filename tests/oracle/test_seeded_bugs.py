"""Bugs put in on purpose, one for each rule: the suite must find every one of them.

A bug is a piece of a module's source and what stands there instead. The changed source is compiled
and its code put into the living functions, so nothing is written and nothing stays.
"""

import inspect
import types
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from affiliate import money
from affiliate.attribution import rules as choosing
from affiliate.commissions import rules, targets
from affiliate.programs import agencies, book, grades
from tests.commissions import test_golden, test_rules
from tests.oracle.test_oracle import differences, other_choices, other_steps

SEEDS = range(1500)
BUGS = {
    "the order's discount is forgotten": (
        rules, "max(0, weight - part) for", "max(0, weight) for",
    ),
    "tax inside stays in the base": (rules, "sum_paid - (inside or 0)", "sum_paid"),
    "gift cards earn": (rules, "if line.kind in EARNING_KINDS", "if line.kind"),
    "a failed refund takes back": (rules, 'refund.status == "succeeded"', 'refund.status != "x"'),
    "a lost dispute takes nothing back": (
        rules, 'if each.status == "lost" and each.amount is not None', 'if each.status == "none"',
    ),
    "pieces are rounded one by one": (
        rules,
        "amounts[index] += paid[index] - paid[index] * remaining // line.quantity",
        "amounts[index] += paid[index] // line.quantity * min(pieces[index], line.quantity)",
    ),
    "shipping counts as goods": (rules, "(refund.amount or 0) - refund.shipping", "refund.amount"),
    "the rest is spread over what was paid": (
        rules, "spread(min(rest, sum(left)), left)", "spread(min(rest, sum(left)), paid)",
    ),
    "cash is not brought to the basis of goods": (
        rules, "rest * goods_left // (goods_left + tax_left)", "rest",
    ),
    "whole pieces back leave a cent": (rules, "total - amount <= line.quantity", "total == amount"),
    "a cancelled order still pays": (rules, "order.cancelled_at is not None or", "False or"),
    "what is left is rounded up": (
        rules,
        "self.base * (self.paid - self.refunded) // self.paid",
        "-(-self.base * (self.paid - self.refunded) // self.paid)",
    ),
    "the seller is cut before the tiers": (
        rules, "for amount in wanted:\n        granted.append(min(amount, room))",
        "for amount in wanted[::-1]:\n        granted.insert(0, min(amount, room))",
    ),
    "an inactive upline is paid": (rules, "if person.active and ppm", "if ppm"),
    "what was released is taken back first": (
        rules, "from_pending = min(-difference, max(0, pending))",
        "from_pending = max(0, -difference - max(0, settled))",
    ),
    "delivery does not begin the hold": (rules, "max(paid_at, delivered_at)", "paid_at"),
    "ties go to the later line": (
        money, "(-(total * weights[i] % whole), i)", "(-(total * weights[i] % whole), -i)",
    ),
    "amounts are rounded to the nearest": (
        money, "amount * ppm // PPM", "(amount * ppm + PPM // 2) // PPM",
    ),
    "a rule per order pays on each line": (
        targets, "if pick.is_first and is_open", "if is_open",
    ),
    "a rule per order outlives its lines": (
        targets, "if pick.is_first and is_open", "if pick.is_first",
    ),
    "pieces that came back are paid": (targets, "worth.pieces", "worth.line.quantity"),
    "a cut counts at once": (targets, "(None, *seller.locked)", "(None,)"),
    "odd cents of equal parts are lost": (
        targets, "spread(whole, [1] * self.count)[number]", "whole // self.count",
    ),
    "the fee is taken within the ceiling": (
        targets, "amount = share(worth.remaining_base, ppm)", "amount = share(worth.base, ppm)",
    ),
    "priority stands above scope": (
        book,
        "RANK[rule.scope],\n        -rule.priority,",
        "-rule.priority,\n        RANK[rule.scope],",
    ),
    "the older rule wins": (book, "-rule.effective_from.", "rule.effective_from."),
    "a rule that ended counts": (book, "if not rule.ended]", "]"),
    "the least amount must be exceeded": (
        book, "asked.order_amount < wanted", "asked.order_amount <= wanted",
    ),
    "an unknown customer is new": (
        book, "asked.new_customer is not wanted.new_customer",
        "bool(asked.new_customer) is wanted.new_customer is False",
    ),
    "a group's rule is for everybody": (
        book, "(rule.group_id is None or rule.group_id in asked.groups)", "True",
    ),
    "a grade's rule is for everybody": (
        book, "asked.grade not in wanted.grades", "wanted.grades == (99,)",
    ),
    "a band has its upper end": (grades, "value < self.below", "value <= self.below"),
    "a band lacks its lower end": (
        grades, "self.at_least <= value and", "self.at_least < value and",
    ),
    "an agency gets what it says and the seller's too": (
        agencies, "self.ppm if self.mode == Mode.OWN else max(0, self.ppm - direct_ppm)",
        "self.ppm",
    ),
    "an agency takes from a seller who gets an amount": (
        agencies, "max(0, whole - direct_amount)", "whole",
    ),
    "an agency's rate that ended counts": (agencies, "if not rate.ended]", "]"),
    "the agency's general rate stands above the particular": (
        agencies, "(rate.promoter_id is None, rate.product is None, rate.rate_id)",
        "(rate.promoter_id is not None, rate.product is not None, rate.rate_id)",
    ),
    "the agency is cut before the tiers": (
        targets, "[direct, *_of_agency(pick), *seller.others]",
        "[direct, *seller.others, *_of_agency(pick)]",
    ),
    "the window is a moment short": (
        choosing, "touch.at < placed_at - offer.window", "touch.at <= placed_at - offer.window",
    ),
    "clocks must agree": (
        choosing, "touch.at > placed_at + TOLERANCE", "touch.at > placed_at",
    ),
    "a renewal follows clicks": (choosing, "(renewal and not is_bound,", "(False,"),
    "priorities of programs are ignored": (
        choosing, "each.offer.exclusive, each.offer.priority, *", "each.offer.exclusive, *",
    ),
    "an exclusive program is like any other": (
        choosing, "(each.offer.exclusive, each.offer.priority,", "(each.offer.priority,",
    ),
    "sources are equal": (choosing, "if touch.source == source:", "if touch:"),
    "protection days are forgotten": (
        choosing, "not any(touch.protected for touch in touches)", "True",
    ),
    "the first model takes the last": (
        choosing, 'candidates[0 if offer.model == "first" else -1]', "candidates[-1]",
    ),
    "a promoter has two linear parts": (
        choosing, "return tuple(kept.values())", "return tuple(candidates)",
    ),
    "a link to one product earns all": (choosing, "if touch.product is None]", "]"),
    "a claim is one touch among others": (
        choosing, 'touch for touch in standing if touch.source == "claim"', "t for t in ()",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_the_suite_finds(name):
    with bug(*BUGS[name]):
        assert is_found(), f"nobody notices that {name}"


def test_without_a_bug_nothing_is_found():
    assert not is_found(), "a bug stayed, or there is one"


def is_found() -> bool:
    """By the first thing that is wrong; the engine's own assertions are one way to notice."""
    looks = (wrong_examples(), other_steps(SEEDS), other_choices(SEEDS), differences(SEEDS))
    try:
        return any(True for each in looks for _ in each)
    except AssertionError:
        return True


def wrong_examples() -> Iterator[str]:
    """The examples that take no parameters, and fail."""
    for module in (test_golden, test_rules):
        for name, example in inspect.getmembers(module, inspect.isfunction):
            is_example = name.startswith("test_") and not inspect.signature(example).parameters
            if is_example and not hasattr(example, "hypothesis"):
                try:
                    example()
                except AssertionError:
                    yield name


@contextmanager
def bug(module: types.ModuleType, right: str, wrong: str) -> Iterator[None]:
    source = inspect.getsource(module)
    assert right in source, f"{module.__name__} changed: {right!r} stands nowhere"
    changed = types.ModuleType(module.__name__)
    exec(compile(source.replace(right, wrong), module.__file__, "exec"), changed.__dict__)
    before = {
        function: function.__code__
        for name, function in functions(module).items()
        if name in functions(changed)
    }
    try:
        for name, function in functions(changed).items():
            functions(module)[name].__code__ = function.__code__
        yield
    finally:
        for function, code in before.items():
            function.__code__ = code


def functions(module: types.ModuleType) -> dict[str, types.FunctionType]:
    """All functions that a module defines, those of its classes too."""
    found = {}
    for name, value in vars(module).items():
        if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
            found[name] = value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for inner, each in vars(value).items():
                function = each.fget if isinstance(each, property) else each
                is_ours = isinstance(function, types.FunctionType) and not inner.startswith("__")
                if is_ours and function.__module__ == module.__name__:
                    found[f"{name}.{inner}"] = function
    return found
