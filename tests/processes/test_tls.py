"""Members and clients with certificates: everything works as in the clear, and whoever has none, or another's, is let in nowhere."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from coordctl.authority import making
from coordctl.authority.files import SETTLED, Authority
from coordctl.authority.making import Pair
from coordctl.report.exits import NOT_PERMITTED
from coordnode.client import aio, sync
from coordnode.client.tls import dialling
from coordnode.errors import BadRequest, CoordError
from coordnode.ids import ClusterId, Index, MemberId, Revision, Term
from coordnode.raft.messages import Message, VoteAsk
from coordnode.services.commands import ClientCommand, Get, Put, encode
from coordnode.services.dialogue import Ask, LevelAsk, ReadAsk, WatchAsk, WriteAsk
from coordnode.wire.bodies import encode_asks, encode_messages
from coordnode.wire.frames import MSGPACK
from coordnode.wire.hello import ANY_CLUSTER, Hello, encode_hello
from tests.processes.members import SOURCE, Cluster, wait_until
from tests.processes.steady import Steady, http_status


def credentials(folder: Path, authority: bytes, pair: Pair) -> str:
    folder.mkdir()
    for name, content in (("ca.pem", authority), ("certificate.pem", pair.certificate), ("key.pem", pair.key)):
        (folder / name).write_bytes(content)
    return str(folder)


class Certified:
    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder)
        self.authority = Authority(str(folder / "ca"))
        self.authority.init("test")
        for number, one in self.cluster.members.items():
            self.authority.member(f"n{number}", number, 1)
            one.start("--tls", str(folder / "ca" / "members" / f"n{number}"))
        self.client = self.authority.client("ops", 1)
        self.addresses = [one.address for one in self.cluster.members.values()]
        self.endpoints = ",".join(f"{host}:{port}" for host, port in self.addresses)

    def ctl(self, *arguments: str, code: int = 0) -> str:
        done = self.run(self.client, *arguments)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout

    def run(self, tls: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return ctl(tls, self.endpoints, *arguments)


def ctl(tls: str, endpoints: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a home where nothing is remembered of who led."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COORD")}
    with tempfile.TemporaryDirectory() as state:
        told = {"PYTHONPATH": str(SOURCE), "COORD_TLS": tls, "COORD_ENDPOINTS": endpoints, "XDG_STATE_HOME": state}
        return subprocess.run(
            [sys.executable, "-m", "coordctl", *arguments],
            capture_output=True,
            text=True,
            env={**kept, **told},
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certified]:
    made = Certified(tmp_path_factory.mktemp("certified"))
    try:
        with sync.connect(made.endpoints, tls=made.client, timeout=120) as cluster:
            cluster.kv.put("ready", "yes")
        for one in made.cluster.members.values():
            wait_until(lambda one=one: one.events("listening"), "each of them listens")
        yield made
    finally:
        made.cluster.end()


def test_whatever_a_client_does_it_does_with_a_certificate(certified: Certified) -> None:
    with sync.connect(certified.endpoints, tls=certified.client) as cluster:
        large = os.urandom(700_000)
        cluster.kv.put("large", large, request_id="large")
        assert cluster.kv.get("large").value == large
        with cluster.session(ttl=60) as session, cluster.kv.watch("watched") as watch:
            session.kv.put("watched", "1", bound=True)
            assert [event.key for event in next(iter(watch)).events] == [b"watched"]
        with cluster.lock("one"):
            pass

    async def story() -> bytes:
        async with await aio.connect(certified.endpoints, tls=certified.client) as cluster:
            await cluster.kv.put("awaited", large, request_id="awaited")
            found = await cluster.kv.get("awaited")
            return bytes(found.value)

    assert asyncio.run(story()) == large


def test_so_do_the_commands(certified: Certified) -> None:
    certified.ctl("kv", "put", "color", "blue")
    assert certified.ctl("kv", "get", "color") == "blue"
    nested = 'echo "$COORD_LOCK"; exec python3 -m coordctl lock check "$COORD_LOCK" "$COORD_TOKEN" -q'.replace("python3", sys.executable)
    assert certified.ctl("lock", "run", "demo", "--", "sh", "-c", nested) == "demo\n"

    def states() -> list[str]:
        return [one["state"] for one in json.loads(certified.ctl("status", "-o", "json"))["members"]]

    wait_until(lambda: states() == ["ok"] * 3, "all of them are well")
    certified.ctl("canary", "run", "--count", "3", "--interval", "100ms", "--timeout", "10s")


def test_members_are_connected_to_each_other_in_both_directions(certified: Certified) -> None:
    for one in certified.cluster.members.values():
        wait_until(lambda one=one: len(one.events("peer_up")) >= 2, "it is connected to both others")
        assert one.events("peer_refused") == []


def test_nobody_without_a_certificate_reads_anything(certified: Certified, tmp_path: Path) -> None:
    address = certified.cluster.members[1].address
    with socket.create_connection(address, 10) as plain:
        plain.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = plain.recv(4096)
    assert b"HTTP" not in answer
    with pytest.raises(CoordError), sync.connect(certified.endpoints, tls="", timeout=1) as cluster:
        cluster.kv.get("ready")
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname = False
    anonymous.load_verify_locations(os.path.join(certified.client, "ca.pem"))
    assert http_status(address, anonymous) == 0
    other = making.authority("other")
    foreign = credentials(tmp_path / "foreign", certified.authority.certificate(), making.client(other, "ops", 1))
    assert http_status(address, dialling(foreign)) == 0
    assert http_status(address, dialling(certified.client)) == 200


def test_who_is_shut_out_reads_why_through_asyncio_too(certified: Certified, tmp_path: Path) -> None:
    other = making.authority("other")
    foreign = credentials(tmp_path / "foreign", certified.authority.certificate(), making.client(other, "ops", 1))
    doubting = credentials(tmp_path / "doubting", other.certificate, making.client(other, "ops", 1))

    async def story(folder: str, timeout: int) -> None:
        async with await aio.connect(certified.endpoints, tls=folder, timeout=timeout) as cluster:
            await cluster.kv.get("ready")

    def awaited(folder: str, timeout: int) -> None:
        asyncio.run(story(folder, timeout))

    def blocking(folder: str, timeout: int) -> None:
        with sync.connect(certified.endpoints, tls=folder, timeout=timeout) as cluster:
            cluster.kv.get("ready")

    def said(ask: Callable[[str, int], None], folder: str, timeout: int) -> str:
        with pytest.raises(CoordError) as refused:
            ask(folder, timeout)
        return str(refused.value)

    for folder, why in ((foreign, "it hung up at the sight of our certificate"), (doubting, "certificate verify failed")):
        for ask in (awaited, blocking):
            assert any(why in said(ask, folder, timeout) for timeout in (1, 20)), "a second may not be enough to be shut out in"


@pytest.mark.parametrize(
    "words",
    [("kv", "put", "color", "red"), ("kv", "get", "color"), ("lock", "run", "demo", "--", "true"), ("lock", "ls")],
    ids=" ".join,
)
def test_who_is_shut_out_reads_why_at_once_and_knows_that_nothing_happened(
    certified: Certified, tmp_path: Path, words: tuple[str, ...]
) -> None:
    other = making.authority("other")
    authority = certified.authority.certificate()
    foreign = credentials(tmp_path / "foreign", authority, making.client(other, "ops", 1))
    doubting = credentials(tmp_path / "doubting", other.certificate, making.client(other, "ops", 1))
    for folder, why in (
        (foreign, f"it hung up at the sight of our certificate: it does not believe it ({foreign})"),
        (doubting, f"its certificate is not believed by {doubting}/ca.pem"),
        ("", "it speaks TLS: COORD_TLS is to name a folder with ca.pem"),
    ):
        said = certified.run(folder, *words)
        assert said.returncode == NOT_PERMITTED, said.stderr
        assert why in said.stderr
        assert "may have" not in said.stderr


def test_one_member_with_another_authority_keeps_nobody_out(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    authority, other = Authority(str(tmp_path / "ca")), Authority(str(tmp_path / "other"))
    for one in (authority, other):
        one.init("test")
    try:
        for number, member in cluster.members.items():
            signer = other if number == 3 else authority
            signer.member(f"n{number}", number, 1)
            member.start("--tls", str(Path(signer.folder) / "members" / f"n{number}"))
        endpoints = ",".join(f"{host}:{port}" for host, port in (member.address for member in cluster.members.values()))
        for member in cluster.members.values():
            wait_until(lambda member=member: member.events("listening"), "each of them listens")
        client = authority.client("ops", 1)
        with sync.connect(endpoints, tls=client, timeout=120) as ready:
            ready.kv.put("ready", "yes")
        for count in range(8):  # whom it asks first is chance
            for words in (("kv", "put", "a", str(count)), ("lock", "run", "demo", "--timeout", "30s", "--", "true")):
                done = ctl(client, endpoints, *words)
                assert done.returncode == 0, done.stderr
    finally:
        cluster.end()


def test_a_member_tells_how_long_its_certificate_lasts(certified: Certified) -> None:
    address = certified.cluster.members[1].address
    with closing(http.client.HTTPSConnection(*address, timeout=30, context=dialling(certified.client))) as connection:
        connection.request("GET", "/metrics")
        assert b"\ncoordnode_certificate_seconds_left " in connection.getresponse().read()


def test_a_certificate_that_is_over_reads_nothing_on_any_port(certified: Certified, tmp_path: Path) -> None:
    authority = certified.authority
    signer = Pair(making.split(authority.certificate())[0], (Path(authority.folder) / "ca.key").read_bytes())
    over = credentials(tmp_path / "over", authority.certificate(), making.client(signer, "late", 0))
    as_member = credentials(tmp_path / "member", authority.certificate(), making.member(signer, "n9", 9, 0))
    ends = making.about((Path(as_member) / "certificate.pem").read_bytes()).ends_unix_s
    wait_until(lambda: time.time() > ends + 1, "they are over")
    for folder in (over, as_member):
        for one in certified.cluster.members.values():
            assert http_status(one.address, dialling(folder)) == 0
        with pytest.raises(CoordError), sync.connect(certified.endpoints, tls=folder, timeout=1) as cluster:
            cluster.kv.get("ready")


def test_a_client_believes_nobody_but_members_of_its_authority(certified: Certified, tmp_path: Path) -> None:
    """A client's certificate is signed by the same authority, and yet it cannot answer in a member's place."""
    stolen = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stolen.load_cert_chain(os.path.join(certified.client, "certificate.pem"), os.path.join(certified.client, "key.pem"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"'127.0.0.1:{server.getsockname()[1]}', tls={certified.client!r}, timeout=2"
        script = f"from coordnode.client import sync; sync.connect({where}).kv.get('x')"
        asking = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(SOURCE)})
        connection, _ = server.accept()
        with pytest.raises(ssl.SSLError), stolen.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)
        assert b"certificate verify failed" in asking.communicate(timeout=60)[1]


def test_a_member_is_only_who_its_certificate_says(tmp_path: Path) -> None:
    """Member 3 comes with the certificate of member 2: the others neither answer nor believe it, and say so."""
    cluster = Cluster(tmp_path)
    authority = Authority(str(tmp_path / "ca"))
    authority.init("test")
    try:
        for number, one in cluster.members.items():
            authority.member(f"n{number}", min(number, 2), 1)
            one.start("--tls", str(tmp_path / "ca" / "members" / f"n{number}"))
        said = wait_until(lambda: cluster.members[1].events("peer_refused"), "member 3 is refused")
        assert said[0]["peer"] == 3
        assert said[0]["reason"] == "the certificate stands for urn:coordnode:member:2, not for member 3"
        told = wait_until(lambda: cluster.members[3].events("peer_refused"), "member 3 hears of it")
        assert "stands for urn:coordnode:member:2, not for member 3" in told[0]["reason"]
    finally:
        cluster.end()


def test_a_folder_that_is_no_use_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"ca\.pem: No such file or directory; the folder needs ca\.pem, certificate\.pem and key\.pem"):
        dialling(str(tmp_path))
    cluster = Cluster(tmp_path / "members", count=1)
    one = cluster.members[1]
    one.start("--tls", str(tmp_path / "nothing"))
    assert one.wait() == 64
    assert "the folder needs ca.pem, certificate.pem and key.pem" in one.said()


def test_keys_are_their_owners_alone(certified: Certified) -> None:
    folder = Path(certified.authority.folder)
    keys = [*folder.rglob("key.pem"), folder / "ca.key"]
    assert len(keys) == 5
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


def reload_all(certified: Certified) -> None:
    for one in certified.cluster.members.values():
        before = len(one.events("reloaded"))
        one.signal(signal.SIGHUP)
        wait_until(lambda one=one, before=before: len(one.events("reloaded")) > before, "certificates are read anew")


def test_the_authority_and_every_certificate_are_replaced_under_load_without_a_failed_request(
    certified: Certified, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    authority = certified.authority
    old = tmp_path / "old"
    shutil.copytree(certified.client, old)
    with Steady(certified.client, certified.addresses) as load:
        load.go_on()
        for stage in (lambda: authority.believe_next("test"), lambda: authority.sign_with_next(1), authority.forget_old):
            stage()
            reload_all(certified)
            load.go_on()
    assert load.failures == []
    assert authority.stage() == SETTLED
    figure(f"authority and all certificates replaced under {sum(load.counts.values())} requests, none failed")
    assert http_status(certified.cluster.members[1].address, dialling(certified.client)) == 200
    assert http_status(certified.cluster.members[1].address, _only_shown(old, certified)) == 0, "what the old authority issued is over"
    assert [one.events("not_reloaded") for one in certified.cluster.members.values()] == [[], [], []]


def _only_shown(folder: Path, certified: Certified) -> ssl.SSLContext:
    """Shows the old certificate, believes the new authority."""
    (folder / "ca.pem").write_bytes(certified.authority.certificate())
    found = dialling(str(folder))
    assert found is not None
    return found


def test_who_was_revoked_is_let_in_no_more_and_what_stands_ends(certified: Certified) -> None:
    lost = certified.authority.client("lost", 1)
    context = dialling(lost)
    assert context is not None
    one = certified.cluster.members[1]
    assert http_status(one.address, context) == 200
    with socket.create_connection(one.address, 30) as connection, context.wrap_socket(connection) as standing:
        standing.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert standing.recv(4096).startswith(b"HTTP/1.1 200")
        certified.authority.revoke("client", "lost", "laptop stolen")
        for number, member in certified.cluster.members.items():
            folder = Path(certified.authority.folder) / "members" / f"n{number}"
            (folder / "revoked.txt").write_bytes(certified.authority.revoked())
            assert member.address
        reload_all(certified)
        standing.settimeout(30)
        try:
            rest = standing.recv(4096)
        except OSError:
            rest = b""
        assert rest == b"", "its connection is ended"
    assert [http_status(member.address, context) for member in certified.cluster.members.values()] == [0, 0, 0]
    assert http_status(one.address, dialling(certified.client)) == 200
    assert "lost laptop stolen" in certified.authority.revoked().decode()


def test_a_renewed_certificate_is_shown_after_sighup_without_a_restart(certified: Certified) -> None:
    one = certified.cluster.members[2]
    context = dialling(certified.client)
    assert context is not None

    def shown() -> bytes | None:
        with socket.create_connection(one.address, 30) as connection, context.wrap_socket(connection) as secured:
            return secured.getpeercert(binary_form=True)

    def reloaded() -> dict[str, object]:
        with closing(http.client.HTTPSConnection(*one.address, context=context, timeout=30)) as connection:
            connection.request("GET", "/status")
            found: dict[str, object] = json.loads(connection.getresponse().read())["reloaded"]
        return found

    before, times = shown(), int(str(reloaded()["times"]))
    certified.authority.member("n2", 2, 1, renew=True)
    assert shown() == before
    one.signal(signal.SIGHUP)
    wait_until(lambda: reloaded()["times"] == times + 1, "it was reloaded")
    assert (reloaded()["changed"], reloaded()["trouble"]) == (["certificates"], "")
    after = shown()
    assert after not in (None, before)

    key = Path(certified.authority.folder) / "members" / "n2" / "key.pem"
    kept = key.read_bytes()
    key.write_bytes(b"damaged")
    one.signal(signal.SIGHUP)
    wait_until(lambda: reloaded()["times"] == times + 2, "it was tried")
    assert "cannot be used" in str(reloaded()["trouble"])
    assert shown() == after
    key.write_bytes(kept)

    def all_well() -> dict[str, Any] | None:
        found: dict[str, Any] = json.loads(certified.ctl("status", "-o", "json"))
        return found if [row["state"] for row in found["members"]] == ["ok"] * 3 else None

    found = wait_until(all_well, "all of them are well")
    warned = [finding for finding in found["findings"] if "certificate ends in" in finding["sentence"]]
    assert len(warned) == 3, "they end tomorrow"


# --- every interface, whatever is shown ---------------------------------------------------------------------------------

CLUSTER = 7
ALERT = b"\x15"  # of TLS, which a member says in the clear: that this is none
HELLO = encode_hello(Hello(ANY_CLUSTER, MemberId(0), MemberId(0), 0, "stranger"), MSGPACK)


def asking(ask: Ask) -> bytes:
    return HELLO + b"".join(bytes(part) for part in encode_asks([ask], MSGPACK))


def as_member(message: Message) -> bytes:
    hello = encode_hello(Hello(ClusterId(CLUSTER), MemberId(2), MemberId(0), 1, ""), MSGPACK)
    return hello + b"".join(bytes(part) for part in encode_messages([message]))


def http_request(method: str, path: str, body: bytes = b"") -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (method.encode(), path.encode(), len(body), body)


INTERFACES = {
    "a read": asking(ReadAsk(1, encode(Get(b"ready")))),
    "a stale read": asking(ReadAsk(1, encode(Get(b"ready")), True)),
    "a write": asking(WriteAsk(1, encode(ClientCommand(0, 0, 0, "", Put(b"stranger", b"1"))))),  # type: ignore[arg-type]
    "a watch": asking(WatchAsk(1, b"", b"", Revision(0))),
    "an operator's ask": asking(LevelAsk(1, 1)),
    "a member's message": as_member(VoteAsk(MemberId(2), MemberId(1), 1, Term(10**6), Index(10**6), Term(10**6), False, True)),
    "an HTTP read": http_request("GET", "/v1/kv/ready?stale=true"),
    "an HTTP write": http_request("PUT", "/v1/kv/stranger", b"1"),
    "/status": http_request("GET", "/status"),
    "/metrics": http_request("GET", "/metrics"),
    "/livez": http_request("GET", "/livez"),
}


def told(address: tuple[str, int], context: ssl.SSLContext | None, data: bytes) -> bytes:
    """The first bytes that come back inside whatever the member let us speak; none: it ended the connection."""
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(address, 30))
        try:
            if context is not None:
                connection = stack.enter_context(context.wrap_socket(connection))
            connection.sendall(data)
            found = connection.recv(4096)
        except OSError:
            return b""
    return b"" if context is None and found[:1] == ALERT else found


@pytest.fixture(scope="module")
def strangers(certified: Certified, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ssl.SSLContext | None]:
    """Whatever somebody may show who is not to be let in."""
    folder, authority = tmp_path_factory.mktemp("strangers"), certified.authority
    nothing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nothing.check_hostname = False
    nothing.load_verify_locations(os.path.join(certified.client, "ca.pem"))
    signer = Pair(making.split(authority.certificate())[0], (Path(authority.folder) / "ca.key").read_bytes())
    other = making.authority("other")
    shown = {
        "another authority's client": making.client(other, "operator", 1),
        "another authority's member": making.member(other, "n1", 1, 1),
        "a client's that is over": making.client(signer, "operator", 0),
        "a member's that is over": making.member(signer, "n2", 2, 0),
        "a client's that is revoked": making.client(signer, "lost", 1),
        "a member's that is revoked": making.member(signer, "n2", 2, 1),
    }
    contexts = {name: dialling(credentials(folder / name, authority.certificate(), pair)) for name, pair in shown.items()}
    revoked = "".join(f"{fingerprint(pair.certificate)} {name}\n" for name, pair in shown.items() if "revoked" in name)
    for number in certified.cluster.members:
        (Path(authority.folder) / "members" / f"n{number}" / "revoked.txt").write_text(revoked)
    reload_all(certified)
    ends = max(making.about(pair.certificate).ends_unix_s for name, pair in shown.items() if "over" in name)
    wait_until(lambda: time.time() > ends + 1, "they are over")
    return {"nothing, in the clear": None, "no certificate": nothing, **contexts}


def fingerprint(certificate: bytes) -> str:
    return sha256(ssl.PEM_cert_to_DER_cert(certificate.decode())).hexdigest()


def test_whatever_is_shown_that_is_not_right_no_interface_tells_or_changes_anything(
    certified: Certified, strangers: dict[str, ssl.SSLContext | None], figure: Callable[[str], None]
) -> None:
    known = dialling(certified.client)
    members = certified.cluster.members.values()

    def state() -> list[object]:
        with closing(http.client.HTTPSConnection(*certified.cluster.members[1].address, context=known, timeout=30)) as connection:
            connection.request("GET", "/status")
            found = json.loads(connection.getresponse().read())
        return [found[name] for name in ("term", "revision", "applied_digest", "config")]

    with sync.connect(certified.endpoints, tls=certified.client, timeout=30) as cluster:
        revision = cluster.kv.put("ready", "yes")
        wait_until(lambda: state()[1] == revision, "the first member has applied it, too")
        for _ in range(3):  # an election, where the machine stands still, begins a term with an entry of its own
            before = state()
            tried = 0
            for interface, data in INTERFACES.items():
                for shown, context in strangers.items():
                    for one in members:
                        assert told(one.address, context, data) == b"", f"{interface} with {shown} was answered"
                        tried += 1
            after = state()
            assert (after[0] < 10**6, after[1], after[3]) == (True, revision, before[3])
            if after[0] == before[0]:
                break
        assert after == before
        assert cluster.kv.get("stranger") is None
    for interface, data in INTERFACES.items():
        assert told(certified.cluster.members[1].address, known, data), f"{interface} is answered who is known, or the table proves nothing"
    figure(f"{tried} attempts over {len(INTERFACES)} interfaces of each member, with {len(strangers)} things that are not to be let in")
