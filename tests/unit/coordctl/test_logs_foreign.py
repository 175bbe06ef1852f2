"""What etcd and ZooKeeper say of themselves, as they say it, and what is made of it: lives, causes, and nothing where nothing is known."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordctl.logs import files, mining
from coordctl.logs.etcd import WORDS
from coordctl.logs.evidence import CAUSES
from coordctl.logs.remedies import ALIKE, remedy
from coordctl.logs.zookeeper import WORDS as ZOOKEEPER_WORDS
from coordctl.operations.explaining import explained
from coordctl.operations.logs import diff
from coordctl.operations.windows import Asked
from coordctl.results.logs import LogsExplained

START_MS = 1_795_875_600_000
IDS = {"n1": "3dcb59f1b7c425b6", "n2": "2e056c2e2874592a", "n3": "9842b243441c09a2"}
SIDS = {"n1": "1", "n2": "2", "n3": "3"}
TIMEOUT, EOF = "read tcp 127.0.0.1:46246->127.0.0.1:2380: i/o timeout", "unexpected EOF"
LOST = "lost TCP streaming connection with remote peer"


def iso(second: float, mark: str) -> str:
    ms = START_MS + round(second * 1_000)
    return time.strftime(f"%Y-%m-%d{mark}%H:%M:%S", time.gmtime(ms // 1_000)) + f".{ms % 1_000:03d}"


class Etcd:
    """Three members; times in seconds, and the incidents at 100 s."""

    def __init__(self) -> None:
        self.lines: dict[str, list[tuple[float, str]]] = {name: [] for name in IDS}
        for number, name in enumerate(IDS):
            self.start(0.1 * number, name)
        self.leads(2.0, "n3", 2)

    def tell(self, second: float, whose: str, msg: str, level: str = "info", **fields: Any) -> None:
        told = {key.replace("_", "-"): value for key, value in fields.items()}
        head = {"level": level, "ts": iso(second, "T") + "Z", "caller": "etcdserver/raft.go:1", "msg": msg}
        self.lines[whose].append((second, json.dumps({**head, **told})))

    def remark(self, second: float, whose: str) -> None:
        """Which means nothing."""
        self.tell(second, whose, "compacted Raft logs", compact_index=5000)

    def start(self, second: float, name: str) -> None:
        self.tell(second, name, "starting an etcd server", etcd_version="3.4.23", name=name)
        self.tell(second + 0.1, name, "restarting local member", local_member_id=IDS[name], commit_index=34)
        self.tell(second + 0.1, name, "simple token is not cryptographically signed", "warn")

    def leads(self, second: float, leader: str, term: int) -> None:
        self.tell(second, leader, f"{IDS[leader]} became leader at term {term}")
        for name in IDS:
            self.tell(second + 0.001, name, f"raft.node: {IDS[name]} elected leader {IDS[leader]} at term {term}")

    def loses_leader(self, second: float, name: str, leader: str) -> None:
        self.tell(second, name, f"raft.node: {IDS[name]} lost leader {IDS[leader]} at term 3")

    def misses(self, second: float, name: str, peer: str, error: str, msg: str = LOST) -> None:
        self.tell(second, name, msg, "warn", local_member_id=IDS[name], remote_peer_id=IDS[peer], error=error)

    def stop(self, second: float, name: str) -> None:
        self.tell(second, name, "received signal; shutting down", signal="terminated")
        self.tell(second + 0.1, name, "closed etcd server", name=name)

    def write(self, folder: Path) -> str:
        for name, lines in self.lines.items():
            (folder / f"{name}.log").write_text("".join(f"{line}\n" for _, line in sorted(lines, key=lambda one: one[0])))
        return str(folder)


class Plain(Etcd):
    """As etcd 3.4 writes unless it is told otherwise."""

    def plain(self, second: float, whose: str, level: str, words: str) -> None:
        self.lines[whose].append((second, f"{iso(second, ' ')}000 {level} | {words}"))

    def remark(self, second: float, whose: str) -> None:
        self.plain(second, whose, "I", "mvcc: finished scheduled compaction at 5 (took 1.2ms)")

    def start(self, second: float, name: str) -> None:
        self.plain(second, name, "I", "etcdmain: etcd Version: 3.4.23")
        self.plain(second + 0.1, name, "I", f"etcdserver: restarting member {IDS[name]} in cluster c5409119d2da4f8c at commit index 34")
        self.plain(second + 0.1, name, "W", "auth: simple token is not cryptographically signed")

    def raft(self, second: float, whose: str, words: str) -> None:
        at = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(START_MS // 1_000 + int(second)))
        self.lines[whose].append((second, f"raft{at} INFO: {words}"))

    def leads(self, second: float, leader: str, term: int) -> None:
        self.raft(second, leader, f"{IDS[leader]} became leader at term {term}")
        for name in IDS:
            self.raft(second + 0.001, name, f"raft.node: {IDS[name]} elected leader {IDS[leader]} at term {term}")

    def loses_leader(self, second: float, name: str, leader: str) -> None:
        self.raft(second, name, f"raft.node: {IDS[name]} lost leader {IDS[leader]} at term 3")

    def misses(self, second: float, name: str, peer: str, error: str, msg: str = LOST) -> None:
        self.plain(second, name, "W", f"rafthttp: lost the TCP streaming connection with peer {IDS[peer]} (stream Message reader)")
        self.plain(second, name, "E", f"rafthttp: failed to read {IDS[peer]} on stream Message ({error})")

    def stop(self, second: float, name: str) -> None:
        self.plain(second, name, "N", "pkg/osutil: received terminated signal, shutting down...")


class ZooKeeper(Etcd):
    def start(self, second: float, name: str) -> None:
        self.say(second, name, "main:QuorumPeerConfig@177", "Reading configuration from: /etc/zookeeper/zoo.cfg", myid="")
        self.say(second + 0.1, name, "main:QuorumPeerMain@152", f"Starting quorum peer, myid={SIDS[name]}")

    def say(self, second: float, name: str, where: str, words: str, level: str = "INFO", behind: str = "", myid: str | None = None) -> None:
        myid = SIDS[name] if myid is None else myid
        head = f"{iso(second, ' ').replace('.', ',')} [myid:{myid}] - {level:<5} [{where}] - {words}"
        self.lines[name].append((second, head + (f"\n{behind}\n\tat java.base/java.net.Socket.read(Socket.java:1)" if behind else "")))

    def remark(self, second: float, whose: str) -> None:
        self.say(second, whose, "NIOWorkerThread-3:NIOServerCnxn@517", "Processing srvr command from /127.0.0.1:40578")

    def leads(self, second: float, leader: str, term: int) -> None:
        self.say(second, leader, "QuorumPeer:Leader@1519", f"Have quorum of supporters, sids: [[1, 2]]; and zxid: 0x{term}00000000")
        for number, name in enumerate(one for one in IDS if one != leader):
            vote = f"Notification: my state:LOOKING; n.sid:{SIDS[leader]}, n.state:LEADING, n.leader:{SIDS[leader]}, n.round:0x1"
            self.say(second - 0.1, name, "WorkerReceiver:FastLeaderElection@391", vote)
            self.say(second, name, "QuorumPeer:Follower@77", "FOLLOWING - LEADER ELECTION TOOK - 11 MS")
            words = f"Follower sid: {SIDS[name]} : info : 127.0.0.1:1:2:participant"
            self.say(second, leader, f"LearnerHandler-/127.0.0.1:{number}:LearnerHandler@510", words)

    def loses_leader(self, second: float, name: str, leader: str) -> None:
        self.say(second, name, "QuorumPeer:QuorumPeer@1455", "LOOKING")

    def misses(self, second: float, name: str, peer: str, error: str, msg: str = LOST) -> None:
        behind = "java.net.SocketTimeoutException: Read timed out" if error == TIMEOUT else "java.io.EOFException"
        if name == "n3":  # it leads
            where = f"LearnerHandler-/127.0.0.1:{peer}:LearnerHandler"
            self.say(second, name, f"{where}@719", "Unexpected exception in LearnerHandler: ", "ERROR", behind)
            self.say(second, name, f"{where}@1159", f"Synchronously closing socket to learner {SIDS[peer]}.")
        elif error == EOF:
            words = f"Connection broken for id {SIDS[peer]}, my id = {SIDS[name]}"
            self.say(second, name, "RecvWorker:QuorumCnxManager@1402", words, "WARN", behind)
        else:
            self.say(second, name, "QuorumPeer:Follower@128", "Exception when following the leader", "WARN", behind)


@pytest.fixture(params=[Etcd, Plain, ZooKeeper])
def scene(request: pytest.FixtureRequest) -> Etcd:
    found: Etcd = request.param()
    return found


def told(scene: Etcd, folder: Path, end: float = 160, start: float = 90) -> LogsExplained:
    """As of the minute around the incident."""
    since, until = (iso(second, "T") for second in (start, end))
    return explained([scene.write(folder)], None, Asked(start=since, end=until))


def causes(found: LogsExplained) -> list[tuple[str, list[str]]]:
    return [(one.cause, one.members) for one in found.hypotheses]


def test_members_are_called_after_their_files_and_others_name_them_by_id(scene: Etcd, tmp_path: Path) -> None:
    scene.misses(100.0, "n1", "n2", EOF)
    mined = mining.by_name(files.mine(files.find([scene.write(tmp_path)]), 0, files.EVER_MS).summary)
    assert sorted(mined.spans) == ["n1", "n2", "n3"]
    [missed] = [act for act in mined.acts if act.kind == "peer_lost"]
    assert (missed.member, mined.names[missed.fields["peer"]]) == ("n1", "n2")
    assert [(act.member, act.term) for act in mined.acts if act.kind == "elected"] == [("n3", 2)]


def test_who_says_nothing_in_the_window_is_known_by_what_it_said_before(scene: Etcd, tmp_path: Path) -> None:
    for name in ("n1", "n3"):
        scene.misses(100.0, name, "n2", EOF)
    scene.remark(150.0, "n1")
    found = told(scene, tmp_path)
    assert [one.name for one in found.members] == ["n1", "n2", "n3"]


def killed(scene: Etcd) -> None:
    for number, name in enumerate(("n1", "n2")):
        scene.misses(100.0 + number / 1_000, name, "n3", EOF)
        scene.loses_leader(101.0 + number / 1_000, name, "n3")
    scene.start(130.0, "n3")


def paused(scene: Etcd) -> None:
    for number, name in enumerate(("n1", "n2")):
        scene.misses(105.0 + number / 10, name, "n3", TIMEOUT)
        scene.misses(109.0, "n3", name, EOF if type(scene) is ZooKeeper else TIMEOUT)


def cut(scene: Etcd) -> None:
    """Both sides miss each other, one of them a little later."""
    if type(scene) is not ZooKeeper:
        scene.loses_leader(102.0, "n1", "n3")
    scene.misses(105.0, "n3", "n1", TIMEOUT)
    scene.misses(105.9, "n1", "n3", TIMEOUT)
    scene.remark(150.0, "n1")


@pytest.mark.parametrize(
    ("harm", "expected"),
    [(killed, ("member killed", ["n3"])), (paused, ("member paused", ["n3"])), (cut, ("cut link", ["n1", "n3"]))],
)
def test_who_was_killed_who_was_stopped_and_who_was_cut_off(
    scene: Etcd, tmp_path: Path, harm: Callable[[Etcd], None], expected: tuple[str, list[str]]
) -> None:
    harm(scene)
    found = told(scene, tmp_path)
    assert causes(found) == [expected]
    first = found.hypotheses[0]
    assert (found.exit_code, first.runbook) == (1, "")
    assert first.evidence and first.remedy and first.confirm.startswith(("etcdctl ", "echo "))
    assert "coordctl" not in first.confirm
    asked_to = "ZooKeeper says nothing of that" in first.sentence
    assert asked_to is (type(scene) is ZooKeeper and harm is killed)


def test_whose_host_went_and_came_back_was_not_stopped(scene: Etcd, tmp_path: Path) -> None:
    """Nothing ends its connections, so the others wait for it as for one that is stopped."""
    for number, name in enumerate(("n1", "n2")):
        scene.misses(105.0 + number / 10, name, "n3", TIMEOUT)
    scene.start(130.0, "n3")
    assert causes(told(scene, tmp_path)) == [("member killed", ["n3"])]


def test_connections_that_end_while_a_member_joins_are_no_cut_link(scene: Etcd, tmp_path: Path) -> None:
    """However long it takes on a machine with much other work."""
    for name in IDS:
        scene.start(100.0, name)
    scene.misses(112.0, "n1", "n2", EOF)
    scene.misses(112.1, "n2", "n1", EOF)
    scene.leads(113.0, "n3", 3)
    for name in IDS:
        scene.remark(130.0, name)
    assert "cut link" not in [cause for cause, _ in causes(told(scene, tmp_path))]
    scene.misses(125.0, "n1", "n3", TIMEOUT)
    scene.misses(125.1, "n3", "n1", TIMEOUT)
    assert ("cut link", ["n1", "n3"]) in causes(told(scene, tmp_path, start=118))


def test_what_was_over_before_the_window_is_not_told(scene: Etcd, tmp_path: Path) -> None:
    paused(scene)
    assert causes(told(scene, tmp_path, start=109.5)) == []


def test_who_was_stopped_while_it_wrote_has_no_slow_disk(tmp_path: Path) -> None:
    scene = Etcd()
    paused(scene)
    scene.tell(109.0, "n3", "slow fdatasync", "warn", took="9.1s", expected_duration="1s")
    assert causes(told(scene, tmp_path)) == [("member paused", ["n3"])]


def test_what_is_said_less_often_than_before_is_no_difference(scene: Etcd, tmp_path: Path) -> None:
    for second in range(10, 90):
        for name in IDS:
            scene.remark(second, name)
    scene.remark(150, "n1")
    window = Asked(start=iso(90, "T"), end=iso(151, "T"))
    assert diff([scene.write(tmp_path)], None, window).outcome == "no difference"


def test_who_leaves_has_lost_nobody(scene: Etcd, tmp_path: Path) -> None:
    if type(scene) is not ZooKeeper:
        scene.misses(100.0, "n1", "n2", "context canceled")
    mined = files.mine(files.find([scene.write(tmp_path)]), 0, files.EVER_MS).summary
    assert [act.kind for act in mined.acts if act.kind in ("peer_lost", "peer_silent")] == []


def test_who_is_missed_and_not_heard_of_again_is_gone(scene: Etcd, tmp_path: Path) -> None:
    for name in ("n1", "n2"):
        scene.misses(100.0, name, "n3", EOF)
        scene.remark(120.0, name)
    found = told(scene, tmp_path)
    assert causes(found) == [("member killed", ["n3"])]
    assert "has not come back" in found.hypotheses[0].sentence or "says nothing any more" in found.hypotheses[0].sentence


@pytest.mark.parametrize("scene", [Etcd, Plain], indirect=True)
def test_who_was_asked_to_stop_is_no_fault_of_etcd(scene: Etcd, tmp_path: Path) -> None:
    if isinstance(scene, Plain):
        scene.plain(99.9, "n3", "I", f"etcdserver: {IDS['n3']} finished leadership transfer from {IDS['n3']} to {IDS['n1']} (took 100ms)")
    else:
        scene.tell(99.9, "n3", "leadership transfer finished", old_leader_member_id=IDS["n3"], new_leader_member_id=IDS["n1"])
    scene.stop(100.0, "n3")
    for name in ("n1", "n2"):
        scene.misses(100.05, name, "n3", "EOF")
    scene.leads(100.06, "n1", 3)
    scene.start(110.0, "n3")
    found = told(scene, tmp_path)
    assert (causes(found), found.exit_code) == ([("restart", ["n3"])], 0)


def test_the_first_start_is_no_restart_and_a_quiet_cluster_is_told_nothing_of(scene: Etcd, tmp_path: Path) -> None:
    for name in IDS:
        scene.remark(150.0, name)
    assert causes(told(scene, tmp_path, start=-1)) == []
    assert told(scene, tmp_path).outcome == "normal"


def quota(scene: Etcd) -> None:
    for name in IDS:
        scene.tell(100.0, name, "alarm raised", "warn", alarm="NOSPACE", **{"from": IDS["n2"]})


def slow_disk(scene: Etcd) -> None:
    for second in (100, 101, 103, 106):
        scene.tell(second, "n2", "slow fdatasync", "warn", took="1.5s", expected_duration="1s")
        scene.tell(second, "n2", "apply request took too long", "warn", took="1.6s", expected_duration="100ms")


def slow_leader(scene: Etcd) -> None:
    words = "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk"
    scene.tell(100, "n3", words, "warn", to=IDS["n1"], heartbeat_interval="100ms", exceeded_duration="2.4s")


def drift(scene: Etcd) -> None:
    for name, peer in (("n1", "n2"), ("n3", "n2"), ("n2", "n1"), ("n2", "n3")):
        scene.tell(100, name, "prober found high clock drift", "warn", remote_peer_id=IDS[peer], clock_drift="-7.2s", rtt="1ms")


def full(scene: Etcd) -> None:
    error = "write /var/lib/etcd/member/wal/0.wal: no space left on device"
    scene.tell(100, "n2", "failed to save Raft hard state and entries", "fatal", error=error)


def refused(scene: Etcd) -> None:
    error = "x509: certificate has expired or is not yet valid"
    for second in (100, 105):
        scene.misses(second, "n1", "n2", error, "prober detected unhealthy status")
        scene.misses(second, "n3", "n2", error, "prober detected unhealthy status")


def no_name(scene: Etcd) -> None:
    scene.misses(100, "n1", "n2", "dial tcp: lookup etcd-2.example on 10.0.0.1:53: no such host", "prober detected unhealthy status")


def corrupt(scene: Etcd) -> None:
    scene.tell(100, "n1", "alarm raised", "warn", alarm="CORRUPT", **{"from": IDS["n2"]})


def other_version(scene: Etcd) -> None:
    scene.stop(100, "n2")
    scene.tell(105, "n2", "starting an etcd server", etcd_version="3.5.9", name="n2")


def storm(scene: Etcd) -> None:
    for number in range(5):
        scene.leads(100 + 2 * number, f"n{number % 2 + 1}", 3 + number)


def lost_quorum(scene: Etcd) -> None:
    scene.loses_leader(100, "n1", "n3")
    scene.tell(115, "n1", "still looking")


@pytest.mark.parametrize(
    ("harm", "cause", "member", "words"),
    [
        (quota, "database full", "n2", "n2's database reached its quota"),
        (slow_disk, "slow disk", "n2", "n2's fsync took up to 1,500 ms"),
        (slow_leader, "member paused", "n3", "sent nothing for 2.4 s"),
        (drift, "clock", "n2", "the clocks of n2 and of the others are 7.2 s apart"),
        (full, "disk full", "n2", "no space left on device"),
        (refused, "certificate", "n2", "x509"),
        (no_name, "name resolution", "n2", "the name of n2 is not found by n1"),
        (corrupt, "states differ", "n1", "states differ"),
        (other_version, "version mismatch", "n2", "n2 runs with other versions"),
        (storm, "election storm", "n1", "5 elections"),
        (lost_quorum, "no leader", "n1", "and nobody leads"),
    ],
)
def test_what_etcd_says_is_told_first(tmp_path: Path, harm: Callable[[Etcd], None], cause: str, member: str, words: str) -> None:
    scene = Etcd()
    harm(scene)
    first = told(scene, tmp_path, 120).hypotheses[0]
    assert first.cause == cause
    assert member in first.members
    assert words in first.sentence
    assert first.evidence


PLAIN = (
    ("W", f"etcdserver: alarm NOSPACE raised by peer {IDS['n2']}", "database full", "n2"),
    ("W", "wal: sync duration of 1.50217034s, expected less than 1s", "slow disk", "n1"),
    (
        "W",
        f"etcdserver: failed to send out heartbeat on time (exceeded the 100ms timeout for 6.8s, to {IDS['n2']})",
        "member paused",
        "n1",
    ),
    ("W", f"rafthttp: the clock difference against peer {IDS['n2']} is too high [7.2s > 1s]", "clock", "n2"),
    ("C", "etcdserver: raft save state and entries error: write 0.wal: no space left on device", "disk full", "n1"),
    ("W", f"rafthttp: health check for peer {IDS['n2']} could not connect: x509: certificate has expired", "certificate", "n2"),
)


@pytest.mark.parametrize(("level", "words", "cause", "member"), PLAIN)
def test_what_etcd_says_in_plain_lines_is_told_first(tmp_path: Path, level: str, words: str, cause: str, member: str) -> None:
    scene = Plain()
    scene.plain(100, "n1", level, words)
    first = told(scene, tmp_path, 120).hypotheses[0]
    assert (first.cause, first.members) == (cause, [member])
    assert first.evidence


def zk_slow_disk(scene: ZooKeeper) -> None:
    words = "fsync-ing the write ahead log in SyncThread:2 took 2345ms which will adversely effect operation latency.File size is 67108880"
    scene.say(100, "n2", "SyncThread:2:FileTxnLog@394", words, "WARN")


def zk_full(scene: ZooKeeper) -> None:
    words = "Severe unrecoverable error, from thread : SyncThread:2"
    scene.say(100, "n2", "SyncThread:2:ZooKeeperCriticalThread@49", words, "ERROR", "java.io.IOException: No space left on device")


def zk_crowd(scene: ZooKeeper) -> None:
    words = "Message:Error accepting new connection: Too many connections from /10.0.0.9 - max is 60 Value:null"
    scene.say(100, "n2", "NIOServerCxnFactory.AcceptThread:/0.0.0.0:2181:RateLogger@87", words, "WARN")


def zk_older_crowd(scene: ZooKeeper) -> None:
    scene.say(100, "n2", "NIOServerCxnFactory:NIOServerCnxnFactory@1", "Too many connections from /10.0.0.9 - max is 60", "WARN")


def zk_expiry(scene: ZooKeeper) -> None:
    for number in range(6):
        words = f"Expiring session 0x1000019d8c9000{number}, timeout of 4000ms exceeded"
        scene.say(100 + number / 10, "n3", "SessionTracker:ZooKeeperServer@632", words)


def zk_lost_quorum(scene: ZooKeeper) -> None:
    scene.loses_leader(100, "n1", "n3")
    scene.say(
        101, "n1", "NIOWorkerThread-3:NIOServerCnxn@383", "Close of session 0x0", "WARN", "java.io.IOException: ZooKeeperServer not running"
    )
    scene.say(115, "n1", "a:B@1", "x")


@pytest.mark.parametrize(
    ("harm", "cause", "member", "words"),
    [
        (zk_slow_disk, "slow disk", "n2", "n2's fsync took up to 2,345 ms"),
        (zk_full, "disk full", "n2", "No space left on device"),
        (zk_crowd, "connections full", "n2", "n2 refuses clients of 10.0.0.9: 60 connections of one address"),
        (zk_older_crowd, "connections full", "n2", "n2 refuses clients of 10.0.0.9: 60 connections of one address"),
        (zk_expiry, "sessions expired", "n3", "6 sessions expired within 5 s"),
        (zk_lost_quorum, "no leader", "n1", "and nobody leads"),
    ],
)
def test_what_zookeeper_says_is_told_first(tmp_path: Path, harm: Callable[[ZooKeeper], None], cause: str, member: str, words: str) -> None:
    scene = ZooKeeper()
    harm(scene)
    first = told(scene, tmp_path, 120).hypotheses[0]
    assert first.cause == cause
    assert member in first.members
    assert words in first.sentence
    assert any(
        "said=" in line.text or "error=" in line.text or "ms up to" in line.text or "leader_lost" in line.text for line in first.evidence
    )


def test_a_flood_hides_nothing(tmp_path: Path) -> None:
    scene = ZooKeeper()
    for number in range(10_000):
        for name in ("n1", "n2"):
            words = f"Expiring session 0x{number:x}, timeout of 4000ms exceeded"
            scene.say(80 + number / 1_000, name, "SessionTracker:ZooKeeperServer@632", words)
    for name in ("n1", "n2"):
        scene.misses(100.0, name, "n3", EOF)
        scene.remark(120.0, name)
    assert ("member killed", ["n3"]) in causes(told(scene, tmp_path))


def test_one_session_that_expired_is_told_nothing_of(tmp_path: Path) -> None:
    scene = ZooKeeper()
    scene.say(100, "n3", "SessionTracker:ZooKeeperServer@632", "Expiring session 0x1000019d8c90001, timeout of 4000ms exceeded")
    scene.say(100.1, "n3", "NIOWorkerThread-1:NIOServerCnxn@374", "Unexpected exception", "WARN", "EndOfStreamException: Unable to read")
    found = told(scene, tmp_path, 120)
    assert (causes(found), found.unexplained) == ([], [])


def test_debians_own_layout_names_no_member_in_its_lines(tmp_path: Path) -> None:
    scene = ZooKeeper()
    killed(scene)
    scene.lines = {
        name: [(at, line.replace("[myid:] ", "").replace(f"[myid:{SIDS[name]}] ", "")) for at, line in lines]
        for name, lines in scene.lines.items()
    }
    scene.write(tmp_path)
    mined = mining.by_name(files.mine(files.find([str(tmp_path)]), 0, files.EVER_MS).summary)
    assert sorted(mined.spans) == ["n1", "n2", "n3"]
    assert sorted(act.member for act in mined.acts if act.kind == "started") == ["n1", "n2", "n3", "n3"]


def test_etcd_speaks_plainly_before_it_knows_how_it_is_to_log(tmp_path: Path) -> None:
    scene = Etcd()
    for name in IDS:
        scene.lines[name].insert(
            0, (-1.0, f"{iso(-1, ' ')}000 I | pkg/flags: recognized and used environment variable ETCD_QUOTA_BACKEND_BYTES=1")
        )
    quota(scene)
    assert causes(told(scene, tmp_path, 120)) == [("database full", ["n2"])]


@pytest.mark.parametrize("odd", [None, 7, -1.5, True, "", "x" * 5_000, [], {"a": 1}])
def test_lines_that_are_not_as_they_should_be_are_read_all_the_same(tmp_path: Path, odd: object) -> None:
    fields = (
        "remote_peer_id",
        "error",
        "took",
        "alarm",
        "from",
        "clock_drift",
        "exceeded_duration",
        "name",
        "etcd_version",
        "local_member_id",
    )
    scene = Etcd()
    for words in WORDS:
        scene.tell(100, "n1", words.replace("*", IDS["n2"]), "warn", **dict.fromkeys(fields, odd))
        scene.lines["n1"].append((100, json.dumps({"ts": iso(100, "T") + "Z", "caller": odd, "message": words, "level": odd})))
    assert told(scene, tmp_path, 120).lines > 0
    other = ZooKeeper()
    for words in ZOOKEEPER_WORDS:
        other.say(100, "n1", str(odd), f"{words.strip()} {odd}", "WARN", str(odd))
    folder = tmp_path / "zookeeper"
    folder.mkdir()
    assert told(other, folder, 120).lines > 0


def test_what_no_rule_knows_of_another_engine_is_unknown(tmp_path: Path) -> None:
    scene = Etcd()
    for number in range(6):
        scene.tell(100 + number, "n2", "the widget is on fire", "error")
    found = told(scene, tmp_path, 120)
    assert (causes(found), found.outcome, found.exit_code) == ([], "unknown", 3)
    assert found.unexplained[0].kind == "the widget is on fire"


def test_each_cause_has_a_command_of_the_engine_and_what_to_do() -> None:
    assert set(ALIKE) <= set(CAUSES)
    for cause in CAUSES:
        for engine in ("etcd", "zookeeper"):
            found = remedy(engine, cause)
            assert found.confirm
            assert "coordctl" not in found.confirm
            assert bool(found.sentence) is (cause in ALIKE)
