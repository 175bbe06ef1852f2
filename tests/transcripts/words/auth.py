"""Words of who may do what.

role NAME AREA:LEVEL[:PREFIX] … by=WHO [why=TEXT] | drop-role NAME by=WHO [opens] | user NAME ROLE … by=WHO | drop-user NAME by=WHO |
token USER LETTER by=WHO | drop-token LETTER by=WHO | roles | users | tokens | audit
"""

from coordnode.services.auth.service import shown_grant
from coordnode.services.commands import (
    AddToken,
    AuditPage,
    Event,
    Grant,
    ListRoles,
    ListTokens,
    ListUsers,
    ReadAudit,
    RemoveRole,
    RemoveToken,
    RemoveUser,
    Result,
    RolePage,
    SetRole,
    SetUser,
    TokenPage,
    UserPage,
)
from coordnode.services.rights import AREAS, LEVELS


def parse(verb: str, words: list[str]) -> object | None:
    named = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    by, why = named.get("by", ""), named.get("why", "")
    match verb:
        case "role":
            return SetRole(plain[0], tuple([_grant(word) for word in plain[1:]]), why, by)
        case "drop-role":
            return RemoveRole(plain[0], plain[1:] == ["opens"], why, by)
        case "user":
            return SetUser(plain[0], tuple(plain[1:]), why, by)
        case "drop-user":
            return RemoveUser(plain[0], why, by)
        case "token":
            return AddToken(plain[0], plain[1].encode() * 32, "", why, by)
        case "drop-token":
            return RemoveToken(plain[0].encode() * 32, why, by)
        case "roles" | "users" | "tokens" | "audit":
            return {"roles": ListRoles(), "users": ListUsers(), "tokens": ListTokens(), "audit": ReadAudit()}[verb]
    return None


def _grant(text: str) -> Grant:
    area, level, *prefix = text.split(":", 2)
    return Grant(AREAS.index(area), LEVELS.index(level), "".join(prefix).encode())


def show(result: Result) -> list[str] | None:
    match result:
        case RolePage():
            shown = [(role.name, " ".join(shown_grant(grant) for grant in role.grants)) for role in result.roles]
            return [f"{name}: {'everything' if name == 'admin' else grants}" for name, grants in shown]
        case UserPage():
            return [f"{user.name}: {' '.join(user.roles) or 'no role'}, {user.tokens} tokens" for user in result.users] or ["no users"]
        case TokenPage():
            return [f"{token.digest[:1].decode()} of {token.user}" for token in result.tokens] or ["no tokens"]
        case AuditPage():
            return [
                f"{record.number} by {record.by}: {record.what}: {record.before or 'nothing'} -> {record.after or 'nothing'}"
                + (f" ({record.reason})" if record.reason else "")
                for record in result.records
            ]
    return None


def show_event(event: Event) -> str | None:
    return None
