"""Sessions, groups, shards, barriers, journals and counters as models: what a history of clients may be, and what no order explains."""

import pytest

from coordnode.checking.history import FOREVER, OK, UNKNOWN, UNSEEN, History, Operation, Value
from coordnode.checking.judge import judge
from coordnode.checking.linearizable import Budget
from coordnode.checking.verdict import PASS, VIOLATION, Verdict
from coordnode.errors import BadRequest

Asked = tuple[str, Value, Value]


def verdict(model: str, *asked: Asked) -> Verdict:
    """One after the other; a result of UNSEEN is an outcome that nobody was told."""
    operations = []
    for number, (function, argument, result) in enumerate(asked):
        unknown = result is UNSEEN
        returned = FOREVER if unknown else 2 * number + 1
        operations.append(Operation(number, function, argument, result, 2 * number, returned, UNKNOWN if unknown else OK))
    return judge(History(tuple(operations)), model, Budget())


BOUND: list[Asked] = [("open", None, 7), ("bind", (7, ("k", "v")), True)]
TWO: list[Asked] = [("join", ("g", ("m", "1")), 3), ("join", ("g", ("n", "2")), 5)]
ABC: list[Asked] = [("append", ("j", ("a", "b")), 0), ("append", ("j", ("c",)), 2)]
OPEN: list[Asked] = [("enter", ("b", ("m", 2)), (4, 1, False)), ("enter", ("b", ("n", 2)), (4, 2, True))]

TAKEN: list[Asked] = [("put", ("v", 0), None), ("take", None, ("v", 3))]
# A key of nobody's is bound unseen to a session that then ends, and goes with it.
ALONG: list[Asked] = [*BOUND, ("put", ("j", "w"), None), ("bind", (7, ("j", "x")), UNSEEN)]
GOES: list[Asked] = [("get", "j", None)]

