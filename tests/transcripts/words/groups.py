"""Words of groups.

join GROUP [MEMBER] [data=TEXT] [labels=KEY:VALUE;…] [weight=N] | update GROUP MEMBER … | leave GROUP MEMBER
view GROUP | groups [PREFIX] | find PREFIX KEY=VALUE | KEY!=VALUE | KEY | !KEY …
"""

from coordnode.services.commands import (
    GROUPS,
    HAS,
    HAS_NOT,
    IS,
    IS_NOT,
    MEMBER_JOINED,
    MEMBER_UPDATED,
    Event,
    FindMembers,
    GetGroup,
    GroupChanged,
    GroupPage,
    GroupView,
    JoinGroup,
    LeaveGroup,
    ListGroups,
    Member,
    MemberPage,
    Require,
    Result,
    UpdateMember,
    decode_member,
)


def labels_of(text: str) -> tuple[tuple[str, str], ...]:
    return tuple([(key, value) for key, _, value in (part.partition(":") for part in text.split(";") if part)])


def require(text: str) -> Require:
    key, equals, value = text.partition("=")
    if equals:
        return Require(key.removesuffix("!"), IS_NOT if key.endswith("!") else IS, value)
    return Require(text.removeprefix("!"), HAS_NOT if text.startswith("!") else HAS)


def parse(verb: str, words: list[str]) -> object | None:
    plain = [word.encode() for word in words if "=" not in word]
    said = dict(word.split("=", 1) for word in words if "=" in word) if verb in ("join", "update") else {}
    data = said["data"].encode() if "data" in said else None
    labels = labels_of(said["labels"]) if "labels" in said else None
    weight = int(said["weight"]) if "weight" in said else None
    match verb:
        case "join":
            return JoinGroup(plain[0], plain[1] if plain[1:] else b"", data or b"", labels or (), 1 if weight is None else weight)
        case "update":
            return UpdateMember(plain[0], plain[1], data, labels, weight)
        case "leave":
            return LeaveGroup(plain[0], plain[1])
        case "view":
            return GetGroup(plain[0])
        case "groups":
            return ListGroups(*plain)
        case "find":
            return FindMembers(words[0].encode(), [require(word) for word in words[1:]])
    return None


def show_member(member: Member) -> str:
    about = [f"session {member.session}"]
    if member.data:
        about.append(repr(member.data.decode()))
    about += [f"{key}={value}" for key, value in member.labels]
    if member.weight != 1:
        about.append(f"weight {member.weight}")
    return f"{member.name.decode()} ({', '.join(about)}, joined in view {member.joined})"


def show(result: Result) -> list[str] | None:
    match result:
        case GroupChanged():
            return [f"{result.member.decode()}: view {result.view}"]
        case GroupView():
            lines = [f"at revision {result.revision}: view {result.view}, {len(result.members)} members"]
            return lines + [f"  {show_member(member)}" for member in result.members]
        case GroupPage():
            return [f"{group.name.decode()}: view {group.view}, {group.members} members" for group in result.groups] or ["no group"]
        case MemberPage():
            return [f"{found.group.decode()}: {show_member(found.member)}" for found in result.members] or ["nobody"]
    return None


def show_event(event: Event) -> str | None:
    if event.space != GROUPS:
        return None
    what = "joined" if event.kind == MEMBER_JOINED else "updated" if event.kind == MEMBER_UPDATED else "left"
    return f"group {event.key.decode()}: {what}: {show_member(decode_member(event.value))}"
