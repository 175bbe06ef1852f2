"""The route of watches, and how changes look: as events of a stream that resumes by revision, or as one answer that waits. Pure."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordnode.api.answers import encode
from coordnode.api.kv import Listed, bounds_of
from coordnode.api.route import NUMBER_MAX, TIMEOUT_MS_MAX, Asked, Query, Route, Watch, Work, answers_itself
from coordnode.api.values import in_query, text_of, whole_number
from coordnode.errors import BadRequest
from coordnode.services.commands import KV, PUT_EVENT, Change

STREAM_TYPE = "text/event-stream"


class WaitQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    from_revision: Annotated[int, Meta(ge=0, le=NUMBER_MAX, description="0: from now on; a stream's Last-Event-ID goes before")] = 0
    wait_ms: Annotated[
        int, Meta(ge=0, le=TIMEOUT_MS_MAX, description="without a stream: answer after so long, with nothing if need be")
    ] = 30_000


class WatchQuery(WaitQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: Annotated[Listed, Meta(min_length=1, description="this one key; or else prefix, or start and end")] | None = None
    prefix: Listed | None = None
    start: Listed = ""
    end: Listed = ""


class ShownEvent(msgspec.Struct, frozen=True):
    kind: Literal["put", "delete"]
    key: str | None
    key_base64: str
    value: str | None
    value_base64: str
    version: int
    session: int


class ShownChange(msgspec.Struct, frozen=True):
    """All that happened at one revision, as far as it was asked for."""

    revision: int
    events: list[ShownEvent]


class Changes(msgspec.Struct, frozen=True):
    """Nothing that matches is missing before `next_revision`: give it as `from_revision` to go on."""

    changes: list[ShownChange]
    next_revision: int


class Gap(msgspec.Struct, frozen=True):
    """Changes before `floor` are gone: read the keys, then watch from there."""

    floor: int


class Progress(msgspec.Struct, frozen=True):
    """Of a stream, when nothing else is to be told: nothing that matches is missing before `next_revision`."""

    next_revision: int


def last_event(headers: Mapping[str, str]) -> int:
    """The id of the last event that a stream's client has seen; 0: none."""
    text = headers.get("last-event-id", "0")
    revision = whole_number(text)
    if revision is None:
        raise BadRequest("the Last-Event-ID is not the id of an event: give the last `id` of the stream, or leave the header out")
    return revision


def _watch(asked: Asked[WatchQuery, None]) -> Work:
    query = asked.query
    if query.key is None:
        start, end = bounds_of(query.prefix, query.start, query.end)
    elif query.prefix is not None or query.start or query.end:
        raise BadRequest("give one of key, prefix, or start and end")
    else:
        start = in_query(query.key)
        end = start + b"\0"
    return Watch(start, end, KV, query.from_revision, query.wait_ms, _shown, Changes)


def _shown(change: Change) -> ShownChange:
    events = [
        ShownEvent(
            "put" if event.kind == PUT_EVENT else "delete",
            text_of(event.key),
            b64encode(event.key).decode(),
            text_of(event.value),
            b64encode(event.value).decode(),
            event.version,
            event.session,
        )
        for event in change.events
    ]
    return ShownChange(change.revision, events)


def stream_event(kind: str, data: msgspec.Struct, revision: int = 0) -> bytes:
    """`revision`: the event's id; a client that connects again gives it as Last-Event-ID."""
    head = f"id: {revision}\n" if revision else ""
    return f"event: {kind}\n{head}data: ".encode() + encode(data) + b"\n\n"


ROUTES = (
    Route(
        "GET", "/v1/watch", "watch",
        "Changes in order, each once. With `Accept: text/event-stream` a stream, else one answer as soon as there is something.",
        _watch, answers_itself, {200: Changes}, WatchQuery, is_stream=True,
    ),
)  # fmt: skip
