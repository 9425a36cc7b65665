"""What is withheld in which country from which day on: data, each table with its source.

The texts were read in November 2026, mostly in copies and reports of the law. An accountant of the
payer must confirm a table before it is turned on, and every page that shows one says so. Nothing
is withheld until somebody chooses a scheme for a merchant.

Amounts are minor units of the table's currency. A change of the law is a new table with a new code
and an `until` for the one before it; a payout's lines name the code they were reckoned with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType


class Period(StrEnum):
    """Over which payouts of one payer to one payee the income is added up."""

    PAYOUT = "payout"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Bracket:
    """The whole base is taxed at the rate of the bracket it reaches, less the quick deduction."""

    over: int
    ppm: int
    quick: int = 0


@dataclass(frozen=True, slots=True)
class Relief:
    """Taken off the tax while the income is not higher: an amount less a share of the income."""

    up_to: int
    amount: int
    ppm: int = 0


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a payer of a country has to do. `needs_id`: it cannot do it without a tax number."""

    country: str
    needs_id: bool


@dataclass(frozen=True, slots=True)
class Table:
    code: str
    scheme: str
    tax: str
    source: str
    since: date
    brackets: tuple[Bracket, ...]
    until: date | None = None  # the last day
    currency: str | None = None  # none: rates alone, which fit every currency
    persons: tuple[str, ...] = ("individual",)
    regimes: tuple[str, ...] = ("general",)
    with_id: bool | None = None  # none: whether or not there is a tax number
    period: Period = Period.PAYOUT
    vat_inside_ppm: int = 0  # what is paid holds this much value added tax
    cost_ppm: int = 0
    cost_least: int = 0
    allowance: int = 0  # for each month in a row
    reliefs: tuple[Relief, ...] = ()
    waived: int = 0  # as little as this is not withheld


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "cn_platform": Scheme("CN", needs_id=True),
        "cn_labour": Scheme("CN", needs_id=True),
        "br_irrf": Scheme("BR", needs_id=True),
        "mx_fees": Scheme("MX", needs_id=True),
        "mx_platform": Scheme("MX", needs_id=False),
        "us_backup": Scheme("US", needs_id=False),
    }
)
# Under which rules a payee may be taxed at home; elsewhere there is only `general`.
REGIMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"BR": ("general", "simples"), "MX": ("general", "resico")}
)
PERSONS = ("individual", "company")

_MX_VAT = 160_000
_TWO_THIRDS_OF_MX_VAT = 106_667  # as it is rounded in practice

