"""`coordctl check`: its exit codes, what it prints, and that it never shows a traceback."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from coordctl.commands.check import main
from coordctl.results.check import Check
from coordnode.checking import watch_model
from coordnode.checking.catalogue import MODELS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "checking.md"

WRITE = '{"process":0,"type":"invoke","f":"write","value":1}\n{"process":0,"type":"ok","f":"write","value":1}\n'
GOOD = WRITE + '{"process":0,"type":"invoke","f":"read"}\n{"process":0,"type":"ok","f":"read","value":1}\n'
BAD = WRITE + '{"process":0,"type":"invoke","f":"read"}\n{"process":0,"type":"ok","f":"read","value":2}\n'


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "history.json"


@pytest.mark.parametrize(("text", "code", "outcome"), [(GOOD, 0, "pass"), (BAD, 2, "violation")])
def test_verdicts_are_exit_codes(history: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, outcome: str) -> None:
    history.write_text(text)
    assert main([str(history), "--model", "register"]) == code
    printed = capsys.readouterr().out
    assert printed.startswith(outcome)
    assert str(history) in printed
    assert main([str(history), "--model", "register", "-o", "json"]) == code
    line = capsys.readouterr().out
    assert json.loads(line)["exit_code"] == code
    found = msgspec.json.decode(line, type=Check)
    assert (found.outcome, found.operations) == (outcome, 2)
    assert (found.evidence is None) == (outcome == "pass")
    if found.evidence is not None:
        assert found.evidence.operation == "read → 2 (process 0)"
        assert found.evidence.prefix_operations == 2


def test_no_time_is_unknown(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    appends = [f'{{"process":{n},"type":"invoke","f":"append","value":["k","{n}"]}}\n' for n in range(40)]
    completed = [f'{{"process":{n},"type":"ok","f":"append","value":["k","{n}"]}}\n' for n in range(40)]
    read = '{"process":0,"type":"invoke","f":"get","value":["k",null]}\n{"process":0,"type":"ok","f":"get","value":["k","never"]}\n'
    history.write_text("".join([*appends, *completed, read]))
    assert main([str(history), "--model", "kv", "--timeout", "0s"]) == 3
    assert "time was up" in capsys.readouterr().out
    assert main([str(history), "--model", "kv", "--memory-max", "1B"]) == 3
    assert "memory was used up" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--model", "register"], 3, "line 1: the history is empty"),
        (["--model", "no-such"], 64, "'no-such' is not one of"),
        ([], 64, "Missing option '--model'"),
        (["--model", "register", "--timeout", "5"], 64, "such as 10s"),
        (["--model", "register", "--memory-max", "1 potato"], 64, "such as 10KiB"),
    ],
)
def test_mistakes_are_one_sentence(
    history: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    history.write_text("")
    assert main([str(history), *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sentence in printed.err
    assert "Traceback" not in printed.err


def test_a_missing_file_is_a_mistake(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(history), "--model", "register"]) == 64
    assert "does not exist" in capsys.readouterr().err


def test_what_it_began_with_can_be_said(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history.write_text('{"process":0,"type":"invoke","f":"read"}\n{"process":0,"type":"ok","f":"read","value":7}\n')
    assert main([str(history), "--model", "register"]) == 2
    assert main([str(history), "--model", "register", "--initial", "7"]) == 0
    capsys.readouterr()
    assert main([str(history), "--model", "register", "--initial", "{"]) == 64
    assert "--initial '{' is not JSON" in capsys.readouterr().err
    assert main([str(history), "--model", "counter", "--initial", '"x"']) == 64
    assert "cannot begin with 'x'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        ("coordnode", ["--initial", "7"], "model coordnode cannot begin with 7; docs/checking.md says"),
        ("watch", ["--initial", "7"], "model watch cannot begin with 7; docs/checking.md says"),
        ("queue", ["--initial", "7"], "model queue cannot begin with 7; docs/checking.md says"),
        ("watch", ["--complete"], "only histories of model coordnode can be complete; leave that out for model watch"),
        ("register", ["--complete"], "only histories of model coordnode can be complete; leave that out for model register"),
    ],
)
def test_options_that_a_model_does_not_take_are_refused(
    history: Path, capsys: pytest.CaptureFixture[str], model: str, options: list[str], sentence: str
) -> None:
    history.write_text("[]")
    assert main([str(history), "--model", model, *options]) == 64
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(("initial", "absent"), [(None, ""), ('"boo"', ""), ('""', ""), ("null", None)])
def test_what_is_deleted_is_not_what_a_key_began_with(history: Path, initial: str | None, absent: object) -> None:
    options = ["--model", "kv", *([] if initial is None else ["--initial", initial])]
    for value, code in ((absent, 0), ("boo", 2)):
        asked = (("delete", ["k", None], None), ("get", ["k", None], ["k", value]))
        lines = [
            {"process": 0, "type": kind, "f": f, "value": v} for f, *both in asked for kind, v in zip(("invoke", "ok"), both, strict=True)
        ]
        history.write_text("\n".join(json.dumps(line) for line in lines))
        assert main([str(history), *options]) == code


def test_a_file_that_says_another_model_is_pointed_out(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history.write_text('{"history":1,"model":"kv"}\n' + GOOD)
    assert main([str(history), "--model", "register"]) == 0
    assert "the file says that it is of model 'kv'" in capsys.readouterr().out


def test_help_and_page_name_every_model_and_its_functions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*?) \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    functions = {**{name: kind.functions for name, kind in MODELS.items()}, watch_model.NAME: watch_model.FUNCTIONS}
    assert list(rows) == [*functions, "coordnode"]
    before = ""
    for name, known in functions.items():
        assert re.search(rf"^ +{name} +{', '.join(sorted(known))}$", told, re.MULTILINE), name
        words = rows[name].replace("the same", before)
        assert [one for one in known if f"`{one}`" not in words] == [], name
        before = words
