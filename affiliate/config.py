"""Every setting there is, typed and checked at start. docs/operate.md lists them.

A secret may also be given as a file: `AFFILIATE_SECRET_KEY_FILE=/run/secrets/key`.
"""

import os
from email.utils import formataddr, parseaddr
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    FilePath,
    HttpUrl,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from schwifty import IBAN

SECRETS = (
    "AFFILIATE_SECRET_KEY", "DATABASE_URL", "REDIS_URL", "AFFILIATE_SMTP_PASSWORD",
    "AFFILIATE_PAYPAL_SECRET", "AFFILIATE_WECHAT_KEY", "AFFILIATE_WECHAT_PUBLIC_KEY",
    "AFFILIATE_WECHAT_V3_KEY", "AFFILIATE_MERCADOPAGO_TOKEN", "AFFILIATE_MERCADOPAGO_KEY",
    "AFFILIATE_SMS_KEY", "AFFILIATE_OPENID", "AFFILIATE_WECHAT_SERVICE_SECRET",
    "AFFILIATE_SHOPIFY_SECRET", "AFFILIATE_MERCADOLIBRE_SECRET", "AFFILIATE_TIENDANUBE_SECRET",
    "AFFILIATE_WRITER_KEY",
)  # fmt: skip


class OpenIdProvider(BaseModel):
    """Somebody whom people sign in with instead of a password."""

    name: str = Field(pattern="^[a-z0-9-]{1,32}$")  # stands in addresses
    label: str = Field(min_length=1, max_length=40)  # stands on the button
    issuer: str = Field(pattern=r"^https?://[^\s?#]+$")  # to the letter: some end with a slash
    client_id: str
    client_secret: SecretStr | None = None


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="AFFILIATE_", extra="ignore", frozen=True)

    data: Path = Field(Path("var"), description="Folder of the embedded system: data, spool, logs.")
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL"),
        description="PostgreSQL ≥ 15 of your own, for example postgresql://user:pw@host/name. "
        "Without it the embedded one is used.",
    )
    redis_url: str | None = Field(
        None,
        validation_alias=AliasChoices("REDIS_URL"),
        description="Valkey or Redis ≥ 7 of your own. Without it the embedded one is used.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="At least 32 random characters; every key is derived from it. The embedded "
        "system makes its own and keeps it in the data folder. Required with DATABASE_URL.",
    )
    public_url: HttpUrl | None = Field(
        None, description="How people reach this instance, for example https://go.example.com."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=8, description="Number of reverse proxies whose X-Forwarded-* is believed."
    )
    host: str = Field("127.0.0.1", description="Address the web server listens on.")
    port: int = Field(8765, ge=1, le=65535, description="Port the web server listens on.")
    live_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of `affiliate live`, which tells open pages of new orders; without it "
        "the one after the web server's. 0: none, pages ask every ten seconds.",
    )
    live_url: HttpUrl | None = Field(
        None,
        description="Where browsers reach `affiliate live`, if not at the public URL.",
    )
    workers: int = Field(2, ge=1, le=64, description="RQ worker processes of `affiliate up`.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_json: bool = Field(False, description="One JSON object a line instead of readable text.")
    smtp_host: str | None = Field(
        None, description="Mail server. Without one, letters are kept in the operator's outbox."
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls, tls from the first byte (port 465), or none."
    )
    smtp_user: str | None = Field(None, description="Name at the mail server.")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server.")
    smtp_from: str | None = Field(
        None, description="Sender of letters, for example Tuike <no-reply@example.com>."
    )
    sms_url: HttpUrl | None = Field(
        None,
        description="Where messages to phones are posted. With it people may join and sign in by "
        "their number.",
    )
    sms_as: Literal["json", "form"] = Field("json", description="How that server reads a message.")
    sms_fields: dict[str, str] = Field(
        default_factory=lambda: {"to": "{to}", "text": "{text}"},
        description="Its fields by name; {to} is the number (E.164), {text} the words. For example "
        '{"To": "{to}", "Body": "{text}", "From": "+15550100"}.',
    )
    sms_user: str | None = Field(
        None, description="Name at that server; with it the key is a password, else a bearer token."
    )
    sms_key: SecretStr | None = Field(None, description="Key at that server.")
    sms_per_day: int = Field(
        1000, ge=1, description="Messages a day, all phones together: each costs money."
    )
    push_anywhere: bool = Field(
        False,
        description="Send messages to browsers also where their push service is not on the open "
        "internet: for tests only.",
    )
    wechat_service_appid: str | None = Field(
        None,
        description="AppID of a WeChat service account (服务号). With its secret and a template "
        "followers may be told of news there.",
    )
    wechat_service_secret: SecretStr | None = Field(None, description="AppSecret of that account.")
    wechat_service_template: str | None = Field(
        None, description="Number of a template of that account."
    )
    wechat_service_fields: dict[str, str] = Field(
        default_factory=lambda: {"thing1": "{subject}", "time2": "{time}"},
        description="The template's fields by name; {subject}, {text} and {time} are filled in.",
    )
    wechat_service_url: HttpUrl = Field(
        HttpUrl("https://api.weixin.qq.com"), description="API of service accounts."
    )
    wechat_open_url: HttpUrl = Field(
        HttpUrl("https://open.weixin.qq.com"), description="Where WeChat tells followers apart."
    )
    openid: list[OpenIdProvider] = Field(
        default_factory=list,
        description="OpenID providers to sign in with, as JSON, for example "
        '[{"name": "google", "label": "Google", "issuer": "https://accounts.google.com", '
        '"client_id": "…", "client_secret": "…"}]. Register <public URL>/sign-in/with/<name>/back.',
    )
    terms_url: HttpUrl | None = Field(
        None, description="Your terms for promoters; shown where they accept them."
    )
    shop_apis: dict[str, HttpUrl] = Field(
        default_factory=dict,
        description="Where platforms are asked instead of at their own addresses, by name: for "
        'sandboxes and tests, for example {"shopee": "https://partner.test-stable.shopeemobile.com"}.',
    )
    shopify_client_id: str | None = Field(
        None,
        description="Of a Shopify app. With its secret merchants connect by consent, without "
        "copying tokens.",
    )
    shopify_secret: SecretStr | None = Field(None, description="Secret of that app.")
    mercadolibre_client_id: str | None = Field(
        None, description="App ID of a Mercado Libre application, for connecting by consent."
    )
    mercadolibre_secret: SecretStr | None = Field(
        None, description="Secret key of that application."
    )
    tiendanube_client_id: str | None = Field(
        None, description="Number of a Tiendanube app, for connecting by consent."
    )
    tiendanube_secret: SecretStr | None = Field(None, description="Client secret of that app.")
    sandbox_url: HttpUrl | None = Field(
        None,
        description="Where `affiliate sandbox-psp` listens, for example http://127.0.0.1:8790. "
        "Only with it the rail `sandbox`, which pays nobody, is offered: for trials and tests.",
    )
    sepa_name: str | None = Field(
        None, description="Holder of the account that pays by SEPA, as its bank has the name."
    )
    sepa_iban: str | None = Field(
        None,
        description="IBAN of that account. With both of them the rail `sepa` is offered.",
    )
    sepa_bic: str | None = Field(
        None, description="BIC of its bank, if the IBAN does not tell (most do)."
    )
    paypal_url: HttpUrl = Field(
        HttpUrl("https://api-m.paypal.com"),
        description="PayPal's API; https://api-m.sandbox.paypal.com for trials.",
    )
    paypal_client_id: str | None = Field(
        None,
        description="Of a PayPal app with Payouts. With its secret the rail `paypal` is offered.",
    )
    paypal_secret: SecretStr | None = Field(None, description="Secret of that app.")
    wechat_url: HttpUrl = Field(
        HttpUrl("https://api.mch.weixin.qq.com"), description="WeChat Pay's API."
    )
    wechat_mchid: str | None = Field(
        None,
        description="Merchant number (商户号) at WeChat Pay. With the five settings below the rail "
        "`wechat` (商家转账) is offered.",
    )
    wechat_appid: str | None = Field(
        None, description="App of which payees have an openid, bound to that merchant number."
    )
    wechat_serial: str | None = Field(None, description="Serial number of the API certificate.")
    wechat_key: SecretStr | None = Field(
        None, description="Private key of that certificate (apiclient_key.pem), PEM."
    )
    wechat_public_key: str | None = Field(
        None, description="WeChat Pay's public key (pub_key.pem), PEM: answers are checked by it."
    )
    wechat_public_key_id: str | None = Field(
        None, description="Its number, for example PUB_KEY_ID_0114232134912410000000000000."
    )
    wechat_v3_key: SecretStr | None = Field(
        None, description="APIv3 key (32 characters), to open notifications. Without it we ask."
    )
    wechat_scene: str = Field("1005", description="Transfer scene: 1005 is 佣金报酬.")
    wechat_remark: str = Field(
        "推广佣金", max_length=32, description="What payees read beside the transfer."
    )
    mercadopago_url: HttpUrl = Field(
        HttpUrl("https://api.mercadopago.com"), description="Mercado Pago's API."
    )
    mercadopago_token: SecretStr | None = Field(
        None,
        description="Access token of an app with Payouts. With it the rail `mercadopago` (beta) is "
        "offered.",
    )
    mercadopago_country: Literal["BR", "MX"] = Field(
        "BR", description="Where that account is: BR pays by Pix, MX by SPEI."
    )
    mercadopago_key: SecretStr | None = Field(
        None,
        description="Ed25519 private key, PEM, with which requests are signed. Without it they are "
        "marked as tests.",
    )
    geoip: Path | None = Field(
        None,
        description="MMDB file of countries (GeoLite2, DB-IP Lite, IPinfo), which you keep fresh. "
        "Without it the country of clicks stays unknown.",
    )
    clicks_months: int = Field(
        13,
        ge=2,
        le=240,
        description="Whole months after which clicks are dropped. What was counted of them stays.",
    )
    poster_font: FilePath | None = Field(
        None,
        description="A further font (TTF, OTF or TTC) for posters, asked for what ours lack: "
        "Hangul, Thai, Devanagari.",
    )
    private_pictures: bool = Field(
        False,
        description="Fetch product pictures from private addresses too: for a shop in your own "
        "network. Otherwise only from the open internet.",
    )
    writer_url: HttpUrl | None = Field(
        None,
        description="Text generator that drafts captions, as the full address of its chat "
        "interface, for example http://127.0.0.1:11434/v1/chat/completions. None: no drafts.",
    )
    writer_model: str = Field("default", description="Name of the model it is asked for.")
    writer_key: SecretStr | None = Field(None, description="Its key, where it needs one.")
    allow_future: bool = Field(
        False, description="Allow a settlement through a future instant: for demo and tests only."
    )

    @property
    def address(self) -> str:
        """How people reach this instance, without a slash at the end."""
        if self.public_url:
            return str(self.public_url).rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def port_of_live(self) -> int:
        if self.live_port is not None:
            return self.live_port
        return self.port + 1 if self.port < 65535 else self.port - 1

    @field_validator("database_url")
    @classmethod
    def _psycopg(cls, url: str | None) -> str | None:
        if url is None:
            return None
        scheme, separator, rest = url.partition("://")
        if not separator or scheme.split("+")[0] not in {"postgresql", "postgres"}:
            raise ValueError("must begin with postgresql://")
        return f"postgresql+psycopg://{rest}"

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < 32:
            raise ValueError("needs at least 32 characters")
        return key

    @field_validator("smtp_from")
    @classmethod
    def _one_sender(cls, sender: str | None) -> str | None:
        name, address = parseaddr(sender or "")
        if sender is not None and ("@" not in address or not sender.isprintable()):
            raise ValueError("must be one address, for example Tuike <no-reply@example.com>")
        return formataddr((name, address)) if sender else None

    @field_validator("sepa_iban")
    @classmethod
    def _iban(cls, iban: str | None) -> str | None:
        return IBAN(iban).compact if iban else None

    @field_validator("wechat_key", "mercadopago_key")
    @classmethod
    def _private_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            load_pem_private_key(key.get_secret_value().encode(), password=None)
        return key

    @field_validator("wechat_public_key")
    @classmethod
    def _public_key(cls, key: str | None) -> str | None:
        if key is not None:
            load_pem_public_key(key.encode())
        return key

    @field_validator("log_level")
    @classmethod
    def _level(cls, level: str) -> str:
        if level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return level.upper()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, SecretFiles(settings_cls))


