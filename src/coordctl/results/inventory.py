"""What the verbs of `inventory` print."""

from typing import Literal

import msgspec


class InventoryMade(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.inventory-init/1"] = "coordctl.inventory-init/1"
    outcome: Literal["made"] = "made"
    exit_code: Literal[0] = 0
    path: str
    name: str
    hosts: int


class InventoryValidated(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.inventory-validate/1"] = "coordctl.inventory-validate/1"
    outcome: Literal["ok", "remarks", "mistakes"]
    exit_code: Literal[0, 1, 2]
    path: str
    name: str
    hosts: int
    mistakes: list[str]
    remarks: list[str]


class ShownHost(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: str
    endpoint: str
    zone: str
    labels: list[str]
    ssh: str  # as it is connected to
    jump: str
    sudo: bool
    folder: str
    settings: dict[str, str]
    run: dict[str, str]  # of another engine: how whoever deployed it runs it
    fingerprint: str  # of the pinned key; "": none is


class InventoryShown(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.inventory-show/1"] = "coordctl.inventory-show/1"
    outcome: Literal["answered"] = "answered"
    exit_code: Literal[0] = 0
    path: str
    name: str
    environment: str
    engine: Literal["coordnode", "etcd", "zookeeper"]
    tls: bool
    hosts: list[ShownHost]
    remarks: list[str]


class ShownKey(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # of the host; jump/HOST for one in between
    ssh: str
    state: Literal["new", "pinned", "changed", "failed"]
    kind: str
    fingerprint: str  # what it shows now
    pinned: str  # what is believed; "": nothing yet
    trouble: str


class InventoryTrusted(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.inventory-trust/1"] = "coordctl.inventory-trust/1"
    outcome: Literal["pinned", "refused", "failed"]
    exit_code: Literal[0, 1, 76]
    path: str
    added: int
    keys: list[ShownKey]
