"""What may be broken is judged from what is: also when two ask at once, and when members are not all known."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from coordctl.chaos import reapers, undo
from coordctl.chaos.playbook import Refused, parse_playbook
from coordctl.chaos.premises import Kept
from coordctl.chaos.site import LocalSite, Overtaken, Wanted
from coordctl.chaos.targets import Target, parse_target
from coordctl.commands import chaos
from coordctl.facts.members import MemberFacts
from coordctl.local import clusters, processes
from coordctl.local.clusters import LocalCluster, LocalMember
from coordctl.local.fleet import Failed
from coordctl.operations import chaos_faults, statuses
from coordctl.operations.chaos_faults import Asked, BeyondQuorum, Hit, Interrupted, Scene
from coordnode.errors import BadRequest, Busy, CoordError


def cluster_in(folder: Path, count: int = 3) -> LocalCluster:
    """Members whose process is this one: nothing is done to it."""
    pid, mark = os.getpid(), processes.started_mark(os.getpid())
    members = tuple([LocalMember(f"n{number}", number, f"127.0.0.1:{number}", pid, mark) for number in range(1, count + 1)])
    cluster = LocalCluster(str(folder), "local", 7, 1, True, members)
    clusters.write(cluster)
    return cluster


def status(number: int, voters: list[int], outgoing: list[int], leader: int) -> MemberFacts:
    config = {"voters": voters, "outgoing": outgoing, "learners": [4], "contacts": {}}
    role = "leader" if number == leader else "follower"
    about = {"name": f"n{number}", "member": number, "role": role, "term": 1, "applied": 1, "commit": 1, "ready": True, "config": config}
    return MemberFacts(f"127.0.0.1:{number}", about, "", f"n{number}", number)


def all_well(voters: list[int], outgoing: list[int] | None = None) -> Callable[[LocalCluster, float], list[MemberFacts]]:
    """The last one leads."""
    return lambda cluster, _: [status(one.member, voters, outgoing or [], cluster.members[-1].member) for one in cluster.members]


@pytest.fixture
def nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reapers, "ensure", lambda ledger: None)
    monkeypatch.setattr(undo, "strike", lambda ledger, entries: [(entry, "") for entry in entries])


# --- two at once -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_is_done")
@pytest.mark.parametrize(
    ("fault", "targets", "refusal"), [("kill", ("n1", "n2"), BeyondQuorum), ("fds", ("n1", "n1"), Busy), ("fds", ("n1", "n1", "n1"), Busy)]
)
def test_of_several_at_once_each_counts_what_the_others_broke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, targets: tuple[str, ...], refusal: type[CoordError]
) -> None:
    cluster = cluster_in(tmp_path)
    monkeypatch.setattr(statuses, "of_members", all_well([1, 2, 3]))
    all_have_looked = threading.Barrier(len(targets))
    looks = threading.local()

    def hit_by(scene: Scene, fault: str, target: Target, chance: Random) -> Hit:
        if not hasattr(looks, "has_looked"):
            looks.has_looked = True
            all_have_looked.wait(60)
        return Hit((target.text,), ())

    monkeypatch.setattr(Scene, "hit_by", hit_by)
    refused: list[CoordError] = []

    def ask(target: str) -> None:
        try:
            chaos_faults.inject(cluster, Asked(fault, target, "", 60_000, 1, "", ""))
        except CoordError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in refused] == [refusal] * (len(targets) - 1)
    assert len(LocalSite(cluster).look(0).active) == 1


@pytest.mark.usefixtures("nothing_is_done")
def test_nothing_is_done_on_what_was_broken_since_it_was_judged(tmp_path: Path) -> None:
    site = LocalSite(cluster_in(tmp_path))
    wanted = Wanted("pause", "n1", "", ("n1",), (), 60_000, "ops", "", known=())
    (first,) = site.inject(wanted)
    with pytest.raises(Overtaken, match="pause n1 of ops was begun just now, so nothing was broken: try again"):
        site.inject(wanted._replace(members=("n2",)))
    site.inject(wanted._replace(members=("n2",), known=(first.id,)))


# --- who votes ---------------------------------------------------------------------------------------------------------


def scene_in(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, voters: list[int], outgoing: list[int] | None = None) -> Scene:
    cluster = cluster_in(folder, count)
    monkeypatch.setattr(statuses, "of_members", all_well(voters, outgoing))
    return Scene(cluster, LocalSite(cluster))


def test_voters_of_whom_nothing_is_known_here_are_counted_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else made five of three members: of two that he paused only he knows."""
    with pytest.raises(Busy, match="member 4 votes, and what is known here of local is older"):
        scene_in(tmp_path, monkeypatch, 3, [1, 2, 3, 4, 5])
    with pytest.raises(Busy, match="member 4 votes"):
        scene_in(tmp_path, monkeypatch, 3, [1, 2, 3], [3, 4, 5])


