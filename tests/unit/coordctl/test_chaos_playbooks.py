"""Playbooks: what is read, what is refused and in which line, whom a target means, and the schema beside the parser."""

import random
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
import yaml

import coordctl.__main__ as coordctl
from coordctl.chaos import grammar
from coordctl.chaos.faults import FAULTS, FILL_DISK, takes_quorum
from coordctl.chaos.lined import TEXT_BYTES_MAX
from coordctl.chaos.loads.__main__ import CLIENTS
from coordctl.chaos.loads.words import KINDS
from coordctl.chaos.playbook import Playbook, Refused, parse_playbook
from coordctl.chaos.targets import Members, parse_target
from coordctl.chaos.values import duration_ms, shown_ms
from coordctl.operations import chaos_playbooks
from coordctl.results.chaos import ChaosPlaybook, ChaosShow, ChaosValidated
from coordnode.checking.judge import MODEL_NAMES

PLAYBOOKS = sorted((Path(__file__).resolve().parents[3] / "playbooks").iterdir())
HEAD = "version: 1\nproves: x\n"
ROW = "rows: [{at: 1s, for: 1s, do: kill, to: leader}]\n"
FIVE = Members(("n1", "n2", "n3", "n4", "n5"), "n3")


def mistakes(text: str | bytes) -> list[tuple[int, str]]:
    with pytest.raises(Refused) as refused:
        parse_playbook("x", text.encode() if isinstance(text, str) else text)
    return [(one.line, one.sentence) for one in refused.value.mistakes]


# --- those that come with coordctl -------------------------------------------------------------------------------------


