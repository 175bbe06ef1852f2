"""A run of a playbook, without a cluster: what it says when faults, their end, or what it looks at fail."""

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from coordctl.chaos import verdicts
from coordctl.chaos.ledger import Entry
from coordctl.chaos.playbook import Expectation, Probe, Row, parse_playbook
from coordctl.chaos.site import LocalSite, Looked, Wanted
from coordctl.chaos.words import End, Word
from coordctl.facts.members import MemberFacts
from coordctl.local import processes
from coordctl.local.clusters import LocalCluster, LocalMember
from coordctl.local.fleet import Failed
from coordctl.operations import chaos_run, statuses
from coordctl.operations.chaos_loads import Holder, Loads
from coordctl.operations.chaos_probes import Http
from coordctl.operations.chaos_run import Asked, _Run
from coordctl.operations.interrupts import Interrupts
from coordnode.client.identity import who
from coordnode.errors import CoordError, UnknownFormat
from tests.unit.coordctl.test_chaos_ledger import entry

HEAD = "proves: nothing\nversion: 1\nrows:\n  - {at: 0s, for: 1s, do: pause, to: n1}\n"
WANTED = Wanted("pause", "n1", "", ("n1",), (), 1_000, who(), "")


class Broken(LocalSite):
    """No fault takes, and entries are left of it."""

    def __init__(self, cluster: LocalCluster, left: Sequence[Entry], heal: Callable[[Sequence[Entry]], list[tuple[Entry, str]]]) -> None:
        super().__init__(cluster)
        self.left = list(left)
        self._heal = heal

    def inject(self, wanted: Wanted) -> list[Entry]:
        raise Failed("pause did not take; and it could not be undone at once")

    def look(self, last: int) -> Looked:
        return Looked(active=self.left, due=[one.id for one in self.left if one.is_due()])

    def heal(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        return self._heal(entries)


def run_on(folder: Path, site: LocalSite | None = None, text: str = HEAD) -> _Run:
    cluster = cluster_in(folder)
    return _Run(cluster, site or LocalSite(cluster), parse_playbook("p", text.encode()), Asked("", "", ""), lambda told: None, Interrupts())


def cluster_in(folder: Path) -> LocalCluster:
    return LocalCluster(str(folder), "local", 7, 1, True, (LocalMember("n1", 1, "127.0.0.1:1"),))


def ours() -> Entry:
    return msgspec.structs.replace(entry(), owner=who())


def _inject(run: _Run) -> None:
    """Its row, of a cluster of which nobody asks more."""
    run._is_hitting = True
    run._site.inject(WANTED)


# --- what it could not undo --------------------------------------------------------------------------------------------


def test_what_is_left_of_a_fault_that_did_not_take_counts_as_not_reverted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Run, "_check_start", _inject)
    monkeypatch.setattr(chaos_run, "HEAL_SECONDS_MAX", 0.0)
    site = Broken(cluster_in(tmp_path), [ours(), entry("bb")], lambda entries: [(one, "no") for one in entries])
    found = run_on(tmp_path, site).go()
    assert found.exit_code == verdicts.NOT_REVERTED
    revert = next(one for one in found.verdicts if one.kind == "revert")
    assert revert.sentence == "pause n1: see `coordctl chaos status`"  # once: what somebody else broke is theirs


@pytest.mark.parametrize("error", [UnknownFormat("x is not what chaos writes"), OSError(28, "No space left on device")])
def test_healing_that_fails_is_a_verdict_and_all_else_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        raise error

    monkeypatch.setattr(_Run, "_check_start", _inject)
    monkeypatch.setattr(chaos_run, "HEAL_SECONDS_MAX", 0.0)
    found = run_on(tmp_path, Broken(cluster_in(tmp_path), [ours()], fail)).go()
    assert found.exit_code == verdicts.NOT_REVERTED
    words = error.sentence if isinstance(error, CoordError) else str(error)
    assert [one.sentence for one in found.verdicts if one.kind == "revert"] == [f"{words}: see `coordctl chaos status`"]


