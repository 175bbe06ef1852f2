"""Which type each verb prints, found by what the types say of themselves."""

from collections.abc import Iterator
from typing import get_args

import msgspec

from coordctl.results import (
    audit,
    auth,
    backup,
    barrier,
    bench,
    ca,
    canary,
    chaos,
    check,
    config,
    copy,
    counter,
    demo,
    deploy,
    doctor,
    elect,
    fence,
    group,
    history,
    inventory,
    journal,
    kv,
    local,
    lock,
    logs,
    member,
    queue,
    risk,
    runner,
    session,
    shard,
    status,
    top,
    upgrade,
    version,
    wal,
)

FAMILIES = (
    audit,
    auth,
    backup,
    barrier,
    bench,
    ca,
    canary,
    chaos,
    check,
    config,
    copy,
    counter,
    deploy,
    demo,
    doctor,
    elect,
    fence,
    group,
    history,
    inventory,
    journal,
    kv,
    local,
    lock,
    logs,
    member,
    queue,
    risk,
    runner,
    session,
    shard,
    status,
    top,
    upgrade,
    version,
    wal,
)


def printed() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """(verb, type) for each type that declares its schema: of `coordctl.kv-get/1` the verb is kv-get."""
    for family in FAMILIES:
        for found in vars(family).values():
            if isinstance(found, type) and issubclass(found, msgspec.Struct) and "schema" in found.__annotations__:
                (name,) = get_args(found.__annotations__["schema"])
                yield name.removeprefix("coordctl.").partition("/")[0], found


SCHEMAS: dict[str, type[msgspec.Struct]] = dict(sorted(printed()))
"""Verb -> what its `-o json` prints; for a stream, the type of each line."""
