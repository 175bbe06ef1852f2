"""The OpenAPI 3.1 document, made from the table that also serves. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from coordnode.api.answers import Error
from coordnode.api.route import JSON_TYPE, NUMBER_MAX, RAW_TYPE, Query, Route
from coordnode.api.table import parts_of, plain_path
from coordnode.api.watches import STREAM_TYPE
from coordnode.limits import REQUEST_ID_BYTES_MAX

REFS = "#/components/schemas/{name}"
NUMBER = {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX}
SAID = {200: "answered", 202: "not yet", 404: "there is none", 412: "the condition did not hold"}
SESSION_HEADER = ("Coord-Session", NUMBER, "the session on whose behalf this is done")
WRITE_HEADERS = (
    (
        "Idempotency-Key",
        {"type": "string", "maxLength": REQUEST_ID_BYTES_MAX, "pattern": "^[ -~]*$"},
        "with the same key this happens once, however often and to whichever member it is sent",
    ),
    SESSION_HEADER,
    ("Coord-Sequence", NUMBER, "counts the session's writes from 1: each happens once"),
    ("Coord-Lowest-Open", NUMBER, "no sequence below this will be asked about again"),
)


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    types: list[Any] = [Error]
    for route in routes:
        types += [kind for kind in (*route.answers.values(), route.body) if kind is not None]
    _, components = msgspec.json.schema_components(list(dict.fromkeys(types)), ref_template=REFS)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(plain_path(route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "coordnode",
            "version": version,
            "description": "What a cluster keeps. Every member serves all of it; who does not lead forwards.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def encoded(routes: Sequence[Route], version: str) -> bytes:
    return json.dumps(document(routes, version), indent=1).encode() + b"\n"


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route.query), *_headers(route)],
        "responses": {str(status): _answer(route, status, kind) for status, kind in route.answers.items()},
    }
    operation["responses"]["default"] = {
        "description": "nothing was done, or, if `definite` is false, nobody knows",
        "content": {JSON_TYPE: {"schema": _ref(Error)}},
    }
    if route.body is not None:
        content: dict[str, Any] = {JSON_TYPE: {"schema": _ref(route.body)}}
        if route.takes_raw:
            content[RAW_TYPE] = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": not route.takes_raw, "content": content}
    return operation


def _answer(route: Route, status: int, kind: type[msgspec.Struct]) -> dict[str, Any]:
    content: dict[str, Any] = {JSON_TYPE: {"schema": _ref(kind)}}
    if route.gives_raw and status == 200:
        content[RAW_TYPE] = {"schema": {"type": "string", "format": "binary"}}
    if route.is_stream:
        content[STREAM_TYPE] = {"schema": {"type": "string"}}
    return {
        "description": SAID[status],
        "content": content,
    }


def _ref(kind: type[msgspec.Struct]) -> Mapping[str, str]:
    return {"$ref": REFS.format(name=kind.__name__)}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    text = {"type": "string", "minLength": 1}  # names are bounded in bytes, for which there is no word here
    parts = parts_of(route.path)
    return [{"name": name, "in": "path", "required": True, "schema": NUMBER if is_number else text} for name, is_number in parts]


def _query_parameters(query: type[Query]) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([query], ref_template=REFS)
    found: list[dict[str, Any]] = []
    for name, schema in components[query.__name__]["properties"].items():
        if "anyOf" in schema:  # a parameter is left out, never null
            schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
        parameter = {"name": name, "in": "query", "schema": schema}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        found.append(parameter)
    return found


def _headers(route: Route) -> list[dict[str, Any]]:
    taken = WRITE_HEADERS if route.is_write else (SESSION_HEADER,) if route.takes_session else ()
    return [{"name": name, "in": "header", "schema": schema, "description": said} for name, schema, said in taken]
