"""From a request to what its route takes: checked, decoded, or refused by name."""

import pytest

from coordnode.api.answers import shown_error
from coordnode.api.asking import Envelope, ForeignPage, WrongType, ask, envelope_of, parse_query
from coordnode.api.route import Asked, Read, Renew, Wait, Watch, Work, Write
from coordnode.api.table import TABLE
from coordnode.api.watches import last_event
from coordnode.errors import BadRequest
from coordnode.ids import SessionId
from coordnode.services import commands as c

JSON = {"content-type": "application/json; charset=utf-8"}


def build(method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None, fresh: bytes = b"fresh") -> Work:
    path, _, query = target.partition("?")
    route, parts = TABLE.find(method, path)
    return route.build(ask(route, parts, query, headers or {}, body, fresh))


@pytest.mark.parametrize(
    ("method", "target", "body", "operation"),
    [
        ("PUT", "/v1/kv/a", b'{"value": "v"}', c.Put(b"a", b"v")),
        ("PUT", "/v1/kv/a?bound=true", b'{"value_base64": "/w=="}', c.Put(b"a", b"\xff", True)),
        (
            "PUT",
            "/v1/kv/a?prev_revision=0",
            b'{"value": "v"}',
            c.Transaction([c.Compare(b"a", c.VERSION, c.EQUAL, 0)], [c.Put(b"a", b"v")], [c.Get(b"a")]),
        ),
        (
            "PUT",
            "/v1/kv/a?prev_revision=7",
            b'{"value": "v"}',
            c.Transaction([c.Compare(b"a", c.MOD_REVISION, c.EQUAL, 7)], [c.Put(b"a", b"v")], [c.Get(b"a")]),
        ),
        ("DELETE", "/v1/kv/a", b"", c.Delete(b"a")),
        ("DELETE", "/v1/kv?prefix=a&limit=5", b"", c.DeleteRange(b"a", b"b", 5)),
        ("DELETE", "/v1/kv?prefix=", b"", c.DeleteRange(b"", b"")),
        ("DELETE", "/v1/sessions/9", b"", c.CloseSession(SessionId(9))),
        ("POST", "/v1/sessions", b'{"ttl_ms": 5000, "owner": "me"}', c.OpenSession(b"fresh", 5000, "me")),
        (
            "POST",
            "/v1/transactions",
            b'{"compares": [{"key": "a", "field": "value", "relation": "!=", "value_base64": ""}, {"key": "b", "field": "version", '
            b'"relation": ">", "number": 3}], "then": [{"op": "put", "key_base64": "/w==", "value": "", "bound": true}], '
            b'"otherwise": [{"op": "delete", "key": "x"}, {"op": "get", "key": "y"}]}',
            c.Transaction(
                [c.Compare(b"a", c.VALUE, c.NOT_EQUAL, 0, b""), c.Compare(b"b", c.VERSION, c.GREATER, 3)],
                [c.Put(b"\xff", b"", True)],
                [c.Delete(b"x"), c.Get(b"y")],
            ),
        ),
    ],
)
def test_writes(method: str, target: str, body: bytes, operation: c.ClientOperation) -> None:
    work = build(method, target, body, JSON)
    assert isinstance(work, Write)
    assert work.operation == operation


def test_reads_renewals_and_watches() -> None:
    assert build("GET", "/v1/kv/a?stale=true&min_revision=4") == Read(c.Get(b"a"))
    assert build("GET", "/v1/kv?start=%ff&end=&limit=3&keys_only=1") == Read(c.Range(b"\xff", b"", 3, True))
    assert build("GET", "/v1/kv?prefix=a%ff") == Read(c.Range(b"a\xff", b"b"))
    assert build("GET", "/v1/sessions?after=3&limit=2") == Read(c.ReadSessions(SessionId(3), 2))
    assert build("POST", "/v1/sessions/4/keep-alive") == Renew(SessionId(4))
    assert build("GET", "/v1/watch?key=a+b&from_revision=7&wait_ms=5")[:5] == (b"a b", b"a b\0", c.KV, 7, 5)
    assert build("GET", "/v1/watch?prefix=a")[:5] == (b"a", b"b", c.KV, 0, 30_000)
    observe = build("GET", "/v1/elections/a/observe?from_revision=7")
    assert isinstance(observe, Watch)
    assert observe[:5] == (b"a", b"a\0", c.ELECTIONS, 7, 30_000)


