"""What members of another engine say of themselves when they are asked for all that they tell a client: what `doctor` goes by."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from coordctl.engines.looking import Look
from coordctl.local.clusters import Endpoint, spoken


class Known(NamedTuple):
    """A member, as another knows it."""

    name: str  # "": it never started
    addresses: tuple[str, ...]  # for clients; etcd tells it as its members said it
    is_voter: bool


class Examined(NamedTuple):
    """None, or empty: it does not say."""

    look: Look
    member: str = ""  # as `known` calls it
    cluster: str = ""
    known: tuple[Known, ...] = ()  # all members that it knows
    alarms: tuple[tuple[str, str], ...] = ()  # (what, of whom)
    revision: int = 0
    used_bytes: int | None = None  # by its data
    file_bytes: int | None = None  # that they take
    quota_bytes: int | None = None
    files_used: int | None = None
    files_max: int | None = None
    settings: dict[str, str] = {}
    unsaid: str = ""  # why it does not tell these
    digest: tuple[int, int] | None = None  # (compacted up to which revision, of its data as of one revision for all)


def examine(engine: str, endpoints: Sequence[Endpoint], seconds: float) -> list[Examined]:
    module = spoken(engine, "examining")
    with ThreadPoolExecutor(len(endpoints)) as pool:
        found: list[Examined] = list(pool.map(lambda one: module.examine(one, seconds), endpoints))
        revision = min((one.revision for one in found if one.revision), default=0)
        if revision:
            digests = list(pool.map(lambda one: module.digest(one, revision, seconds), endpoints))
            found = [one._replace(digest=digest) for one, digest in zip(found, digests, strict=True)]
    return found
