"""Flags before, between and after, up to `--`; units; and the sentence that a mistake earns."""

import pytest

from coordctl import flags
from coordctl.commands.kv import COMMANDS
from coordctl.flags import Given, parse, split_leading, usage, without
from coordnode.errors import BadRequest

GET, PUT, WATCH = (COMMANDS[name].verb for name in ("get", "put", "watch"))


def given(*argv: str) -> Given:
    return parse(PUT, argv)


def test_flags_stand_anywhere() -> None:
    for line in ("k v -o json --timeout 2s", "--timeout=2s k -o json v", "-o=json --timeout 2s -- k v"):
        found = given(*line.split())
        assert (found["key"], found["value"], found.is_json(), found.timeout_ms()) == ("k", "v", True, 2_000)
    found = given("--", "--timeout", "-")
    assert (found["key"], found["value"]) == ("--timeout", "-")
    assert given("k", "-")["value"] == "-"
    assert parse(WATCH, [])["prefix"] is None


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["k"], "VALUE is missing: coordctl kv put KEY VALUE"),
        (["k", "v", "w"], "'w' is too much"),
        (["k", "v", "--timeout", "-2s"], "a number above 0"),
        (["k", "v", "--timout", "1s"], "did you mean --timeout?"),
        (["k", "v", "--timeout"], "--timeout needs a value"),
        (["k", "v", "--timeout", "10"], "a number above 0 with its unit is needed (ms, s, m, h), such as 10s"),
        (["k", "v", "--timeout", "0s"], "more than 0ms"),
        (["k", "v", "--timeout", "1.2.3s"], "a number above 0 with its unit"),
        (["k", "v", "--timeout", "9" * 400 + "h"], "longer than anything lasts"),
        (["k", "v", "--timeout", "9" * 200 + "h"], "longer than anything lasts"),
        (["k", "v", "--timeout", "²s"], "a number above 0 with its unit"),
        (["k", "v", "-o", "yaml"], "choose from table, json"),
        (["k", "v", "--debug=yes"], "--debug takes no value"),
    ],
)
def test_mistakes(argv: list[str], words: str) -> None:
    with pytest.raises(BadRequest) as wrong:
        given(*argv)
    assert words in wrong.value.sentence


@pytest.mark.parametrize(("text", "milliseconds"), [("10s", 10_000), ("250ms", 250), ("1.5m", 90_000), ("2h", 7_200_000)])
def test_durations(text: str, milliseconds: int) -> None:
    assert flags.duration_ms(text) == milliseconds


def test_global_flags_are_told_from_the_verb() -> None:
    assert split_leading(["-c", "x", "--output=json", "--debug", "kv", "-o", "json"]) == (
        ["-c", "x", "--output=json", "--debug"],
        ["kv", "-o", "json"],
    )
    assert split_leading(["-c"]) == (["-c"], [])
    kept = without(["a", "-c", "x", "-q", "--cluster=y", "-o", "json", "--", "-q"], ["-c", "--cluster", "-q"])
    assert kept == ["a", "-o", "json", "--", "-q"]


def test_help_names_every_flag_and_the_exit_codes() -> None:
    text = usage(GET)
    assert all(flag.names[0] in text for flag in (*flags.GLOBAL, *GET.flags))
    assert "Exit codes: 0 answered; 1 not there" in text
    assert parse(GET, ["--help"])["help"], "help needs no arguments"
