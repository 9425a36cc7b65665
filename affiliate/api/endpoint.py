"""The registry of endpoints, and what happens to a request before and after its handler."""

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, get_origin, get_type_hints

from flask import Response, request
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from affiliate import audit
from affiliate.api import auth, idempotency
from affiliate.api.problems import Problem, escape, of_validation
from affiliate.api.shapes import Body, Query
from affiliate.errors import Forbidden, NotFound, Stale, invalid
from affiliate.people.rules import Right

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = TypeVar("Handler", bound=Callable[..., Any])

JSON_TYPES = {"application/json", "application/merge-patch+json"}
# Worth a closer look: escaped NUL, a number of 19 digits or more, a float beyond all bounds.
SUSPECT = re.compile(rb"\\u0000|\d{19}|\d[eE]\+?\d{3}|NaN|Infinity")
INT64 = range(-(1 << 63), 1 << 63)


class Nothing(Body):
    """A request without a body; an empty object is as good."""


class IfMatch:
    """The versions a PATCH may be applied to. Ask it before changing anything."""

    def __init__(self, header: str) -> None:
        self._any = header.strip() == "*"
        self._tags = {tag.strip() for tag in header.split(",")}

    def check(self, version: int) -> None:
        if not self._any and etag(version) not in self._tags:
            raise Stale("It was changed meanwhile: read it again and send its ETag in If-Match.")


def etag(version: int) -> str:
    return f'"{version}"'


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: Method
    path: str  # below /api/v1, with {names}
    handler: Callable[..., Any]
    needs: tuple[Right, ...]  # any of them; none: every signed-in caller
    status: int
    produces: str
    body: type[Body] | None
    query: type[Query]
    returns: Any
    path_types: dict[str, Any]  # name → annotation
    takes: frozenset[str]  # of caller, body, query, if_match: what the handler asks for
    room: int | None  # bytes of a body that may be larger than others

    @property
    def name(self) -> str:
        return f"{self.handler.__module__.rpartition('.')[2]}_{self.handler.__name__}"

    @property
    def rule(self) -> str:
        return "/v1" + self.path.replace("{", "<").replace("}", ">")


ENDPOINTS: list[Endpoint] = []


def endpoint(
    method: Method,
    path: str,
    *,
    needs: Right | tuple[Right, ...] = (),
    status: int = 200,
    produces: str = "application/json",
    room: int | None = None,
) -> Callable[[Handler], Handler]:
    """Register a handler; affiliate/api/__init__.py shows how one is written."""
    rights = needs if isinstance(needs, tuple) else (needs,)

    def register(handler: Handler) -> Handler:
        hints = get_type_hints(handler, include_extras=True)
        names = set(re.findall(r"{(\w+)}", path))
        takes = frozenset(inspect.signature(handler).parameters) - names
        assert takes <= {"caller", "body", "query", "if_match"}, f"{handler}: {sorted(takes)}"
        assert ("if_match" in takes) == (method == "PATCH"), f"{handler}: PATCH takes if_match"
        ENDPOINTS.append(
            Endpoint(
                method=method,
                path=path,
                handler=handler,
                needs=rights,
                status=status,
                produces=produces,
                body=hints.get("body"),
                query=hints.get("query", Query),
                returns=hints["return"],
                path_types={name: hints[name] for name in names},
                takes=takes,
                room=room,
            )
        )
        return handler

    return register


def view(each: Endpoint) -> Callable[..., Response]:
    """The Flask view of an endpoint: who calls, may they, what do they bring, then the handler."""
    path_adapters = {name: TypeAdapter(kind) for name, kind in each.path_types.items()}

    def answer(**path: str) -> Response:
        caller = auth.caller()
        audit.act_as(caller.user_id, caller.key_id)
        if each.needs and not caller.may(*each.needs):
            raise Forbidden("Your role does not allow this.")
        brought: dict[str, Any] = {"caller": caller, "query": _read_query(each.query)}
        if each.method == "PATCH":
            brought["if_match"] = _if_match()
        if each.room is not None:
            request.max_content_length = each.room
        if each.method not in {"GET", "DELETE"}:
            brought["body"] = _read_body(each.body or Nothing)
        arguments = {name: brought[name] for name in each.takes}
        arguments |= {name: _read_path(path_adapters[name], text) for name, text in path.items()}
        work = partial(_run, each, arguments)
        key = request.headers.get("Idempotency-Key")
        if each.method == "POST" and key is not None:
            return idempotency.once(caller.user_id, key, work)
        return work()

    return answer


def _run(each: Endpoint, arguments: dict[str, Any]) -> Response:
    result = each.handler(**arguments)
    if isinstance(result, Response):
        return result
    if result is None:
        return Response(status=204)
    assert isinstance(result, BaseModel), each.name
    response = Response(
        result.model_dump_json(by_alias=True), each.status, mimetype="application/json"
    )
    version = getattr(result, "version", None)
    if version is not None:
        response.headers["ETag"] = etag(version)
    if each.status == 201:
        response.headers["Location"] = f"{request.path}/{result.model_dump()['id']}"
    return response


def _if_match() -> IfMatch:
    header = request.headers.get("If-Match")
    if header is None:
        raise Problem(428, "if_match_missing", "Send the ETag you read in If-Match.")
    return IfMatch(header)


def _read_path(adapter: TypeAdapter[Any], text: str) -> Any:
    try:
        return adapter.validate_python(text)
    except ValidationError:
        raise NotFound("There is nothing with this id.") from None


def _read_query(model: type[Query]) -> Query:
    given: dict[str, Any] = {}
    for name, values in request.args.lists():
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is list:
            given[name] = values
        elif len(values) > 1:
            raise invalid(f"/{name}", "repeated", "This parameter is given more than once.")
        else:
            given[name] = values[0]
    if any("\x00" in text for name, texts in request.args.lists() for text in (name, *texts)):
        raise invalid("", "nul_character", "Text must not contain NUL characters.")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise of_validation(error, given) from error


def _read_body(model: type[Body]) -> Body:
    raw = request.get_data()
    if not raw and model is Nothing:
        return Nothing()
    if request.mimetype not in JSON_TYPES:
        raise Problem(415, "unsupported_media_type", "Send Content-Type: application/json.")
    try:
        given = from_json(raw)
    except ValueError as error:
        raise Problem(400, "malformed_json", str(error)) from error
    if SUSPECT.search(raw):
        _look_closer(given, "")
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise of_validation(error, given) from error


def _look_closer(value: Any, pointer: str) -> None:
    """What PostgreSQL cannot store, wherever it stands."""
    if isinstance(value, str) and "\x00" in value:
        raise invalid(pointer, "nul_character", "Text must not contain NUL characters.")
    if isinstance(value, int) and value not in INT64:
        raise invalid(pointer, "out_of_range", "This number is beyond 64 bits.")
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid(pointer, "out_of_range", "This number is beyond what is accepted.")
    if isinstance(value, dict):
        for name, each in value.items():
            _look_closer(name, pointer)
            _look_closer(each, f"{pointer}/{escape(name)}")
    if isinstance(value, list):
        for index, each in enumerate(value):
            _look_closer(each, f"{pointer}/{index}")
