"""A bank's pain.002: what became of the payments of a file, as rows of results.

Only ends are taken. That a bank has a payment in hand changes nothing here.
"""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from affiliate.errors import invalid
from affiliate.i18n import _

ENDS = {"ACSC": "paid", "ACCC": "paid", "RJCT": "failed", "CANC": "failed"}


def is_xml(text: str) -> bool:
    return text.lstrip().startswith("<")


def rows(text: str) -> Iterator[dict[str, str]]:
    """One for each payment whose end it tells, whatever version of pain.002 it is."""
    found = _document(text)
    if found.find(".//{*}CstmrPmtStsRpt") is None and not found.tag.endswith("CstmrPmtStsRpt"):
        raise invalid("/content", "no_pain_002", _("This is no pain.002."))
    payments = found.findall(".//{*}TxInfAndSts")
    if not payments:
        message = _(
            "It names no single payment. If the bank refused the whole file, mark its payouts as "
            "failed one by one."
        )
        raise invalid("/content", "no_payments", message)
    for each in payments:
        if result := ENDS.get(_text(each, "TxSts")):
            yield _row(each, result)


def _row(each: ET.Element, result: str) -> dict[str, str]:
    amount = each.find("{*}OrgnlTxRef/{*}Amt/{*}InstdAmt")
    reasons = [_text(each, "StsRsnInf/Rsn/Cd"), _text(each, "StsRsnInf/Rsn/Prtry"),
               _text(each, "StsRsnInf/AddtlInf")]  # fmt: skip
    return {
        "reference": _text(each, "OrgnlEndToEndId"),
        "result": result,
        "amount": (amount.text or "").strip() if amount is not None else "",
        "currency": amount.get("Ccy", "") if amount is not None else "",
        "bank_reference": _text(each, "AcctSvcrRef"),
        "date": _text(each, "AccptncDtTm")[:10] if result == "paid" else "",
        "reason": " ".join(filter(None, reasons)) if result == "failed" else "",
    }


def _text(element: ET.Element, path: str) -> str:
    found = element.find("/".join(f"{{*}}{name}" for name in path.split("/")))
    return (found.text or "").strip() if found is not None else ""


def _document(text: str) -> ET.Element:
    if "<!" in text.replace("<!--", ""):
        # Entities could make a small file enormous; no bank needs them.
        raise invalid("/content", "no_pain_002", _("This is no pain.002."))
    try:
        return ET.fromstring(text)  # noqa: S314 (without entities)
    except ET.ParseError:
        raise invalid("/content", "no_pain_002", _("This is no pain.002.")) from None
