"""Over SSH. The socket is ours, for TCP_NODELAY: paramiko's own makes every exchange wait for an acknowledgement, 40 ms each."""

import logging
import os
import select
import shlex
import socket
import time
from typing import BinaryIO, NoReturn

import paramiko

from coordctl.inventory.pins import HostKey
from coordctl.transport.base import OUTPUT_BYTES_MAX, HostFailed, Ran, Script, check_sudo, shell_words
from coordctl.transport.ssh_config import Target

TRIES_MAX = 3
PAUSE_SECONDS = 0.3
PART_BYTES = 1 << 16
# A host that lost its power or its network says nothing: the kernel finds out after so long, whatever is awaited from it.
GONE_WITHOUT_A_WORD = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 2), ("TCP_USER_TIMEOUT", 20_000))


class SshTransport:
    """Implements base.Transport. Connected when it is made."""

    def __init__(self, target: Target, seconds: float) -> None:
        self._target = target
        self._clients = _connect(target, time.monotonic() + seconds)

    @property
    def host(self) -> str:
        return self._target.name

    def run(self, script: Script, seconds: float) -> Ran:
        words = shell_words(sudo=self._target.sudo and self._target.user != "root")
        ran = self._exchange(shlex.join(words), script.text.encode(), script.name, seconds)
        if words[0] == "sudo":
            check_sudo(self.host, self._target.user, ran)
        return ran

    def put(self, content: bytes, path: str, seconds: float) -> None:
        place, beside = shlex.quote(path), shlex.quote(path + ".part")
        # The bytes are counted: a connection that breaks is the end of the file, too.
        command = f'umask 077; cat > {beside} && [ "$(wc -c < {beside})" -eq {len(content)} ] && mv -f {beside} {place}'
        ran = self._exchange(command, content, f"put {path}", seconds)
        if ran.code:
            raise HostFailed(self.host, "failed", f"{path} could not be written: {ran.last_words()}")

    def get(self, path: str, target: str, seconds: float) -> None:
        words = shell_words(sudo=self._target.sudo and self._target.user != "root")
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            ran = self._exchange(shlex.join(words), f"exec cat {shlex.quote(path)}\n".encode(), f"get {path}", seconds, into=file)
        if words[0] == "sudo":
            check_sudo(self.host, self._target.user, ran)
        if ran.code:
            raise HostFailed(self.host, "failed", f"{path} could not be read: {ran.last_words()}")

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _exchange(self, command: str, stdin: bytes, name: str, seconds: float, into: BinaryIO | None = None) -> Ran:
        """`into`: takes what is said on standard output, whatever its size."""
        until = time.monotonic() + seconds
        try:
            transport = self._clients[-1].get_transport()
            if transport is None:
                raise EOFError
            channel = transport.open_session(timeout=seconds)
            try:
                channel.settimeout(seconds)
                channel.exec_command(command)
                self._tell(channel, stdin)
                return self._listen(channel, name, until, into)
            finally:
                channel.close()
        except (OSError, EOFError, paramiko.SSHException) as error:
            if isinstance(error, TimeoutError) or time.monotonic() >= until:  # that it was too late paramiko says in one way or the other
                raise HostFailed(self.host, "late", f"{name} did not end in {seconds:g} s: it may still be at work there") from None
            what = str(error) or "it closed the connection"
            raise HostFailed(self.host, "unreachable", f"the connection broke during {name}: {what}") from None

    @staticmethod
    def _tell(channel: paramiko.Channel, stdin: bytes) -> None:
        """As much as it wants to hear: a command that ended before has said why."""
        try:
            channel.sendall(stdin)
            channel.shutdown_write()
        except OSError:
            if not (channel.closed or channel.exit_status_ready()):
                raise

    def _listen(self, channel: paramiko.Channel, name: str, until: float, into: BinaryIO | None) -> Ran:
        out, err = bytearray(), bytearray()
        while True:
            if channel.recv_ready():
                data = channel.recv(PART_BYTES)
                if into is not None:
                    into.write(data)
                else:
                    out += data
            elif channel.recv_stderr_ready():
                err += channel.recv_stderr(PART_BYTES)
            elif channel.eof_received or channel.closed:
                break
            else:
                self._await(channel, until)
            if len(out) + len(err) > OUTPUT_BYTES_MAX:
                raise HostFailed(self.host, "failed", f"{name} says more than {OUTPUT_BYTES_MAX >> 20} MiB")
        if not channel.status_event.wait(max(0.0, until - time.monotonic())):
            raise TimeoutError
        code = channel.recv_exit_status()
        if code < 0:
            raise EOFError
        return Ran(code, out.decode(errors="replace"), err.decode(errors="replace"))

    @staticmethod
    def _await(channel: paramiko.Channel, until: float) -> None:
        ready, _, _ = select.select([channel], [], [], max(0.0, until - time.monotonic()))
        if not ready and time.monotonic() >= until:
            raise TimeoutError


def host_key(target: Target, seconds: float) -> HostKey:
    """What that host shows, before anybody logs in there; to get to it, hosts in between are logged into, whose keys must be pinned."""
    until = time.monotonic() + seconds
    clients = _connect(target.jump, until) if target.jump is not None else []
    try:
        connection = _socket(target, clients, until)
        transport = paramiko.Transport(connection)
        try:
            transport.start_client(timeout=_left(until))
            key = transport.get_remote_server_key()
            return HostKey(key.get_name(), key.asbytes())
        finally:
            transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise HostFailed(target.name, "unreachable", f"{target} shows no host key: {_words(error)}") from None
    finally:
        for client in clients:
            client.close()


