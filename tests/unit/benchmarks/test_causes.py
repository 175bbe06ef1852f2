"""How the benchmark of causes counts: what is right, at which rank, and what its table says."""

import json
from pathlib import Path

import pytest

from benchmarks.causes import kinds, run
from benchmarks.causes.faults import Right
from benchmarks.causes.run import rank
from benchmarks.causes.table import NOT_SET_UP, WIDTH, rows_of, table
from coordnode.errors import Disconnected

TWO = Right(("slow disk", "member killed"), ("n1", "n2"))


def test_the_rank_is_that_of_cause_and_member_together() -> None:
    right = Right(("cut link", "slow link"), ("n2",))
    assert rank(right, [("cut link", ["n1", "n2"])]) == 1
    assert rank(right, [("cut link", ["n1"]), ("clock", ["n2"]), ("slow link", ["n2"])]) == 3
    assert rank(right, [("cut link", ["n1"])]) == 0
    assert rank(Right(("client surge",), ()), [("client surge", ["n3"])]) == 1  # any member will do


def test_of_several_faults_all_must_be_told_and_nothing_before_them() -> None:
    slow, killed, other = ("slow disk", ["n1"]), ("member killed", ["n2"]), ("clock", ["n3"])
    assert rank(TWO, [killed, slow]) == 1
    assert rank(TWO, [slow, other, killed]) == 2
    assert rank(TWO, [slow, other]) == 0
    assert rank(Right(("member paused",) * 2, ("n1", "n2")), [("member paused", ["n1", "n2"])]) == 1  # told as one


def test_nothing_wrong_is_right_when_nothing_is_told() -> None:
    assert rank(Right((), ()), []) == 1
    assert rank(Right((), ()), [("clock", ["n1"])]) == 0


def test_the_table_counts_each_kind_and_each_round_once() -> None:
    def run(kind: str, seed: int, found: int) -> dict[str, object]:
        return {"kind": kind, "seed": seed, "rank": found, "grep": True, "frequency": False}

    told = [run("slow-disk", 1, 1), run("slow-disk", 2, 3), run("surge", 1, 0), run("oom-kill", 1, 1), run("healthy", 1, 1)]
    results = {(str(one["kind"]), 1 if one["seed"] == 1 else 2): one for one in told}
    again = {("surge", 1): run("surge", 1, 2)}
    rows = {line[:WIDTH].strip(): line[WIDTH:].split() for line in table(results, again)}
    assert rows["KIND"] == ["RUNS", "FIRST", "TOP", "3", "GREP", "FREQ", "AGAIN", "TOP", "3"]
    assert rows["slow-disk"] == ["2", "1", "2", "2", "0", "0", "0"]
    assert rows["surge*"] == ["1", "0", "0", "1", "0", "0", "1"]
    assert rows["all faults"] == ["4", "2", "3", "4", "0", "0", "1"]
    assert rows["held out ***"] == ["1", "1", "1", "1", "0", "0", "0"]
    assert rows["nothing wrong"] == ["1", "1", "1", "1", "0", "0", "0"]


def test_every_kind_is_in_one_round_only() -> None:
    rounds = (kinds.KNOWN, *kinds.HELD_OUT, kinds.HEALTHY)
    assert sum(map(len, rounds)) == len(kinds.FAULTS | kinds.HEALTHY)
    assert {*kinds.WITH_TLS, *kinds.WITH_NAMES, *kinds.DISKS} <= set(kinds.FAULTS)


def test_what_could_not_be_set_up_is_told_with_its_reason_and_ends_no_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []
    is_silent = True

    def one_run(kind: str, seed: int, keep: str) -> dict[str, object]:
        asked.append((kind, seed))
        if kind == "replace" and is_silent:
            raise Disconnected("the member fell silent")
        return {"kind": kind, "seed": seed, "rank": 1, "grep": True, "frequency": True}

    monkeypatch.setattr(run, "one_run", one_run)
    results = tmp_path / "results.jsonl"
    words = ["--kinds", "replace,healthy", "--seeds", "1-2", "--to", str(results)]
    assert run.main(words) == 1
    assert asked == [("replace", 1), ("healthy", 1), ("replace", 2), ("healthy", 2)]
    assert [NOT_SET_UP in json.loads(line) for line in results.read_text().splitlines()] == [True, False, True, False]
    shown = list(table(rows_of(str(results)), {}))
    assert [line.split()[:2] for line in shown if line.startswith(("healthy", "replace", "nothing wrong"))] == [
        ["healthy", "2"],
        ["nothing", "wrong"],
    ]
    assert shown[-2:] == [f"not set up: replace {seed}: Disconnected: the member fell silent" for seed in (1, 2)]

    asked.clear()
    is_silent = False
    assert run.main(words) == 0
    assert asked == [("replace", 1), ("replace", 2)]
    assert not [line for line in table(rows_of(str(results)), {}) if line.startswith("not set up")]
