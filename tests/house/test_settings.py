"""Settings are checked at start, and what is wrong with them is said by name."""

import pytest

from affiliate import config, create_app


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("AFFILIATE_PORT", "70000", "less than or equal to 65535"),
        ("AFFILIATE_WORKERS", "none", "valid integer"),
        ("AFFILIATE_PUBLIC_URL", "go.example.com", "valid URL"),
        ("AFFILIATE_LOG_LEVEL", "LOUD", "must be DEBUG, INFO, WARNING or ERROR"),
        ("AFFILIATE_SECRET_KEY", "short", "needs at least 32 characters"),
        ("AFFILIATE_ALLOW_FUTURE", "perhaps", "valid boolean"),
        ("AFFILIATE_SEPA_IBAN", "DE89370400440532013001", "checksum"),
        ("AFFILIATE_WECHAT_KEY", "a secret", "PEM"),
        ("AFFILIATE_WECHAT_PUBLIC_KEY", "no key", "PEM"),
        ("AFFILIATE_MERCADOPAGO_KEY", "a secret", "PEM"),
        ("DATABASE_URL", "mysql://host/name", "must begin with postgresql://"),
    ],
)
def test_a_wrong_setting_is_said_by_its_name(monkeypatch, name, value, complaint):
    monkeypatch.setenv(name, value)

    with pytest.raises(config.BadSettings) as refused:
        config.load()

    assert str(refused.value).startswith(f"{name}: ")
    assert complaint in str(refused.value)
    assert value not in str(refused.value) or name != "AFFILIATE_SECRET_KEY"


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "key").write_text("a key with many more than 32 characters\n")
    (tmp_path / "url").write_text("postgres://user@host/name\n")
    monkeypatch.setenv("AFFILIATE_SECRET_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))

    settings = config.load()

    assert settings.secret_key
    assert settings.secret_key.get_secret_value() == "a key with many more than 32 characters"
    assert settings.database_url == "postgresql+psycopg://user@host/name"


def test_a_secret_file_that_is_missing_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("AFFILIATE_SECRET_KEY_FILE", str(tmp_path / "nowhere"))

    with pytest.raises(config.BadSettings, match="nowhere"):
        config.load()


def test_an_application_without_servers_says_what_it_needs():
    with pytest.raises(config.BadSettings, match="AFFILIATE_SECRET_KEY"):
        create_app(config.load())


def test_settings_show_no_secret():
    settings = config.load(secret_key="x" * 40)

    assert "x" * 40 not in repr(settings)