def _connect(target: Target, until: float) -> list[paramiko.SSHClient]:
    """From here to the host, those in between first. Only what says nothing of keys and logins is tried again."""
    clients = _connect(target.jump, until) if target.jump is not None else []
    try:
        for attempt in range(1, TRIES_MAX + 1):
            try:
                clients.append(_log_in(target, clients, until))
                return clients
            except (OSError, EOFError, paramiko.SSHException) as error:
                if isinstance(error, paramiko.AuthenticationException | paramiko.BadHostKeyException | paramiko.PasswordRequiredException):
                    _explain(target, error)
                is_silent = isinstance(error, TimeoutError)  # longer than anybody wants to wait for it
                if is_silent or attempt == TRIES_MAX or time.monotonic() + PAUSE_SECONDS >= until:
                    raise HostFailed(target.name, "unreachable", f"{target} cannot be reached: {_words(error)}") from None
                time.sleep(PAUSE_SECONDS * attempt)
    except BaseException:
        for client in clients:
            client.close()
        raise
    raise AssertionError("the last attempt returns or raises")


def _socket(target: Target, clients: list[paramiko.SSHClient], until: float) -> "socket.socket | paramiko.Channel":
    if clients:
        transport = clients[-1].get_transport()
        assert transport is not None
        return transport.open_channel("direct-tcpip", (target.host, target.port), ("", 0), timeout=_patience(target, until))
    connection = socket.create_connection((target.host, target.port), _patience(target, until))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in GONE_WITHOUT_A_WORD:
        if option := getattr(socket, name, None):  # not every system knows them
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection


def _log_in(target: Target, clients: list[paramiko.SSHClient], until: float) -> paramiko.SSHClient:
    if target.pin is None:
        raise HostFailed(target.name, "key", "its host key is not pinned: look at it and pin it with `coordctl inventory trust`")
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(_Refuse(target))
    client.get_host_keys().add(_known_as(target), target.pin.kind, paramiko.PKey.from_type_string(target.pin.kind, target.pin.blob))
    connection = _socket(target, clients, until)
    try:
        client.connect(
            target.host,
            target.port,
            target.user,
            sock=connection,
            pkey=_certified(target),
            key_filename=list(target.keys) or None,  # type: ignore[arg-type]  # it takes several
            allow_agent=True,
            look_for_keys=not target.keys,
            timeout=_left(until),
            banner_timeout=_patience(target, until),
            auth_timeout=_left(until),
            channel_timeout=_left(until),
        )
    except BaseException as error:
        takes = _methods_taken(client, target) if isinstance(error, paramiko.AuthenticationException) else None
        client.close()
        connection.close()
        if takes is not None:
            raise takes from error
        raise
    return client


def _methods_taken(client: paramiko.SSHClient, target: Target) -> paramiko.BadAuthenticationType | None:
    """What a server that refused every key would take instead."""
    transport = client.get_transport()
    try:
        if transport is not None and transport.is_active():
            transport.auth_none(target.user)
    except paramiko.BadAuthenticationType as error:
        return error
    except (OSError, EOFError, paramiko.SSHException):
        pass
    return None


def _known_as(target: Target) -> str:
    return target.host if target.port == 22 else f"[{target.host}]:{target.port}"


def _certified(target: Target) -> paramiko.PKey | None:
    """A key with the certificate that the configuration names for it; one beside its key is found without being named."""
    if not target.certificates or not target.keys:
        return None
    try:
        key = paramiko.PKey.from_path(target.keys[0])
        key.load_certificate(target.certificates[0])
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise HostFailed(target.name, "login", f"{target.certificates[0]} is no certificate of {target.keys[0]}: {error}") from None
    return key


class _Refuse(paramiko.MissingHostKeyPolicy):
    """A pinned key of another kind than the one that is shown is a changed key, too."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> NoReturn:
        raise _changed(self._target, HostKey(key.get_name(), key.asbytes()))


def _changed(target: Target, shown: HostKey) -> HostFailed:
    assert target.pin is not None
    return HostFailed(
        target.name,
        "key",
        f"its host key has changed: {shown.kind} {shown.fingerprint} is shown, {target.pin.kind} {target.pin.fingerprint} is pinned; "
        "somebody may be in between. If the host was made anew, pin the new key with "
        f"`coordctl inventory trust --changed {target.name}`",
    )


def _explain(target: Target, error: Exception) -> NoReturn:
    if isinstance(error, paramiko.BadHostKeyException):
        raise _changed(target, HostKey(error.key.get_name(), error.key.asbytes())) from None
    tried = ", ".join(target.keys) or "the usual files of ~/.ssh"
    if isinstance(error, paramiko.PasswordRequiredException):
        raise HostFailed(target.name, "login", f"a key needs its passphrase ({tried}): load it into ssh-agent with `ssh-add`") from None
    wants = ""
    if isinstance(error, paramiko.BadAuthenticationType):
        wants = f"; it takes {' or '.join(error.allowed_types)}, and passwords are never asked for"
    raise HostFailed(
        target.name,
        "login",
        f"{target} refuses the keys of ssh-agent and of {tried}{wants}: put a key of yours into its authorized_keys",
    ) from None


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("it takes too long")
    return left


def _patience(target: Target, until: float) -> float:
    return min(_left(until), target.patience_seconds)


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return (getattr(error, "strerror", None) or str(error) or "it closed the connection").lower()


logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)  # what breaks is raised; said on standard error, too, it would be said twice
