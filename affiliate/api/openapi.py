"""The OpenAPI 3.1 document, made from the registered endpoints, and the page that shows it."""

import inspect
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from affiliate.api.endpoint import Endpoint
from affiliate.people.rules import HOLDERS

REF = "#/components/schemas/{model}"
INTRODUCTION = """\
Bearer keys (`aff_live_…`). Money in minor units, rates in parts per million, times in UTC.
Lists come in pages: follow `next` with `?cursor=`. PATCH wants the `ETag` in `If-Match`.
POST takes an `Idempotency-Key`. Refusals are problems as in RFC 9457."""

PROBLEM = {
    "type": "object",
    "description": "A refusal (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "description": "/problems/<code>, stable"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "message"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901)"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
PROBLEM_RESPONSE = {
    "description": "Refused",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def document(endpoints: Iterable[Endpoint], server: str) -> dict[str, Any]:
    endpoints = list(endpoints)
    references, definitions = models_json_schema(_models(endpoints), ref_template=REF)
    schemas: dict[str, Any] = definitions.get("$defs", {})
    refs: dict[Any, Any] = {model: shape for (model, _), shape in references.items()}
    paths: dict[str, Any] = {}
    for each in sorted(endpoints, key=lambda each: each.path):
        operation = _operation(each, refs, schemas)
        paths.setdefault(f"/api/v1{each.path}", {})[each.method.lower()] = operation
    changes = {_name(refs[each.body]) for each in endpoints if each.method == "PATCH" and each.body}
    for name, schema in schemas.items():
        _forget_defaults(schema, all_of_them=name in changes)
    for query in {each.query for each in endpoints}:
        schemas.pop(_name(refs[query]), None)  # its fields stand among the parameters
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tuike", "version": "1", "description": INTRODUCTION},
        "servers": [{"url": server}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": PROBLEM},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _name(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]


def _forget_defaults(schema: dict[str, Any], *, all_of_them: bool) -> None:
    """An empty text stands for "not given", and a PATCH leaves alone what it does not name."""
    for shape in schema.get("properties", {}).values():
        if all_of_them or shape.get("default") == "":
            shape.pop("default", None)


def _models(endpoints: Iterable[Endpoint]) -> list[tuple[type[BaseModel], Any]]:
    found: dict[tuple[type[BaseModel], Any], None] = {}
    for each in endpoints:
        found[each.query, "validation"] = None
        if each.body:
            found[each.body, "validation"] = None
        if _is_model(each.returns):
            found[each.returns, "serialization"] = None
    return list(found)


def _is_model(kind: Any) -> bool:
    return inspect.isclass(kind) and get_origin(kind) is None and issubclass(kind, BaseModel)


def _operation(each: Endpoint, refs: dict[Any, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    words = inspect.getdoc(each.handler) or each.handler.__name__.replace("_", " ").capitalize()
    summary, _, more = words.partition("\n\n")
    roles = sorted({role for right in each.needs for role in HOLDERS[right]})
    who = f"Roles: {', '.join(roles)}." if roles else "Every key."
    operation: dict[str, Any] = {
        "operationId": each.name,
        "tags": [each.path.split("/")[1]],
        "summary": " ".join(summary.split()),
        "description": f"{more}\n\n{who}".strip(),
        "parameters": [*_path(each), *_query(schemas[_name(refs[each.query])]), *_headers(each)],
        "responses": {str(each.status): _answer(each, refs), "4XX": PROBLEM_RESPONSE},
    }
    if each.body:
        content = {"application/json": {"schema": refs[each.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _answer(each: Endpoint, refs: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(each.status).phrase}
    if _is_model(each.returns):
        answer["content"] = {"application/json": {"schema": refs[each.returns]}}
        if "version" in each.returns.model_fields:
            answer["headers"] = {"ETag": {"schema": {"type": "string"}}}
    elif each.returns is not type(None):
        answer["content"] = {each.produces: {}}
    return answer


def _path(each: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": TypeAdapter(kind).json_schema(mode="serialization"),
        }
        for name, kind in each.path_types.items()
    ]


def _query(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": shape}
        for name, shape in schema.get("properties", {}).items()
    ]


def _headers(each: Endpoint) -> list[dict[str, Any]]:
    text = {"type": "string"}
    if each.method == "POST":
        key = {**text, "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        return [{"name": "Idempotency-Key", "in": "header", "schema": key}]
    if each.method == "PATCH":
        return [{"name": "If-Match", "in": "header", "required": True, "schema": text}]
    return []
