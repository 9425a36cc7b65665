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
    schemas, definitions = models_json_schema(_models(endpoints), ref_template=REF)
    refs = {model: schema for (model, _), schema in schemas.items()}
    paths: dict[str, Any] = {}
    for each in sorted(endpoints, key=lambda each: each.path):
        paths.setdefault(f"/api/v1{each.path}", {})[each.method.lower()] = _operation(each, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tuike", "version": "1", "description": INTRODUCTION},
        "servers": [{"url": server}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Problem": PROBLEM},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(endpoints: Iterable[Endpoint]) -> list[tuple[type[BaseModel], Any]]:
    found: dict[tuple[type[BaseModel], Any], None] = {}
    for each in endpoints:
        if each.body:
            found[each.body, "validation"] = None
        if _is_model(each.returns):
            found[each.returns, "serialization"] = None
    return list(found)


def _is_model(kind: Any) -> bool:
    return inspect.isclass(kind) and get_origin(kind) is None and issubclass(kind, BaseModel)


def _operation(each: Endpoint, refs: dict[Any, Any]) -> dict[str, Any]:
    words = inspect.getdoc(each.handler) or each.handler.__name__.replace("_", " ").capitalize()
    summary, _, more = words.partition("\n\n")
    roles = sorted({role for right in each.needs for role in HOLDERS[right]})
    who = f"Roles: {', '.join(roles)}." if roles else "Every key."
    operation: dict[str, Any] = {
        "operationId": each.name,
        "tags": [each.path.split("/")[1]],
        "summary": " ".join(summary.split()),
        "description": f"{more}\n\n{who}".strip(),
        "parameters": [*_path(each), *_query(each), *_headers(each)],
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


def _query(each: Endpoint) -> list[dict[str, Any]]:
    schema = each.query.model_json_schema(ref_template=REF)
    assert "$defs" not in schema, f"{each.name}: the query takes plain values only"
    return (
        [
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "schema": shape,
            }
            for name, shape in schema["properties"].items()
        ]
        if schema.get("properties")
        else []
    )


def _headers(each: Endpoint) -> list[dict[str, Any]]:
    text = {"type": "string"}
    if each.method == "POST":
        key = {**text, "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        return [{"name": "Idempotency-Key", "in": "header", "schema": key}]
    if each.method == "PATCH":
        return [{"name": "If-Match", "in": "header", "required": True, "schema": text}]
    return []
