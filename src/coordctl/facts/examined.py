"""What a host said when it was examined, as values. Pure."""

import json
from typing import Any

import msgspec

from coordctl.facts.hosts import program
from coordctl.onhost import examine


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    free_bytes: int
    total_bytes: int
    free_files: int
    total_files: int
    is_read_only: bool
    sync_ms: float | None  # how long 4 KiB take to be durable; None: it could not be tried
    sync_trouble: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    mode: int
    uid: int
    owner: str


class Service(msgspec.Struct, frozen=True, kw_only=True):
    kind: str  # systemd, supervisor; none: started by hand, or by `up`
    is_wanted: bool  # it was started, and not stopped
    boots: bool
    is_masked: bool
    restarts: int
    state: str


class Process(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    state: str  # as /proc has it: T is stopped
    uid: int
    age_s: float
    files_used: int
    files_max: int | None  # None: no bound
    memory_max: int | None
    memory_used: int


class Way(msgspec.Struct, frozen=True, kw_only=True):
    stage: str  # at which it failed: name, connect, refused, answer, tls; "": it did not
    trouble: str
    ms: float | None = None


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    unix_ns: int
    since_ms: float  # what it took to say the rest
    hostname: str
    python: str
    base: str
    data: str
    account_uid: int  # whose files they must be; -1: there is no such user
    disk: Disk
    places: dict[str, Place]  # below the base, those that exist
    config: dict[str, str]
    config_trouble: str
    certificate: str  # PEM; "": none
    authority: str
    identity: tuple[int, int] | None  # cluster and member of the data; None: it cannot be read
    marker: dict[str, Any] | None
    current: str
    started: dict[str, Any] | None
    config_digest: str
    service: Service
    process: Process | None
    members: int  # processes that run this member
    holder: str  # who else listens at its port
    last_words: list[str]
    ways: dict[str, Way]
    segments_sent: int
    segments_again: int


def question_text(said: dict[str, object]) -> str:
    return program(examine, said)


def parse(text: str) -> Examined:
    """Raises ValueError when it is no answer to the question."""
    try:
        return msgspec.convert(json.loads(text.strip().splitlines()[-1]), Examined)
    except (msgspec.ValidationError, IndexError) as error:
        raise ValueError(str(error)) from None
