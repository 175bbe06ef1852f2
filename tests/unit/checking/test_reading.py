"""Histories in every format, and what is said of those that cannot be read."""

import json
from random import Random

import pytest

from coordnode.checking.catalogue import MODELS
from coordnode.checking.edn import read_forms
from coordnode.checking.history import FAILED, FOREVER, NO_PLACE, OK, UNKNOWN, UNSEEN, History, Operation, Recorder
from coordnode.checking.judge import MODEL_NAMES, judge
from coordnode.checking.linearizable import Budget
from coordnode.checking.models import shown
from coordnode.checking.reading import parse_history
from coordnode.checking.writing import history_lines
from coordnode.errors import BadRequest, HistoryError
from tests.unit.checking.brute_force import QUESTIONS, question

LOG = b"""INFO  jepsen.core - something else
INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.util - 1\t:invoke\t:cas\t[0 1]
INFO  jepsen.util - 0\t:ok\t:write\t3
INFO  jepsen.util - 1\t:info\t:cas\t:timed-out
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 2\t:fail\t:read\t:timed-out
INFO  jepsen.util - 3\t:invoke\t:read\tnil
"""

EDN = b"""; a remark
[{:process 0, :type :invoke, :f :write, :value 3} {:process 1 :type :invoke :f :cas :value [0 1]}
 {:process 0, :type :ok, :f :write, :value 3, :index 5} #_{:process 9}
 {:process :nemesis, :type :info, :f :start, :value {:a #{1}}}
 {:process 1, :type :info, :f :cas, :error [:timeout "a \\"b\\"" 1.5 \\x true]}
 {:process 2, :type :invoke, :f :read, :value nil} {:process 2, :type :fail, :f :read, :value nil}
 {:process 3, :type :invoke, :f :read, :value nil}]"""

JSON_ARRAY = b"""[{"process":0,"type":"invoke","f":"write","value":3,"index":0}, {"process":1,"type":"invoke","f":"cas","value":[0,1]},
{"process":0,"type":"ok","f":"write","value":3}, {"process":"nemesis","type":"info","f":"start"}, {"process":1,"type":"info","f":"cas"},
{"process":2,"type":"invoke","f":"read"},{"process":2,"type":"fail","f":"read"},{"process":3,"type":"invoke","f":"read","value":null}]"""


STAMPED_LOG = b"""2026-01-02 03:04:05,678{GMT}\tINFO\t[jepsen test runner] jepsen.core: Running test
2026-01-02 03:04:05,679{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:invoke\t:write\t3
2026-01-02 03:04:05,680{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 1\t:invoke\t:cas\t[0 1]
2026-01-02 03:04:05,681{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:ok\t:write\t3
2026-01-02 03:04:05,682{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 1\t:info\t:cas\t[0 1]\t:timed-out
2026-01-02 03:04:05,683{GMT}\tWARN\t[jepsen worker 1] jepsen.core - Process 1 indeterminate
2026-01-02 03:04:05,684{GMT}\tINFO\t[jepsen worker 2] jepsen.util: 2\t:invoke\t:read\tnil
2026-01-02 03:04:05,685{GMT}\tINFO\t[jepsen worker 2] jepsen.util: 2\t:fail\t:read\tnil\t:timed-out
2026-01-02 03:04:05,686{GMT}\tINFO\t[jepsen worker 3] jepsen.util: 3\t:invoke\t:read
"""

RECORDS = b"\xef\xbb\xbf" + EDN.replace(b"{:process 0, :type", b"#jepsen.history.Op{:time 7, :process 0, :type").replace(b"\n", b"\r\n")
COLONS = JSON_ARRAY.replace(b'"invoke"', b'":invoke"').replace(b'"f":"', b'"f":":')
FORMATS = {"log": LOG, "log with times": STAMPED_LOG, "edn": EDN, "edn records": RECORDS, "json": JSON_ARRAY, "json keywords": COLONS}


