"""Words of assignments.

assign NAME GROUP SHARDS [REVOKE_MS] | configure NAME SHARDS | unassign NAME | release NAME SHARD +TOKEN
assignment NAME | assignments [PREFIX]

Tokens are shown, and given, as how many were granted before them: +0 is the first of the cluster's life.
"""

from coordnode.ids import Token
from coordnode.services.commands import (
    ASSIGNED,
    ASSIGNMENT_CONFIGURED,
    ASSIGNMENT_DELETED,
    NOTICES,
    REVOKING,
    SHARDS,
    AssignmentChanged,
    AssignmentPage,
    AssignmentView,
    ConfigureAssignment,
    CreateAssignment,
    DeleteAssignment,
    Event,
    GetAssignment,
    ListAssignments,
    OwnedShard,
    ReleaseShard,
    Result,
    ShardChange,
    decode_assignment_changed,
)
from tests.unit.services.driven import CREATED_UNIX_S

FIRST = CREATED_UNIX_S << 20


def parse(verb: str, words: list[str]) -> object | None:
    names = [word.encode() for word in words]
    match verb:
        case "assign":
            return CreateAssignment(names[0], names[1], *map(int, words[2:]))
        case "configure":
            return ConfigureAssignment(names[0], int(words[1]))
        case "unassign":
            return DeleteAssignment(names[0])
        case "release":
            return ReleaseShard(names[0], int(words[1]), Token(FIRST + int(words[2])))
        case "assignment":
            return GetAssignment(names[0])
        case "assignments":
            return ListAssignments(*names)
    return None


def show_owned(owned: OwnedShard) -> str:
    text = f"{owned.shard}: {owned.member.decode()} (session {owned.session}, token +{owned.token - FIRST})"
    return text if owned.revoke_left_ms is None else f"{text}, to be released within {owned.revoke_left_ms} ms"


def show(result: Result) -> list[str] | None:
    match result:
        case AssignmentView():
            free = result.shards - len([owned for owned in result.owned if owned.shard < result.shards])
            lines = [f"at revision {result.revision}: {result.shards} shards over group {result.group.decode()}, {free} without owner"]
            return lines + [f"  {show_owned(owned)}" for owned in result.owned]
        case AssignmentPage():
            return [
                f"{each.name.decode()}: {each.shards} shards over {each.group.decode()}, {each.owned} owned, {each.revoking} revoked"
                for each in result.assignments
            ] or ["no assignment"]
    return None


def show_change(change: ShardChange) -> str:
    what = "assigned to" if change.kind == ASSIGNED else "to be released by" if change.kind == REVOKING else "freed by"
    return f"{change.shard} {what} {change.member.decode()} (+{change.token - FIRST})"


def show_moves(changed: AssignmentChanged) -> str:
    return ", ".join(map(show_change, changed.changes))


def show_event(event: Event) -> str | None:
    if event.space == NOTICES and event.kind == SHARDS:
        changed = decode_assignment_changed(event.value)
        return f"to session {event.session}: {changed.name.decode()}: {show_moves(changed)}"
    if event.space != SHARDS:
        return None
    changed = decode_assignment_changed(event.value)
    if event.kind == ASSIGNMENT_CONFIGURED:
        return f"{changed.name.decode()} is set up"
    moves = show_moves(changed)
    return f"{changed.name.decode()} is deleted: {moves}" if event.kind == ASSIGNMENT_DELETED else f"{changed.name.decode()}: {moves}"
