"""The trace in words. Every code that rules write has a sentence here; a test sees to that."""

from collections.abc import Collection, Iterable
from typing import Any

Step = list[Any]  # [code, arguments], as stored

SENTENCES = {
    "order_unknown": "Only a refund has arrived so far, not yet its order.",
    "token_forged": "A token that this instance did not sign was ignored ({token}…).",
    "token_foreign": "A token of another merchant or of a removed link was ignored ({token}…).",
    "renewal_needs_binding": "{touch} does not count: renewals follow the customer's binding.",
    "touch_after_order": "{touch} does not count: it came after the order ({at}).",
    "outside_window": "{touch} does not count: it was too long before the order ({at}).",
    "shop_not_in_program": "{touch} does not count: its program does not cover this shop.",
    "program_not_running": "{touch} does not count: its program was not running.",
    "source_not_allowed": "{touch} does not count: the program does not take {source} as a source.",
    "link_not_usable": "{touch} does not count: the link was paused or expired.",
    "not_a_member": "{touch} does not count: the promoter was not in the program.",
    "suspended": "{touch} does not count: the promoter was suspended.",
    "other_program": "{touch} lost: another program stands above it or has the newer touch.",
    "earlier_touch": "{touch} lost: a later touch counts ({at}).",
    "won": "{touch} won by {source} ({at}).",
    "no_winner": "Nobody is credited with this order.",
    "test_order": "Test orders earn nothing.",
    "self_purchase": "The promoter bought this order: the program does not pay for that.",
    "rebate": "The promoter bought this order: the commission is paid as a rebate.",
    "tax_not_reported": "Line {line}: no tax was reported, so the base is what was paid.",
    "refund_above_line": "Line {line}: refunds exceed it by {over}; nothing is left of it.",
    "refund_above_order": "Refunds exceed the order by {over}; nothing is left of it.",
    "inactive_upline": "Sponsors who were not active in the program were passed over.",
    "total_mismatch": "The shop's total is {total}, its parts sum to {computed}; parts count.",
    "presented_in": "The buyer saw {currency}; amounts are the shop's own.",
    "share": "Line {line}, {role}: {rate_ppm} ppm of {remaining_base} (paid {paid}, base {base})"
    " = {amount}.",
}
CUT = "The program's ceiling cut it."


def sentence(step: Step) -> str:
    """One step in words, amounts in minor units."""
    code, arguments = step
    words = SENTENCES[code].format(**arguments)
    return f"{words} {CUT}" if arguments.get("capped") else words


def steps(trace: dict[str, Any]) -> list[Step]:
    return [*trace.get("choice", []), *trace.get("lines", [])]


def for_promoters(trace: Iterable[Step], promoter_ids: Collection[int]) -> list[Step]:
    """What these promoters may read: nothing that names somebody else."""
    return [
        [code, arguments]
        for code, arguments in trace
        if "promoters" not in arguments
        and ("promoter" not in arguments or arguments["promoter"] in promoter_ids)
    ]