TABLES = (
    Table(
        code="cn-platform-2025-10",
        scheme="cn_platform",
        tax="iit",
        source="STA announcement 2025 No. 16 (internet platforms, labour income, cumulative), with "
        "the first table of rates of STA announcement 2018 No. 61",
        since=date(2025, 10, 1),
        currency="CNY",
        period=Period.YEAR,
        cost_ppm=200_000,
        allowance=5_000_00,
        brackets=(
            Bracket(0, 30_000),
            Bracket(36_000_00, 100_000, 2_520_00),
            Bracket(144_000_00, 200_000, 16_920_00),
            Bracket(300_000_00, 250_000, 31_920_00),
            Bracket(420_000_00, 300_000, 52_920_00),
            Bracket(660_000_00, 350_000, 85_920_00),
            Bracket(960_000_00, 450_000, 181_920_00),
        ),
    ),
    Table(
        code="cn-labour-2019",
        scheme="cn_labour",
        tax="iit",
        source="STA announcement 2018 No. 61: labour income, the payments of a month together",
        since=date(2019, 1, 1),
        currency="CNY",
        period=Period.MONTH,
        cost_ppm=200_000,
        cost_least=800_00,
        brackets=(
            Bracket(0, 200_000),
            Bracket(20_000_00, 300_000, 2_000_00),
            Bracket(50_000_00, 400_000, 7_000_00),
        ),
    ),
    Table(
        code="br-irrf-2025-05",
        scheme="br_irrf",
        tax="irrf",
        source="Lei 11.482/2007 as of MP 1.294/2025, simplified deduction of 607.20; the payments "
        "of a month together (Lei 7.713/1988 art. 7). Without INSS and ISS",
        since=date(2025, 5, 1),
        until=date(2025, 12, 31),
        currency="BRL",
        period=Period.MONTH,
        allowance=607_20,
        brackets=(
            Bracket(0, 0),
            Bracket(2_428_80, 75_000, 182_16),
            Bracket(2_826_65, 150_000, 394_16),
            Bracket(3_751_05, 225_000, 675_49),
            Bracket(4_664_68, 275_000, 908_73),
        ),
    ),
    Table(
        code="br-irrf-2026",
        scheme="br_irrf",
        tax="irrf",
        source="As br-irrf-2025-05, with the reduction of Lei 15.270/2025: nothing up to 5 000 a "
        "month, less and less up to 7 350. Without INSS and ISS",
        since=date(2026, 1, 1),
        currency="BRL",
        period=Period.MONTH,
        allowance=607_20,
        brackets=(
            Bracket(0, 0),
            Bracket(2_428_80, 75_000, 182_16),
            Bracket(2_826_65, 150_000, 394_16),
            Bracket(3_751_05, 225_000, 675_49),
            Bracket(4_664_68, 275_000, 908_73),
        ),
        reliefs=(Relief(5_000_00, 312_89), Relief(7_350_00, 978_62, 133_145)),
    ),
    Table(
        code="br-commissions-1995",
        scheme="br_irrf",
        tax="irrf",
        source="RIR/2018 art. 718: commissions to companies, 1.5% (code 8045); up to 10.00 is not "
        "withheld (Lei 9.430/1996 art. 67). Companies in Simples Nacional are exempt",
        since=date(1995, 1, 1),
        currency="BRL",
        persons=("company",),
        brackets=(Bracket(0, 15_000),),
        waived=10_00,
    ),
    Table(
        code="mx-isr-fees-2014",
        scheme="mx_fees",
        tax="isr",
        source="LISR art. 106: 10% of professional fees paid by companies; VAT of 16% is taken to "
        "be inside of what is paid",
        since=date(2014, 1, 1),
        vat_inside_ppm=_MX_VAT,
        brackets=(Bracket(0, 100_000),),
    ),
    Table(
        code="mx-isr-resico-2022",
        scheme="mx_fees",
        tax="isr",
        source="LISR art. 113-J: 1.25% of what companies pay to individuals in RESICO; VAT of 16% "
        "is taken to be inside of what is paid",
        since=date(2022, 1, 1),
        regimes=("resico",),
        vat_inside_ppm=_MX_VAT,
        brackets=(Bracket(0, 12_500),),
    ),
    Table(
        code="mx-iva-fees-2014",
        scheme="mx_fees",
        tax="iva",
        source="LIVA art. 1-A and RLIVA art. 3: two thirds of the VAT of 16%",
        since=date(2014, 1, 1),
        regimes=("general", "resico"),
        vat_inside_ppm=_MX_VAT,
        brackets=(Bracket(0, _TWO_THIRDS_OF_MX_VAT),),
    ),
    Table(
        code="mx-isr-platform-2026",
        scheme="mx_platform",
        tax="isr",
        source="LIF 2026 art. 25 VI instead of LISR art. 113-A III: 2.5%, with an RFC",
        since=date(2026, 1, 1),
        regimes=("general", "resico"),
        with_id=True,
        vat_inside_ppm=_MX_VAT,
        brackets=(Bracket(0, 25_000),),
    ),
    Table(
        code="mx-iva-platform-2020",
        scheme="mx_platform",
        tax="iva",
        source="LIVA art. 18-J: half of the VAT of 16%, with an RFC",
        since=date(2020, 6, 1),
        regimes=("general", "resico"),
        with_id=True,
        vat_inside_ppm=_MX_VAT,
        brackets=(Bracket(0, _MX_VAT // 2),),
    ),
    Table(
        code="mx-isr-no-rfc-2020",
        scheme="mx_platform",
        tax="isr",
        source="LISR art. 113-C: 20% without an RFC",
        since=date(2020, 6, 1),
        regimes=("general", "resico"),
        with_id=False,
        vat_inside_ppm=_MX_VAT,
        brackets=(Bracket(0, 200_000),),
    ),
    Table(
        code="mx-iva-no-rfc-2020",
        scheme="mx_platform",
        tax="iva",
        source="LIVA art. 18-J: the whole VAT of 16% without an RFC",
        since=date(2020, 6, 1),
        regimes=("general", "resico"),
        with_id=False,
        vat_inside_ppm=_MX_VAT,
        brackets=(Bracket(0, _MX_VAT),),
    ),
    Table(
        code="us-backup-2018",
        scheme="us_backup",
        tax="backup",
        source="26 USC 3406: 24% where the payee gave no valid TIN; from the first cent on, as the "
        "sources do not agree from which sum",
        since=date(2018, 1, 1),
        persons=PERSONS,
        with_id=False,
        brackets=(Bracket(0, 240_000),),
    ),
)


def fitting(scheme: str, *, person: str, regime: str, has_id: bool, on: date) -> tuple[Table, ...]:
    """What is withheld from such a payee of the scheme's own country on that day."""
    return tuple(
        table
        for table in TABLES
        if table.scheme == scheme
        and person in table.persons
        and regime in table.regimes
        and table.with_id in (None, has_id)
        and table.since <= on <= (table.until or on)
    )


def regimes(country: str) -> tuple[str, ...]:
    return REGIMES.get(country, ("general",))