def test_waiting_needs_a_session_and_standing_in_line_a_time() -> None:
    for target in ("/v1/locks/a/acquire", "/v1/elections/a/campaign"):
        with pytest.raises(BadRequest, match="Coord-Session"):
            build("POST", target, b"{}", JSON)
        at_once = build("POST", target, b"{}", {**JSON, "coord-session": "4"})
        later = build("POST", target, b'{"wait_ms": 5}', {**JSON, "coord-session": "4"})
        assert isinstance(at_once, Wait)
        assert isinstance(later, Wait)
        waits = [line.first.operation.wait for line in (at_once.line, later.line) if isinstance(line.first, Write)]  # type: ignore[union-attr]
        assert waits == [False, True]
        assert (at_once.line.session, later.wait_ms) == (SessionId(4), 5)


def test_a_body_that_is_not_json_is_the_value() -> None:
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
        work = build("PUT", "/v1/kv/a", b'{"value": 1}', headers)
        assert isinstance(work, Write)
        assert work.operation == c.Put(b"a", b'{"value": 1}')


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/v1/kv/a?nonsense=1", b""),
        ("GET", "/v1/kv/a?min_revision=-1", b""),
        ("GET", "/v1/kv/a?min_revision=9007199254740992", b""),
        ("GET", "/v1/kv/a?min_revision=%ff", b""),
        ("GET", "/v1/kv/a?stale=maybe", b""),
        ("GET", "/v1/kv/a?stale=true&stale=true", b""),
        ("GET", "/v1/kv/a?timeout_ms=0", b""),
        ("GET", "/v1/kv/a?timeout_ms=60001", b""),
        ("GET", "/v1/kv?prefix=a&start=b", b""),
        ("GET", "/v1/kv?" + "&".join(f"a{number}=1" for number in range(100)), b""),
        ("GET", "/v1/kv/a?%ff=1", b""),
        ("GET", "/v1/members?where=%ff=1", b""),
        ("GET", "/v1/members?where=%ff", b""),
        ("GET", "/v1/members?where=a=%ff", b""),
        ("GET", "/v1/queues/q/tasks?state=ready%0A", b""),
        ("GET", "/v1/queues/q/tasks?state=%ff", b""),
        ("GET", "/v1/queues/q/tasks?after=ab%0A", b""),
        ("GET", "/v1/watch?key=", b""),
        ("GET", "/v1/watch?key=a&prefix=b", b""),
        ("DELETE", "/v1/kv", b""),
        ("PUT", "/v1/kv/a", b""),
        ("PUT", "/v1/kv/a", b"{}"),
        ("PUT", "/v1/kv/a", b'{"value": "a", "value_base64": ""}'),
        ("PUT", "/v1/kv/a", b'{"value": 1}'),
        ("PUT", "/v1/kv/a", b'{"value": "a", "more": 1}'),
        ("PUT", "/v1/kv/a", b'{"value_base64": "!"}'),
        ("PUT", "/v1/kv/a", b'{"value": "\xff"}'),
        ("PUT", "/v1/kv/a", b"[" * 100_000),
        ("POST", "/v1/sessions", b'{"ttl_ms": 999}'),
        ("POST", "/v1/sessions", b'{"ttl_ms": 5000.5}'),
        ("POST", "/v1/transactions", b'{"then": [{"op": "range", "key": "a"}]}'),
        ("POST", "/v1/transactions", b'{"then": [{"op": "get"}]}'),
        ("POST", "/v1/transactions", b'{"compares": [{"key": "a", "field": "version", "value": "x"}]}'),
        ("POST", "/v1/transactions", b'{"compares": [{"key": "a", "field": "value"}]}'),
        ("POST", "/v1/transactions", b'{"then": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("POST", "/v1/transactions", b'{"then": [' + b",".join([b'{"op": "get", "key": "a"}'] * 129) + b"]}"),
    ],
)
def test_what_is_wrong_is_refused_by_name(method: str, target: str, body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        build(method, target, body, JSON)
    assert len(refused.value.sentence) < 300
    assert shown_error(refused.value).status == 400


def test_a_form_that_a_browser_sends_by_itself_is_no_json() -> None:
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        with pytest.raises(WrongType):
            build("POST", "/v1/sessions", b'{"ttl_ms": 5000}', {"content-type": kind})


OF_PAGES = [
    ({"origin": "http://evil.example"}, True),
    ({"origin": "http://evil.example", "sec-fetch-site": "cross-site"}, True),
    ({"sec-fetch-site": "cross-site"}, True),
    ({"origin": "http://else.member.example", "sec-fetch-site": "same-site"}, True),
    ({"origin": "http://member.example:7002"}, True),
    ({"origin": "null"}, True),
    ({"origin": "http://" + "x" * 9_000}, True),
    ({"origin": "http://member.example:7001"}, False),
    ({"origin": "https://console.example", "sec-fetch-site": "same-origin"}, False),  # through a proxy that names us otherwise
    ({"sec-fetch-site": "none"}, False),
    ({}, False),
]


@pytest.mark.parametrize(("headers", "is_foreign"), OF_PAGES)
@pytest.mark.parametrize("target", ["/v1/queues/q/tasks", "/v1/journals/j/records", "/v1/sessions/1/keep-alive"])
def test_a_page_from_elsewhere_changes_nothing(target: str, headers: dict[str, str], is_foreign: bool) -> None:
    headers = {"host": "member.example:7001", "content-type": "text/plain", **headers}
    if is_foreign:
        with pytest.raises(ForeignPage) as refused:
            build("POST", target, b"x", headers)
        assert len(refused.value.sentence) < 300
        assert shown_error(refused.value).status == 403
    else:
        build("POST", target, b"x", headers)
    build("GET", "/v1/kv/a", b"", headers)


@pytest.mark.parametrize("text", ["9" * 17, "0" * 17, "0" * 99 + "9", "1" * 5_000, "9007199254740992", "-1", "1.5", "²", "", " 1"])
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        last_event({"last-event-id": text})


def test_the_last_event_is_a_number_that_fits() -> None:
    assert last_event({}) == 0
    assert last_event({"last-event-id": "0009"}) == 9
    assert last_event({"last-event-id": "9007199254740991"}) == 2**53 - 1


def test_only_routes_that_have_raw_values_give_them() -> None:
    def asked(target: str) -> Asked[object, object]:  # type: ignore[type-var]  # any query
        route, parts = TABLE.find("GET", target)
        return ask(route, parts, "", {"accept": "text/html, application/octet-stream;q=1"}, b"", b"")  # type: ignore[return-value]

    assert asked("/v1/kv/a").wants_raw
    assert not asked("/v1/kv").wants_raw


def test_the_envelope() -> None:
    assert envelope_of({}) == Envelope()
    assert envelope_of({"idempotency-key": '"a b"'}).request_id == envelope_of({"idempotency-key": "a b"}).request_id == "a b"
    assert envelope_of({"coord-session": "4", "coord-sequence": "2", "coord-lowest-open": "1"}) == (4, 2, 1, "")


@pytest.mark.parametrize(
    "headers",
    [
        {"idempotency-key": "x" * 129},
        {"idempotency-key": "a\tb"},
        {"idempotency-key": "ä"},
        {"idempotency-key": "a", "coord-session": "1"},
        {"coord-session": "-1"},
        {"coord-session": "1.5"},
        {"coord-session": "²"},
        {"coord-session": "9007199254740992"},
        {"coord-session": "1" * 5000},
        {"coord-sequence": ""},
    ],
)
def test_what_is_no_envelope(headers: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        envelope_of(headers)


def test_an_opening_is_found_again_by_its_idempotency_key() -> None:
    def nonce(key: str, fresh: bytes) -> bytes:
        headers = {**JSON, **({"idempotency-key": key} if key else {})}
        work = build("POST", "/v1/sessions", b'{"ttl_ms": 5000}', headers, fresh)
        assert isinstance(work, Write)
        assert isinstance(work.operation, c.OpenSession)
        return work.operation.nonce

    assert nonce("a", b"1") == nonce('"a"', b"2") != nonce("b", b"1")
    assert nonce("", b"1") != nonce("", b"2")


def test_a_query_comes_back_byte_for_byte() -> None:
    assert parse_query("a=1&b=%C3%A4+x&c&=9&&d=a=b") == {"a": "1", "b": "ä x", "c": "", "d": "a=b"}
    assert parse_query("k=%ff")["k"].encode("utf-8", "surrogateescape") == b"\xff"