# --- whoever holds the lock ---------------------------------------------------------------------------------------------


def test_who_gave_the_lock_back_before_it_stood_still_goes_on_and_another_is_killed(tmp_path: Path) -> None:
    """Seen with the lock, and then stopped: on a busy machine it has given it back meanwhile, nearly always."""
    text = HEAD.replace("pause, to: n1", "kill-holder, to: lock") + "load: [{do: lock}]\n"
    with subprocess.Popen(["sleep", "60"]) as quick, subprocess.Popen(["sleep", "60"]) as slow:
        first, second = (
            Holder(number, token, one.pid, processes.started_mark(one.pid)) for number, token, one in ((1, 5, quick), (2, 6, slow))
        )

        class Line(Loads):
            """Client 1 gives it back while it is being stopped; client 2, who has it then, has it still."""

            seen = 0

            def holder(self) -> Holder | None:
                self.seen += 1
                return first if self.seen == 1 else second

        site = LocalSite(cluster_in(tmp_path / "local"))
        run = run_on(tmp_path / "local", site, text)
        (tmp_path / "run").mkdir()
        run._loads = Line(str(tmp_path / "run"), [], "", 1)
        events = [{"process": 2, "f": "acquire", "type": kind, "value": 6, "time": 1} for kind in ("invoke", "ok")]
        (tmp_path / "run" / "lock.events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        try:
            with run._interrupts:
                run._hit_holder(run._playbook.rows[0])
            assert quick.poll() is None
            assert not processes.is_stopped(first.pid, first.mark)
            assert slow.wait(30) == -signal.SIGKILL
            assert [(row.hit, row.verified) for row in run._rows] == [("client 2", "it is gone with the lock in its hands")]
            assert ([row.client for row in run._done], [turn[1:] for turn in run._loads.turns(run._began)]) == ([2], [(2, True)])
        finally:
            site.heal(site.look(0).active)
            quick.kill()
            slow.kill()


def test_who_gave_it_back_is_stopped_as_soon_as_it_has_it_again_without_a_new_entry(tmp_path: Path) -> None:
    text = HEAD.replace("pause, to: n1", "pause-holder, to: lock").replace("for: 1s", "for: 60s") + "load: [{do: lock}]\n"
    with subprocess.Popen(["sleep", "60"]) as client:
        mark = processes.started_mark(client.pid)
        holders = [Holder(1, 5, client.pid, mark), None, None, Holder(1, 7, client.pid, mark)]
        stopped: list[bool] = []

        class Line(Loads):
            def holder(self) -> Holder | None:
                stopped.append(processes.is_stopped(client.pid, mark))
                return holders[min(len(stopped), len(holders)) - 1]

        site = LocalSite(cluster_in(tmp_path / "local"))
        run = run_on(tmp_path / "local", site, text)
        run._loads = Line(str(tmp_path), [], "", 1)
        try:
            with run._interrupts:
                run._hit_holder(run._playbook.rows[0])
            assert stopped == [False, True, False, False, True]
            assert processes.is_stopped(client.pid, mark)
            assert [entry.pid for entry in site.look(0).active] == [client.pid]
        finally:
            site.heal(site.look(0).active)
            assert not processes.is_stopped(client.pid, mark)
            client.kill()


# --- what it judges ----------------------------------------------------------------------------------------------------


def test_an_expectation_that_cannot_be_judged_takes_no_other_verdict_with_it(tmp_path: Path) -> None:
    playbook = parse_playbook("p", (HEAD + "goals: [{see: leaderless}]\nexpect: [{that: healthy}]\n").encode())
    run = run_on(tmp_path)
    run._playbook = playbook._replace(expect=(Expectation("heathly", 1_000),))
    run._judge()
    assert [(one.kind, one.code) for one in run._verdicts] == [("expect", verdicts.INCONCLUSIVE), ("goal", verdicts.INCONCLUSIVE)]
    assert "'heathly' is no condition" in run._verdicts[0].sentence


@pytest.mark.parametrize(("answered_ms", "function", "code"), [(1_500, "release", 0), (900, "release", 3), (1_500, "lost", 3)])
def test_a_history_of_which_nothing_was_answered_since_the_last_fault_shows_nothing(
    tmp_path: Path, answered_ms: int, function: str, code: int
) -> None:
    run = run_on(tmp_path, text=HEAD + "load: [{do: lock}]\n")
    folder = tmp_path / "run"
    folder.mkdir()
    run._folder, run._loads = str(folder), Loads(str(folder), [], "", 1)
    run._done = [verdicts.Done(1, 1_000, 2_000)]
    began_ns, at_ns = (round((run._began + ms / 1000) * 1e9) for ms in (0, answered_ms))
    process = 1_001 if function == "lost" else 1
    asked = [(1, "acquire", "invoke", None, began_ns), (1, "acquire", "ok", 5, began_ns + 1)]
    asked += [(process, function, "invoke", 5, at_ns), (process, function, "ok", True, at_ns + 1)]
    names = ("process", "f", "type", "value", "time")
    (folder / "lock.events.jsonl").write_text("".join(json.dumps(dict(zip(names, one, strict=True))) + "\n" for one in asked))
    found = run._of_history("lock")
    assert (found.code, "since the last fault began" in found.sentence) == (code, code == 3), found


def test_logs_that_cannot_be_read_leave_the_verdicts(tmp_path: Path) -> None:
    class Deaf(LocalSite):
        def said_since(self, ends: Mapping[str, End]) -> list[Word]:
            raise Failed("n1 cannot be reached")

    run = run_on(tmp_path, Deaf(cluster_in(tmp_path)))
    run._log_ends = {"n1": End(1, 0, 0)}
    assert run._of_logs() == [verdicts.Verdict("log", "", verdicts.INCONCLUSIVE, "what members logged is not known: n1 cannot be reached")]


def test_probes_after_the_last_row_wait_for_rows_that_come_late(tmp_path: Path) -> None:
    run = run_on(tmp_path, text=HEAD + "probes: [{when: after, ask: read, within: 1s}]\n")
    probe = run._playbook.probes[0]
    assert not run._is_time_of(probe, 30_000)
    run._done.append(verdicts.Done(1, 19_000, 21_000))
    assert [run._is_time_of(probe, at_ms) for at_ms in (20_999, 21_000)] == [False, True]


def test_the_first_row_waits_for_what_is_to_be_tried_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still until the row is due leaves no other time for it."""
    run = run_on(tmp_path, text=HEAD + "lasts: 1s\nprobes: [{when: before, ask: read, within: 1s}]\n")
    (probe,) = run._playbook.probes
    seen: list[int] = []

    class Slow:
        def attempt(self) -> str:
            time.sleep(0.3)  # it is slow
            return ""

        def close(self) -> None: ...

    def inject(row: Row) -> None:
        seen.append(len(run._tries[0]))
        run._is_hitting = True
        run._done.append(verdicts.Done(row.number, 0, 0))

    monkeypatch.setattr(chaos_run, "act_of", lambda *_: Slow())
    monkeypatch.setattr(run, "_inject", inject)
    assert run._is_time_of(probe, 30_000), "the row may come late"
    trying = threading.Thread(target=run._probe, args=(0, probe))
    trying.start()
    try:
        with run._interrupts:
            run._timetable()
    finally:
        run._is_over.set()
        trying.join()
    assert seen[0] > 0
    assert not run._is_time_of(probe, 0)


def test_whatever_a_try_raises_is_a_try_that_failed(tmp_path: Path) -> None:
    class Bug:
        def attempt(self) -> str:
            raise ZeroDivisionError("division by zero")

    assert run_on(tmp_path)._attempt(Bug()) == "ZeroDivisionError: division by zero"  # type: ignore[arg-type]


def test_an_answer_that_is_no_http_is_a_try_that_failed() -> None:
    def answer() -> None:
        with server.accept()[0] as connection:
            connection.sendall(b"what?\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=answer)
        answering.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        found = Http(Probe("throughout", "http", (address,), 100, 5_000, 100.0)).attempt()
        answering.join()
    assert found.startswith(f"{address}: ")


# --- for long ----------------------------------------------------------------------------------------------------------


def test_a_long_run_says_again_and_again_that_it_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(LocalSite):
        times = 0

        def stay(self) -> None:
            self.times += 1

    site = Counting(cluster_in(tmp_path))
    run = run_on(tmp_path, site)
    monkeypatch.setattr(chaos_run, "STAY_SECONDS", 0.01)
    monkeypatch.setattr(run, "_ms", lambda: 10 * site.times)
    with run._interrupts:
        run._wait_until(50)
    assert site.times == 4  # with so much time left: 40, 30, 20 and 10 ms


# --- who was healed a moment ago ---------------------------------------------------------------------------------------


def members_of(ready: Callable[[], bool]) -> Callable[[LocalCluster, float], list[MemberFacts]]:
    """Three, of which n3 leads, and n2 is ready once that says so."""

    def look(*_: object) -> list[MemberFacts]:
        is_ready = ready()
        found = []
        for number in (1, 2, 3):
            config = {"voters": [1, 2, 3], "outgoing": [], "learners": [], "contacts": {}}
            about = {"name": f"n{number}", "member": number, "role": "leader" if number == 3 else "follower", "config": config}
            rest = {"term": 1, "applied": 1, "commit": 1, "ready": is_ready or number != 2, "reasons": []}
            found.append(MemberFacts(f"127.0.0.1:{number}", about | rest, "", f"n{number}", number))
        return found

    return look


def row_on(folder: Path, monkeypatch: pytest.MonkeyPatch, ready: Callable[[], bool]) -> _Run:
    members = tuple([LocalMember(f"n{number}", number, f"127.0.0.1:{number}") for number in (1, 2, 3)])
    cluster = LocalCluster(str(folder), "local", 7, 1, True, members)
    monkeypatch.setattr(statuses, "of_members", members_of(ready))
    text = HEAD.replace("pause, to: n1", "pause, to: random")
    return _Run(cluster, Begins(cluster), parse_playbook("p", text.encode()), Asked("", "", ""), lambda told: None, Interrupts())


class Begins(LocalSite):
    def inject(self, wanted: Wanted) -> list[Entry]:
        return [msgspec.structs.replace(entry(), member=wanted.members[0])]


def test_a_row_waits_for_a_member_that_was_healed_a_moment_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([False] * 3)
    hit = []
    for ready in (lambda: next(looks, True), lambda: True):
        run = row_on(tmp_path, monkeypatch, ready)
        with run._interrupts:
            run._hit_cluster(run._playbook.rows[0])
        hit += [row.hit for row in run._rows]
    assert len(hit) == 2
    assert hit[0] == hit[1], "whom it hits depends on how long it waited"


def test_a_row_that_would_take_the_quorum_all_the_same_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos_run, "READY_SECONDS_MAX", 0.3)
    run = row_on(tmp_path, monkeypatch, lambda: False)
    with run._interrupts, pytest.raises(chaos_run._Stop, match="not well: n2"):
        run._hit_cluster(run._playbook.rows[0])


def test_one_that_is_asked_to_end_twice_heals_before_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    healed = []

    def heal(entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        healed.extend(entries)
        site.left.clear()
        return [(one, "") for one in entries]

    monkeypatch.setattr(_Run, "_check_start", _inject)
    site = Broken(cluster_in(tmp_path), [ours()], heal)
    run = run_on(tmp_path, site)
    with run._interrupts, run._interrupts.deferred():
        found = run.go()
    assert len(healed) == 1
    assert found.exit_code == 130
