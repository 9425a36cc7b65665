"""The shapes of the API: base models, money, instants, ids with prefixes, codes of countries."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from affiliate import ids, money
from affiliate.errors import NotFound
from affiliate.people.rules import COUNTRIES

Shown = TypeVar("Shown", bound=BaseModel)


class Body(BaseModel):
    """What a request brings. Unknown fields are refused, and "12" is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)

    def given(self) -> dict[str, Any]:
        """Only the fields that stood in the request: what a PATCH changes."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Query(BaseModel):
    """What stands behind the question mark. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class ListQuery(Query):
    """The query of every list; lists with filters add theirs."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(
        default=None, max_length=500, description="`next` of the page before"
    )


class Resource(BaseModel):
    """What an answer shows. One with a `version` gets it as its ETag too."""


class Page(BaseModel, Generic[Shown]):
    data: list[Shown]
    next: str | None = Field(description="Cursor of the next page; null on the last one")


def _known(code: str, words: str, known: Callable[[str], bool]) -> AfterValidator:
    def check(text: str) -> str:
        if not known(text):
            raise PydanticCustomError(code, words)
        return text

    return AfterValidator(check)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000)]
Currency = Annotated[
    str,
    StringConstraints(pattern="^[A-Z]{3}$"),
    _known("unknown_currency", "This is no ISO 4217 currency.", money.EXPONENTS.__contains__),
]
Country = Annotated[
    str,
    StringConstraints(pattern="^[A-Z]{2}$"),
    _known("unknown_country", "This is no ISO 3166 country.", COUNTRIES.__contains__),
]
Timezone = Annotated[
    str,
    StringConstraints(max_length=60),
    _known("unknown_timezone", "This is no IANA time zone.", lambda name: name in _zones()),
]
Locale = Literal["en", "zh-Hans", "es", "es-AR", "es-MX", "pt-BR"]
Ppm = Annotated[int, Field(ge=0, le=money.PPM, description="Parts per million: 100000 is 10%")]


def _sane(instant: datetime) -> datetime:
    if not 1970 <= instant.year <= 2200:
        raise PydanticCustomError("out_of_range", "This time is beyond what is accepted.")
    return instant.astimezone(UTC)


Instant = Annotated[
    AwareDatetime,
    AfterValidator(_sane),
    PlainSerializer(lambda at: at.astimezone(UTC).isoformat().replace("+00:00", "Z"), str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Money(BaseModel):
    """Minor units: 1999 BRL are R$ 19,99."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    amount: int
    currency: Currency

    @classmethod
    def of(cls, amount: int, currency: str) -> Self:
        """For answers: what the database holds is not checked again."""
        return cls.model_construct(amount=amount, currency=currency)


class MoneyIn(Money):
    """Money in a request: nothing or more, within what is believed."""

    amount: int = Field(ge=0, le=money.LARGEST)


class PositiveMoney(Money):
    amount: int = Field(gt=0, le=money.LARGEST)


class PublicId:
    """Keys inside, `prefix_…` outside: `Annotated[int, PublicId("mer")]`.

    In a handler the value is the key, or (merchant_id, id) for a tenant's row. Whether the caller
    may see that row is still to be asked.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        wire = Annotated[
            Any,
            BeforeValidator(self._read),
            PlainSerializer(self._show, str),
            WithJsonSchema({"type": "string", "pattern": f"^{self.prefix}_[0-9A-Za-z]{{8,64}}$"}),
        ]
        return handler.generate_schema(wire)

    def _read(self, value: object, info: ValidationInfo) -> object:
        if info.mode == "python" and not isinstance(value, str):
            return value  # our own answer, with the keys themselves
        try:
            keys = ids.decode(self.prefix, value if isinstance(value, str) else "")
        except NotFound:
            words = "There is no {prefix}_… with this id."
            raise PydanticCustomError("not_found", words, {"prefix": self.prefix}) from None
        return keys if len(keys) > 1 else keys[0]

    def _show(self, keys: int | tuple[int, int]) -> str:
        return ids.encode(self.prefix, *([keys] if isinstance(keys, int) else keys))


Pair = tuple[int, int]  # (merchant_id, id)

MerchantId = Annotated[int, PublicId("mer")]
PromoterId = Annotated[int, PublicId("prm")]
AgencyId = Annotated[int, PublicId("agn")]
UserId = Annotated[int, PublicId("usr")]
KeyId = Annotated[int, PublicId("key")]
AccountId = Annotated[int, PublicId("acc")]
TaxProfileId = Annotated[int, PublicId("txp")]
RemittanceId = Annotated[Pair, PublicId("rem")]
InvoiceId = Annotated[Pair, PublicId("inv")]
FxRateId = Annotated[int, PublicId("fxr")]
ShopId = Annotated[Pair, PublicId("shp")]
ProductId = Annotated[Pair, PublicId("prd")]
ProductGroupId = Annotated[Pair, PublicId("pgr")]
VariantId = Annotated[Pair, PublicId("var")]
ProgramId = Annotated[Pair, PublicId("prg")]
EnrolmentId = Annotated[Pair, PublicId("enr")]
LinkId = Annotated[Pair, PublicId("lnk")]
ContentId = Annotated[int, PublicId("cnt")]
ShortDomainId = Annotated[int, PublicId("dom")]
OrderId = Annotated[Pair, PublicId("ord")]
LineId = Annotated[Pair, PublicId("lin")]
RefundId = Annotated[Pair, PublicId("ref")]
CommissionId = Annotated[Pair, PublicId("com")]
EntryId = Annotated[Pair, PublicId("ent")]
SettlementId = Annotated[Pair, PublicId("stl")]
PayoutId = Annotated[Pair, PublicId("pay")]
WithdrawalId = Annotated[Pair, PublicId("wdr")]
WriteOffId = Annotated[Pair, PublicId("wof")]
ExceptionId = Annotated[Pair, PublicId("exc")]
LimitId = Annotated[int, PublicId("lim")]
DelegationId = Annotated[int, PublicId("dlg")]
PayInId = Annotated[Pair, PublicId("pin")]
EventId = Annotated[Pair, PublicId("inb")]
RuleId = Annotated[Pair, PublicId("rul")]
GroupId = Annotated[Pair, PublicId("grp")]
AgencyRateId = Annotated[Pair, PublicId("agr")]
GradeId = Annotated[Pair, PublicId("grd")]
CouponId = Annotated[Pair, PublicId("cpn")]
SharerId = Annotated[Pair, PublicId("shr")]
ClaimId = Annotated[Pair, PublicId("clm")]
CaseId = Annotated[Pair, PublicId("rsk")]
SimulationId = Annotated[Pair, PublicId("sim")]
BookCloseId = Annotated[Pair, PublicId("bkc")]
MaterialId = Annotated[Pair, PublicId("mat")]
CaptionId = Annotated[Pair, PublicId("cap")]
DecisionId = Annotated[int, PublicId("dec")]