RIGHT: dict[str, tuple[str, list[Asked]]] = {
    "a key goes with its session": ("session", [*BOUND, ("close", 7, True), ("get", "k", None), ("renew", 7, False)]),
    "an end that nobody saw": ("session", [*BOUND, ("lost", 7, UNSEEN), ("get", "k", None), ("bind", (7, ("k", "w")), False)]),
    "or that never was": ("session", [*BOUND, ("lost", 7, UNSEEN), ("get", "k", "v"), ("renew", 7, True)]),
    "bound to another since": (
        "session",
        [*BOUND, ("open", None, 8), ("bind", (8, ("k", "w")), True), ("close", 7, True), ("get", "k", "w")],
    ),
    "bound to none since": ("session", [*BOUND, ("put", ("k", "w"), None), ("close", 7, True), ("get", "k", "w"), ("delete", "k", True)]),
    "bound unseen, and gone with the other key": ("session", [*ALONG, ("lost", 7, UNSEEN), ("get", "k", None), *GOES]),
    "bound unseen, and gone before all others": ("session", [*ALONG, ("lost", 7, UNSEEN), *GOES, ("get", "k", None)]),
    "bound unseen to what is over by now": ("session", [*ALONG, ("close", 7, UNSEEN), ("renew", 7, False), *GOES]),
    "bound unseen to what is closed": ("session", [*ALONG, ("close", 7, True), *GOES]),
    "bound unseen, deleted unseen, and there": (
        "session",
        [*ALONG, ("delete", "k", UNSEEN), ("lost", 7, UNSEEN), ("get", "k", None), ("get", "j", "x"), *GOES],
    ),
    "the end of a session is put off, for one more key": (
        "session",
        [
            *[*BOUND, ("open", None, 9), ("bind", (9, ("k", "w")), UNSEEN), ("lost", 9, UNSEEN), ("lost", 7, UNSEEN)],
            *[("get", "k", None), ("bind", (7, ("j", "x")), UNSEEN), ("get", "j", "x")],
        ],
    ),
    "put unseen, and deleted": ("session", [("put", ("k", 1), UNSEEN), ("put", ("k", 2), UNSEEN), ("delete", "k", True), ("get", "k", 1)]),
    "nothing, written unseen": ("session", [("put", ("k", "x"), None), ("put", ("k", None), UNSEEN), ("get", "k", None)]),
    "nothing, bound unseen": ("session", [*BOUND, ("bind", (7, ("k", None)), UNSEEN), ("get", "k", None), ("close", 7, True)]),
    "nothing, proclaimed unseen": ("election", [("campaign", "x", 1), ("proclaim", (1, None), UNSEEN), ("observe", None, None)]),
    "nothing, campaigned for unseen": (
        "election",
        [("campaign", "x", 1), ("resign", 1, True), ("campaign", None, UNSEEN), ("observe", None, None)],
    ),
    "done unseen, before it was too late": ("queue", [*TAKEN, ("ack", 3, UNSEEN), ("nack", 3, "stale"), ("read", None, ())]),
    "somebody came and went unseen": (
        "group",
        [*TWO[:1], ("join", ("g", ("x", "")), UNSEEN), ("lost", ("g", "x"), UNSEEN), ("read", ("g", None), (6, (("m", "1"),)))],
    ),
    "somebody came unseen before the last view": (
        "group",
        [("join", ("g", ("x", "")), UNSEEN), *TWO, ("join", ("g", ("x", "")), False), ("update", ("g", ("n", "2")), 5)],
    ),
    "views": (
        "group",
        [*TWO, ("read", ("g", None), (5, (("n", "2"), ("m", "1")))), ("leave", ("g", "m"), 8), ("join", ("h", ("m", "")), 4)],
    ),
    "a view that a silent end made": (
        "group",
        [*TWO, ("lost", ("g", "m"), UNSEEN), ("read", ("g", None), (6, (("n", "2"),))), ("update", ("g", ("n", "2")), 6)],
    ),
    "a group that began anew": (
        "group",
        [*TWO[:1], ("leave", ("g", "m"), 4), ("read", ("g", None), (0, ())), ("join", ("g", ("m", "1")), 5)],
    ),
    "a name that is taken": ("group", [*TWO, ("join", ("g", ("m", "9")), False), ("update", ("g", ("x", "")), False)]),
    "shards move": ("shards", [("own", 1, 5), ("own", 2, 6), ("release", 5, True), ("own", 1, 7), ("owners", None, ((2, 6), (1, 7)))]),
    "a token that is learnt": ("shards", [("own", 1, UNSEEN), ("own", 2, 6), ("owners", None, ((1, 4), (2, 6))), ("release", 4, True)]),
    "a round": ("barrier", [*OPEN, ("give-up", ("b", "m"), "open"), ("leave", ("b", "m"), True), ("read", ("b", None), (4, 2, 1, True))]),
    "the next round": (
        "barrier",
        [*OPEN, ("leave", ("b", "m"), True), ("leave", ("b", "n"), True), ("enter", ("b", ("m", 1)), (5, 1, True))],
    ),
    "one that was lost": ("barrier", [OPEN[0], ("lost", ("b", "m"), UNSEEN), ("read", ("b", None), None)]),
    "an entering that nobody saw": ("barrier", [("enter", ("b", ("m", 2)), UNSEEN), ("enter", ("b", ("n", 2)), (4, 2, True))]),
    "read in pieces": (
        "journal",
        [*ABC, ("read", ("j", 0), (0, ("a",))), ("read", ("j", 1), (1, ("b", "c"))), ("read", ("j", 3), (3, ()))],
    ),
    "an append that nobody saw": (
        "journal",
        [*ABC, ("append", ("j", ("x",)), UNSEEN), ("append", ("j", ("d",)), 4), ("read", ("j", 3), (3, ("x", "d")))],
    ),
    "an append that never was": ("journal", [*ABC, ("append", ("j", ("x",)), UNSEEN), ("append", ("j", ("d",)), 3)]),
    "trimmed, also beyond the end": (
        "journal",
        [*ABC, ("trim", ("j", 9), None), ("read", ("j", 0), (3, ())), ("append", ("j", ("d",)), 3)],
    ),
    "not kept": ("journal", [*ABC, ("read", ("j", 0), (2, ("c",)))]),
    "journals of their own": ("journal", [*ABC, ("append", ("k", ("x",)), 0)]),
    "a sum is answered": ("counter", [("add", 2, None), ("add-get", 3, 5), ("read", None, 5)]),
}
WRONG: dict[str, tuple[str, list[Asked], str]] = {
    "a key outlives its session": ("session", [*BOUND, ("close", 7, True), ("get", "k", "v")], "get 'k' → 'v'"),
    "a key goes while its session lives": ("session", [*BOUND, ("get", "k", None)], "get 'k' → None"),
    "it goes, and its session lives on": (
        "session",
        [*BOUND, ("lost", 7, UNSEEN), ("get", "k", None), ("renew", 7, True)],
        "renew 7 → True",
    ),
    "bound to a session that is over": ("session", [*BOUND, ("close", 7, True), ("bind", (7, ("k", "w")), True)], "bind"),
    "ended without cause": ("session", [*BOUND, ("renew", 7, False)], "renew 7 → False"),
    "bound unseen, and gone, though its session lives": (
        "session",
        [*ALONG, ("lost", 7, UNSEEN), *GOES, ("get", "k", "v")],
        "get 'k' → 'v'",
    ),
    "one outcome that nobody saw explains two": (
        "session",
        [("put", ("k", 1), UNSEEN), ("get", "k", 1), ("delete", "k", True), ("delete", "k", True)],
        "delete 'k' → True",
    ),
    "done unseen, and too late": ("queue", [*TAKEN, ("nack", 3, True), ("ack", 3, UNSEEN), ("read", None, ())], "read"),
    "one number twice": ("session", [*BOUND, ("close", 7, True), ("open", None, 7)], "open → 7"),
    "a view that goes back": ("group", [*TWO, ("leave", ("g", "m"), 4)], "leave"),
    "one number for two views": ("group", [*TWO, ("leave", ("g", "m"), 5)], "leave"),
    "a number goes back as it begins anew": ("group", [*TWO[:1], ("leave", ("g", "m"), 4), ("join", ("g", ("m", "1")), 4)], "join"),
    "a member too many": ("group", [*TWO, ("leave", ("g", "m"), 6), ("read", ("g", None), (6, (("m", "1"), ("n", "2"))))], "read"),
    "an old view": ("group", [*TWO, ("read", ("g", None), (3, (("m", "1"),)))], "read"),
    "a view of nobody": ("group", [*TWO[:1], ("leave", ("g", "m"), 4), ("read", ("g", None), (4, ()))], "read"),
    "two of one name": ("group", [*TWO, ("join", ("g", ("m", "9")), 6)], "join"),
    "one view of two numbers": (
        "group",
        [*TWO, ("lost", ("g", "m"), UNSEEN), ("read", ("g", None), (6, (("n", "2"),))), ("read", ("g", None), (7, (("n", "2"),)))],
        "read",
    ),
    "two owners": ("shards", [("own", 1, 5), ("own", 1, 6)], "own 1 → 6"),
    "one token for two shards": ("shards", [("own", 1, 5), ("own", 2, 5)], "own 2 → 5"),
    "an owner that let go": ("shards", [("own", 1, 5), ("release", 5, True), ("owners", None, ((1, 5),))], "owners"),
    "a token that was learnt is another": (
        "shards",
        [("own", 1, UNSEEN), ("owners", None, ((1, 4),)), ("owners", None, ((1, 5),))],
        "owners",
    ),
    "learnt below what was given before": ("shards", [("own", 2, 6), ("own", 1, UNSEEN), ("owners", None, ((2, 6), (1, 4)))], "owners"),
    "opened too early": ("barrier", [("enter", ("b", ("m", 2)), (4, 1, True))], "enter"),
    "opened too late": ("barrier", [OPEN[0], ("enter", ("b", ("n", 2)), (4, 2, False))], "enter"),
    "let into a round that is open": ("barrier", [*OPEN, ("leave", ("b", "m"), True), ("enter", ("b", ("m", 2)), (4, 2, True))], "enter"),
    "gave up what had opened": ("barrier", [*OPEN, ("give-up", ("b", "m"), True)], "give-up"),
    "one number for two rounds": ("barrier", [OPEN[0], ("leave", ("b", "m"), True), ("enter", ("b", ("m", 2)), (4, 1, False))], "enter"),
    "an offset that is skipped": ("journal", [*ABC, ("append", ("j", ("d",)), 4)], "append"),
    "an offset given twice": ("journal", [*ABC, ("append", ("j", ("d",)), 2)], "append"),
    "a record that is lost": ("journal", [*ABC, ("read", ("j", 0), (0, ("a", "c")))], "read"),
    "records in another order": ("journal", [*ABC, ("read", ("j", 0), (0, ("a", "c", "b")))], "read"),
    "the end before the end": ("journal", [*ABC, ("read", ("j", 2), (2, ()))], "read"),
    "a record of nobody": ("journal", [*ABC, ("read", ("j", 2), (2, ("c", "d")))], "read"),
    "back after it was trimmed": ("journal", [*ABC, ("trim", ("j", 2), None), ("read", ("j", 0), (0, ("a",)))], "read"),
    "back after it was said to be gone": ("journal", [*ABC, ("read", ("j", 0), (2, ())), ("read", ("j", 1), (1, ("b",)))], "read"),
    "gone beyond the end": ("journal", [*ABC, ("read", ("j", 0), (4, ()))], "read"),
    "a sum that leaves one out": ("counter", [("add", 2, None), ("add-get", 3, 3)], "add-get 3"),
    "false is a value, not a refusal": ("register", [("write", True, True), ("write", False, False), ("read", None, True)], "read → True"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_may_be(name: str) -> None:
    model, asked = RIGHT[name]
    found = verdict(model, *asked)
    assert found.outcome == PASS, found.reason


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_and_what_is_said_of_it(name: str) -> None:
    model, asked, named = WRONG[name]
    found = verdict(model, *asked)
    assert found.outcome == VIOLATION
    assert named in found.reason
    assert "finds no place" in found.reason


SHAPES: list[tuple[str, Asked]] = [
    ("session", ("open", None, None)),
    ("session", ("bind", (7, "k"), True)),
    ("session", ("bind", 7, True)),
    ("session", ("close", 7, "yes")),
    ("session", ("end", 7, True)),
    ("group", ("join", ("g", "m"), 3)),
    ("group", ("join", "g", 3)),
    ("group", ("leave", ("g", "m"), "x")),
    ("group", ("leave", ("g", "m"), 0)),
    ("group", ("read", ("g", None), (3, "m"))),
    ("group", ("read", ("g", None), ((3,), ("m",)))),
    ("shards", ("own", 1, None)),
    ("shards", ("owners", None, ((1, "x"),))),
    ("barrier", ("enter", ("b", ("m", 0)), (4, 1, False))),
    ("barrier", ("enter", ("b", "m"), (4, 1, False))),
    ("barrier", ("enter", ("b", ("m", 2)), (4, 1))),
    ("barrier", ("read", ("b", None), (4, 1, False))),
    ("barrier", ("leave", ("b", "m"), "open")),
    ("journal", ("append", ("j", ()), 0)),
    ("journal", ("append", ("j", ("a",)), -1)),
    ("journal", ("read", ("j", "a"), (0, ()))),
    ("journal", ("read", ("j", 0), ("a",))),
    ("counter", ("add-get", "x", 3)),
]


@pytest.mark.parametrize(("model", "asked"), SHAPES)
def test_what_is_no_history_of_it(model: str, asked: Asked) -> None:
    with pytest.raises(BadRequest, match=f"model {model}"):
        verdict(model, asked)


def test_a_long_journal_is_read_anywhere() -> None:
    asked: list[Asked] = [("append", ("j", (f"{number}", f"{number}b")), 2 * number) for number in range(2000)]
    asked += [("read", ("j", at), (at, tuple([f"{n // 2}{'b' * (n % 2)}" for n in range(at, at + 3)]))) for at in range(0, 3990, 37)]
    found = verdict("journal", *asked)
    assert found.outcome == PASS, found.reason
