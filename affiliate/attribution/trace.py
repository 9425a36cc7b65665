"""The trace in words, in the reader's language. Every code that rules write has a sentence here."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from affiliate import formats
from affiliate.i18n import _

Step = list[Any]  # [code, arguments], as stored

SENTENCES: Mapping[str, Any] = MappingProxyType(
    {
        "order_unknown": _("Only a refund has arrived so far, not yet its order."),
        "token_forged": _("A token that this instance did not sign was ignored (%(token)s…)."),
        "token_foreign": _(
            "A token of another merchant or a removed link was ignored (%(token)s…)."
        ),
        "coupon_of_nobody": _("%(touch)s is no promoter's code."),
        "sharer_of_nobody": _("%(touch)s is not known here."),
        "renewal_needs_binding": _("%(touch)s does not count: a renewal follows its customer."),
        "touch_after_order": _("%(touch)s does not count: it came after the order (%(at)s)."),
        "outside_window": _("%(touch)s does not count: it was too long before the order (%(at)s)."),
        "shop_not_in_program": _("%(touch)s does not count: its program does not cover this shop."),
        "program_not_running": _("%(touch)s does not count: its program was not running."),
        "source_not_allowed": _("%(touch)s does not count: the program takes no such source."),
        "link_not_usable": _("%(touch)s does not count: the link was paused or expired."),
        "not_a_member": _("%(touch)s does not count: its promoter was not in the program."),
        "not_invited": _("%(touch)s does not count: the program did not name its promoter."),
        "suspended": _("%(touch)s does not count: its promoter was suspended."),
        "product_of_another_shop": _("%(touch)s does not count: it led to another shop's product."),
        "other_program": _("%(touch)s lost: another program comes first."),
        "earlier_touch": _("%(touch)s lost: a later touch counts (this one: %(at)s)."),
        "later_touch": _("%(touch)s lost: an earlier touch counts (this one: %(at)s)."),
        "lower_source": _("%(touch)s lost: %(by)s comes before %(source)s here."),
        "same_promoter": _("%(touch)s (%(at)s): its promoter is credited once."),
        "claim_above": _("%(touch)s lost: a claim was accepted."),
        "joined_group": _("It joined the group that order %(order)s opened, which came by %(by)s."),
        "won": _("%(touch)s won (%(at)s)."),
        "won_part": _("%(touch)s won one of %(of)s equal parts (%(at)s)."),
        "no_winner": _("Nobody is credited with this order."),
        "test_order": _("Test orders earn nothing."),
        "self_purchase": _("The promoter is the buyer; this program does not pay for that."),
        "rebate": _("The promoter is the buyer; the commission is paid as a rebate."),
        "risk_confirmed": _("Nobody is paid: a person looked at this order and decided so."),
        "line_not_credited": _("Line %(line)s: nobody shared this product."),
        "rule_chosen": _("Line %(line)s: the rule for %(scope)s counts, %(pays)s."),
        "rule_beaten": _("Line %(line)s: the rule for %(scope)s (%(pays)s) comes after it."),
        "rule_passed_over": _(
            "Line %(line)s: the rule for %(scope)s (%(pays)s) does not count: %(condition)s."
        ),
        "rate_locked": _(
            "Line %(line)s: the rate went down; until the notice ends the one of before counts."
        ),
        "grade_at": _("The promoter's grade was %(grade)s."),
        "grade_none": _("The promoter had no grade."),
        "volume_at": _("The promoter's %(measure)s of the last closed %(period)s: %(value)s."),
        "agency_rate": _("Line %(line)s: the seller's agency gets %(rate_ppm)s %(mode)s."),
        "cap_cut": _("Line %(line)s, %(role)s: %(per)s left %(amount)s."),
        "tax_not_reported": _("Line %(line)s: no tax was reported, so what was paid is the base."),
        "refund_above_line": _("Line %(line)s: refunds exceed it by %(over)s; nothing is left."),
        "refund_above_order": _("Refunds exceed the order by %(over)s; nothing is left."),
        "inactive_upline": _("Sponsors who were not active in the program were passed over."),
        "total_mismatch": _("The shop says %(total)s, its parts sum to %(computed)s; parts count."),
        "presented_in": _("The buyer saw %(currency)s; amounts here are the shop's own."),
        "share": _(
            "Line %(line)s, %(role)s: %(rate_ppm)s of %(remaining_base)s"
            " (paid %(paid)s, base %(base)s) is %(amount)s."
        ),
    }
)
CUT = _("The program's ceiling cut it.")
ROLES: Mapping[str, Any] = MappingProxyType(
    {
        "direct": _("seller"),
        "rebate": _("buyer's rebate"),
        "platform_fee": _("platform fee"),
        "agency": _("agency"),
    }
)
SOURCES: Mapping[str, Any] = MappingProxyType(
    {
        "coupon": _("a coupon"),
        "click": _("a click"),
        "sharer": _("a sharer"),
        "binding": _("a bound customer"),
        "claim": _("a claim"),
        "group": _("a group buy"),
    }
)
SCOPES: Mapping[str, Any] = MappingProxyType(
    {
        "promoter_product": _("this promoter and product"),
        "promoter": _("this promoter"),
        "group_product": _("the promoter's group and this product"),
        "product": _("this product"),
        "category": _("this category"),
        "group": _("the promoter's group"),
        "program": _("the whole program"),
    }
)
PERS: Mapping[str, Any] = MappingProxyType(
    {
        "order": _("the cap of the order"),
        "promoter_month": _("the promoter's cap of the month"),
        "program_month": _("the program's cap of the month"),
        "month": _("a cap of the month"),
    }
)
CONDITIONS: Mapping[str, Any] = MappingProxyType(
    {
        "currency": _("it pays in another currency"),
        "new_customer": _("it asks whether the customer is new"),
        "min_order_amount": _("the order is too small"),
        "not_yet": _("it begins later"),
        "no_longer": _("it was over"),
        "content": _("it is for other content"),
        "coupon": _("it asks for a coupon"),
        "grade": _("it is for another grade"),
        "volume": _("it asks for other sales in the last closed period"),
    }
)
MEASURES: Mapping[str, Any] = MappingProxyType(
    {
        "orders": _("orders"),
        "sales": _("sales"),
        "team_orders": _("team's orders"),
        "team_sales": _("team's sales"),
    }
)
MODES: Mapping[str, Any] = MappingProxyType(
    {"own": _("of the base"), "difference": _("less what the seller gets")}
)
PERIODS: Mapping[str, Any] = MappingProxyType({"month": _("month"), "quarter": _("quarter")})
PAYS: Mapping[str, Any] = MappingProxyType(
    {
        "percent": _("%(rate)s of the base"),
        "per_unit": _("%(each)s for each piece"),
        "per_order": _("%(each)s for the order"),
    }
)
AMOUNTS = {"over", "total", "computed", "paid", "base", "remaining_base", "amount"}


def sentence(step: Step, currency: str) -> str:
    """One step in the reader's words; `currency` is the order's."""
    code, arguments = step
    told = {name: _word(name, value, currency) for name, value in arguments.items()}
    if "kind" in arguments:
        told["pays"] = pays(arguments)
    if arguments.get("in") and "value" in arguments:
        told["value"] = formats.money(arguments["value"], arguments["in"])
    words = str(SENTENCES[code]) % told
    return f"{words} {CUT}" if arguments.get("capped") else words


def _word(name: str, value: Any, currency: str) -> str:
    if name in AMOUNTS:
        return formats.money(value, currency)
    if name == "rate_ppm":
        return formats.ppm(value)
    if name == "at":
        return formats.instant(datetime.fromisoformat(value))
    if name == "role":
        return role(value)
    words = _WORDS.get(name)
    return str(words.get(value, value)) if words else str(value)


_WORDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "source": SOURCES,
        "by": SOURCES,
        "scope": SCOPES,
        "condition": CONDITIONS,
        "per": PERS,
        "measure": MEASURES,
        "period": PERIODS,
        "mode": MODES,
    }
)


def pays(arguments: Mapping[str, Any]) -> str:
    """What a rule pays: a rate, or an amount in its own currency."""
    each = formats.money(arguments["each"], arguments["in"]) if arguments["in"] else ""
    return str(PAYS[arguments["kind"]]) % {
        "each": each,
        "rate": formats.ppm(arguments["rate_ppm"]),
    }


def role(code: str) -> str:
    """`direct`, `tier_2` … as people read them."""
    if code.startswith("tier_"):
        return str(_("level %(level)s", level=code.removeprefix("tier_")))
    return str(ROLES[code])


def steps(trace: dict[str, Any]) -> list[Step]:
    return [*trace.get("choice", []), *trace.get("lines", [])]


def for_promoters(trace: Iterable[Step], promoter_ids: Collection[int]) -> list[Step]:
    """What these promoters may read: nothing that names somebody else."""
    return [
        [code, arguments]
        for code, arguments in trace
        if not {"promoters", "agency"} & arguments.keys()
        and ("promoter" not in arguments or arguments["promoter"] in promoter_ids)
    ]
