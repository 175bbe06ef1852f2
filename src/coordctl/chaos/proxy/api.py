"""Requests of toxiproxy's HTTP API, as 2.12 answers them; where it is at fault, docs/chaos.md says what we do instead."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from coordctl.chaos.proxy.registry import Proxy, Registry
from coordctl.chaos.proxy.toxics import ApiError, merge, parse_toxic, typed

VERSION = "2.12.0"
JSON, TEXT = "application/json", "text/plain; charset=utf-8"
NO_SNIFF = {"Content-Type": TEXT, "X-Content-Type-Options": "nosniff"}
NOT_FOUND = "404 page not found\n"
POPULATE_TYPE = r'[]struct { toxiproxy.Proxy; Enabled *bool "json:\"enabled\"" }'


class Request(NamedTuple):
    method: str
    path: str
    body: bytes
    agent: str


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes = b""


Act = Callable[[list[str], bytes], Awaitable[Answer]]


def _json(status: int, found: Any, kind: str = JSON) -> Answer:
    return Answer(status, {"Content-Type": kind}, json.dumps(found, separators=(",", ":")).encode())


def _refusal(error: ApiError) -> Answer:
    shown = json.dumps({"error": error.sentence, "status": error.status}, separators=(",", ":"))
    return Answer(error.status, NO_SNIFF, shown.encode() + b"\n")


def _decoded(body: bytes) -> Any:
    """In the words of the original when it is no JSON."""
    text = body.decode(errors="replace")
    if not text.strip():
        raise ApiError(400, "bad request body: EOF")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()):
            raise ApiError(400, "bad request body: unexpected EOF") from None
        place = "object key string" if "property name" in error.msg else "value"
        where = f"looking for beginning of {place}" if "Expecting" in error.msg and "delimiter" not in error.msg else "after value"
        raise ApiError(400, f"bad request body: invalid character {text[error.pos]!r} {where}") from None


def _object(body: bytes, kind: str) -> dict[str, Any]:
    found = _decoded(body)
    if found is None:
        return {}
    if not isinstance(found, dict):
        words = {str: "string", bool: "bool", list: "array"}.get(type(found), "number")
        raise ApiError(400, f"bad request body: json: cannot unmarshal {words} into Go value of type {kind}")
    return found


class Api:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def answer(self, request: Request) -> Answer:
        if request.agent.startswith("Mozilla/"):
            return Answer(403, NO_SNIFF, b"User agent not allowed\n")
        parts = unquote(request.path.partition("?")[0]).strip("/").split("/")
        methods = self._methods(parts)
        if not methods:
            return Answer(404, NO_SNIFF, NOT_FOUND.encode())
        if request.method not in methods:
            return Answer(405, {})
        try:
            return await methods[request.method](request.body)
        except ApiError as error:
            return _refusal(error)

    def _methods(self, parts: list[str]) -> dict[str, Callable[[bytes], Awaitable[Answer]]]:
        """Of one path: method -> what answers it."""

        def of(act: Act) -> Callable[[bytes], Awaitable[Answer]]:
            return lambda body: act(parts, body)

        match parts:
            case ["version"]:
                return {"GET": of(self._version)}
            case ["reset"]:
                return {"POST": of(self._reset)}
            case ["populate"]:
                return {"POST": of(self._populate)}
            case ["proxies"]:
                return {"GET": of(self._list), "POST": of(self._create)}
            case ["proxies", _]:
                change = of(self._change)
                return {"GET": of(self._show), "POST": change, "PATCH": change, "DELETE": of(self._delete)}
            case ["proxies", _, "traffic"]:
                return {"GET": of(self._traffic)}
            case ["proxies", _, "toxics"]:
                return {"GET": of(self._toxics), "POST": of(self._add_toxic)}
            case ["proxies", _, "toxics", _]:
                change = of(self._change_toxic)
                return {"GET": of(self._show_toxic), "POST": change, "PATCH": change, "DELETE": of(self._remove_toxic)}
        return {}

    # --- of the server ---------------------------------------------------------------------------------------------

    async def _version(self, parts: list[str], body: bytes) -> Answer:
        return Answer(200, {"Content-Type": "application/json;charset=utf-8"}, b'{"version": "%s-coordctl"}\n' % VERSION.encode())

    async def _reset(self, parts: list[str], body: bytes) -> Answer:
        await self._registry.reset()
        return Answer(204, {})

    async def _populate(self, parts: list[str], body: bytes) -> Answer:
        """All that can be made, up to the first that cannot: what was made is in the answer, also of a refusal."""
        made: list[Proxy] = []
        try:
            found = _decoded(body)
            if not isinstance(found, list):
                kind = {dict: "object", str: "string", bool: "bool"}.get(type(found), "number")
                raise ApiError(400, f"bad request body: json: cannot unmarshal {kind} into Go value of type " + POPULATE_TYPE)
            for number, one in enumerate(found, 1):
                _wanted(one if isinstance(one, dict) else {}, f" at proxy {number}")
            for one in found:
                made.append(await self._put(one))
        except ApiError as error:
            shown = [proxy.shown() for proxy in made] or None
            return _json(error.status, {"error": error.sentence, "status": error.status, "proxies": shown})
        return _json(201, {"proxies": [proxy.shown() for proxy in made] or None})

    async def _put(self, found: dict[str, Any]) -> Proxy:
        name, listen, upstream, is_enabled = _wanted(found)
        existing = self._registry.proxies.get(name)
        if existing is not None:
            if (existing.listen, existing.upstream) == (listen, upstream):
                await self._registry.change(existing, listen, upstream, is_enabled=is_enabled)
                return existing
            await self._registry.remove(existing)
        return await self._registry.add(name, listen, upstream, is_enabled=is_enabled)

    # --- of proxies ------------------------------------------------------------------------------------------------

    async def _list(self, parts: list[str], body: bytes) -> Answer:
        return _json(200, {name: self._registry.proxies[name].shown() for name in sorted(self._registry.proxies)})

    async def _create(self, parts: list[str], body: bytes) -> Answer:
        name, listen, upstream, is_enabled = _wanted(_object(body, "toxiproxy.Proxy"))
        return _json(201, (await self._registry.add(name, listen, upstream, is_enabled=is_enabled)).shown())

    async def _show(self, parts: list[str], body: bytes) -> Answer:
        return _json(200, self._registry.find(parts[1]).shown())

    async def _change(self, parts: list[str], body: bytes) -> Answer:
        proxy = self._registry.find(parts[1])
        found = _object(body, "toxiproxy.Proxy")
        listen, upstream = (typed(found, name, str, "Proxy") or "" for name in ("listen", "upstream"))
        enabled = typed(found, "enabled", bool, "Proxy")
        await self._registry.change(proxy, listen, upstream, is_enabled=proxy.is_enabled if enabled is None else enabled)
        return _json(200, proxy.shown())

    async def _delete(self, parts: list[str], body: bytes) -> Answer:
        await self._registry.remove(self._registry.find(parts[1]))
        return Answer(204, {})

    async def _traffic(self, parts: list[str], body: bytes) -> Answer:
        """Ours: bytes that came, and that went on, each way."""
        found = self._registry.find(parts[1]).traffic()
        return _json(200, {stream: {"received": one.received, "passed": one.passed} for stream, one in found.items()})

    # --- of toxics -------------------------------------------------------------------------------------------------

    async def _toxics(self, parts: list[str], body: bytes) -> Answer:
        return _json(200, [toxic.shown() for toxic in self._registry.find(parts[1]).in_order()])

    async def _add_toxic(self, parts: list[str], body: bytes) -> Answer:
        proxy = self._registry.find(parts[1])
        toxic = parse_toxic(_object(body, "toxics.ToxicWrapper"))
        proxy.add(toxic)
        return _json(200, toxic.shown())

    async def _show_toxic(self, parts: list[str], body: bytes) -> Answer:
        return _json(200, self._registry.find(parts[1]).find(parts[3]).shown())

    async def _change_toxic(self, parts: list[str], body: bytes) -> Answer:
        """Only its attributes and its chance."""
        proxy = self._registry.find(parts[1])
        toxic = proxy.find(parts[3])
        found = _object(body, "toxics.ToxicWrapper")
        attributes = dict(toxic.attributes)
        merge(toxic.kind, attributes, found)
        fresh = parse_toxic({"type": toxic.kind, "toxicity": found.get("toxicity", toxic.toxicity)})
        toxic.attributes, toxic.toxicity = attributes, fresh.toxicity
        proxy.update(toxic)
        return _json(200, toxic.shown())

    async def _remove_toxic(self, parts: list[str], body: bytes) -> Answer:
        proxy = self._registry.find(parts[1])
        proxy.remove(proxy.find(parts[3]))
        return Answer(204, {})


def _wanted(found: dict[str, Any], where: str = "") -> tuple[str, str, str, bool]:
    name, listen, upstream = (typed(found, field, str, "Proxy") or "" for field in ("name", "listen", "upstream"))
    enabled = typed(found, "enabled", bool, "Proxy")
    for field, value in (("name", name), ("upstream", upstream)):
        if not value:
            raise ApiError(400, f"missing required field: {field}{where}")
    return name, listen, upstream, enabled is not False
