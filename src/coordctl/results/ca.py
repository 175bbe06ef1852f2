"""What the verbs of `ca` print. A key is in none of it."""

from typing import Literal

import msgspec


class ShownCertificate(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["authority", "member", "client"]
    name: str
    uri: str
    fingerprint: str  # SHA-256, in hexadecimal
    ends_unix_s: int
    days_left: int


class CaShown(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.ca-show/1"] = "coordctl.ca-show/1"
    outcome: Literal["answered"] = "answered"
    exit_code: Literal[0] = 0
    cluster: str
    folder: str
    certificates: list[ShownCertificate]


class CaMade(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.ca-init/1"] = "coordctl.ca-init/1"
    outcome: Literal["made"] = "made"
    exit_code: Literal[0] = 0
    cluster: str
    folder: str


class CaIssued(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.ca-issue/1"] = "coordctl.ca-issue/1"
    outcome: Literal["issued"] = "issued"
    exit_code: Literal[0] = 0
    cluster: str
    folder: str  # for COORD_TLS
    certificate: ShownCertificate


class CaRenewed(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.ca-renew/1"] = "coordctl.ca-renew/1"
    outcome: Literal["renewed"] = "renewed"
    exit_code: Literal[0] = 0
    cluster: str
    certificates: list[ShownCertificate]


class CaRevoked(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.ca-revoke/1"] = "coordctl.ca-revoke/1"
    outcome: Literal["revoked"] = "revoked"
    exit_code: Literal[0] = 0
    cluster: str
    name: str
    fingerprint: str


class CaRotated(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.ca-rotate/1"] = "coordctl.ca-rotate/1"
    outcome: Literal["done", "begun", "failed", "refused"]  # begun: another stage is to follow
    exit_code: Literal[0, 1, 69, 76]
    cluster: str
    stage: Literal["settled", "both are believed", "the new one signs"]
    sentence: str