class SecretFiles(PydanticBaseSettingsSource):
    """`NAME_FILE` holds the path of a file with the value of `NAME`."""

    def get_field_value(self, _: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in SECRETS:
            path = os.environ.get(f"{name}_FILE")
            if path:
                key = name if not name.startswith("AFFILIATE_") else name[10:].lower()
                found[key] = Path(path).read_text().strip()
        return found


class BadSettings(Exception):
    """A setting is wrong; the message names it and says what it takes."""


def load(**overrides: Any) -> Settings:
    """The settings of this process, or BadSettings with one line for each that is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [f"{_variable(each['loc'])}: {each['msg']}" for each in error.errors()]
        raise BadSettings("; ".join(lines)) from error
    except OSError as error:
        raise BadSettings(f"a secret file cannot be read: {error}") from error


def _variable(place: tuple[int | str, ...]) -> str:
    """The environment variable behind a field: what a person can change."""
    name = str(place[0]) if place else "settings"
    return name if name.isupper() else f"AFFILIATE_{name.upper()}"


ROOT = Path(__file__).resolve().parent.parent


def shipped(folder: str) -> Path:
    """A top-level folder of the project: beside the package in a checkout, inside it in a wheel."""
    inside = Path(__file__).resolve().parent / "_shipped" / folder
    return inside if inside.exists() else ROOT / folder
