"""What may follow on a command line: verbs, then names of clusters, hosts, locks and playbooks. What cannot be found out is left out."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from coordctl.inventory import places
from coordctl.inventory.reading import examine
from coordctl.local import clusters
from coordnode.client.sync import connect
from coordnode.errors import CoordError

ASK_SECONDS = 0.5
LOCKS_MAX = 200
OF_CLUSTER = ("-c", "--cluster")
A_VERB = re.compile(r"[a-z-]+( …)?")
TAKES_LOCK = ("run", "acquire", "show", "break", "check", "renew", "release")


def candidates(words: Sequence[str], verbs: Mapping[str, str], takes_value: Mapping[str, bool]) -> list[str]:
    """`words`: what stands behind the program's name, the last one begun. `verbs`: each with its line of --help."""
    before, begun = list(words[:-1]), words[-1] if words else ""
    return sorted(one for one in _all(before, verbs, takes_value) if one.startswith(begun))


def _all(before: list[str], verbs: Mapping[str, str], takes_value: Mapping[str, bool]) -> list[str]:
    if before and before[-1] in OF_CLUSTER:
        return sorted({*clusters.names(), *places.names()})
    if before and takes_value.get(before[-1]):
        return []
    said, cluster = _arguments(before, takes_value)
    if not said:
        return list(verbs)
    if said[0] == "help":
        return list(verbs)
    inner = verbs_within(verbs.get(said[0], ""))
    if inner and len(said) == 1:
        return inner
    if said[:2] == ["inventory", "trust"] or (said[0] == "member" and len(said) > 1) or before[-1:] == ["--changed"]:
        return _found(lambda: _hosts(cluster))
    if said[0] == "lock" and len(said) == 2 and said[1] in TAKES_LOCK:
        return _found(lambda: _locks(cluster))
    if said[0] == "chaos" and len(said) == 2 and said[1] in ("show", "run", "validate"):
        return _found(_playbooks)
    return []


def _arguments(before: Sequence[str], takes_value: Mapping[str, bool]) -> tuple[list[str], str]:
    """(what is no flag, what -c names)"""
    said, cluster, waiting = [], "", list(before)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            said.append(word)
        elif takes_value.get(name) and not equals:
            value = waiting.pop(0) if waiting else ""
        if name in OF_CLUSTER:
            cluster = value
    return said, cluster


def verbs_within(line: str) -> list[str]:
    """A verb that has verbs of its own lists them in its line of --help, before a colon or behind it."""
    for part in line.split(": "):
        words = part.split(", ")
        if all(A_VERB.fullmatch(word) for word in words) and part != line:
            return [word.removesuffix(" …") for word in words]
    return []


def _found(look: Callable[[], list[str]]) -> list[str]:
    with suppress(CoordError, OSError):
        return look()
    return []


def _hosts(cluster: str) -> list[str]:
    found = examine(places.path_of(cluster)).inventory
    return [host.name for host in found.hosts] if found is not None else []


def _locks(cluster: str) -> list[str]:
    _, endpoints = clusters.choose("", cluster)
    with connect([one.address for one in endpoints], timeout=ASK_SECONDS) as asked:
        names = [lock.name for lock, _ in zip(asked.locks.list(), range(LOCKS_MAX), strict=False)]
    found = []
    for name in names:
        with suppress(UnicodeDecodeError):  # nobody could type it
            found.append(name.decode())
    return found


def _playbooks() -> list[str]:
    from coordctl.operations import chaos_playbooks

    return [one.name for one in chaos_playbooks.list_them("")]