def test_while_voters_change_a_quorum_of_the_old_ones_is_needed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_in(tmp_path, monkeypatch, 5, [1, 2, 3, 4], [4, 5])
    assert not scene.radius("kill", Hit(("n1",), ())).is_beyond
    found = scene.radius("kill", Hit(("n5",), ()))
    assert (found.is_beyond, found.voters) == (True, 2)


def test_who_does_not_vote_is_hit_by_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_in(tmp_path, monkeypatch, 4, [1, 2, 3])  # n4 is a learner
    assert scene.hit_by("pause", parse_target("n4"), Random(1)) == Hit(("n4",), ())
    assert scene.hit_by("pause", parse_target("all"), Random(1)) == Hit(("n1", "n2", "n3"), ())
    assert scene.radius("pause", Hit(("n4",), ())).left == 3
    assert scene.hit_by("cut", parse_target("n4 -> n1"), Random(1)) == Hit((), (("n4", "n1"),))
    with pytest.raises(ValueError, match="there is no member n9; there are n1, n2, n3, n4"):
        scene.hit_by("pause", parse_target("n9"), Random(1))


# --- what ends in the midst of it --------------------------------------------------------------------------------------


def broken_off_by(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def strike(*_: object) -> None:
        raise error

    monkeypatch.setattr(statuses, "of_members", all_well([1, 2, 3]))
    monkeypatch.setattr(reapers, "ensure", lambda ledger: None)
    monkeypatch.setattr(undo, "strike", strike)


def test_whatever_goes_wrong_once_it_is_written_down_it_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off_by(OverflowError("int too large to convert to float"), monkeypatch)
    site = LocalSite(cluster_in(tmp_path))
    with pytest.raises(OverflowError):
        site.inject(Wanted("pause", "n1", "", ("n1",), (), 8_000, "ops", ""))
    assert site.look(0).active == []


def test_who_interrupts_it_is_told_what_became_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off_by(KeyboardInterrupt(), monkeypatch)
    cluster = cluster_in(tmp_path)
    with pytest.raises(Interrupted, match="interrupted; pause n1 is undone"):
        chaos_faults.inject(cluster, Asked("pause", "n1", "", 8_000, 1, "", ""))
    assert LocalSite(cluster).look(0).active == []


@pytest.mark.parametrize(
    ("heal", "said"),
    [
        (lambda _, entries: [(one, "it stands still") for one in entries], r"not all is undone, .*: pause n1 \([0-9a-f]{8}\): it stands"),
        (KeyboardInterrupt(), "is not undone yet, and heals when its time is over: see"),
        (OSError(5, "Input/output error"), "is not undone yet, and heals when its time is over: .*Input/output error"),
    ],
    ids=["it does not heal", "again", "the disk fails"],
)
def test_what_is_not_undone_at_once_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heal: Any, said: str) -> None:
    def fail(*_: object) -> None:
        raise heal

    broken_off_by(KeyboardInterrupt(), monkeypatch)
    monkeypatch.setattr(undo, "heal", fail if isinstance(heal, BaseException) else heal)
    with pytest.raises(Interrupted, match=said):
        chaos_faults.inject(cluster_in(tmp_path), Asked("pause", "n1", "", 8_000, 1, "", ""))


@pytest.mark.usefixtures("nothing_is_done")
def test_who_interrupts_it_before_has_broken_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(statuses, "of_members", look)
    with pytest.raises(Interrupted, match="interrupted; nothing was broken"):
        chaos_faults.inject(cluster_in(tmp_path), Asked("pause", "n1", "", 8_000, 1, "", ""))


