"""Backups of real clusters: whole, verified, refused when anything in them changed; and a cluster made anew from one."""

import random
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordctl.facts.members import ClusterFacts
from coordctl.local import fleet
from coordctl.local.clusters import LocalCluster
from coordctl.local.clusters import read as read_cluster
from coordctl.local.clusters import write as write_cluster
from coordctl.operations import backing_up, statuses
from coordctl.operations.restoring import rehearse
from coordnode.archives.format import ABOUT, ENTRY, PIECE, SEAL, SLICE, read_parts
from coordnode.archives.replaying import replay
from coordnode.client.sync import connect
from coordnode.errors import BadRequest, ClusterReplaced, CoordError, Damaged
from coordnode.ids import NOBODY, ClusterId
from coordnode.services.commands import Get, Got, decode_result
from coordnode.wire.frames import MSGPACK, FrameReader
from coordnode.wire.hello import Hello, decode_refusal, encode_hello
from tests.processes.belongings import RECORDS, Belongings
from tests.processes.local import Home
from tests.processes.members import PATIENCE_S, wait_until
from tests.processes.test_commands import valid


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A local cluster with something of everything, part of it in snapshots and part in the log."""
    made = Home(tmp_path_factory.mktemp("source"))
    made.environment |= {"COORDNODE_SNAPSHOT_ENTRIES": "100", "COORDNODE_KEEP_ENTRIES": "10"}
    made.ctl("up")
    with connect(addresses(made)) as client:
        for number in range(150):
            client.kv.put(f"key/{number}", b"value %d" % number)
            if number % 10 == 0:
                client.journal("audit").append(RECORDS[number * 5 : number * 5 + 50])
        client.journal("audit").append([b"the last"])
        client.counters.add("visits", 7)
        client.queue("mail").put(b"letter")
    yield made
    made.close()


def addresses(home: Home) -> list[str]:
    return [str(one["address"]) for one in home.members()]


@pytest.fixture(scope="module")
def backup(source: Home) -> str:
    """With a log behind its snapshot: one that was made of the very last entry is followed by others first."""
    while True:
        path = str(valid(source.ctl("backup", "create", "-o", "json"))["backup"]["path"])  # type: ignore[index]
        if any(part.kind == ENTRY for part in read_parts(path)):
            return path
        Path(path).unlink()
        with connect(addresses(source)) as client:
            client.kv.put("key/0", b"value 0")


def value_in(path: str, key: bytes) -> bytes | None:
    found = decode_result(replay(path).machine.read(Get(key)))
    assert isinstance(found, Got)
    return found.item.value if found.item is not None else None


def test_it_is_whole_and_comes_to_what_the_member_said(source: Home, backup: str) -> None:
    kinds = {part.kind for part in read_parts(backup)}
    assert {ABOUT, SLICE, PIECE, ENTRY, SEAL} <= kinds  # journals' bytes and a log behind the snapshot are among what is tested here
    found = valid(source.ctl("backup", "verify", "-o", "json"))
    assert (found["outcome"], found["path"]) == ("ok", backup)
    listed = valid(source.ctl("backup", "ls", "-o", "json"))["backups"]
    assert [(one["path"], one["trouble"], one["verified_unix_s"] is not None) for one in listed] == [(backup, "", True)]  # type: ignore[attr-defined]
    assert source.json("status")["backup_age_s"] is not None
    assert re.search(r", backup \d+ h old$", source.ctl("health").strip())
    assert value_in(backup, b"key/149") == b"value 149"
    table = source.ctl("backup", "ls").splitlines()
    assert table[0].split() == ["TAKEN", "AGE", "INDEX", "SIZE", "VERIFIED", "FILE"]
    assert table[1].endswith(f"yes       ~/{Path(backup).relative_to(source.folder)}")


def test_what_was_acknowledged_before_it_began_is_inside_although_writes_go_on(source: Home, tmp_path: Path) -> None:
    acknowledged, is_over = [0], threading.Event()

    def write() -> None:
        with connect(addresses(source)) as client:
            while not is_over.is_set():
                client.kv.put("going/on", b"%d" % (acknowledged[0] + 1))
                acknowledged[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            before = acknowledged[0]
            made = source.json("backup", "create", "--to", str(tmp_path))
            after = acknowledged[0]
            value = value_in(made["backup"]["path"], b"going/on")  # type: ignore[index]
            assert before <= int(value or 0) <= after + 1
    finally:
        is_over.set()
        writer.join()
    assert acknowledged[0] > 0


def test_any_byte_that_changed_is_noticed_and_named(source: Home, backup: str, tmp_path: Path) -> None:
    whole = Path(backup).read_bytes()
    chance = random.Random(1)
    ends = [part.offset for part in read_parts(backup)]
    places = [*range(24), *ends, *range(len(whole) - 24, len(whole)), *(chance.randrange(len(whole)) for _ in range(150))]
    damaged = tmp_path / "damaged.backup"
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        damaged.write_bytes(changed)
        with pytest.raises(Damaged, match=str(damaged)):
            replay(str(damaged))
    for length in [0, 1, len(whole) - 1, *ends, *(chance.randrange(len(whole)) for _ in range(20))]:
        damaged.write_bytes(whole[:length])
        if length == ends[-1]:
            assert replay(str(damaged)).seal is None  # it was never verified, and is no backup
            continue
        with pytest.raises(Damaged, match=str(damaged)):
            replay(str(damaged))
    damaged.write_bytes(whole + b"\0")
    with pytest.raises(Damaged, match="something else than its seal"):
        replay(str(damaged))
    first, second = ends[3], ends[4]
    damaged.write_bytes(whole[:first] + whole[second:])
    with pytest.raises(Damaged, match="the head of part 3"):
        replay(str(damaged))


def test_the_codes_of_verify(source: Home, backup: str, tmp_path: Path) -> None:
    damaged, unsealed = tmp_path / "damaged.backup", tmp_path / "unsealed.unverified"
    seal = [part.offset for part in read_parts(backup)][-1]
    shutil.copy(backup, unsealed)
    with unsealed.open("r+b") as file:
        file.truncate(seal)
    shutil.copy(backup, damaged)
    with damaged.open("r+b") as file:
        file.seek(seal // 2)
        file.write(b"rot")
    found = valid(source.ctl("backup", "verify", str(damaged), "-o", "json", code=2))
    assert found["outcome"] == "damaged"
    assert "is damaged: it does not match its checksum" in str(found["sentence"])
    assert source.ctl("backup", "verify", str(unsealed), code=1).startswith("NOT SEALED  whole, but never verified")
    assert b"there is no backup nowhere" in source.run("backup", "verify", "nowhere").stderr
    source.ctl("backup", "ls", "--to", str(tmp_path / "none"), code=1)


def test_only_the_newest_are_kept_and_only_of_this_cluster(source: Home, backup: str, tmp_path: Path) -> None:
    other = tmp_path / "other.backup"
    shutil.copy(backup, other)
    made = []
    for _ in range(3):
        with connect(addresses(source)) as client:
            client.kv.put("again", b"")
        made.append(valid(source.ctl("backup", "create", "--to", str(tmp_path), "--keep", "2", "-o", "json")))
    assert [len(one["removed"]) for one in made] == [0, 1, 1]  # type: ignore[arg-type]
    noted = ClusterFacts(statuses.ask(local(source).endpoints(), PATIENCE_S)).backup()
    assert noted is not None and noted.path == made[-1]["backup"]["path"]  # type: ignore[index]
    left = {str(path) for path in tmp_path.iterdir()}
    assert left == {one["backup"]["path"] for one in made[1:]}  # type: ignore[index]


def test_a_state_that_differs_from_what_the_member_says_is_not_kept(source: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = local(source)
    said = backing_up.chosen_member(cluster.endpoints(), "n2", time.monotonic() + PATIENCE_S)
    assert said.status is not None
    said.status["applied_digest"] ^= 1
    monkeypatch.setattr(backing_up, "chosen_member", lambda *_: said)
    with pytest.raises(backing_up.NotTheState, match="n2 says that its state"):
        backing_up.create(cluster, folder=str(tmp_path), member="", keep=0, timeout_seconds=5.0, say=lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_a_member_that_is_not_there_is_named_and_a_folder_that_rots_gives_none(source: Home, tmp_path: Path) -> None:
    cluster = local(source)
    with pytest.raises(BadRequest, match="there is no member n9: give one of n1, n2, n3"):
        backing_up.chosen_member(cluster.endpoints(), "n9", 0.0)
    copy = tmp_path / "n1"
    shutil.copytree(fleet.data_folder(cluster, cluster.members[0]), copy)
    for snapshot in (copy / "snapshots").glob("*.snap"):
        with snapshot.open("r+b") as file:
            file.seek(-100, 2)
            file.write(b"rot")
    done = source.coordnode("archive", "--folder", str(copy), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (1, b"coordnode: no whole snapshot is in the folder: take it from another member\n")
    assert not (tmp_path / "out").exists()


def local(home: Home) -> LocalCluster:
    found = read_cluster(str(home.state / "local"))
    assert found is not None
    return found


# --- restoring -------------------------------------------------------------------------------------------------------


def test_all_is_there_again_after_everything_was_destroyed_and_no_old_token_counts(home: Home, tmp_path: Path) -> None:
    home.environment |= {"COORDNODE_SNAPSHOT_ENTRIES": "100", "COORDNODE_KEEP_ENTRIES": "10"}
    home.ctl("up")
    fence = str(tmp_path / "fence")
    with connect(addresses(home)) as client:
        belongings = Belongings(client)
        old_cluster = read_cluster(str(home.state / "local"))
        assert old_cluster is not None
        path = str(home.json("backup", "create", "--member", "n2")["backup"]["path"])  # type: ignore[index]
        belongings.go_on()
        assert home.run("fence", "admit", "--file", fence, str(belongings.newest)).returncode == 0
        home.ctl("down", "--purge", "--yes")
    assert not (home.state / "local").exists()
    rehearsed = valid(home.ctl("restore", path, "--dry-run", "-o", "json", code=1))
    assert not (home.state / "local").exists()
    made = valid(home.ctl("restore", path, "-o", "json"))
    state = made["state"]
    assert isinstance(state, dict)
    assert (made["outcome"], state["replaces"], state["index"]) == ("done", old_cluster.cluster, rehearsed["state"]["index"])  # type: ignore[index]
    assert home.ctl("session", "ls", code=None) in ("", "no session\n")
    with connect(addresses(home)) as client:
        token = belongings.must_be_in(client, state["first_token"])
    assert home.run("fence", "admit", "--file", fence, str(token)).returncode == 0
    assert home.run("fence", "admit", "--file", fence, str(belongings.newest)).returncode == 76
    refused = greeted(addresses(home)[0], old_cluster.cluster)
    assert isinstance(refused, ClusterReplaced)
    assert f"cluster {old_cluster.cluster} was replaced by {state['cluster_id']}" in refused.sentence
    assert valid(home.ctl("health", "-o", "json"))["exit_code"] == 0
    home.ctl("down")
    home.ctl("up")  # it is a cluster like any other
    with connect(addresses(home)) as client:
        assert [record.data for record in client.journal("audit").records()] == RECORDS[:100]


def greeted(address: str, cluster: int) -> CoordError:
    """How a member receives a client of that cluster."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        connection.sendall(encode_hello(Hello(ClusterId(cluster), NOBODY, NOBODY, 0, "test"), MSGPACK))
        reader = FrameReader()
        while True:
            data = connection.recv(4_096)
            assert data
            for frame in reader.feed(data):
                return decode_refusal(frame)


