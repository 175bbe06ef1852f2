"""One suite for every transport: over SSH, on this machine, and played again from a record of either."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordctl.transport import recorded, ssh
from coordctl.transport.audit import Audit, Audited
from coordctl.transport.base import HostFailed, Script, Transport, must_run
from coordctl.transport.local import LocalTransport
from coordctl.transport.pool import on_all
from coordctl.transport.recorded import RecordedTransport, Recorder, Said
from coordctl.transport.ssh import SshTransport
from tests.hosts.operator import PATIENCE_SECONDS, Operator
from tests.hosts.running import Running

SCRIPT = Script("three streams", "cat <<'END'\nstdout 'é'\nEND\necho stderr >&2\nexit 3\n")
WORK_SECONDS = 60.0  # whoever takes longer hangs
LONG = Script("long", "head -c 3000000 /dev/zero | tr '\\0' x; head -c 100000 /dev/zero | tr '\\0' y >&2")


def exercise(transport: Transport, path: str) -> None:
    assert transport.run(SCRIPT, WORK_SECONDS)[:] == (3, "stdout 'é'\n", "stderr\n")
    with pytest.raises(HostFailed, match=f"{transport.host}: three streams ended with code 3: stderr"):
        must_run(transport, SCRIPT, WORK_SECONDS)
    ran = transport.run(LONG, WORK_SECONDS)
    assert (len(ran.stdout), len(ran.stderr)) == (3_000_000, 100_000)
    content = bytes(range(256)) * 20_000
    transport.put(content, path, WORK_SECONDS)
    seen = transport.run(Script("look", f"wc -c < {path}; stat -c %a {path}; rm {path}"), WORK_SECONDS)
    assert seen.stdout.split() == [str(len(content)), "600"]


def test_here(tmp_path: Path) -> None:
    record: list[Said] = []
    exercise(Recorder(LocalTransport("here"), record), str(tmp_path / "put"))
    exercise(RecordedTransport("here", list(recorded.read(recorded.written(record)))), str(tmp_path / "put"))
    with pytest.raises(HostFailed, match="here: the record has no answer to more"):
        RecordedTransport("here", record).run(Script("more", ""), 1)


@pytest.fixture
def trusted(operator: Operator) -> Iterator[Operator]:
    operator.trust()
    yield operator


def test_over_ssh(trusted: Operator) -> None:
    transport = trusted.connect(1)
    exercise(transport, "/home/ops/put")
    with pytest.raises(HostFailed, match="n1: /nowhere/put could not be written: .*nowhere/put.part") as caught:
        transport.put(bytes(8 << 20), "/nowhere/put", WORK_SECONDS)  # it does not wait to hear all of it
    assert caught.value.kind == "failed"
    assert transport.run(Script("early end", "echo why >&2; exit 3\n" + "#" * (8 << 20)), WORK_SECONDS)[::2] == (3, "why\n")
    # 49 ms each without TCP_NODELAY: its effect is beyond doubt, and a busy machine's is not. The quickest one met nobody else's work.
    took = []
    for _ in range(10):
        began = time.monotonic()
        transport.run(Script("nothing", ""), WORK_SECONDS)
        took.append(time.monotonic() - began)
    assert min(took) < 0.5
    transport.close()


def test_the_socket_waits_for_no_acknowledgement_and_not_for_ever(trusted: Operator) -> None:
    connection = ssh._socket(trusted.target(1), [], time.monotonic() + WORK_SECONDS)
    assert isinstance(connection, socket.socket)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
    connection.close()


def test_a_host_that_is_silent_is_waited_for_as_long_as_ssh_was_told_and_once(trusted: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled, dial = [], socket.create_connection

    def dialling(address: tuple[str, int], seconds: float) -> socket.socket:
        dialled.append((address, seconds))
        return dial(address, seconds)

    monkeypatch.setattr(socket, "create_connection", dialling)
    with trusted.without(1), Running() as ran, pytest.raises(HostFailed, match="cannot be reached: it does not answer"):
        SshTransport(trusted.target(1), 600)
    assert dialled == [((trusted.hosts.address(1), 22), PATIENCE_SECONDS)]
    assert ran.seconds < 10 * PATIENCE_SECONDS


def test_everything_sent_is_written_down_but_for_what_is_secret(trusted: Operator, tmp_path: Path) -> None:
    audit = Audit(str(tmp_path / "audit"), "fleet", "test", "because")
    transport = Audited(trusted.connect(1), audit)
    transport.run(SCRIPT, WORK_SECONDS)
    transport.run(Script("key", "echo hidden-words", is_secret=True), WORK_SECONDS)
    transport.put(b"12345", "/tmp/put", WORK_SECONDS)
    transport.close()
    lines = (tmp_path / "audit" / "fleet.jsonl").read_text()
    assert [word in lines for word in ("three streams", '"code": 3', "because", "/tmp/put", "hidden-words")] == [True] * 4 + [False]
    assert [path.read_text() for path in (tmp_path / "audit" / "scripts").iterdir()] == [SCRIPT.text]


def test_one_that_hangs_holds_up_nobody_else() -> None:
    def work(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    found = on_all([("n1", 0.0), ("n2", 60.0), *[(f"n{number}", 0.0) for number in range(3, 40)]], work, 0.1)
    assert isinstance(found["n2"], HostFailed)
    assert found["n2"].sentence == "n2: it was not done after 0.1 s"
    assert [name for name, one in found.items() if isinstance(one, HostFailed)] == ["n2"]
    with pytest.raises(ZeroDivisionError):
        on_all([("n1", 0)], lambda number: 1 / number, 1)