# --- for how long ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "by", "for_ms", "said"),
    [
        ("delay", "999999999h", 6_000, "give 24h at most"),
        ("clock-jump", "-25h", 6_000, "give 24h at most"),
        ("slow-fsync", "60s", 4_000, "would outlast 4s: give by less, or for longer"),
        ("pause", "", 90_000_000_000, "every fault ends: give 24h at most"),
        ("delay", "24h", 86_400_000, ""),
        ("slow-fsync", "4s", 4_000, ""),
    ],
)
def test_times_have_a_bound(fault: str, by: str, for_ms: int, said: str) -> None:
    asked = Asked(fault, "n1 -> n2" if fault == "delay" else "n1", by, for_ms, 1, "", "")
    if not said:
        chaos_faults.check(asked)
        return
    with pytest.raises(BadRequest, match=said):
        chaos_faults.check(asked)


def test_a_row_of_a_playbook_that_would_outlast_its_time_is_not_begun(tmp_path: Path) -> None:
    site = LocalSite(cluster_in(tmp_path))
    with pytest.raises(Failed, match="would outlast 4s"):
        site.inject(Wanted("slow-fsync", "n1", "60s", ("n1",), (), 4_000, "ops", ""))
    assert site.look(0).active == []


def test_a_playbook_asks_for_nothing_that_is_longer_than_a_day() -> None:
    probe = "{when: after, ask: read, within: 1s, every: 999999999h}"
    text = f"proves: x\nversion: 1\nrows: [{{at: 0s, for: 1s, do: pause, to: n1}}]\nprobes: [{probe}]\n"
    with pytest.raises(Refused, match="give 24h at most"):
        parse_playbook("p", text.encode())


def test_the_command_says_what_became_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken_off_by(KeyboardInterrupt(), monkeypatch)
    cluster_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):  # which is what its 130 is by now, once all is said
        chaos.main(["inject", "pause", "n1", "--for", "8s", "-c", str(tmp_path)])
    assert capsys.readouterr().err == "coordctl: interrupted; pause n1 is undone\n"


# --- how hard ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def nothing_is_lacking(nothing_is_done: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "lacks", lambda *_: "")
    monkeypatch.setattr(statuses, "of_members", all_well([1, 2, 3]))


ALL_LINKS = tuple([(f"n{one}", f"n{other}") for one in (1, 2, 3) for other in (1, 2, 3) if one != other])


@pytest.mark.usefixtures("nothing_is_lacking")
@pytest.mark.parametrize(
    ("fault", "soft", "hard"),
    [
        ("delay", "200ms", "300ms"),
        ("jitter", "100ms", "1s"),
        ("loss", "49%", "50%"),
        ("loss", "5%", "100%"),
        ("bandwidth", "16KiB/s", "1B/s"),
        ("slow-fsync", "200ms", "2s"),
    ],
)
def test_what_is_so_hard_that_nobody_can_lead_takes_the_quorum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, soft: str, hard: str
) -> None:
    hit = Hit(("n1", "n2"), ()) if fault == "slow-fsync" else Hit((), ALL_LINKS)
    monkeypatch.setattr(Scene, "hit_by", lambda *_: hit)
    target = "n1,n2" if fault == "slow-fsync" else "all"
    cluster = cluster_in(tmp_path)
    with pytest.raises(BeyondQuorum, match="would be left"):
        chaos_faults.inject(cluster, Asked(fault, target, hard, 60_000, 1, "", ""))
    assert not LocalSite(cluster).look(0).active
    assert chaos_faults.inject(cluster, Asked(fault, target, soft, 60_000, 1, "", "")).can_lose >= 0


@pytest.mark.usefixtures("nothing_is_lacking")
def test_what_is_hard_already_counts_when_more_is_to_be_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scene, "hit_by", lambda scene, fault, *_: Hit(("n1",), ()) if fault == "kill" else Hit((), (("n2", "n3"),)))
    cluster = cluster_in(tmp_path)
    chaos_faults.inject(cluster, Asked("loss", "n2 -> n3", "100%", 60_000, 1, "", ""))
    with pytest.raises(BeyondQuorum, match="broken already: loss n2 -> n3"):
        chaos_faults.inject(cluster, Asked("kill", "n1", "", 60_000, 1, "", ""))
