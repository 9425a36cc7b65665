"""Signing in by an OpenID provider, against one that speaks the real protocol."""

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from affiliate.config import OpenIdProvider
from affiliate.db import db
from affiliate.people import joining, openid, queries
from affiliate.people.models import Identity, Role
from tests.consoles.signed_in import fill_in, hidden_in, sign_in
from tests.factories.people import a_promoter, a_user
from tests.people.openid_provider import CLIENT, OTHER_KEY, SECRET, openid_provider

GO = "/sign-in/with/local"
TYPED = {"name": "Ana", "country": "BR", "locale": "pt-BR", "terms": "1"}


@pytest.fixture
def provider(app, monkeypatch):
    with openid_provider() as found:
        known = OpenIdProvider(
            name="local", label="Local ID", issuer=found.issuer, client_id=CLIENT,
            client_secret=SecretStr(SECRET),
        )  # fmt: skip
        settings = app.config["SETTINGS"].model_copy(update={"openid": [known]})
        monkeypatch.setitem(app.config, "SETTINGS", settings)
        yield found


@pytest.fixture
def ana(provider):
    """Who connected it before."""
    user = a_user(Role.OPERATOR, email="ana@example.com")
    openid.connect(user, openid.Person(provider.issuer, "u1", "Ana", None))
    db.session.commit()
    return user


def go(client, provider, way=GO):
    """There, yes, and back."""
    return client.get(provider.allow(client.get(way).location))


def test_the_sign_in_page_offers_it(client, provider):
    assert "Continue with Local ID" in client.get("/sign-in").text


def test_who_connected_it_before_is_let_in_and_back_to_where_they_were(client, provider, ana):
    answer = go(client, provider, f"{GO}?next=/account/security")

    assert answer.location == "/account/security"
    assert client.get("/account/").status_code == 200


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": [CLIENT, "another"]},
        {"azp": "another"},
        {"nonce": "of another sign-in"},
        {"nonce": None},
        {"exp": 1},
        {"iat": None},
        {"sub": None},
    ],
    ids=str,
)
def test_what_cannot_be_believed_lets_nobody_in(client, provider, ana, lie):
    provider.lie = lie

    answer = go(client, provider)

    assert answer.location == "/sign-in"
    assert "could not be understood" in client.get("/sign-in").text
    assert client.get("/account/").status_code == 303


def test_a_token_signed_by_another_key_lets_nobody_in(client, provider, ana):
    provider.key = OTHER_KEY

    assert go(client, provider).location == "/sign-in"


def test_coming_back_is_good_once_and_in_the_browser_that_began(client, app, provider, ana):
    back = provider.allow(client.get(GO).location)
    elsewhere = app.test_client()

    assert elsewhere.get(back).location == "/sign-in"
    assert client.get(f"{back}x").location == "/sign-in"  # another state
    assert client.get(back).location == "/sign-in"  # and that was its one time
    assert client.get("/account/").status_code == 303


def test_who_says_no_over_there_is_told_so(client, provider):
    client.get(GO)
    with client.session_transaction() as cookie:
        state = cookie["begun"]["state"]

    client.get(f"{GO}/back?error=access_denied&state={state}")

    assert "Local ID did not sign you in." in client.get("/sign-in").text


def test_a_provider_that_is_away_is_said_to_be(client, provider):
    provider.line.answer = lambda _: (503, {})

    assert client.get(GO).location == "/sign-in"
    assert "Local ID does not answer" in client.get("/sign-in").text


def test_joining_with_it_needs_no_code(client, provider):
    sponsor = a_promoter("王小明")
    db.session.commit()
    path = f"/join/{joining.invite_code(sponsor.id)}"

    back = go(client, provider, f"{GO}?next={path}")
    page = client.get(path)
    answer = client.post(path, data=hidden_in(page) | TYPED)

    user = queries.user_by_email("ana@example.com")
    assert back.location == path
    assert 'name="contact"' not in page.text
    assert 'value="Ana"' in page.text
    assert answer.location == "/promoter/"
    assert queries.promoter_by_email("ana@example.com").sponsor_id == sponsor.id
    assert db.session.scalars(sa.select(Identity.user_id)).all() == [user.id]


def test_an_address_it_vouches_for_opens_nobodys_account(client, provider):
    """Providers are believed about newcomers only."""
    a_user(Role.OPERATOR, email="ana@example.com")
    sponsor = a_promoter()
    db.session.commit()
    path = f"/join/{joining.invite_code(sponsor.id)}"

    go(client, provider, f"{GO}?next={path}")
    answer = client.post(path, data=hidden_in(client.get(path)) | TYPED)

    assert answer.location == "/sign-in?email=ana@example.com"
    assert client.get("/account/").status_code == 303


def test_an_address_it_does_not_vouch_for_is_proven_by_a_code(client, provider):
    from tests.consoles.test_account_joining import enter, newest_code

    provider.person["email_verified"] = False
    sponsor = a_promoter()
    db.session.commit()
    path = f"/join/{joining.invite_code(sponsor.id)}"

    go(client, provider, f"{GO}?next={path}")
    client.post(path, data=hidden_in(client.get(path)) | TYPED | {"contact": "bia@example.com"})
    enter(client, newest_code())

    user = queries.user_by_email("bia@example.com")
    assert db.session.scalars(sa.select(Identity.user_id)).all() == [user.id]


def test_it_is_connected_and_disconnected_by_who_is_signed_in(client, provider):
    user = a_user()
    sign_in(client, user)

    go(client, provider)
    connected = client.get("/account/security").text
    fill_in(client, "/account/security", to="/account/providers/local/disconnect")

    assert "From now on you can sign in with Local ID" in connected
    assert db.session.query(Identity).count() == 0


def test_nobody_takes_over_what_another_signs_in_with(client, provider, ana):
    sign_in(client, a_user())

    go(client, provider)

    assert "Another account signs in with this already" in client.get("/account/security").text
    assert db.session.scalars(sa.select(Identity.user_id)).all() == [ana.id]


def test_who_is_unknown_is_told_what_to_do(client, provider):
    assert go(client, provider).location == "/sign-in"
    assert "join by an invite link" in client.get("/sign-in").text
