"""The ledger of journals: a true story passes, and each lie is found by the check that is there for it."""

from collections.abc import Callable

import pytest

from coordnode.checking.journal_ledger import GONE, MISSING, JournalLedger, Shown
from coordnode.errors import PromiseBroken

NAME = b"audit"
A, B, C = b"a", b"bb", b"ccc"


def told() -> JournalLedger:
    """Three records at index 5, the first of them trimmed at 8."""
    ledger = JournalLedger()
    ledger.begin(5)
    ledger.appended(NAME, [A, B, C], 0, 3)
    ledger.changed(NAME, Shown(4_096, 0, 3, 100), 6)
    ledger.begin(8)
    ledger.trimmed(NAME, 1, Shown(4_096, 1, 3, 100))
    ledger.changed(NAME, Shown(4_096, 1, 3, 100), -1)
    return ledger


def test_a_true_story_passes() -> None:
    ledger = told()
    ledger.read(NAME, 5, 0, 0, 3, [A, B])
    ledger.read(NAME, 7, 0, 0, 3, [A, B, C])
    ledger.read(NAME, 9, 2, 1, 3, [C])
    ledger.read(NAME, 9, 3, 1, 3, [])
    ledger.refused(NAME, 9, 0, GONE)
    ledger.refused(NAME, 9, 4, MISSING)
    ledger.refused(b"none", 9, 0, MISSING)
    ledger.begin(11)
    ledger.deleted(NAME)
    ledger.refused(NAME, 11, 1, MISSING)
    ledger.read(NAME, 10, 1, 1, 3, [B, C])
    ledger.begin(12)
    ledger.appended(NAME, [C], 0, 1)
    ledger.changed(NAME, Shown(4_096, 0, 1, 31), 3)
    ledger.read(NAME, 12, 0, 0, 1, [C])
    ledger.changed(NAME, Shown(4_096, 1, 1, 0), 4_090)


def test_a_drop_leaves_what_need_not_go() -> None:
    ledger = JournalLedger()
    ledger.appended(NAME, [A] * 100, 0, 100)
    ledger.changed(NAME, Shown(80_000, 0, 100, 79_900), 1_000)
    ledger.changed(NAME, Shown(80_000, 20, 100, 70_000), 1_000)
    with pytest.raises(PromiseBroken, match="more than it must"):
        ledger.changed(NAME, Shown(80_000, 40, 100, 49_000), 10_000 - 28 + 1)


LIES: list[tuple[str, Callable[[JournalLedger], None]]] = [
    ("journal-offsets", lambda ledger: ledger.appended(NAME, [A], 4, 5)),
    ("journal-offsets", lambda ledger: ledger.appended(NAME, [A], 3, 5)),
    ("journal-offsets", lambda ledger: ledger.changed(NAME, Shown(4_096, 1, 4, 100), -1)),
    ("journal-retains", lambda ledger: ledger.trimmed(NAME, 2, Shown(4_096, 3, 3, 0))),
    ("journal-retains", lambda ledger: ledger.changed(NAME, Shown(4_096, 0, 3, 100), -1)),
    ("journal-retains", lambda ledger: ledger.changed(NAME, Shown(4_096, 2, 3, 100), 10)),
    ("journal-bound", lambda ledger: ledger.changed(NAME, Shown(4_096, 1, 3, 4_097), 0)),
    ("journal-read", lambda ledger: ledger.read(NAME, 9, 1, 1, 3, [A])),
    ("journal-read", lambda ledger: ledger.read(NAME, 9, 1, 0, 3, [B])),
    ("journal-read", lambda ledger: ledger.read(NAME, 9, 1, 1, 4, [B])),
    ("journal-read", lambda ledger: ledger.read(NAME, 9, 1, 1, 3, [])),
    ("journal-read", lambda ledger: ledger.read(NAME, 9, 0, 1, 3, [A])),
    ("journal-read", lambda ledger: ledger.read(NAME, 4, 0, 0, 3, [A])),
    ("journal-read", lambda ledger: ledger.refused(NAME, 9, 1, GONE)),
    ("journal-read", lambda ledger: ledger.refused(NAME, 9, 1, MISSING)),
]


@pytest.mark.parametrize(("check", "lie"), LIES)
def test_each_lie_is_found_by_its_check(check: str, lie: Callable[[JournalLedger], None]) -> None:
    with pytest.raises(PromiseBroken) as found:
        lie(told())
    assert found.value.check_name == check
