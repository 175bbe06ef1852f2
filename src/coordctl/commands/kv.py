"""`coordctl kv`: get, put, del, ls, cas, watch. Starts fast: neither click nor msgspec is loaded, but for watch."""

from __future__ import annotations

import os

from coordctl.commands import fast
from coordctl.commands.asked import REQUEST_ID, STALE, content, request_id, shown, surely
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Flag, Given, Verb, whole_number
from coordctl.hot import kv
from coordctl.local.clusters import chosen
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, Kind
from coordnode.errors import BadRequest
from coordnode.ranges import prefix_end

GET = Verb(
    "kv get",
    ("KEY",),
    "Print the value of KEY, byte for byte.\nLinearizable: it sees every write that was acknowledged before.",
    QUERY,
    (STALE, Flag(("--min-revision",), "not older than this revision", "N", whole_number, 0)),
)
PUT = Verb(
    "kv put",
    ("KEY", "VALUE"),
    "Put VALUE under KEY; prints the revision.\nVALUE may be - (standard input) or @FILE. Done means: durable on a majority.",
    ACTION,
    (REQUEST_ID,),
)
DELETE = Verb("kv del", ("KEY",), "Delete KEY.\nIt is no error if it was not there.", ACTION, (REQUEST_ID,))
LIST = Verb(
    "kv ls",
    ("[PREFIX]",),
    "List the keys that begin with PREFIX, in order.\nEach page of up to 1,024 keys is one moment; -o json adds values and revisions.",
    QUERY,
    (STALE,),
)
CAS = Verb(
    "kv cas",
    ("KEY", "VALUE"),
    "Put VALUE under KEY, but only if KEY is as said; prints the revision.\nExits with 1 and changes nothing if it is not.",
    ACTION,
    (
        Flag(("--prev-revision",), "only if KEY was last changed at this revision", "N", whole_number),
        Flag(("--prev-value",), "only if KEY has this value; - and @FILE as for VALUE", "VALUE"),
        Flag(("--absent",), "only if there is no KEY"),
        REQUEST_ID,
    ),
)
WATCH = Verb(
    "kv watch",
    ("[PREFIX]",),
    "Print changes of keys that begin with PREFIX, as they happen.\nIn order, each once, none left out: where that cannot be, "
    "it says so and ends with 1.",
    QUERY,
    (
        Flag(("--key",), "of this one key instead", "KEY"),
        Flag(("--from-revision",), "begin with changes of the past, from this revision on", "N", whole_number, 0),
        Flag(("--count",), "end after so many changes", "N", whole_number),
    ),
)


def main(argv: list[str]) -> int:
    return fast.dispatch("kv", COMMANDS, argv)


def _key(text: str) -> bytes:
    if not text:
        raise BadRequest("the key is empty: give 1 to 1024 bytes")
    return os.fsencode(text)


def _item(item: kv.Item) -> dict[str, object]:
    return {
        **shown("key", item.key),
        **shown("value", item.value),
        "create_revision": item.create_revision,
        "mod_revision": item.mod_revision,
        "version": item.version,
        "session": item.session,
    }


def _get(given: Given) -> int:
    key = _key(given["key"])
    found = kv.get(fast.asking(given), key, stale=bool(given["stale"]), min_revision=given["min_revision"])
    code = FAILED if found.item is None else DONE
    if given.is_json():
        item = _item(found.item) if found.item is not None else None
        outcome = "absent" if item is None else "found"
        plain.json_line({**fast.head("kv-get", outcome, code), **shown("key", key), "revision": found.revision, "item": item})
    elif found.item is not None:
        plain.data(found.item.value)
    elif not given["quiet"]:
        plain.note(f"coordctl: there is no key {given['key']}")
    return code


def _list(given: Given) -> int:
    prefix = os.fsencode(given["prefix"] or "")
    asking = fast.asking(given)
    start, end, more, count = prefix, prefix_end(prefix), True, 0
    while more:
        _, items, more = kv.page(asking, start, end, keys_only=not given.is_json(), stale=bool(given["stale"]))
        for item in items:
            if given.is_json():
                plain.json_line({**fast.head("kv-ls", "found", DONE), **_item(item)})
            else:
                plain.data(item.key + b"\n")
        count += len(items)
        if more:
            start = items[-1].key + b"\0"
    return DONE if count else FAILED


