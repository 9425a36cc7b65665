"""Clients and browsers of somebody who signed in, without going through the sign-in page.

    def test_a_page(client):
        sign_in(client, a_user(Role.MERCHANT_OWNER, merchant=merchant))

        assert client.get("/merchant/orders/").status_code == 200

Posts carry the token that forms have, as a header (htmx sends it like this). `place=` puts the
session at one of several roles. In the browser: `visit("/merchant/", as_=user)` or
`page.context.add_cookies([cookie_for(app, user, site)])`.
"""

import re

from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from affiliate.db import unit_of_work
from affiliate.people import sessions
from affiliate.people.models import Grant, User, UserSession
from affiliate.people.sessions import Browser

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
TOKEN = "0123456789abcdef"  # what a session has; forms have it signed
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36"


def sign_in(client: FlaskClient, user: User, *, place: Grant | None = None) -> UserSession:
    """From here on the client is this person. Returns their session."""
    secret, session = open_session(user, place=place)
    with client.session_transaction() as cookie:
        cookie.clear()
        cookie.update(_user_id=secret, csrf_token=TOKEN)
        cookie.permanent = True
    client.environ_base["HTTP_X_CSRFTOKEN"] = token(client.application)
    return session


def fill_in(client: FlaskClient, path: str, *, to: str = "", **fields: str) -> TestResponse:
    """Open the page and send its form, as a browser does: with its hidden fields.

    `to` is the form's address where it is another than the page's.
    """
    return client.post(to or path, data=hidden_in(client.get(path)) | fields)


def hidden_in(page: TestResponse) -> dict[str, str]:
    return dict(HIDDEN.findall(page.text))


def open_session(user: User, *, place: Grant | None = None) -> tuple[str, UserSession]:
    """Committed, as other connections and threads must see it."""
    with unit_of_work():
        opened = sessions.open_whole(user, Browser("127.0.0.1", CHROME))
        opened.session.grant_id = place.id if place else None
    return opened.secret, opened.session


def token(app: Flask) -> str:
    """What `csrf_token()` writes into the forms of a session of `sign_in`."""
    return URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token").dumps(TOKEN)


def cookie_for(app: Flask, user: User, site: str) -> dict[str, str]:
    """For Playwright: `context.add_cookies([cookie_for(app, user, site)])`."""
    secret, _ = open_session(user)
    signer = app.session_interface.get_signing_serializer(app)
    value = signer.dumps({"_user_id": secret, "csrf_token": TOKEN, "_permanent": True})
    return {"name": app.config["SESSION_COOKIE_NAME"], "value": value, "url": site}
