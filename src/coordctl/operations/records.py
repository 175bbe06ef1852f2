"""Reading a journal up to its end, and following it from there for as long as somebody wants more."""

import time
from collections.abc import Iterator

from coordnode.client.journals import Journal
from coordnode.client.sync import connect


def read(endpoints: list[str], name: bytes, start: int | None, limit: int | None, timeout_seconds: float) -> Iterator[tuple[int, bytes]]:
    """(offset, record) from `start` on (None: from where it begins), at most `limit`."""
    with connect(endpoints, timeout=timeout_seconds) as cluster:
        for number, (offset, data) in enumerate(cluster.journal(name).records(start)):
            if number == limit:
                return
            yield offset, data


def tail(endpoints: list[str], name: bytes, start: int | None, last: int, seconds: float | None) -> Iterator[tuple[int, bytes]]:
    """(offset, record) from `start` on, or the `last` ones and all that come after them; ends when the time is over."""
    until = None if seconds is None else time.monotonic() + seconds
    with connect(endpoints) as cluster:
        journal = cluster.journal(name)
        with journal.tail(start if start is not None else _begin(journal, last)) as records:
            while True:
                left = None if until is None else until - time.monotonic()
                record = None if left is not None and left <= 0 else records.take(left)
                if record is None:
                    return
                yield record


def _begin(journal: Journal, last: int) -> int:
    info = journal.info()
    return max(info.first, info.next - last)
