"""What `doctor` prints."""

from typing import Literal

import msgspec

from coordctl.results.status import Finding

LOOKED_AT = (
    *("quorum", "answers", "ready", "lag", "space", "drain", "harm", "rot", "risk"),  # as members say
    *("service", "boot", "process", "port", "identity", "memory", "files", "disk", "inodes", "fsync", "owner", "mode", "certificate"),
    *("members", "alarm", "digest", "lease"),  # as those of other engines say
    *("clock", "version", "settings", "ways", "loss", "ssh", "python"),
)
"""What is looked at, by its name."""


class Diagnosed(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.doctor/1"] = "coordctl.doctor/1"
    outcome: str  # ok, warning, critical, unknown
    exit_code: int  # 0, 1, 2, 3
    cluster: str
    about: str  # the cluster, or those of its hosts that were asked for
    findings: list[Finding]  # the worst first
    answered: int  # members, when asked from here
    members: int
    examined: int  # hosts
    hosts: int  # 0: only this machine was looked at
    names: list[str] = []  # theirs
    elapsed_ms: int