def _put(given: Given) -> int:
    key, value, said = _key(given["key"]), content(given["value"]), request_id(given)
    asking = fast.asking(given)
    revision = surely(said, lambda: kv.put(asking, key, value, said), remembers=asking.remembers)
    if given.is_json():
        plain.json_line({**fast.head("kv-put", "done", DONE), **shown("key", key), "revision": revision, "request_id": said})
    elif not given["quiet"]:
        plain.line(f"revision {revision}")
    return DONE


def _delete(given: Given) -> int:
    key, said, asking = _key(given["key"]), request_id(given), fast.asking(given)
    revision, existed = surely(said, lambda: kv.delete(asking, key, said), remembers=asking.remembers)
    if given.is_json():
        outcome = "deleted" if existed else "absent"
        plain.json_line({**fast.head("kv-del", outcome, DONE), **shown("key", key), "revision": revision, "request_id": said})
    elif not given["quiet"]:
        plain.line(f"deleted at revision {revision}" if existed else "was not there")
    return DONE


def _cas(given: Given) -> int:
    if ("prev_revision" in given) + ("prev_value" in given) + bool(given["absent"]) != 1:
        raise BadRequest("give exactly one of --prev-revision, --prev-value and --absent")
    key, value, said = _key(given["key"]), content(given["value"]), request_id(given)
    prev_value = content(given["prev_value"]) if "prev_value" in given else None
    asking = fast.asking(given)
    revision, was_set, there = surely(
        said,
        lambda: kv.compare_and_set(asking, key, value, said, prev_revision=given["prev_revision"], prev_value=prev_value),
        remembers=asking.remembers,
    )
    code = DONE if was_set else FAILED
    if given.is_json():
        head = fast.head("kv-cas", "done" if was_set else "different", code)
        found = _item(there) if there is not None else None
        plain.json_line({**head, **shown("key", key), "revision": revision, "request_id": said, "found": found})
    elif was_set:
        if not given["quiet"]:
            plain.line(f"revision {revision}")
    elif there is None:
        plain.note(f"coordctl: nothing was changed: there is no key {given['key']}")
    else:
        plain.note(f"coordctl: nothing was changed: {given['key']} was last changed at revision {there.mod_revision}")
    return code


def _watch(given: Given) -> int:
    from coordctl.operations.watching import Watched  # runs for long: it may take its time to start

    cluster = chosen(given["endpoints"], given["cluster"])
    prefix, key = os.fsencode(given["prefix"] or ""), os.fsencode(given["key"]) if "key" in given else None
    with Watched(cluster, prefix, key, given["from_revision"], given["timeout"]) as watched:
        if not given["quiet"]:
            plain.note(f"watching from revision {watched.begins_at} on")
        for count, change in enumerate(watched.changes(), 1):
            for event in change.events:
                if given.is_json():
                    last = event is change.events[-1]
                    value = shown("value", event.value)
                    plain.json_line(
                        {
                            **fast.head("kv-watch", "changed", DONE),
                            "revision": change.revision,
                            "is_last_of_revision": last,
                            "kind": event.kind,
                            **shown("key", event.key),
                            **value,
                            "version": event.version,
                            "session": event.session,
                        }
                    )
                else:
                    words = [str(change.revision).encode(), event.kind.encode(), event.key, event.value]
                    plain.data(b" ".join(words[: 4 if event.kind == "put" else 3]) + b"\n")
            plain.flush()
            if count == given["count"]:
                break
    return DONE


COMMANDS = {
    "get": Command(GET, _get, Kind.QUERY),
    "put": Command(PUT, _put, Kind.ACTION),
    "del": Command(DELETE, _delete, Kind.ACTION),
    "ls": Command(LIST, _list, Kind.QUERY),
    "cas": Command(CAS, _cas, Kind.ACTION),
    "watch": Command(WATCH, _watch, Kind.QUERY),
}