def test_there_are_more_than_twenty_and_together_they_do_every_fault() -> None:
    assert len(PLAYBOOKS) > 20
    done = {row.do for path in PLAYBOOKS for row in parse_playbook(path.stem, path.read_bytes()).rows}
    assert set(FAULTS) - done == {"delay", FILL_DISK} - done
    assert chaos_playbooks.shipped() == [path.stem for path in PLAYBOOKS]


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_each_says_first_what_it_proves_and_is_right_by_parser_and_schema(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("proves: ")
    found = parse_playbook(path.stem, text.encode())
    assert isinstance(found, Playbook)
    assert found.checks
    assert found.expect
    jsonschema_rs.validate(grammar.schema(), yaml.safe_load(text))


def test_what_the_schema_refuses_the_parser_refuses() -> None:
    text = PLAYBOOKS[0].read_text()
    for wrong in (text.replace("do: ", "dew: "), text.replace("version: 1", "version: 2"), text.replace("for: 6s", "for: 6"), HEAD):
        assert wrong != text
        assert not jsonschema_rs.is_valid(grammar.schema(), yaml.safe_load(wrong))
        assert mistakes(wrong)


def test_each_kind_of_load_has_its_clients_and_a_model_that_judges_them() -> None:
    assert list(KINDS) == list(CLIENTS)
    assert {*KINDS} <= {*MODEL_NAMES}
    done = {load.do for path in PLAYBOOKS for load in parse_playbook(path.stem, path.read_bytes()).load}
    assert done == {*KINDS}


# --- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "begin with `version: 1`"),
        ("- a\n", 1, "a playbook is a mapping"),
        ("version: 1\n\tproves: x\n", 2, "indent with spaces"),
        (HEAD + "rows: [\n", 4, "this is not YAML"),
        (b"version: 1\nproves: \xff\n", 2, "is not UTF-8"),
        (b"version: 1\nproves: \x07\n", 2, "may not stand there"),
        ('version: 1\n# \\U00110000\nproves: "a\n  \\U00110000"\n', 4, "\\U00110000 is no character: there are none behind \\U0010ffff"),
        ('version: 1\nproves: "\\ud800"\n' + ROW, 2, "'\\ud800' is half a character: leave it out"),
        ('version: 1\nproves: "\\e[31mx"\n' + ROW, 2, "'\\x1b' is a control character: leave it out"),
        (HEAD + ROW + 'probes: [{when: after, within: 1s, command: [sh, "a\\0b"]}]\n', 4, "'\\x00' is a control character"),
        (HEAD + ROW + '"\\e[2J": x\n', 4, "'\\x1b' is a control character"),
        (HEAD + "seed: !%1b[2J 3\n" + ROW, 3, "the tag !\\x1b"),
        ("a" * (TEXT_BYTES_MAX + 1), 1, "split it"),
        (HEAD + ROW + "---\nversion: 1\n", 4, "a second document"),
        (HEAD + "rows: &r []\n", 3, "anchors and aliases"),
        (HEAD + "seed: !!int 3\n" + ROW, 3, "the tag tag:yaml.org,2002:int is not known"),
        (HEAD + "rows: [[[[[[]]]]]]\n", 3, "nested too deeply"),
        (HEAD + ROW + ROW, 4, "rows is given twice, first in line 3"),
        ("version: 2\nproves: x\n" + ROW, 1, "this coordctl reads version 1"),
        (HEAD, 1, "rows is missing"),
        (HEAD + "rows: []\n", 1, "rows is empty"),
        (HEAD + "rows: 3\n", 3, "rows is a list"),
        (HEAD + "rows:\n  - x\n", 4, "a row of rows is a mapping, such as {at: 2s"),
        (HEAD + "sed: 3\n" + ROW, 3, "there is no field sed; did you mean seed?"),
        (HEAD + "rows:\n  - at: 1s\n    for: 1s\n    do: kil\n    to: n1\n", 6, "did you mean kill?"),
        (HEAD + "rows: [{at: 1, for: 1s, do: kill, to: n1}]\n", 3, "at: 1: give a number and its unit"),
        (HEAD + "rows: [{at: 1s, for: 0s, do: kill, to: n1}]\n", 3, "give how long it lasts"),
        (HEAD + "rows: [{at: 1s, do: kill, to: n1}]\n", 3, "for is missing"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: kill, to: n1 -> n2}]\n", 3, "kill hits members, not links"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: cut, to: a -> b -> c}]\n", 3, "one arrow at most"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: cut, to: N1}]\n", 3, "give leader, follower"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: cut, to: others}]\n", 3, "give leader, follower"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: cut, to: others -> others}]\n", 3, "give leader, follower"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: kill, to: n1, by: 3}]\n", 3, "leave out by"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: delay, to: n1}]\n", 3, "delay without by: say how hard, such as 200ms"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: loss, to: n1, by: 200%}]\n", 3, "give 0% to 100%"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: loss, to: n1, by: 0%}]\n", 3, "that does nothing"),
        (HEAD + "rows: [{at: 1s, for: 1s, do: bandwidth, to: n1, by: 0B/s}]\n", 3, "use do: cut"),
        (HEAD + "rows:\n  - {at: 2s, for: 1s, do: kill, to: n1}\n  - {at: 1s, for: 1s, do: kill, to: n1}\n", 5, "in order of time"),
        (HEAD + "lasts: 1s\n" + ROW, 3, "the last row ends after 2 s"),
        (HEAD + "lasts: 25h\n" + ROW, 3, "give 24h at most"),
        (HEAD + "rows: [{at: 23h, for: 2h, do: kill, to: leader}]\n", 1, "is a soak"),
        (HEAD + ROW + "probes: [{when: after, within: 1s}]\n", 4, "one of ask, http and command"),
        (HEAD + ROW + "probes: [{when: after, within: 1s, ask: read, http: http://a/b}]\n", 4, "leave out the others"),
        (HEAD + ROW + "probes: [{when: after, within: 0s, ask: read}]\n", 4, "within: 0 is no time"),
        (HEAD + ROW + "probes: [{when: after, within: 1s, command: []}]\n", 4, "command is empty"),
        (HEAD + ROW + "probes: [{when: after, within: 1s, http: nowhere}]\n", 4, "a whole address"),
        (HEAD + ROW + "goals: [{see: leaderless, during: 2}]\n", 4, "there is no row 2: rows go from 1 to 1"),
        (HEAD + ROW + "goals: [{see: lock-moved}]\n", 4, "no load takes a lock"),
        (HEAD + ROW + "load:\n  - {do: kv}\n  - {do: kv}\n", 6, "kv is given twice"),
        (HEAD + ROW + "checks: kv\n", 4, "no load writes a history of kv"),
        (HEAD + ROW + "probes: [{when: after, within: 1s, http: 'http://localhost:${PORT}/x'}]\n", 4, "a whole address"),
        (HEAD + ROW + "expect: [{that: '', within: 1s}]\n", 4, "give healthy, leader"),
        (HEAD + ROW + "expect: [{that: heathly}]\n", 4, "that: heathly: give healthy, leader, leader=NAME or members=N"),
        (HEAD + ROW + "expect: [{that: members=abc}]\n", 4, "give healthy, leader"),
        (HEAD + ROW + "? [a]\n: b\n", 4, "a name stands before the colon"),
    ],
)
def test_each_mistake_is_named_with_its_line_and_what_to_do(text: str | bytes, line: int, words: str) -> None:
    found = mistakes(text)
    assert [one for one in found if one[0] == line and words in one[1]], found


