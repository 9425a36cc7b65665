"""What every page has besides its content: theme, addresses that keep the query, drawings as SVG
points, and refusals as people see them: a page, or a toast when htmx asked.
"""

from collections.abc import Sequence
from urllib.parse import urlencode

from flask import Flask, Response, g, make_response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from affiliate.errors import AffiliateError
from affiliate.i18n import A_YEAR

THEMES = ("day", "night")


def init_app(app: Flask) -> None:
    app.jinja_env.globals.update(theme=theme, here_with=here_with, initials=initials)
    app.jinja_env.filters["spark"] = spark
    app.after_request(_remember_theme)


def theme() -> str | None:
    """What was chosen on this device; without a choice the system decides, in CSS."""
    chosen = request.args.get("theme") or request.cookies.get("theme")
    return chosen if chosen in THEMES else None


def here_with(**changes: str | None) -> str:
    """The address of this page with some query parameters changed; None takes one away."""
    query = {**request.args.to_dict(), **changes}
    kept = {key: value for key, value in query.items() if value is not None}
    return f"{request.path}?{urlencode(kept)}" if kept else request.path


def initials(name: str) -> str:
    """Two letters for a face: "Ana Souza" → "AS", "王小明" → "小明"."""
    words = name.split()
    if words and ord(words[0][0]) > 0x2E80:
        return words[0][-2:]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


def spark(values: Sequence[int], width: int = 96, height: int = 28) -> str:
    """Points of a polyline through the values, from left to right."""
    low, high = min(values, default=0), max(values, default=0)
    across, up = width / max(len(values) - 1, 1), height / max(high - low, 1)
    return " ".join(
        f"{i * across:.1f},{height - (value - low) * up:.1f}" for i, value in enumerate(values)
    )


def show_refusal(error: AffiliateError) -> ResponseReturnValue:
    """What a person may cause. The part of the page that was clicked stays as it is."""
    if request.headers.get("HX-Request"):
        return toast(str(error.message), tone="bad", status=error.status)
    if _wants_json():
        return {"error": error.code, "message": str(error.message)}, error.status
    return render_template("errors/refused.html", error=error), error.status


def show_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    if _wants_json() and not request.headers.get("HX-Request"):
        return {"error": error.name, "request_id": g.get("request_id", "")}, status
    if request.headers.get("HX-Request"):
        return toast(
            render_template("errors/_words.html", status=status), tone="bad", status=status
        )
    page = render_template("errors/error.html", status=status, request_id=g.get("request_id", ""))
    return page, status


def toast(words: str, *, tone: str = "done", status: int = 200) -> Response:
    """An answer to htmx that changes nothing but the corner with the news."""
    page = render_template("components/_toast.html", words=words, tone=tone)
    response = make_response(page, status)
    response.headers["HX-Retarget"] = "#toasts"
    response.headers["HX-Reswap"] = "beforeend"
    return response


def _wants_json() -> bool:
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return best == "application/json"


def _remember_theme(response: Response) -> Response:
    chosen = request.args.get("theme")
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=A_YEAR, samesite="Lax")
    elif chosen == "system":
        response.delete_cookie("theme", samesite="Lax")
    return response
