"""Histories in every format, and what is said of those that cannot be read."""

from random import Random

import pytest

from coordnode.checking.edn import read_forms
from coordnode.checking.history import FAILED, FOREVER, NO_PLACE, OK, UNKNOWN, UNSEEN, History, Operation, Recorder
from coordnode.checking.judge import judge
from coordnode.checking.linearizable import Budget
from coordnode.checking.models import shown
from coordnode.checking.reading import parse_history
from coordnode.checking.writing import history_lines
from coordnode.errors import BadRequest, HistoryError

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
