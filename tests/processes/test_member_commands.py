"""`member ls`, `lead`, `drain`, `undrain` on real members of this machine: what is said is so, and who is worked on alarms nobody."""

import json
import re

import pytest

from coordnode.client.sync import connect
from tests.processes.local import Home
from tests.processes.members import wait_until


def leader(home: Home) -> str:
    return str(home.json("member", "ls")["leader"])


def other(home: Home) -> str:
    return next(name for name in ("n1", "n2", "n3") if name != leader(home))


def missed(home: Home) -> list[str]:
    """What is said of members that are gone; how quick the others are is not asked here."""
    found = home.json("health", code=None)["findings"]
    sentences = [str(one["sentence"]) for one in found if one["level"] != "ok"]  # type: ignore[attr-defined]
    return [one for one in sentences if "does not answer" in one or "one more loss" in one]


def test_the_leadership_goes_where_it_is_told(shared: Home) -> None:
    heir = other(shared)
    moved = shared.json("member", "lead", heir)
    assert (moved["outcome"], moved["leader"]) == ("done", heir)
    assert leader(shared) == heir
    assert shared.json("member", "lead", heir)["outcome"] == "unchanged"
    assert b"n9 is no member; there are: n1, n2, n3" in shared.run("member", "lead", "n9").stderr
    well = [(name, "ok", "") for name in ("n1", "n2", "n3")]

    def rows() -> list[tuple[object, object, object]]:
        return [(row["name"], row["state"], row["drained"]) for row in shared.json("member", "ls")["members"]]  # type: ignore[attr-defined]

    wait_until(lambda: rows() == well, "all of them are well")
    listed = shared.ctl("member", "ls").splitlines()
    assert listed[0].split() == ["MEMBER", "ROLE", "STATE", "LAG", "ZONE", "ADDRESS"]
    assert listed[-2:] == ["can lose: 1 more voter", "sources: API 3/3"]


def test_who_is_drained_does_not_lead_and_is_not_missed_until_its_time_is_over(home: Home) -> None:
    home.ctl("up")
    drained = leader(home)
    done = home.json("member", "drain", drained, "--for", "10m", "--reason", "new memory")
    assert done["outcome"] == "done", done
    assert str(done["sentence"]).startswith(f"{drained} is drained by ")
    assert leader(home) != drained
    third = next(name for name in ("n1", "n2", "n3") if name not in (drained, leader(home)))
    refused = home.json("member", "drain", third, "--for", "5m", code=76)
    assert "that is an outage; --accept no-spare --reason TEXT does it all the same" in str(refused["sentence"])
    assert home.run("member", "lead", drained).returncode == 76

    with connect([str(one["address"]) for one in home.members()]) as cluster:  # as if it was elected: nobody asks coordctl then
        cluster.members.lead(next(int(str(one["id"])) for one in home.members() if one["name"] == drained))
    wait_until(lambda: '"yielded"' in (home.state / "local" / f"{drained}.log").read_text(), "it hands the leadership on")
    wait_until(lambda: leader(home) not in ("", drained), "another leads")

    home.kill(drained)
    assert missed(home) == []
    assert ": new memory" in str(home.json("health", code=None)["sentence"])
    rounds = ("canary", "run", "--count", "3", "--interval", "200ms", "--timeout", "20s", "-o", "json")
    canary = [json.loads(line) for line in home.ctl(*rounds).splitlines()]
    assert [(one["outcome"], one.get("drained")) for one in canary] == [("well", [drained])] * 3 + [("ok", None)]
    home.ctl("up")
    home.ctl("wait", "--for", "members=3", "--timeout", "60s")
    assert home.json("member", "undrain", drained)["outcome"] == "done"
    assert home.json("member", "undrain", drained)["outcome"] == "unchanged"
    assert "drain by" not in home.ctl("session", "ls", code=None)
    home.kill(drained)
    assert len(missed(home)) == 2


def test_a_risk_that_was_accepted_is_shown_until_it_is_cleared(shared: Home) -> None:
    first, second = (name for name in ("n1", "n2", "n3") if name != leader(shared))
    assert b"no risk was accepted that was not cleared" in shared.run("risk", "ls").stderr
    shared.ctl("member", "drain", first, "--for", "10m", "--accept", "no-spare", "--reason", "there is none")
    assert shared.json("risk", "ls", code=1)["risks"] == []  # nothing had to be accepted
    shared.ctl("member", "drain", second, "--for", "10m", "--accept", "no-spare", "--reason", "the rack moves")
    for name in (first, second):
        shared.ctl("member", "undrain", name)
    (risk,) = shared.json("risk", "ls")["risks"]  # type: ignore[misc]
    assert (risk["risk"], risk["verb"], risk["reason"]) == ("no-spare", "member drain", "the rack moves")  # type: ignore[index]
    found = [one for one in shared.json("health", code=None)["findings"] if one["check"] == "risk"]  # type: ignore[attr-defined]
    assert [(one["level"], one["remedy"]) for one in found] == [("ok", "once that is over: coordctl risk clear no-spare")]
    assert re.search(r"the risk no-spare was accepted by \S+@\S+ at \S+ \S+Z for member drain: the rack moves", found[0]["sentence"])
    assert b"one-zone is none that was accepted and not cleared; those are: no-spare" in shared.run("risk", "clear", "one-zone").stderr
    assert shared.json("risk", "clear", "no-spare")["outcome"] == "done"
    assert shared.json("risk", "clear", "no-spare")["outcome"] == "unchanged"
    assert "risk no-spare" not in shared.ctl("status")
    records = [json.loads(line) for line in shared.ctl("audit", "ls", "-o", "json").splitlines()]
    told = [(one["before"], one["after"], one["reason"]) for one in records if one["what"] == "risk no-spare"]
    assert [(before, reason) for before, _, reason in told] == [("not taken", "the rack moves"), ("accepted", "")]
    assert re.fullmatch(r"accepted by \S+@\S+ for member drain", told[0][1])
    assert told[1][1] == "cleared"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("drain", "n1"), "--for"),
        (("drain", "n1", "--for", "10"), "a number and its unit are needed"),
        (("drain", "n1", "--for", "25h"), "give 1s to 24h"),
        (("drain", "n1", "--for", "1m", "--accept", "no-spare"), "--accept no-spare needs --reason"),
        (("lead",), "NAME"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_remedy(shared: Home, arguments: tuple[str, ...], words: str) -> None:
    done = shared.run("member", *arguments)
    assert (done.returncode, words in done.stderr.decode()) == (64, True), done.stderr
