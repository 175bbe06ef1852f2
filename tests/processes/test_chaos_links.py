"""Faults of the network on real members: proxies are led in and out while the cluster serves, and what is done to a link is measured."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordctl.chaos import links
from coordctl.chaos.ledger import Ledger
from coordctl.local import processes
from coordctl.local.fleet import Failed
from tests.processes.boundaries import time_is_over
from tests.processes.local import Home
from tests.processes.runner.jobs import until
from tests.processes.test_chaos import break_shortly, is_whole, marked_both, reapers, status
from tests.processes.test_commands import valid


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Three members with a proxy in each link; the last test stops them."""
    made = Home(tmp_path_factory.mktemp("linked"))
    made.ctl("up")
    made.ctl("kv", "put", "color", "blue")
    done = valid(made.ctl("chaos", "proxy", "install", "-o", "json"))
    assert (done["outcome"], done["links"], sorted(done["restarted"])) == ("installed", 6, ["n1", "n2", "n3"])  # type: ignore[call-overload]
    yield made
    made.ctl("down")
    until(lambda: reapers(made) == [] and proxy(made) == 0, "reapers or proxies are left")
    assert not (made.state / "local" / "chaos" / "links.json").exists()
    made.close()


LOOKS = 3


def proxy(home: Home) -> int:
    found = marked_both(str(home.state), "coordctl.chaos.proxy.server")
    return found[0] if found else 0


def installation(home: Home) -> links.Installation:
    found = links.read(Ledger(str(home.state / "local")))
    assert found is not None
    return found


def blocked(home: Home) -> list[tuple[str, str]]:
    """Links whose upstream swallows what is sent, each time: where the machine stands still, it may not have passed yet."""
    made = installation(home)

    def swallows(place: links.LinkPlace) -> bool:
        found = (links._passed(made, place) for _ in range(LOOKS))
        return all(received and not passed for received, passed in found)

    with ThreadPoolExecutor(len(made.links)) as pool:
        found = list(pool.map(swallows, made.links))
    return [(one.source, one.target) for one, is_blocked in zip(made.links, found, strict=True) if is_blocked]


def is_healed(home: Home) -> bool:
    try:
        return status(home)["outcome"] == "whole" and blocked(home) == []
    except Failed:  # proxies that were just started do not answer yet
        return False


def test_all_links_lead_through_proxies_and_health_says_so(linked: Home) -> None:
    assert linked.ctl("kv", "get", "color") == "blue"
    assert "faults can be injected into n1, n2, n3" in linked.ctl("health")
    again = valid(linked.ctl("chaos", "proxy", "install", "-o", "json"))
    assert (again["restarted"], blocked(linked)) == ([], [])
    traffic = [links.ask(installation(linked), "GET", f"/proxies/{one.name}/traffic")["upstream"] for one in installation(linked).links]
    assert all(one["passed"] > 0 for one in traffic), "a member goes around its proxy"


def test_a_cut_of_one_way_is_just_that_and_ends_by_itself(linked: Home) -> None:
    done = valid(linked.ctl("chaos", "inject", "cut", "n1 -> n2", "--for", "300s", "-o", "json"))
    (fault,) = done["faults"]  # type: ignore[misc]
    assert (fault["member"], fault["verified"]) == ("n1 -> n2", "1 link measured, nothing passes")
    until(lambda: blocked(linked) == [("n1", "n2")], "another link does not pass, or that one does")
    time_is_over(linked)
    until(lambda: is_healed(linked), "it does not end")
    linked.ctl("wait", "--for", "healthy")


def test_a_leader_that_is_cut_off_is_followed_by_another_and_a_revert_heals_at_once(linked: Home) -> None:
    before = valid(linked.ctl("chaos", "inject", "cut", "leader <-> others", "--for", "300s", "-o", "json"))["leader_before"]
    assert len(blocked(linked)) == 4
    other = next(name for name in ("n1", "n2") if name != before)
    refused = linked.run("chaos", "inject", "kill", other, "--for", "1s")
    assert (refused.returncode, b"a quorum is 2; broken already: cut " in refused.stderr) == (76, True)
    assert linked.run("chaos", "proxy", "remove").returncode == 75
    until(lambda: linked.json("status", code=None)["leader"] not in ("", before), "nobody else leads")
    linked.ctl("chaos", "revert", "--all")
    assert is_healed(linked)
    linked.ctl("wait", "--for", "healthy")


