"""The proxies of a cluster's links and their process, without the cluster."""

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from coordctl.chaos import links, undo
from coordctl.chaos.ledger import Entry, Ledger
from coordctl.chaos.links import Installation, LinkPlace
from coordctl.chaos.reapers import Reaper
from coordctl.local import processes
from coordnode.client.clock import now_ms
from coordnode.harm.orders import boot_mark
from tests.processes.members import free_port, own_hosts, wait_until
from tests.unit.coordctl.proxied import PATIENCE_S, Upstream


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Of a cluster of two, which only echo; its proxies run, and another reaper is there."""
    for patience in ("ASK_SECONDS", "SILENT_SECONDS"):
        monkeypatch.setattr(links, patience, PATIENCE_S)
    members = {"n1": Upstream(), "n2": Upstream()}
    here, *listening = (f"{host}:{free_port(host)}" for host in own_hosts(3))
    ways = zip((("n1", "n2"), ("n2", "n1")), listening, strict=True)
    places = [LinkPlace(one, to, listens, members[to].address) for (one, to), listens in ways]
    installation = Installation(is_used=True, api=here, links=places, dial={})
    made = Ledger(str(tmp_path))
    with made.locked():
        links.write(made, installation)
        links.start(made, installation)
    links.await_served(made, installation)
    with open(os.path.join(made.folder, "reaper-b.lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield made
    links.stop(made)
    for member in members.values():
        member.close()
    until_gone(made)


def until_gone(ledger: Ledger) -> None:
    wait_until(lambda: not links.is_served(ledger), "its proxies are gone")


def until_it_passes(installation: Installation, way: tuple[str, str]) -> None:
    """It is looked at a moment after it was sent: too early, on a slow machine."""

    def passes() -> bool:
        received, passed = links._passed(installation, installation.at(way))
        return 0 < received == passed

    wait_until(passes, f"all passes from {way[0]} to {way[1]}")


def cut(source: str, target: str) -> Entry:
    return Entry(
        id="aa",
        fault="cut",
        to=f"{source} -> {target}",
        by="",
        member="",
        pid=0,
        mark="",
        links=[(source, target)],
        owner="ops",
        reason="",
        began_unix_ms=1,
        until_unix_ms=2,
        boot=boot_mark(),
        deadline_ms=now_ms() + 60_000,
    )


def test_what_is_broken_stays_so_when_the_proxies_are_killed_and_started_again(ledger: Ledger) -> None:
    installation, one = links.read(ledger), cut("n1", "n2")
    assert installation is not None
    ledger.add(one)
    assert undo.strike(ledger, [one]) == [(one, "")]
    pid = int(Path(ledger.folder, links.LOCK).read_text())
    assert processes.send(pid, processes.started_mark(pid), signal.SIGKILL)
    until_gone(ledger)
    Reaper(ledger, "a").watch()
    links.await_served(ledger, installation)
    received, passed = links._passed(installation, installation.at(("n1", "n2")))
    assert received
    assert not passed
    until_it_passes(installation, ("n2", "n1"))
    (toxic,) = links.ask(installation, "GET", "/proxies/n1-n2/toxics")
    assert 0 < toxic["lifetime_ms"] < 60_000
    ledger.end_now(one)
    assert links.broken(ledger) == {}, "what is due would begin anew"
    assert undo.heal(ledger, [one]) == [(one, "")]
    until_it_passes(installation, ("n1", "n2"))


def test_what_a_machine_that_stood_still_spoilt_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [LinkPlace("n1", "n2", "127.0.0.1:1", "127.0.0.1:2")]
    heard = iter([("silence", 2.0), ("reset", 0.1)])
    monkeypatch.setattr(links, "trip", lambda *_, **__: next(heard))
    fault = msgspec.structs.replace(cut("n1", "n2"), fault="reset")
    assert links._measured(Installation(is_used=True, api="", links=places, dial={}), ("n1", "n2"), fault) == ""


@pytest.mark.parametrize("fault", ["loss", "jitter"])
@pytest.mark.parametrize(
    ("whole", "through", "has_taken"),
    [
        (("answer", 0.01), ("answer", 0.25), True),
        (("answer", 0.01), ("answer", 0.05), False),
        (("silence", 2.0), ("silence", 2.0), False),  # whom it leads to stands still
        (("answer", 0.3), ("answer", 0.4), False),  # all is slow here
        (("answer", 0.01), ("end", 0.5), False),
    ],
)
def test_only_what_comes_later_than_around_its_proxy_is_lost_or_late(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    whole: tuple[str, float],
    through: tuple[str, float],
    *,
    has_taken: bool,
) -> None:
    place = LinkPlace("n1", "n2", "127.0.0.1:1", "127.0.0.1:2")
    monkeypatch.setattr(links, "trip", lambda address, **_: whole if address == place.upstream else through)
    monkeypatch.setattr(links, "LOSS_SECONDS_MAX", 0.05)
    one = msgspec.structs.replace(cut("n1", "n2"), fault=fault, by="5%" if fault == "loss" else "400ms")
    trouble = links._measured(Installation(is_used=True, api="", links=[place], dial={}), ("n1", "n2"), one)
    assert (not trouble) == has_taken, trouble