def test_lines_and_tabs_of_a_command_are_no_control_characters() -> None:
    text = HEAD + ROW + 'probes:\n  - when: after\n    within: 1s\n    command: [sh, -c, "a\\n\\tb"]\n'
    assert parse_playbook("x", text.encode()).probes[0].what == ("sh", "-c", "a\n\tb")


def test_all_mistakes_are_told_at_once_in_order_of_lines() -> None:
    found = mistakes("version: 3\nproves: x\nrows:\n  - {at: 1, for: 1s, do: kill, to: n1}\n  - {at: 1s, for: 1s, do: kil, to: n1}\n")
    assert [line for line, _ in found] == [1, 4, 5]


def test_nothing_but_refused_is_raised_whatever_the_bytes() -> None:
    chance = random.Random(5)
    texts = [path.read_bytes() for path in PLAYBOOKS]
    refused = 0
    for _ in range(1_500):
        text = bytearray(chance.choice(texts))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(text))
            text[at : at + chance.randint(0, 3)] = chance.choice(
                [b"", b"{", b"]", b"- ", b"\n", b"&a", b"*a", b"0", b": ", b"\x00", b"'", b"|"]
            )
        try:
            parse_playbook("x", bytes(text))
        except Refused as error:
            refused += 1
            assert all(one.line > 0 and one.sentence for one in error.mistakes)
    assert refused > 500


# --- values and targets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0s", "1ms", "999ms", "1s", "1.5s", "90s", "2m", "1h", "1001ms"])
def test_durations_are_shown_as_they_are_read(text: str) -> None:
    assert duration_ms(shown_ms(duration_ms(text))) == duration_ms(text)


@pytest.mark.parametrize(
    ("text", "count", "leader"),
    [("leader", 1, True), ("follower", 1, False), ("random", 1, None), ("all", 5, True), ("minority", 2, None), ("majority", 3, None),
     ("40%", 2, None), ("n3", 1, True), ("n5,n1", 2, False)],
)  # fmt: skip
def test_members_are_meant_by_role_share_and_name(text: str, count: int, leader: bool | None) -> None:
    for seed in range(20):
        found = parse_target(text).members(FIVE, random.Random(seed))
        assert len(found) == count
        assert found == sorted(found)
        assert leader is None or ("n3" in found) == leader
        assert found == parse_target(text).members(FIVE, random.Random(seed))


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("n1 -> n2", [("n1", "n2")]),
        ("n1->n2,n4", [("n1", "n2"), ("n1", "n4")]),
        ("n1 <-> n2", [("n1", "n2"), ("n2", "n1")]),
        ("leader -> others", [("n3", name) for name in ("n1", "n2", "n4", "n5")]),
        ("others -> leader", [(name, "n3") for name in ("n1", "n2", "n4", "n5")]),
        ("others -> n1,n2", [(name, sink) for name in ("n3", "n4", "n5") for sink in ("n1", "n2")]),
        ("n1,n2,n4,n5", [(a, "n3") for a in ("n1", "n2", "n4", "n5")] + [("n3", a) for a in ("n1", "n2", "n4", "n5")]),
    ],
)
def test_links_are_meant_by_an_arrow_or_by_all_that_leave_a_group(text: str, links: list[tuple[str, str]]) -> None:
    assert parse_target(text).links(FIVE, random.Random(1)) == links


