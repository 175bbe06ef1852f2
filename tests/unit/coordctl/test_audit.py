"""A record that was changed, left out or cut off shows, whoever kept the log."""

import msgspec
import pytest

from coordctl.hot.audit import NOTHING_SEEN, Head, Record, faults, head_of
from coordnode.services.commands import AuditPage, ReadAudit, SetUser, decode_result
from tests.unit.services.driven import Driven, alone


@pytest.fixture
def records() -> list[Record]:
    """As a member answers."""
    driven = Driven()
    for number in range(5):
        driven.apply(alone(SetUser(f"user-{number}", (), "why", "cert:operator", "10.0.0.7:1")))
    page = decode_result(driven.machine.read(ReadAudit()))
    assert isinstance(page, AuditPage)
    return [Record(*msgspec.structs.astuple(record)) for record in page.records]


def test_what_is_whole_is_found_whole(records: list[Record]) -> None:
    head = head_of(records)
    assert faults(records, NOTHING_SEEN) == []
    assert faults(records, head_of(records[:3])) == []
    assert faults(records[2:], NOTHING_SEEN) == [], "the oldest are not kept for ever"
    assert faults(records[3:], Head(2, records[1].chain.hex())) == []
    assert faults([], NOTHING_SEEN) == []
    assert head.shown() == f"5:{records[-1].chain.hex()}"


def test_what_is_not_is_named(records: list[Record]) -> None:
    head = head_of(records)
    changed = [*records[:2], records[2]._replace(after="admin"), *records[3:]]
    assert faults(changed, NOTHING_SEEN) == ["record 3 is not what was written: its digest does not fit"]
    assert faults([*records[:1], *records[3:]], NOTHING_SEEN) == ["records 2 to 3 are missing"]
    assert faults(records[:3], head) == ["record 5 was seen before and is gone, and so is whatever followed it"]
    assert faults([], head) == ["record 5 was seen before and is gone, and so is whatever followed it"]
    assert faults(records, Head(4, "ab" * 32)) == ["record 4 is another one than was seen there before"]


def test_a_log_that_was_written_anew_is_another_one(records: list[Record]) -> None:
    driven = Driven()
    for number in range(5):
        driven.apply(alone(SetUser(f"other-{number}", (), "why", "cert:operator", "10.0.0.7:1")))
    page = decode_result(driven.machine.read(ReadAudit()))
    assert isinstance(page, AuditPage)
    forged = [Record(*msgspec.structs.astuple(record)) for record in page.records]
    assert faults(forged, NOTHING_SEEN) == []
    assert faults(forged, head_of(records)) == ["record 5 is another one than was seen there before"]
    assert faults([*records[:2], *forged[2:]], NOTHING_SEEN) == ["record 3 does not follow the 2 that is there"]