@pytest.mark.parametrize(
    ("fault", "by", "seen"),
    [
        ("delay", "100ms", "all is late"),
        ("bandwidth", "16KiB/s", "all is slow"),
        ("jitter", "100ms", "now more, now less"),
        ("slow-close", "400ms", "an end is told late"),
        ("loss", "20%", "pieces come late"),
        ("reset", "", "are reset"),
    ],
)
def test_each_fault_of_a_link_is_measured_and_undone(linked: Home, fault: str, by: str, seen: str) -> None:
    arguments = ["--by", by] if by else []
    done = valid(linked.ctl("chaos", "inject", fault, "n2 -> n3", "--for", "300s", *arguments, "-o", "json"))
    assert seen in str(done["faults"])
    linked.ctl("chaos", "revert", "--all")
    assert is_healed(linked)
    linked.ctl("wait", "--for", "healthy")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["delay", "n1 -> n2", "--for", "1s"], "delay without --by: say how hard, such as 200ms"),
        (["delay", "n1 -> n2", "--for", "1s", "--by", "0ms"], "that does nothing"),
        (["cut", "n1 -> n2", "--for", "1s", "--by", "5"], "leave out by"),
        (["cut", "n1 -> n2 -> n3", "--for", "1s"], "one arrow at most"),
    ],
)
def test_what_makes_no_sense_of_a_link_is_refused(linked: Home, arguments: list[str], words: str) -> None:
    done = linked.run("chaos", "inject", *arguments)
    assert (done.returncode, words in done.stderr.decode()) == (64, True), done.stderr


def test_proxies_that_are_killed_are_started_again_with_what_is_broken_and_the_cluster_is_well(linked: Home) -> None:
    linked.ctl("chaos", "inject", "cut", "n1 -> n2", "--for", "300s")
    first = proxy(linked)
    os.kill(first, signal.SIGKILL)
    until(lambda: proxy(linked) not in (0, first), "nobody starts them again")
    links.await_served(Ledger(str(linked.state / "local")), installation(linked))
    assert blocked(linked) == [("n1", "n2")]
    linked.ctl("chaos", "revert", "--all")
    until(lambda: is_healed(linked), "nothing comes through")
    linked.ctl("wait", "--for", "healthy")


def test_when_all_is_killed_as_by_a_reboot_up_brings_back_members_proxies_and_whoever_heals(linked: Home) -> None:
    break_shortly(linked, "pause", "follower", "--for", "3s")
    for pid in (*reapers(linked), proxy(linked), *[int(str(one["pid"])) for one in linked.members()]):
        os.kill(pid, signal.SIGKILL)
    linked.ctl("up")
    until(lambda: is_healed(linked) and status(linked)["reapers"] == 2, "not whole")
    linked.ctl("wait", "--for", "healthy")
    assert linked.ctl("kv", "get", "color") == "blue"


def test_a_playbook_of_the_network_runs(linked: Home, tmp_path: Path) -> None:
    path = tmp_path / "cut.yaml"
    path.write_text(
        "proves: x\nversion: 1\nlasts: 10s\nload: [{do: kv}]\nrows: [{at: 500ms, for: 9s, do: cut, to: leader <-> others}]\n"
        "goals: [{see: leader-changed}]\nexpect: [{that: healthy}]\n"
    )
    done = valid(linked.ctl("chaos", "run", str(path), "-o", "json", TMPDIR=str(tmp_path)))
    assert (done["outcome"], json.dumps(done["rows"]).count("->")) == ("green", 4)
    until(lambda: is_healed(linked), "something is left")


def test_they_are_taken_out_while_it_serves_and_no_process_of_them_stays(linked: Home) -> None:
    done = valid(linked.ctl("chaos", "proxy", "remove", "-o", "json"))
    assert (done["outcome"], done["links"], len(done["restarted"])) == ("removed", 0, 3)  # type: ignore[arg-type]
    until(lambda: is_whole(linked) and proxy(linked) == 0, "something of them stays")
    assert linked.ctl("kv", "get", "color") == "blue"
    assert "faults can be injected" not in linked.ctl("health")
    refused = linked.run("chaos", "inject", "cut", "n1 -> n2", "--for", "1s")
    assert (refused.returncode, b"coordctl chaos proxy install" in refused.stderr) == (1, True)
    assert processes.started_mark(proxy(linked)) == ""
