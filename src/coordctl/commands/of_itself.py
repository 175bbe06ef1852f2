"""What a member of a group says of itself, as flags of the verbs that join or change one."""

from coordctl.commands.asked import content
from coordctl.flags import Flag, Given, whole_number
from coordnode.errors import BadRequest

DATA = Flag(("--data",), "what others shall know of it: an address, a version; - and @FILE as for kv put", "TEXT")
LABELS = Flag(("--labels",), "to be found by: key=value, more with commas", "LIST")
WEIGHT = Flag(("--weight",), "its share of what is assigned over the group; 0: none (default 1)", "N", whole_number)
ABOUT = (DATA, LABELS, WEIGHT)


def said_data(given: Given) -> bytes | None:
    return None if given["data"] is None else content(given["data"])


def said_labels(given: Given) -> dict[str, str] | None:
    if given["labels"] is None:
        return None
    labels: dict[str, str] = {}
    for part in filter(None, given["labels"].split(",")):
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise BadRequest(f"--labels {part!r}: give key=value, more with commas")
        if key in labels:
            raise BadRequest(f"--labels: {key} is given twice; give each key once")
        labels[key] = value
    return labels


def about(given: Given) -> tuple[bytes, dict[str, str], int]:
    """What a member that joins says of itself: data, labels, weight."""
    return said_data(given) or b"", said_labels(given) or {}, 1 if given["weight"] is None else given["weight"]
