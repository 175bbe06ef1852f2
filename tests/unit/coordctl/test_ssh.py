"""What a host says is heard, also where it does not wait to hear all of ours."""

from types import SimpleNamespace
from typing import Any

import pytest

from coordctl.transport.base import HostFailed
from coordctl.transport.ssh import SshTransport


class Channel:
    """Of a command that has ended; `code` -1: because the connection did."""

    closed = eof_received = True

    def __init__(self, code: int, said: bytes) -> None:
        self._code, self._said = code, said
        self.status_event = SimpleNamespace(wait=lambda _seconds: True)

    def settimeout(self, _seconds: float) -> None: ...

    def exec_command(self, _command: str) -> None: ...

    def close(self) -> None: ...

    def sendall(self, _content: bytes) -> None:
        raise OSError("Socket is closed")

    def exit_status_ready(self) -> bool:
        return True

    def recv_ready(self) -> bool:
        return False

    def recv_stderr_ready(self) -> bool:
        return bool(self._said)

    def recv_stderr(self, _count: int) -> bytes:
        said, self._said = self._said, b""
        return said

    def recv_exit_status(self) -> int:
        return self._code


def transport_over(channel: Channel) -> SshTransport:
    made: Any = SshTransport.__new__(SshTransport)
    made._target = SimpleNamespace(name="n1", sudo=False, user="root")
    made._clients = [SimpleNamespace(get_transport=lambda: SimpleNamespace(open_session=lambda timeout: channel))]
    return made  # type: ignore[no-any-return]


def test_a_host_that_refuses_what_is_sent_says_why() -> None:
    with pytest.raises(HostFailed, match="n1: /nowhere/put could not be written: no such folder") as caught:
        transport_over(Channel(2, b"no such folder")).put(bytes(9), "/nowhere/put", 1)
    assert caught.value.kind == "failed"


def test_a_connection_that_broke_is_called_so() -> None:
    with pytest.raises(HostFailed, match="n1: the connection broke during put /nowhere/put") as caught:
        transport_over(Channel(-1, b"")).put(bytes(9), "/nowhere/put", 1)
    assert caught.value.kind == "unreachable"
