"""Words of journals.

append NAME RECORD … | trim NAME BEFORE | bound NAME BYTES | drop NAME | journal NAME | journals | records NAME OFFSET

`append NAME COUNTxBYTES` is so many records of that size. `records` asks what a member answers without its files: where they are not
needed.
"""

from coordnode.services.commands import (
    JOURNAL_DELETED,
    JOURNALS,
    AppendRecords,
    ConfigureJournal,
    DeleteJournal,
    Event,
    GetJournal,
    JournalInfo,
    JournalPage,
    JournalView,
    ListJournals,
    ReadRecords,
    RecordsAppended,
    RecordsRead,
    Result,
    TrimJournal,
    decode_journal,
)
from coordnode.services.commands.records import pack_sizes


def parse(verb: str, words: list[str]) -> object | None:
    name = words[0].encode() if words else b""
    match verb:
        case "append":
            records = [word.encode() for word in words[1:]]
            if words[1][0].isdigit():
                count, _, size = words[1].partition("x")
                records = [bytes(int(size))] * int(count)
            return AppendRecords(name, len(records), b"".join(records), pack_sizes(records))
        case "trim":
            return TrimJournal(name, int(words[1]))
        case "bound":
            return ConfigureJournal(name, int(words[1]))
        case "drop":
            return DeleteJournal(name)
        case "journal":
            return GetJournal(name)
        case "journals":
            return ListJournals()
        case "records":
            return ReadRecords(name, int(words[1]))
    return None


def show_journal(journal: JournalInfo) -> str:
    return f"{journal.name.decode()}: {journal.first} .. {journal.next}, {journal.size} of {journal.bytes_max} bytes"


def show(result: Result) -> list[str] | None:
    match result:
        case RecordsAppended():
            return [f"offsets {result.first} .. {result.next - 1}"]
        case JournalView():
            return [show_journal(result.journal)]
        case JournalPage():
            return [show_journal(journal) for journal in result.journals] or ["no journal"]
        case RecordsRead():
            return [f"nothing behind {result.next - 1}"]
    return None


def show_event(event: Event) -> str | None:
    if event.space != JOURNALS:
        return None
    if event.kind == JOURNAL_DELETED:
        return f"journal {event.key.decode()} is deleted"
    return f"journal {show_journal(decode_journal(event.value))}"