@pytest.mark.parametrize("data", FORMATS.values(), ids=FORMATS)
def test_formats_say_the_same(data: bytes) -> None:
    operations = parse_history(data).operations
    told = [(one.process, one.function, one.argument, one.result, one.kind) for one in operations]
    assert told == [
        (0, "write", 3, 3, OK),
        (1, "cas", (0, 1), UNSEEN, UNKNOWN),
        (2, "read", None, UNSEEN, FAILED),
        (3, "read", None, UNSEEN, UNKNOWN),
    ]
    assert [one.returned == FOREVER for one in operations] == [False, True, False, True]
    assert operations[0].returned < operations[2].invoked
    assert operations[1].invoked < operations[0].returned
    assert all(one.index == NO_PLACE for one in operations), "Jepsen's :index counts events, it names no place"


def test_keys_stand_beside_values() -> None:
    invoked = b'{:process 0, :type :invoke, :f :get, :key "a", :value nil}\n'
    history = parse_history(invoked + b'{:process 0, :type :ok, :f :get, :key "a", :value "b"}')
    assert [(one.argument, one.result) for one in history.operations] == [(("a", None), ("a", "b"))]


def keyed(*events: tuple[str, str, object], key: object = "x") -> bytes:
    lines = [{"process": 0, "type": kind, "f": function, "key": key, "value": value} for kind, function, value in events]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


PUT = (("invoke", "put", "a"), ("ok", "put", None))


@pytest.mark.parametrize(
    ("expected", "read", "outcome"),
    [("b", "a", "pass"), ("b", "c", "violation"), ("a", "c", "violation"), ("a", "a", "violation")],
)
def test_a_comparison_that_found_another_value_is_a_refusal_also_where_a_key_is_named(expected: str, read: str, outcome: str) -> None:
    cas = ("invoke", "cas", [expected, "c"]), ("ok", "cas", False)
    history = parse_history(keyed(*PUT, *cas, ("invoke", "get", None), ("ok", "get", read)))
    assert judge(history, "kv", Budget()).outcome == outcome


def test_false_and_nothing_are_values_of_a_key() -> None:
    for value in (False, None):
        history = parse_history(keyed(("invoke", "put", value), ("ok", "put", None), ("invoke", "get", None), ("ok", "get", value)))
        assert judge(history, "kv", Budget()).outcome == "pass"


def test_a_key_is_any_value_and_the_same_in_question_and_answer() -> None:
    get = ("invoke", "get", None), ("ok", "get", "a")
    assert judge(parse_history(keyed(*PUT, *get, key=["x", {"y": 1}])), "kv", Budget()).outcome == "pass"
    other = keyed(get[0]) + keyed(get[1], key="y")
    with pytest.raises(BadRequest, match="a get of 'x' cannot give a value of 'y'"):
        judge(parse_history(other), "kv", Budget())


@pytest.mark.parametrize("model", [name for name in MODEL_NAMES if name != "kv"])
def test_models_that_take_no_key_refuse_it_by_line(model: str) -> None:
    asked = b'{"process":0,"type":"invoke","f":"read"}\n'
    with pytest.raises(BadRequest, match=f"line 2: only model kv takes a key; write it where model {model} has it, in the value"):
        judge(parse_history(asked + keyed(("ok", "read", 1))), model, Budget())


def test_what_is_written_is_read_again() -> None:
    recorder = Recorder()
    first = recorder.invoke(0, "put", (b"k\xff", b"v", 0), 10)
    second = recorder.invoke(1, "get", b"k\xff", 11)
    third = recorder.invoke(2, "put", (b"k\xff", b"w", 0), 12)
    recorder.invoke(3, "delete", b"k\xff", 13)
    fifth = recorder.invoke(4, "delete", b"k\xff", 14)
    recorder.ok(first, 1, 20, index=4, position=2)
    recorder.ok(second, (1, (b"k\xff", b"v", 1, 1, 1, 0)), 20, index=4)
    recorder.unknown(third, index=6, position=1)
    recorder.fail(fifth, 21)
    history = recorder.history("coordnode")
    again = parse_history(b"".join(history_lines(history)))
    assert again.model == "coordnode"
    assert [(one.function, one.kind, one.index, one.position) for one in again.operations] == [
        ("put", OK, 4, 2),
        ("get", OK, 4, 0),
        ("put", UNKNOWN, 6, 1),
        ("delete", UNKNOWN, NO_PLACE, 0),
        ("delete", FAILED, NO_PLACE, 0),
    ]
    assert again.operations[1].result == (1, ("k\u00ff", "v", 1, 1, 1, 0))
    assert judge(history, "coordnode", Budget()).outcome == judge(again, "coordnode", Budget()).outcome == "pass"
    assert b"".join(history_lines(History(again.operations, "coordnode"))).count(b"\n") == 10


