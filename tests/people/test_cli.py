"""`affiliate users` and `affiliate keys`."""

import pyotp
import pytest
from click.testing import CliRunner

from affiliate import ids, security
from affiliate.cli import main
from affiliate.people import queries
from affiliate.people.models import Role
from tests.consoles.signed_in import hidden_in
from tests.factories.people import a_merchant, a_promoter, a_user, bearer


def run(*arguments: str, stdin: str | None = None):
    return CliRunner().invoke(main, arguments, input=stdin)


def test_a_new_user_gets_a_link_that_works(client):
    result = run("users", "create", "--email", "ana@example.com", "--role", "operator")

    assert result.exit_code == 0, result.stderr
    path = result.stdout.strip().removeprefix("http://127.0.0.1:8765")
    form = hidden_in(client.get(path))
    assert form["username"] == "ana@example.com"
    assert client.post(path, data=form | {"password": "short"}).status_code == 422
    assert client.post(path, data=form | {"password": "correct horse battery"}).status_code == 200
    user = queries.user_by_email("ana@example.com")
    assert security.password_fits(user.password_hash, "correct horse battery")
    assert client.post(path, data=form | {"password": "another horse battery"}).status_code == 404
    assert "used before" in client.get(path).text


def test_the_page_of_a_link_is_neither_kept_nor_told(client):
    result = run("users", "create", "--email", "ana@example.com", "--role", "operator")
    page = client.get(result.stdout.strip().removeprefix("http://127.0.0.1:8765"))

    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"


def test_a_password_may_come_from_stdin():
    arguments = ("users", "create", "--email", "ana@example.com", "--role", "operator")
    result = run(*arguments, "--password-stdin", stdin="correct horse battery\n")

    assert (result.exit_code, result.stdout) == (0, "")
    user = queries.user_by_email("ana@example.com")
    assert security.password_fits(user.password_hash, "correct horse battery")


def test_a_known_address_gets_the_role_too():
    user = a_user(Role.OPERATOR, email="ana@example.com")

    run("users", "create", "--email", "ana@example.com", "--role", "finance_checker")

    assert [held.role for held in queries.grants_of(user.id)] == ["operator", "finance_checker"]


def test_the_second_factor_is_printed_once():
    user = a_user(email="ana@example.com")

    lines = run("users", "totp", "--email", "ana@example.com").stdout.splitlines()

    assert lines[1] == f"secret: {pyotp.parse_uri(lines[0]).secret}"
    assert user.totp_secret is not None


def test_a_key_stands_alone_on_stdout_and_works(client):
    result = run("keys", "create", "--name", "robot", "--role", "operator")

    assert result.stdout.count("\n") == 1
    me = client.get("/api/v1/me", headers=bearer(result.stdout.strip())).json
    assert me["is_service"]
    assert me["roles"] == [{"role": "operator", "merchant": None, "promoter": None, "agency": None}]


def test_a_key_can_act_as_a_person_for_one_merchant(client):
    merchant = a_merchant()
    a_user(Role.MERCHANT_OWNER, merchant=merchant, email="ana@example.com")
    public = ids.encode("mer", merchant.id)

    result = run(
        "keys", "create", "--name", "mine", "--role", "merchant_owner",
        "--merchant", public, "--user", "ana@example.com",
    )  # fmt: skip

    me = client.get("/api/v1/me", headers=bearer(result.stdout.strip())).json
    assert me["email"] == "ana@example.com"
    assert me["roles"][0]["merchant"] == public


def test_a_promoter_gets_a_user_and_a_key(client):
    public = ids.encode("prm", a_promoter().id)

    run("users", "create", "--email", "b@example.com", "--role", "promoter", "--promoter", public)
    key = run("keys", "create", "--name", "b", "--role", "promoter", "--promoter", public).stdout

    assert client.get(f"/api/v1/promoters/{public}", headers=bearer(key.strip())).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("users", "create", "--email", "ana", "--role", "operator"), "not an e-mail"),
        (("users", "create", "--email", "a@example.com", "--role", "merchant_owner"), "merchant"),
        (("users", "create", "--email", "a@example.com", "--role", "promoter"), "promoter"),
        (("users", "totp", "--email", "nobody@example.com"), "users create"),
        (("keys", "create", "--name", "k", "--role", "merchant_owner", "--merchant", "x"), "mer_"),
        (("keys", "create", "--name", "k", "--role", "operator", "--user", "x@y.com"), "no user"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(arguments, words):
    result = run(*arguments)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr


def test_an_unknown_role_is_wrong_use():
    result = run("users", "create", "--email", "ana@example.com", "--role", "king")

    assert result.exit_code == 2
