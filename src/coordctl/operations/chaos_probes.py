"""What a run tries all the time: one question to the cluster, a web address, or a command of the user's; what went wrong, in words."""

import os
import subprocess
from contextlib import suppress

from coordctl.chaos.playbook import Probe
from coordctl.engines.clients import connect
from coordnode.errors import CoordError


class Ask:
    def __init__(self, probe: Probe, addresses: list[str], prefix: str) -> None:
        self._cluster = connect(addresses, identity="chaos probe", timeout=probe.within_ms / 1000)
        self._key = f"{prefix}probe"
        self._writes = probe.what == ("write",)

    def attempt(self) -> str:
        try:
            if self._writes:
                self._cluster.kv.put(self._key, b"probe", request_id=os.urandom(12).hex())  # so that it follows a new leader
            else:
                self._cluster.kv.get(self._key)
        except CoordError as error:
            return error.sentence
        return ""

    def close(self) -> None:
        with suppress(CoordError):
            if self._writes:
                self._cluster.kv.delete(self._key)
        self._cluster.close()


class Http:
    def __init__(self, probe: Probe) -> None:
        self._url = probe.what[0]
        self._seconds = probe.within_ms / 1000

    def attempt(self) -> str:
        from http.client import HTTPException
        from urllib.request import urlopen

        try:
            with urlopen(self._url, timeout=self._seconds):  # raises from 400 on
                return ""
        except (OSError, HTTPException, ValueError) as error:
            return f"{self._url}: {str(error).strip() or type(error).__name__}"

    def close(self) -> None:
        pass


class Command:
    def __init__(self, probe: Probe) -> None:
        self._argv = list(probe.what)
        self._seconds = probe.within_ms / 1000

    def attempt(self) -> str:
        try:
            done = subprocess.run(self._argv, capture_output=True, timeout=self._seconds, check=False, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return f"{self._argv[0]} took longer than {self._seconds:g} s"
        except OSError as error:
            return f"{self._argv[0]}: {error.strerror}"
        return f"{self._argv[0]} ended with {done.returncode}" if done.returncode else ""

    def close(self) -> None:
        pass


Act = Ask | Http | Command


def act_of(probe: Probe, addresses: list[str], prefix: str) -> Act:
    if probe.kind == "ask":
        return Ask(probe, addresses, prefix)
    return Http(probe) if probe.kind == "http" else Command(probe)