BAD = [
    (b"", "line 1: the history is empty"),
    (b"\n\xff", "line 2: not UTF-8"),
    (b"{:process 0, :type :invoke, :f :read", "line 1: '{' is never closed"),
    (b"{:process 0 :type :invoke :f :read}\n}", "line 2: '}' closes nothing"),
    (b"{:process 0 :type}", "line 1: a map needs an even number"),
    (b"[1 2]", "line 1: a history is made of maps"),
    (b"{:process 0, :type :begin, :f :read}", "line 1: type is 'begin'"),
    (b"{:process 0, :type :invoke, :f 7}", "line 1: f is 7"),
    (b"{:process :a, :type :invoke, :f :read}", "line 1: process is 'a'; it must be a whole number, or nemesis"),
    (b"{:type :invoke, :f :read}", "line 1: process is None; it must be a whole number"),
    (b'{"process":0,"type":"invoke","f":"read"}\n{"process":"c1","type":"ok","f":"read"}', "line 2: process is 'c1'"),
    (b'{"process":1.0,"type":"invoke","f":"read"}', "line 1: process is 1.0"),
    (b'{"process":[1],"type":"invoke","f":"read"}', "line 1: process is "),
    (b"INFO  jepsen.util - c1\t:invoke\t:read\tnil", "line 1: process is 'c1'"),
    ("INFO  jepsen.util - \u00b2\t:invoke\t:read\tnil".encode(), "line 1: process is '\u00b2'"),
    (b"{:process -1, :type :invoke, :f :read}", "line 1: process is -1"),
    (b"{:process 0, :type :ok, :f :read}", "line 1: process 0 completes what it never invoked"),
    (b"{:process 0, :type :invoke, :f :read}\n{:process 0, :type :invoke, :f :read}", "line 2: process 0 invokes while"),
    (b"{:process 0, :type :invoke, :f :read}\n{:process 0, :type :ok, :f :write}", "line 2: process 0 invoked read and completes write"),
    (b"[" * 100_000, "line 1: nested deeper than 64"),
    (b"{:process 0, :type :invoke, :f :write, :value " + b"9" * 100_000 + b"}", "line 1: a number of 100000 digits"),
    (b'{:process 0, :type :invoke, :f :write, :value "' + b"\\" * 99_999, "line 1:"),
    (b"INFO  jepsen.util - 0\t:invoke\t:cas\t[0 1", "line 1: the value '[0 1' cannot be read"),
    (b"INFO  jepsen.util - 0\t:invoke\t:cas\t0 1", "line 1: one value is needed, there are 2"),
    (b'{"history":2}', "line 1: version 2 of the history format; this build reads 1"),
    (b'{"history":1}\n{"process":0', "line 2: not JSON"),
    (b'[{"process":0,\n"type":"invoke","f":"read"},\n\n{"process":0,"type":"invoke","f":"read"}]', "line 4: process 0 invokes while"),
    (b'[{"process":0,"type":"invoke","f":"read"},\n{"process":0,"type":?}]', "line 2: not JSON"),
    (b'{"history":1}\n[]', "line 2: a history is made of objects"),
    (b'{"process":0,"type":"invoke","f":"read","value":' + b"[" * 3000 + b"]" * 3000 + b"}", "line 1: nested deeper than 64"),
    (b'{"process":0,"type":"invoke","f":"read","value":' + b"[" * 100 + b"]" * 100 + b"}", "line 1: nested deeper than 64"),
    (b'{"process":0,"type":"invoke","f":"put"}\n{"process":0,"type":"ok","f":"put","index":"x","position":0}', "line 2: index is 'x'"),
]


