"""From outcomes to statuses and JSON: every error there is has a status, and says what it is."""

import json

import pytest

from coordnode import errors
from coordnode.api.answers import expect, shown, shown_error, status_of
from coordnode.api.openapi import document, encoded
from coordnode.api.route import Asked, Plain, Shown
from coordnode.api.table import ROUTES, TABLE, NoSuchPath
from coordnode.api.values import text_of
from coordnode.api.watches import Progress, stream_event
from coordnode.errors import BadRequest, CoordError, HistoryGone, NotReady, SessionExpired, TimedOut
from coordnode.ids import Revision, SessionId
from coordnode.net.http import REASONS
from coordnode.services import commands as c

ITEM = c.Item(b"k", b"v", Revision(3), Revision(5), 2, SessionId(99))
BINARY = c.Item(b"\xff", b"\0", Revision(3), Revision(5), 2)


def show(name: str, result: c.Result, *, wants_raw: bool = False, query: object = None) -> Shown:
    route = next(route for route in ROUTES if route.name == name)
    asked = Asked({"key": b"k"}, query or route.query(), None, b"", wants_raw)  # type: ignore[type-var]  # any query
    answer = shown(route.show(asked, result))
    assert answer.status in route.answers
    return answer


def test_a_key_that_is_there_and_one_that_is_not() -> None:
    assert json.loads(show("kv-get", c.Got(Revision(9), ITEM)).body) == {
        "revision": 9,
        "item": {
            **{"key": "k", "key_base64": "aw==", "value": "v", "value_base64": "dg=="},
            **{"create_revision": 3, "mod_revision": 5, "version": 2, "session": 99},
        },
    }
    assert show("kv-get", c.Got(Revision(9), None)).status == 404
    raw = show("kv-get", c.Got(Revision(9), BINARY), wants_raw=True)
    assert raw == Shown(200, "application/octet-stream", b"\0", (("Coord-Mod-Revision", "5"),))


def test_bytes_that_are_no_text_are_null_beside_their_base64() -> None:
    (item,) = json.loads(show("kv-range", c.Page(Revision(9), [BINARY], True)).body)["items"]
    assert (item["key"], item["key_base64"], item["value"], item["value_base64"]) == (None, "/w==", None, "AA==")
    assert text_of("ä\n".encode()) == "ä\n"


def test_the_next_page_begins_behind_the_last_key() -> None:
    assert json.loads(show("kv-range", c.Page(Revision(9), [ITEM, BINARY], True)).body)["next_start"] == "%FF%00"
    assert json.loads(show("kv-range", c.Page(Revision(9), [ITEM], False)).body)["next_start"] is None


def test_another_kind_of_result_tells_that_the_key_was_used_before() -> None:
    with pytest.raises(BadRequest, match="used for another operation"):
        show("kv-delete", c.Got(Revision(9), ITEM))
    assert expect(c.Done(Revision(4)), c.Done).revision == 4


@pytest.mark.parametrize("kind", errors.BY_CODE.values(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_says_what_it_is(kind: type[CoordError]) -> None:
    error = kind("check", "a sentence") if kind is errors.PromiseBroken else kind("a sentence")  # type: ignore[call-arg]
    said = shown_error(error)
    assert said.status == status_of(error)
    assert said.status in REASONS
    assert (said.status in (500, 504)) == (not kind.definite), "what may have happened never looks like a refusal"
    body = json.loads(said.body)
    assert (body["code"], body["name"], body["sentence"], body["definite"]) == (kind.code, kind.__name__, "a sentence", kind.definite)
    assert body["retry_after_ms"] == 0


def test_when_to_try_again_is_said_twice() -> None:
    said = shown_error(NotReady("soon", retry_after_ms=1_200))
    assert said.headers == (("Retry-After", "2"),)
    assert json.loads(said.body)["retry_after_ms"] == 1_200


def test_details_of_errors() -> None:
    assert json.loads(shown_error(HistoryGone("gone", floor=7)).body)["floor"] == 7
    assert "floor" not in json.loads(shown_error(SessionExpired("over")).body)
    assert json.loads(shown_error(NoSuchPath("nothing"), 404).body)["name"] == "BadRequest"
    assert shown_error(TimedOut("late")).status == 504


def test_events_of_a_stream() -> None:
    assert stream_event("progress", Progress(8), 7) == b'event: progress\nid: 7\ndata: {"next_revision":8}\n\n'


def test_the_document_names_what_the_table_serves() -> None:
    made = document(ROUTES, "1")
    assert json.loads(encoded(ROUTES, "1")) == made
    served = {(route.method.lower(), route.name) for route in TABLE.routes}
    assert {(method, operation["operationId"]) for path in made["paths"].values() for method, operation in path.items()} == served
    schemas = made["components"]["schemas"]
    for reference in set(json.dumps(made).split('"#/components/schemas/')[1:]):
        assert reference.split('"')[0] in schemas
    put = made["paths"]["/v1/kv/{key}"]["put"]
    assert [one["name"] for one in put["parameters"] if one["in"] == "header"] == [
        "Idempotency-Key",
        "Coord-Session",
        "Coord-Sequence",
        "Coord-Lowest-Open",
    ]
    assert set(put["requestBody"]["content"]) == {"application/json", "application/octet-stream"}
    names = {one["name"]: one for one in put["parameters"]}
    assert names["prev_revision"]["schema"] == {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
    assert Plain(200, Progress(1)).status == 200
