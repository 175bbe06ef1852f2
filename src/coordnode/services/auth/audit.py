"""What was changed by whom, each record chained to the one before by its digest. Pure.

Only the newest RECORDS_MAX are kept: whoever wants to prove more remembers a number and its chain, as `coordctl audit verify` does.
"""

from hashlib import sha256
from struct import Struct

import msgspec

from coordnode.services.commands import AuditPage, AuditRecord, ReadAudit, encode
from coordnode.services.context import Context
from coordnode.services.tables import Table

AUDIT_ID = 104

RECORDS_MAX = 10_000
RECORD_CHARGE_BYTES = 300

_pack = Struct(">Q").pack


def chained(record: AuditRecord) -> bytes:
    """What `record.chain` must be."""
    return sha256(encode(msgspec.structs.replace(record, chain=b""))).digest()


class Audit:
    def __init__(self, context: Context) -> None:
        self._context = context
        self.table: Table[AuditRecord] = Table(AUDIT_ID, AuditRecord)

    def note(self, by: str, place: str, what: str, before: str, after: str, reason: str) -> None:
        context = self._context
        newest = self.table.last_up_to(_pack((1 << 64) - 1))
        number, previous = (newest[1].number + 1, newest[1].chain) if newest is not None else (1, b"")
        record = AuditRecord(number, context.index, context.wall_ms, by, place, what, before, after, reason, previous)
        record = msgspec.structs.replace(record, chain=chained(record))
        self.table.set(_pack(number), record)
        context.scalars.state_bytes += _charge(record)
        if self.table.count > RECORDS_MAX:
            oldest = self.table.first()
            assert oldest is not None
            self.table.delete(oldest[0])
            context.scalars.state_bytes -= _charge(oldest[1])

    def page(self, operation: ReadAudit, items_max: int, bytes_max: int) -> AuditPage:
        count = min(operation.limit or items_max, items_max)
        found: list[AuditRecord] = []
        for _, record in self.table.scan(_pack(operation.after + 1)):
            if len(found) == count or bytes_max <= 0:
                return AuditPage(self._context.scalars.revision, found, True)
            found.append(record)
            bytes_max -= _charge(record)
        return AuditPage(self._context.scalars.revision, found, False)


def _charge(record: AuditRecord) -> int:
    texts = (record.by, record.place, record.what, record.before, record.after, record.reason)
    return RECORD_CHARGE_BYTES + sum([len(text) for text in texts])