@pytest.mark.parametrize(("data", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_what_cannot_be_read_is_refused_by_line_and_reason(data: bytes, sentence: str) -> None:
    with pytest.raises(HistoryError) as refused:
        parse_history(data)
    assert refused.value.sentence.startswith(sentence)
    assert len(refused.value.sentence) < 300


@pytest.mark.parametrize("model", MODEL_NAMES)
@pytest.mark.parametrize("kind", [None, "info"])
def test_no_known_outcome_is_nothing_to_judge(model: str, kind: str | None) -> None:
    function, argument = FIRST[model]
    events = [("invoke", argument), *([(kind, None)] if kind else [])]
    lines = [json.dumps({"process": 0, "type": kind, "f": function, "value": value}) for kind, value in events]
    for data in (b"[]", "\n".join(lines).encode()):
        found = judge(parse_history(data), model, Budget())
        assert found.outcome == "unknown"
        assert "there is nothing to judge" in found.reason


FIRST: dict[str, tuple[str, object]] = {
    **dict.fromkeys(["register", "cas-register", "counter", "set", "set-full", "lock", "queue"], ("read", None)),
    "mutex": ("acquire", None),
    **dict.fromkeys(["barrier", "group"], ("leave", ["a", "m"])),
    "kv": ("get", ["a", None]),
    "rwlock": ("acquire", "read"),
    "semaphore": ("acquire", [1, 1]),
    "election": ("observe", None),
    "session": ("open", None),
    "shards": ("owners", None),
    "journal": ("read", ["j", 0]),
    "watch": ("put", ["a", 1]),
    "coordnode": ("get", "a"),
}


def test_mutilated_histories_are_read_or_refused_by_name() -> None:
    random = Random("mutilated")
    sources = [LOG, EDN, JSON_ARRAY, b'{"history":1,"model":"kv"}\n' + JSON_ARRAY[1:-1].replace(b"\n", b"").replace(b"}, {", b"}\n{")]
    refused = 0
    for _ in range(4000):
        data = bytearray(random.choice(sources))
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(data))
            match random.randrange(3):
                case 0:
                    data[at] = random.choice(b'{}[]()"\\:;#0n\xff ')
                case 1:
                    del data[at : at + random.randrange(1, 9)]
                case _:
                    data[at:at] = data[at : at + random.randrange(1, 30)]
        try:
            history = parse_history(bytes(data))
            judge(history, "cas-register", Budget(steps_max=10_000))
        except (HistoryError, BadRequest) as error:
            assert len(error.sentence) < 400
            refused += 1
    assert 500 < refused < 4000


ODD = (None, True, False, 0, 1, 7, -1, 1.5, "", "a", "k", "stale", "open", [], ["a"], ["a", 1], [None, 1], [[1, "a"]], {}, {"a": 1})
ASKED: dict[str, tuple[tuple[str, object, object], ...]] = {
    "coordnode": (
        ("put", ["k", "v", 0], 1),
        ("delete", "k", [1, 1]),
        ("delete-range", ["a", "z", 5], [1, 1, False]),
        ("get", "k", [1, ["k", "v", 1, 1, 1, 0]]),
        ("range", ["a", "z", 0, False], [1, [["k", "v", 1, 1, 1, 0]], False]),
        ("transaction", [[["k", 1, 0, 1, None]], [["put", "k", "v", 0], ["get", "k"]], [["delete", "k"]]], [1, True, [1, None]]),
        ("open-session", ["put", ["k", "v", -1]], [1, 5, 1]),
        ("open-session", ["delete", "k"], [0, 5, [0, 0]]),
        ("open-session", ["transaction", [[], [["get", "k"]], []]], [0, 5, [0, True, [None]]]),
        ("open-session", None, [0, 5, None]),
        ("close-session", 5, [2, 1]),
        ("end-sessions", [5], None),
        ("barrier", None, None),
        ("begin", [1, [["k", "v", 1, 1, 1, 5]]], None),
    ),
    "watch": (
        ("put", ["k", "v"], 1),
        ("open", [1, 1], None),
        ("told", 1, [1, [["k", "v"]]]),
        ("gap", 1, 2),
        ("whole", 1, 1),
        ("awaits", 1, 1),
    ),
}


def plausible(model: str, random: Random) -> tuple[str, object, object]:
    """What it may be asked and answered."""
    if model in ASKED:
        return random.choice(ASKED[model])
    kind = MODELS[model]()
    function, argument = question(kind, random) if model in QUESTIONS else ("add", random.randrange(3))
    answers = [1, 2, True, False, None, "stale", ["a", 1], [1, ["x"]], [1, 1, False], [["a", 1]], [1, [["m", 0]]]]
    return function, argument, random.choice(answers)


def odd(value: object, random: Random) -> object:
    """With something else in a place of it."""
    if isinstance(value, list | tuple) and value and random.random() < 0.7:
        found = list(value)
        at = random.randrange(len(found))
        found[at] = odd(found[at], random)
        if random.random() < 0.1:
            found.append(random.choice(ODD))
        return found
    return random.choice(ODD)


@pytest.mark.parametrize("model", MODEL_NAMES)
def test_odd_values_are_judged_or_refused_by_name(model: str) -> None:
    random = Random(f"odd {model}")
    judged = 0
    for _ in range(600):
        events: list[dict[str, object]] = []
        is_placed = random.random() < 0.3
        for number in range(random.randrange(1, 7)):
            function, argument, result = plausible(model, random)
            if random.random() < 0.15:
                argument = odd(argument, random)
            if random.random() < 0.3:
                result = odd(result, random)
            events.append({"process": number, "type": "invoke", "f": function, "value": argument})
            ended = {"process": number, "type": random.choice(["ok", "ok", "ok", "ok", "info"]), "f": function, "value": result}
            events.append({**ended, "index": number, "position": 0} if is_placed else ended)
        if random.random() < 0.5:
            random.shuffle(events)
            events.sort(key=lambda event: event["type"] != "invoke")
        text = "\n".join(json.dumps(event) for event in events)
        try:
            verdict = judge(parse_history(text.encode()), model, Budget(steps_max=5_000))
            assert len(verdict.reason) < 1000
            judged += 1
        except (HistoryError, BadRequest) as error:
            assert len(error.sentence) < 400
    assert judged > 5


@pytest.mark.parametrize("value", ["{:a 1}", "{:a {:b #{1}}}", "[{:a 1}]"])
def test_a_map_is_a_value_in_a_log_as_elsewhere(value: str) -> None:
    log = f"INFO  jepsen.util - 0\t:invoke\t:write\t{value}\nINFO  jepsen.util - 0\t:ok\t:write\t{value}\n"
    edn = f"{{:process 0 :type :invoke :f :write :value {value}}} {{:process 0 :type :ok :f :write :value {value}}}"
    assert parse_history(log.encode()) == parse_history(edn.encode())
    assert judge(parse_history(log.encode()), "register", Budget()).outcome == "pass"


MALFORMED = [
    ("put", b"k", 1),
    ("put", (1, 2, 3), 1),
    ("put", (b"k", b"v", 0), (1, 2)),
    ("get", b"k", 7),
    ("get", b"k", (1, (b"k",))),
    ("range", (b"a", b"b", -1, False), (0, (), False)),
    ("transaction", ((), (("burn", b"k"),), ()), (0, True, ())),
    ("transaction", (((b"k", 9, 0, 0, None),), (), ()), (0, True, ())),
    ("fly", None, None),
    ("open-session", ("delete", "k"), (0, 7, 5)),
    ("open-session", ("put", ("k", "v", -1)), (1, 7, (1, 1))),
    ("open-session", None, (1, 7, 1)),
    ("begin", (1, ()), "x"),
    ("end-sessions", (1,), 5),
    ("barrier", None, "x"),
]


@pytest.mark.parametrize(("function", "argument", "result"), MALFORMED)
def test_malformed_operations_on_the_store_are_refused(function: str, argument: object, result: object) -> None:
    with pytest.raises(BadRequest, match="model coordnode"):
        judge(History((Operation(0, function, argument, result, 0, 1),)), "coordnode", Budget())


def test_mixed_keys_are_refused() -> None:
    operations = (Operation(0, "get", b"k", (0, None), 0, 1), Operation(0, "get", "k", (0, None), 2, 3))
    with pytest.raises(BadRequest, match="all text or all bytes"):
        judge(History(operations), "coordnode", Budget())


def test_what_is_shown_is_short_whatever_it_is() -> None:
    for value in (10**5000, "x" * 10**6, tuple(range(10**5)), (("y" * 1000,) * 15,) * 15):
        assert len(shown(value)) < 250


def test_edn_forms() -> None:
    text = '(1 -2 3N 1.5 nil true :k/w "a\\nb" \\space #inst "2020" #{1}) {:a {:b 1}} #_ignored foo'
    assert [form for _, form in read_forms(text)] == [
        (1, -2, 3, 1.5, None, True, "k/w", "a\nb", " ", "2020", (1,)),
        {"a": (("b", 1),)},
        "foo",
    ]
