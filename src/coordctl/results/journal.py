"""What the `journal` verbs print."""

from typing import Literal

import msgspec


class JournalNamed(msgspec.Struct, frozen=True, kw_only=True):
    """The name as text where it is text, and always as base64."""

    journal: str | None
    journal_base64: str


class JournalFound(JournalNamed, frozen=True, kw_only=True):
    bytes_max: int
    first: int  # the oldest record that is still there
    next: int  # what the next record will get
    size_bytes: int  # boundaries and checksums included


class JournalListed(JournalFound, frozen=True, kw_only=True):
    """One line for each journal."""

    schema: Literal["coordctl.journal-ls/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class JournalShown(JournalFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.journal-show/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class JournalSet(JournalFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.journal-set/1"]
    outcome: Literal["done"]
    exit_code: Literal[0]
    request_id: str


class JournalTrimmed(JournalFound, frozen=True, kw_only=True):
    schema: Literal["coordctl.journal-trim/1"]
    outcome: Literal["done"]
    exit_code: Literal[0]
    request_id: str


class JournalDeleted(JournalNamed, frozen=True, kw_only=True):
    schema: Literal["coordctl.journal-delete/1"]
    outcome: Literal["deleted", "absent"]
    exit_code: Literal[0]
    request_id: str


class JournalAppended(JournalNamed, frozen=True, kw_only=True):
    """One line for each batch."""

    schema: Literal["coordctl.journal-append/1"]
    outcome: Literal["appended"]
    exit_code: Literal[0]
    first: int
    next: int
    request_id: str


class RecordFound(JournalNamed, frozen=True, kw_only=True):
    offset: int
    record: str | None
    record_base64: str


class JournalRead(RecordFound, frozen=True, kw_only=True):
    """One line for each record."""

    schema: Literal["coordctl.journal-read/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]


class JournalTailed(RecordFound, frozen=True, kw_only=True):
    """One line for each record."""

    schema: Literal["coordctl.journal-tail/1"]
    outcome: Literal["found"]
    exit_code: Literal[0]