def test_a_cluster_is_split_in_two_and_no_link_is_named_twice() -> None:
    found = parse_target("minority <-> others").links(FIVE, random.Random(3))
    assert len(found) == len({*found}) == 2 * 2 * 3
    every = parse_target("all <-> all").links(FIVE, random.Random(3))
    assert len(every) == len({*every}) == 20


@pytest.mark.parametrize(
    ("text", "members", "words"),
    [
        ("n9", FIVE, "there is no member n9; there are n1, n2"),
        ("leader", FIVE._replace(leader=""), "nobody leads at present"),
        ("follower", Members(("n1",), "n1"), "has no follower"),
        ("minority", Members(("n1",), "n1"), "of 1 members is nobody"),
        ("5%", FIVE, "of 5 members is nobody"),
    ],
)
def test_who_is_not_there_is_not_meant(text: str, members: Members, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_target(text).members(members, random.Random(1))


def test_a_link_to_itself_is_none() -> None:
    with pytest.raises(ValueError, match="no link between these"):
        parse_target("n1 -> n1").links(FIVE, random.Random(1))


def test_no_playbook_and_no_example_takes_the_quorum_by_how_hard_it_is() -> None:
    asked = [(row.do, row.by) for path in PLAYBOOKS for row in parse_playbook(path.stem, path.read_bytes()).rows]
    asked += [(name, fault.by_example) for name, fault in FAULTS.items()]
    assert {name for name, by in asked if takes_quorum(name, by)} == {name for name, fault in FAULTS.items() if fault.takes_quorum}


def test_every_example_of_how_hard_can_be_read() -> None:
    for name, fault in FAULTS.items():
        assert (fault.by is None) == (fault.by_example == ""), name
        assert fault.by is None or fault.by.parse(fault.by_example)


# --- the verbs ---------------------------------------------------------------------------------------------------------


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["coordctl", "chaos", *arguments])
    return coordctl.main()


def test_ls_show_and_validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "ls", "-o", "json") == 0
    listed = [msgspec.json.decode(line, type=ChaosPlaybook) for line in capsys.readouterr().out.splitlines()]
    assert [one.name for one in listed] == chaos_playbooks.shipped()
    assert call(monkeypatch, "show", "kill-leader", "-o", "json") == 0
    shown = msgspec.json.decode(capsys.readouterr().out, type=ChaosShow)
    assert [(row.at_ms, row.for_ms, row.do, row.to) for row in shown.rows] == [(2_000, 4_000, "kill", "leader")]
    assert call(monkeypatch, "show", "kill-leader") == 0
    assert ["1", "2s", "4s", "kill", "leader"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert call(monkeypatch, "show", "kill-leader", "--source") == 0
    mine = tmp_path / "mine.yaml"
    mine.write_text(capsys.readouterr().out.replace("do: kill,", "do: kil,"))
    assert call(monkeypatch, "validate", "kill-leader", str(mine), "-o", "json") == 2
    good, bad = [msgspec.json.decode(line, type=ChaosValidated) for line in capsys.readouterr().out.splitlines()]
    assert (good.outcome, bad.outcome, bad.mistakes[0].line) == ("valid", "refused", 6)
    assert call(monkeypatch, "validate", str(mine)) == 2
    assert capsys.readouterr().out.startswith(f"{mine}:6: do: kil: did you mean kill?")
    assert call(monkeypatch, "ls", str(tmp_path)) == 0
    assert f"refused: see coordctl chaos validate {mine}" in capsys.readouterr().out
    assert call(monkeypatch, "show", str(mine)) == 64
    assert f"{mine}:6: do: kil" in capsys.readouterr().err
    assert call(monkeypatch, "show", "nothing") == 64
    assert "there is no playbook nothing" in capsys.readouterr().err
