"""Members as real processes: durable under kill -9, leaving well, refusing what is not theirs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from coordnode.client.sync import connect
from coordnode.errors import CoordError
from coordnode.ids import ClusterId, MemberId
from coordnode.node.bootstrap import create_joiner
from coordnode.raft.entry import Config
from coordnode.services.commands import Get, Got, Put
from coordnode.services.dialogue import ConfigAsk, ErrorReply, Reply, TransferAsk, WatchAsk, WatchPush
from coordnode.storage.block import Identity, seal, unseal
from coordnode.storage.disk import RealDisk
from coordnode.storage.mark import MarkFile, read_mark
from coordnode.storage.wal import Settings as WalSettings
from coordnode.wire.frames import JSON, MSGPACK
from coordnode.wire.hello import Hello, encode_hello
from tests.processes.members import (
    LOYAL,
    PATIENCE_S,
    Cluster,
    Connection,
    Process,
    Refused,
    Writer,
    free_port,
    own_hosts,
    resident_bytes,
    result_of,
    wait_until,
)

TIGHT = ("--snapshot-entries", "100", "--keep-entries", "10")


def test_nothing_takes_the_place_of_streams_that_were_closed(cluster: Cluster) -> None:
    """A log that goes to standard error would be written into the file that was opened in its place."""
    for one in cluster.members.values():
        one.prefix = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "-"]
    cluster.start()
    cluster.wait_ready()
    for one in cluster.members.values():
        assert one.running is not None
        assert {os.readlink(f"/proc/{one.running.pid}/fd/{number}") for number in range(3)} == {os.devnull}


# --- durable -------------------------------------------------------------------------------------------------------


def test_nothing_acknowledged_is_lost_by_kill_9_of_the_leader_and_of_all(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_ready()
    writer = Writer(cluster)
    writer.puts(40)
    old = cluster.leader()
    old.kill()
    writer.puts(40)
    assert cluster.leader().member != old.member
    for one in cluster.members.values():
        if one.running is not None:
            one.signal(signal.SIGKILL)
    for one in cluster.members.values():
        if one.running is not None:
            one.wait()
    cluster.start()
    cluster.wait_ready()
    writer.puts(20)
    assert cluster.wait_equal() == 100
    writer.check(cluster.leader().address)


def test_a_member_that_missed_more_than_the_log_holds_takes_a_snapshot(cluster: Cluster) -> None:
    cluster.start(*TIGHT)
    cluster.wait_ready()
    lagging = next(one for one in cluster.members.values() if one is not cluster.leader())
    cluster.wait_equal()
    writer, puts, known = Writer(cluster), 0, (lagging.status() or {})["applied"]
    lagging.kill()
    while ((cluster.leader().status() or {}).get("first_index") or 0) <= known + 1:  # it is kept a while for who may come back at once
        writer.puts(115)
        puts += 115
    lagging.start(*TIGHT)
    cluster.wait_ready()
    assert cluster.wait_equal() == puts
    assert lagging.events("installed")
    cluster.leader().kill()
    cluster.leader()
    writer.check(cluster.leader().address)


def test_a_member_whose_state_differs_from_the_majoritys_begins_anew_from_the_others(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, other_state=2)
    try:
        cluster.start()
        cluster.wait_ready()
        if cluster.leader().member == 2:
            cluster.leader().signal(signal.SIGTERM)
            assert cluster.members[2].wait() == 0
            cluster.start()
        writer = Writer(cluster)
        writer.puts(130)  # members compare their states every 64 entries
        wait_until(lambda: cluster.members[2].events("diverged"), "the difference is noticed")
        wait_until(lambda: cluster.members[2].events("installed"), "the state is rebuilt")
        cluster.wait_ready()
        writer.puts(10)
        assert cluster.wait_equal() == 140
        writer.check(cluster.leader().address)
        assert cluster.members[2].running is not None  # the same process all along
    finally:
        cluster.end()


def test_a_state_that_fell_back_is_rebuilt_where_others_have_it(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_ready()
    writer = Writer(cluster)
    writer.puts(10)
    revision = cluster.wait_equal()
    one = next(one for one in cluster.members.values() if one is not cluster.leader())
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    disk, identity = RealDisk(str(one.folder)), Identity(ClusterId(7), MemberId(one.member))
    sequence, mark, _ = read_mark(disk, identity)
    assert mark is not None
    MarkFile(disk, identity, sequence).write(mark._replace(revision=revision + 100))
    writer.puts(1)
    one.start()
    wait_until(lambda: one.events("diverged"), "it notices")
    wait_until(lambda: one.events("installed"), "its state is rebuilt")
    cluster.wait_ready()
    assert cluster.wait_equal() == revision + 1


def test_a_member_that_joins_a_running_cluster_learns_everything_from_it(single: Cluster, tmp_path: Path) -> None:
    single.start(*TIGHT)
    single.wait_ready()
    writer = Writer(single)
    writer.puts(150)
    host = own_hosts(1)[0]
    joiner = Process(tmp_path / "joiner", 9, (host, free_port(host)))
    create_joiner(str(joiner.folder), ClusterId(7), MemberId(9), wal_settings=WalSettings(segment_bytes=1024 * 1024))
    single.members[9] = joiner
    joiner.start(*TIGHT)
    wait_until(lambda: joiner.get("/readyz")[0] == 503, "it runs, and waits")
    contacts = ((MemberId(1), single.contacts[MemberId(1)]), (MemberId(9), f"{host}:{joiner.address[1]}"))
    with Connection(single.members[1].address) as connection:

        def is_changed(voters: tuple[MemberId, ...], learners: tuple[MemberId, ...]) -> bool:
            config = Config(voters, learners=learners, contacts=contacts)
            return isinstance(connection.ask(ConfigAsk(connection.number(), config)), Reply)

        assert not is_changed((MemberId(1), MemberId(9)), ()), "half of the voters would not be there"
        assert is_changed((MemberId(1),), (MemberId(9),))
        wait_until(lambda: is_changed((MemberId(1), MemberId(9)), ()), "it is behind no more, and becomes a voter")
    single.wait_ready()
    writer.puts(10)
    assert single.wait_equal() == 160
    assert joiner.events("installed")
    leader = single.leader()
    leader.signal(signal.SIGTERM)
    assert leader.wait() == 0
    assert leader.events("handed_over")


@contextmanager
def child(command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def test_one_that_joins_and_knows_nobody_takes_from_nobody_what_others_told_it(tmp_path: Path) -> None:
    """Two that join at once connect to each other before either knows anything."""
    host, *others = own_hosts(3)
    joiner = Process(tmp_path / "joiner", 9, (host, free_port(host)))
    create_joiner(str(joiner.folder), ClusterId(7), MemberId(9), wal_settings=WalSettings())
    joiner.start()
    with ExitStack() as opened:
        opened.callback(joiner.kill)
        listening = [opened.enter_context(socket.create_server((other, 0))) for other in others]

        def hello(member: int, *known: int) -> None:
            contacts = tuple((MemberId(one), "{}:{}".format(*listening[one - 1].getsockname())) for one in known)
            sock = opened.enter_context(socket.create_connection(joiner.address, PATIENCE_S))
            sock.sendall(encode_hello(Hello(ClusterId(7), MemberId(member), MemberId(9), 1, "", contacts=contacts), MSGPACK))
            assert sock.recv(1), "the joiner says who it is"

        def dialled(number: int) -> socket.socket:
            listening[number - 1].settimeout(PATIENCE_S)
            return opened.enter_context(listening[number - 1].accept()[0])

        wait_until(lambda: joiner.get("/readyz")[0] == 503, "it runs, and waits")
        hello(1, 1)
        first = dialled(1)
        assert first.recv(1 << 16)
        first.sendall(encode_hello(Hello(ClusterId(7), MemberId(1), MemberId(9), 1, ""), MSGPACK))
        wait_until(lambda: [event for event in joiner.events("peer_up") if event["peer"] == 1], "it takes the connection for one")
        hello(8)
        hello(2, 2)
        dialled(2)
        first.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.recv(1)  # still connected, and nothing more to say


def test_who_stays_connected_while_all_members_are_replaced_finds_those_that_are_there_now(cluster: Cluster, tmp_path: Path) -> None:
    """A client that asks nothing meanwhile; and a runner, which is a client of its own kind: its lock would stay for ten minutes."""
    cluster.start()
    cluster.wait_ready()
    old = dict(cluster.members)
    addresses = ",".join(cluster.contacts.values())
    contacts = {int(member): contact for member, contact in cluster.contacts.items()}
    command = [sys.executable, "-m", "coordctl", "lock", "run", "demo", "--endpoints", addresses, "--ttl", "600s", "--", "sleep", "3600"]
    with connect(addresses) as staying, connect(addresses) as admin, child(command) as runner:
        staying.kv.put("color", "blue")
        wait_until(lambda: list(admin.locks.list("demo")), "the runner has its lock")
        for number, host in zip((11, 12, 13), own_hosts(3), strict=True):
            joiner = Process(tmp_path / f"joiner{number}", number, (host, free_port(host)))
            create_joiner(str(joiner.folder), ClusterId(7), MemberId(number), wal_settings=WalSettings())
            cluster.members[number] = joiner
            contacts[number] = f"{host}:{joiner.address[1]}"
            joiner.start()

        def is_changed(voters: list[int], learners: list[int]) -> bool:
            """Asked for again, what is in force already is in force once more."""
            try:
                admin.members.change(voters, learners, contacts)
            except CoordError:
                return False
            return True

        wait_until(lambda: is_changed([1, 2, 3], [11, 12, 13]), "the others are taken in")
        cluster.wait_ready()
        wait_until(lambda: is_changed([11, 12, 13], []), "the others are the members")
        for number, one in old.items():
            del cluster.members[number]
            one.signal(signal.SIGTERM)
        assert [one.wait() for one in old.values()] == [0, 0, 0]
        item = staying.kv.get("color", timeout=PATIENCE_S)
        assert item is not None and item.value == b"blue"
        runner.terminate()
        assert runner.wait(PATIENCE_S) == 128 + signal.SIGTERM
        assert list(staying.locks.list("demo")) == []


def test_a_learner_takes_the_place_of_a_voter_that_stays_dead_and_that_one_comes_back_as_a_learner(
    cluster: Cluster, tmp_path: Path
) -> None:
    flags = ("--promote-after", "5s")
    cluster.start(*flags)
    cluster.wait_ready()
    (host,) = own_hosts(1)
    joiner = Process(tmp_path / "joiner", 11, (host, free_port(host)))
    create_joiner(str(joiner.folder), ClusterId(7), MemberId(11), wal_settings=WalSettings())
    cluster.members[11] = joiner
    joiner.start(*flags)
    contacts = {**{int(member): contact for member, contact in cluster.contacts.items()}, 11: f"{host}:{joiner.address[1]}"}
    with connect(",".join(cluster.contacts.values())) as admin:
        admin.members.change([1, 2, 3], [11], contacts)
        cluster.wait_ready()
        dead = next(one for one in cluster.members.values() if one.member in (1, 2, 3) and one is not cluster.leader())
        dead.kill()

        def roles() -> tuple[set[int], list[int], bool]:
            status = cluster.leader().status()
            assert status is not None
            config = status["config"]
            return {*config["voters"]}, config["learners"], bool(config["outgoing"])

        wanted = {1, 2, 3, 11} - {dead.member}
        wait_until(lambda: roles() == (wanted, [dead.member], False), "the learner is a voter in its place")
        told = [event for one in cluster.members.values() for event in one.events("stood_in")]
        assert [(event["voter"], event["learner"]) for event in told] == [(dead.member, 11)]
        assert told[0]["silent_ms"] >= 5_000
        dead.start(*flags)
        cluster.wait_ready()
        admin.kv.put("color", "blue")
    cluster.wait_equal()
    assert roles() == (wanted, [dead.member], False)


def test_a_single_member_is_durable_too_and_idle_when_nothing_is_asked(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    (one,) = single.members.values()
    writer = Writer(single)
    writer.puts(10)
    one.kill()
    one.start()
    single.wait_ready()
    assert single.wait_equal() == 10
    writer.check(one.address)

    # Once the mark is written, nothing is: a second of turns costs no sync and next to no time.
    assert one.running is not None
    pid = one.running.pid

    def after_turns(count: int) -> tuple[float, int]:
        turns = one.metric("coordnode_turn_seconds_count")
        wait_until(lambda: one.metric("coordnode_turn_seconds_count") >= turns + count, "the member ticks")
        return one.metric("coordnode_sync_seconds_count"), _bytes_written(pid)

    wait_until(lambda: after_turns(5) == after_turns(5), "the mark is written")

    def costs_nothing() -> bool:
        """Where the machine lets it: a tick that is late is told in the log."""
        before, cpu = after_turns(1), _cpu_s(pid)
        return after_turns(25) == before and _cpu_s(pid) - cpu < 0.5  # the looks of this test included

    wait_until(costs_nothing, "a second of turns that costs nothing", 4 * PATIENCE_S)
    assert resident_bytes(one) < 80 * 1024 * 1024


def _bytes_written(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- leaving -------------------------------------------------------------------------------------------------------


def test_a_leader_that_is_asked_to_stop_hands_over_first(cluster: Cluster) -> None:
    cluster.start(*LOYAL)
    cluster.wait_ready()
    writer = Writer(cluster)
    writer.puts(10)
    leader = cluster.leader()
    term = leader.status()["term"]  # type: ignore[index]
    leader.signal(signal.SIGTERM)
    writer.puts(30)
    assert leader.wait() == 0
    (handed_over,) = leader.events("handed_over")
    assert handed_over["took_ms"] < 10_000
    assert leader.events("stopped")
    assert cluster.leader().status()["term"] == term + 1  # type: ignore[index]
    writer.check(cluster.leader().address)


def test_a_single_member_stops_at_once(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    (one,) = single.members.values()
    one.signal(signal.SIGINT)
    assert one.wait() == 0


def test_a_leader_that_is_killed_is_not_waited_for(cluster: Cluster) -> None:
    """Elections by silence alone would take longer than this test has patience: only the connections that ended tell.

    Who is told so stands after a heartbeat or two. Two that stood in the same moment might have a vote each, and then wait for silence,
    so that here each has an interval of its own."""
    silence = ("--election-ticks-min", "1500", "--election-ticks-max", "3000", "--stuck-ticks", "4000")
    heartbeats = {1: "5", 2: "60", 3: "240"}
    cluster.start()
    cluster.wait_ready()
    last = cluster.leader()
    for one in [*[one for one in cluster.members.values() if one is not last], last]:
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
        one.start(*silence, "--heartbeat-ticks", heartbeats[one.member])
        cluster.wait_ready()
    leader = cluster.leader()
    leader.kill()
    assert cluster.leader().member != leader.member


# --- who may speak to whom -----------------------------------------------------------------------------------------


def test_clients_are_told_where_everybody_is_and_followers_name_the_leader(cluster: Cluster) -> None:
    cluster.start(*LOYAL)
    cluster.wait_ready()
    leader = cluster.leader()
    follower = next(one for one in cluster.members.values() if one is not leader)
    with Connection(follower.address) as connection:
        assert connection.hello is not None
        assert connection.hello.member == follower.member
        assert dict(connection.hello.contacts) == cluster.contacts
        answer = connection.write(Put(b"a", b"1"))
        assert isinstance(answer, ErrorReply)
        assert (answer.code, answer.leader, answer.definite) == (10, leader.member, True)
        assert isinstance(connection.read(Get(b"a"), stale=True), Reply)
    with Connection(leader.address, body_format=JSON) as connection:
        result_of(connection.write(Put(b"a", b"2")))
        got = result_of(connection.read(Get(b"a")))
        assert isinstance(got, Got)
        assert got.item is not None
        assert got.item.value == b"2"
        connection.send([WatchAsk(connection.number(), b"a", b"b", 0)])  # type: ignore[arg-type]
        assert isinstance(connection.next_answer(), WatchPush)
        connection.send([TransferAsk(connection.number(), MemberId(follower.member))])
        answers = [connection.next_answer(), connection.next_answer()]
        assert {type(answer) for answer in answers} == {Reply, ErrorReply}  # handed over; the watch must go on elsewhere
    wait_until(lambda: cluster.leader().member == follower.member, "leadership is handed over")


def test_a_client_of_another_cluster_or_for_another_member_is_refused_by_name(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    (one,) = single.members.values()
    with pytest.raises(Refused, match="this is cluster 7, not 8"):
        Connection(one.address, cluster=8)
    with pytest.raises(Refused, match="this is member 1, not 2"):
        Connection(one.address, target=2)
    with Connection(one.address, cluster=7, target=1):
        pass


def test_members_of_two_clusters_at_swapped_addresses_refuse_each_other(tmp_path: Path, cluster: Cluster) -> None:
    stranger = Cluster(tmp_path / "other", count=1, cluster=8)
    (intruder,) = stranger.members.values()
    intruder.address = cluster.members[3].address
    try:
        cluster.members[1].start()
        cluster.members[2].start()
        intruder.start()
        refused = wait_until(lambda: cluster.members[1].events("peer_refused"), "the stranger is noticed")
        assert "this is cluster 8, not 7" in refused[0]["reason"]
        cluster.wait_ready([1, 2])
    finally:
        stranger.end()


# --- folders and settings ------------------------------------------------------------------------------------------


def _ends(process: Process, code: int, sentence: str, *flags: str, optimised: bool = False) -> None:
    process.start(*flags, optimised=optimised)
    assert process.wait() == code, process.said()
    assert sentence in process.said(), process.said()
    process.log.unlink()


def test_a_folder_that_is_not_this_members_own_is_refused_by_name(single: Cluster, tmp_path: Path) -> None:
    (one,) = single.members.values()
    _ends(one, 76, "not member 1 of cluster 9", "--cluster", "9")
    _ends(one, 76, "not member 5 of cluster 7", "--member", "5")

    copy = Process(tmp_path / "copy", 1, one.address)
    shutil.copytree(one.folder, copy.folder)
    _ends(copy, 76, "is a copy")

    wiped = Process(tmp_path / "wiped", 1, one.address)
    shutil.copytree(one.folder, wiped.folder)
    (wiped.folder / "identity").unlink()
    _ends(wiped, 76, "wiped or damaged")

    missing = Process(tmp_path / "missing", 1, one.address)
    _ends(missing, 76, "must be made first")

    one.start()
    single.wait_ready()
    second = Process(one.folder, 1, one.address)
    second.log = tmp_path / "second.log"
    _ends(second, 76, f"is held by process {one.running.pid}" if one.running else "")
    assert one.is_ready()

    busy = Cluster(tmp_path / "busy", count=1)
    (late,) = busy.members.values()
    late.address = one.address
    _ends(late, 1, "is another process there?")


def test_a_state_that_fell_back_behind_its_own_mark_is_not_served(single: Cluster) -> None:
    """Whatever brings that about: here the mark is the one that is wrong."""
    (one,) = single.members.values()
    one.start()
    single.wait_ready()
    Writer(single).puts(3)
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    disk = RealDisk(str(one.folder))
    identity = Identity(ClusterId(7), MemberId(1))
    sequence, mark, _ = read_mark(disk, identity)
    assert mark is not None
    assert mark.revision == 3
    MarkFile(disk, identity, sequence).write(mark._replace(revision=4))
    one.start()
    assert one.wait() == 1
    (diverged,) = one.events("diverged")
    assert "is of revision 3, and this member once had revision 4" in diverged["error"]
    assert "nobody else has the state, so nothing was changed here" in one.said()
    one.log.unlink()
    one.start()
    assert one.wait() == 1  # what it has is kept, for whoever can tell what happened
    assert one.events("started")[0]["entries"] > 0


def test_a_folder_that_was_emptied_is_refused_by_name(single: Cluster) -> None:
    (one,) = single.members.values()
    one.start()
    single.wait_ready()
    one.kill()
    shutil.rmtree(one.folder)
    one.folder.mkdir()
    one.log.unlink()
    _ends(one, 76, "if it held a member once, that voter is gone")


def test_a_file_of_an_unknown_version_is_refused_by_name(single: Cluster) -> None:
    (one,) = single.members.values()
    one.start(*TIGHT)
    single.wait_ready()
    writer = Writer(single)
    writer.puts(130)
    wait_until(lambda: one.events("snapshot"), "a snapshot is made")
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    one.log.unlink()
    sealed = ("identity", "mark", "hard_state.*", "wal/*.seg", "snapshots/*.snap")
    files = [path for pattern in sealed for path in one.folder.glob(pattern)]
    assert len(files) >= len(sealed) + 1  # the hard state has two
    for path in files:
        before = path.read_bytes()
        with path.open("r+b") as file:
            for at in (0, 4096) if path.name == "mark" else (0,):
                magic = before[at : at + 8]
                found = unseal(magic, before[at:], path.name)
                file.seek(at)
                file.write(seal(magic, found.identity, found.body, version=9))
        one.start(*TIGHT)
        assert one.wait() == 76, f"{path.name}: {one.said()}"
        assert path.name in one.said()
        assert "has format version 9, this build knows 1" in one.said()
        one.log.unlink()
        path.write_bytes(before)
    one.start(*TIGHT)
    single.wait_ready()
    writer.check(one.address)


def test_wrong_settings_are_all_named_and_python_without_assertions_is_refused(single: Cluster, tmp_path: Path) -> None:
    (one,) = single.members.values()
    _ends(one, 64, "assertions that guard the data", optimised=True)
    _ends(one, 64, "did you mean 'heartbeat-ticks'", "--hearbeat-ticks", "3")
    file = tmp_path / "member.toml"
    file.write_text('tick = "40"\nlisten = "nowhere"\n')
    one.start("--config", str(file))
    assert one.wait() == 64
    assert f"{file}:1: tick = '40': give a number with a unit" in one.said()
    assert f"{file}:2: listen = 'nowhere': give host:port" in one.said()


# --- what it shows -------------------------------------------------------------------------------------------------


def test_http_shows_health_readiness_metrics_and_status(cluster: Cluster) -> None:
    cluster.members[1].start("--name", "first", "--cluster-name", "trial")
    one = cluster.members[1]
    wait_until(lambda: one.get("/livez") == (200, b"alive\n"), "it lives")
    code, body = one.get("/readyz")
    assert code == 503
    assert b"no leader" in body
    cluster.members[2].start()
    cluster.wait_ready([1, 2])
    status = wait_until(one.status, "status")
    assert (status["name"], status["cluster_name"], status["cluster"], status["member"]) == ("first", "trial", 7, 1)
    assert status["config"]["voters"] == [1, 2, 3]
    assert status["config"]["contacts"]["2"] == cluster.contacts[MemberId(2)]
    assert status["leader"] in (1, 2)
    assert {peer["member"]: peer["connected"] for peer in status["peers"]} == {2: True, 3: False}
    assert one.get("/nothing")[0] == 404
    metrics = one.get("/metrics")[1].decode()
    assert "# TYPE coordnode_commit_seconds histogram" in metrics
    for line in metrics.splitlines():
        assert line.startswith("#") or len(line.split(" ")) == 2
    for event in one.events("started") + one.events("listening"):
        assert list(event)[:8] == ["at", "hlc", "level", "event", "cluster", "member", "term", "index"]


def test_events_are_one_json_object_a_line(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    (one,) = single.members.values()
    for line in one.said().splitlines():
        assert isinstance(json.loads(line), dict)
    assert msgspec.json.decode(one.said().splitlines()[0].encode())["event"] == "started"


def test_settings_are_read_anew_on_sighup_and_what_waits_for_a_restart_is_named(single: Cluster, tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('slow-commit = "70ms"\n')
    single.start("--config", str(config))
    single.wait_ready()
    (one,) = single.members.values()

    def status() -> dict[str, object]:
        found = one.status()
        assert found is not None
        return found

    def settings() -> tuple[object, object]:
        found = status()["settings"]
        return found.get("slow_commit_ms"), found.get("connections_max")  # type: ignore[attr-defined]

    assert settings() == (70, None)
    config.write_text('slow-commit = "1ms"\ntick = "30ms"\nconnections-max = 7\n')
    one.signal(signal.SIGHUP)
    wait_until(lambda: one.events("reloaded"), "it was reloaded")
    (told,) = one.events("reloaded")
    assert (told["changed"], told["needs_restart"]) == (["slow-commit", "connections-max"], ["tick"])
    assert settings() == (1, 7)
    assert status()["reloaded"]["needs_restart"] == ["tick"]  # type: ignore[index]

    config.write_text("slow-commit = soon\n")
    one.signal(signal.SIGHUP)
    wait_until(lambda: one.events("not_reloaded"), "it says why not")
    assert settings() == (1, 7)
    assert "this is not TOML" in str(status()["reloaded"]["trouble"])  # type: ignore[index]
    Writer(single).puts(3)