def test_nothing_is_touched_where_something_is_and_nothing_is_made_of_what_is_damaged(source: Home, backup: str, tmp_path: Path) -> None:
    done = source.run("restore", backup)
    assert done.returncode == 76
    assert b"nothing was touched: there is a cluster local" in done.stderr
    damaged = tmp_path / "damaged.backup"
    shutil.copy(backup, damaged)
    with damaged.open("r+b") as file:
        file.seek(damaged.stat().st_size // 2)
        file.write(b"rot")
    done = source.run("restore", str(damaged), "-c", "other")
    assert done.returncode == 1
    assert b"nothing was touched: " in done.stderr
    assert b"is damaged: it does not match its checksum" in done.stderr
    assert not (source.state / "other").exists()
    assert [path.name for path in source.state.iterdir() if path.name.startswith(".rehearsal")] == []


def test_a_restore_that_was_cut_short_is_gone_on_with_and_never_becomes_an_empty_cluster(source: Home, backup: str) -> None:
    folder = str(source.state / "again")
    rehearsed = rehearse(backup, str(source.state), 5, 1_800_000_000)
    drawn = fleet.drawn(folder, "again", 1)._replace(archive=backup, replaces=(rehearsed.about.cluster,))
    Path(folder).mkdir()
    write_cluster(drawn)  # and killed
    source.ctl("up", "-c", "again")
    assert source.ctl("kv", "get", "key/7", "-c", "again") == "value 7"
    source.ctl("down", "--purge", "--yes", "-c", "again")


# --- when the quorum is lost for good ---------------------------------------------------------------------------------


def test_what_the_best_of_those_that_are_left_has_becomes_a_new_cluster_once_that_is_accepted(home: Home) -> None:
    """Of five members three are gone for good. n1 fell behind before; n2 has everything."""
    home.ctl("up", "--nodes", "5")
    home.ctl("kv", "put", "color", "blue")
    token = int(home.ctl("lock", "acquire", "job", "--ttl", "600s"))
    home.kill("n1")
    for number in range(20):
        home.ctl("kv", "put", "color", f"blue {number}")
    home.ctl("journal", "append", "audit", "a record")
    last = home.json("status")["revision"]
    wait_until(lambda: len({one["applied"] for one in home.json("status")["members"] if one["applied"]}) == 1, "all to have applied it")  # type: ignore[attr-defined]
    needless = home.run("recover", "--accept", "data-loss", "--reason", "none")
    assert needless.returncode == 76
    assert b"a majority of the voters is whole" in needless.stderr
    wait_until(lambda: home.json("health", code=None)["members_well"] == 4, "nothing was stopped for that")
    for name in ("n3", "n4", "n5"):
        home.kill(name)
        shutil.rmtree(home.state / "local" / name)
    old = local(home)
    folders = sorted(path.name for path in (home.state / "local").iterdir())

    told = valid(home.ctl("recover", "-o", "json", code=76))
    assert [one["name"] for one in told["survivors"]] == ["n2", "n1"]  # type: ignore[attr-defined]
    assert told["lost"] == ["n3", "n4", "n5"]
    assert "by a majority of which none is left: n3, n4, n5 may have had more" in told["noted"][0]["sentence"]  # type: ignore[index]
    assert home.run("recover", "--accept", "data-loss").returncode == 64  # it wants to know why
    assert sorted(path.name for path in (home.state / "local").iterdir()) == folders
    assert home.pid("n2") == old.members[1].pid

    done = valid(home.ctl("recover", "--accept", "data-loss", "--reason", "three disks gone", "-o", "json"))
    assert (done["outcome"], done["state"]["replaces"], done["state"]["revision"] >= last) == ("done", old.cluster, True)  # type: ignore[index]
    assert home.ctl("kv", "get", "color") == "blue 19"
    assert home.ctl("journal", "read", "audit").strip() == "a record"
    assert int(home.ctl("lock", "acquire", "job", "--ttl", "10s")) > token
    home.ctl("wait", "--for", "members=5", "--timeout", "60s")
    health = valid(home.ctl("health", "-o", "json"))
    assert health["members_well"] == 5
    assert re.search(r"the risk data-loss was accepted by .* for recover: three disks gone", str(health["sentence"]))
    aside = [path.name for path in (home.state / "local").iterdir() if ".before-recover-" in path.name]
    assert sorted(name.partition(".")[0] for name in aside) == ["n1", "n2"]
    assert "three disks gone" in (home.state / "audit" / "local.jsonl").read_text()
    assert isinstance(greeted(str(home.members()[0]["address"]), old.cluster), ClusterReplaced)
