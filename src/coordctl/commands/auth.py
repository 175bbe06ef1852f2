"""`coordctl auth`: role, user and token, each with ls, add, remove. Starts fast, like kv."""

from __future__ import annotations

import os
from hashlib import sha256

from coordctl.commands import fast
from coordctl.commands.asked import REQUEST_ID, content, request_id, surely
from coordctl.commands.fast import ACTION, QUERY, Command
from coordctl.flags import Flag, Given, Verb, near
from coordctl.hot import auth
from coordctl.report import plain
from coordctl.report.exits import DONE, FAILED, REFUSED, Kind
from coordnode.errors import BadRequest, Conflict, Missing

REASON = Flag(("--reason",), "why; kept in the audit log", "TEXT", default="")
ROLES = Flag(("--role",), "roles that the user has, with commas; `admin` may do everything", "NAMES", default="")
OPEN = Flag(
    ("--accept",), "`no-roles`: to remove the last one, after which everybody who can connect may do everything", "RISK", default=""
)
NOTE = Flag(("--note",), "what it is for; shown in lists", "TEXT", default="")

GRANTS = """A GRANT is AREA:LEVEL, or AREA:LEVEL:PREFIX for names that begin with PREFIX; several of them with commas.
Areas: kv, lock, elect, group, queue, shard, barrier, counter, journal; `all` is all of these. admin is the cluster itself: sessions,
status, membership, this. Levels: read, use, manage; each includes those before it."""

ROLE_LIST = Verb("auth role ls", (), "List the roles and what they grant.", QUERY)
ROLE_ADD = Verb(
    "auth role add",
    ("NAME", "GRANTS"),
    f"Make a role, or replace what it grants.\n{GRANTS}\n"
    "With the first role everybody needs one: add a user with `--role admin` and a token for it first.",
    ACTION,
    (REASON, REQUEST_ID),
)
ROLE_REMOVE = Verb("auth role remove", ("NAME",), "Remove a role that no user has any more.", ACTION, (OPEN, REASON, REQUEST_ID))
USER_LIST = Verb("auth user ls", (), "List the users, their roles and how many tokens they have.", QUERY)
USER_ADD = Verb(
    "auth user add",
    ("NAME",),
    "Make a user, or replace the roles it has.\nA client certificate of that name stands for it; so does each of its tokens.",
    ACTION,
    (ROLES, REASON, REQUEST_ID),
)
USER_REMOVE = Verb("auth user remove", ("NAME",), "Remove a user, and all its tokens.", ACTION, (REASON, REQUEST_ID))
TOKEN_LIST = Verb("auth token ls", (), "List the tokens, by ID; what they are is known to nobody but their users.", QUERY)
TOKEN_ADD = Verb(
    "auth token add",
    ("USER", "[TOKEN]"),
    "Draw a token for a user and print it, once: the cluster keeps only its digest.\n"
    "COORD_AUTH_TOKEN_FILE names a file with it. TOKEN: `-` or @FILE, to add one that was drawn elsewhere.",
    ACTION,
    (NOTE, REASON, REQUEST_ID),
)
TOKEN_REMOVE = Verb("auth token remove", ("ID",), "Remove a token: who shows it is nobody from then on.", ACTION, (REASON, REQUEST_ID))


def main(argv: list[str]) -> int:
    """Verbs here have two words."""
    if argv[:1] and argv[0] in THINGS and argv[1:] and not argv[1].startswith("-"):
        argv = [f"{argv[0]} {argv[1]}", *argv[2:]]
    return fast.dispatch("auth", COMMANDS, argv)


def _grants(text: str) -> list[list[object]]:
    found: list[list[object]] = []
    for part in text.split(","):
        area, _, rest = part.partition(":")
        level, _, prefix = rest.partition(":")
        if area not in (*auth.AREAS, "all"):
            raise BadRequest(f"{part!r}: no area {area}{near(area, auth.AREAS)}; there are: all, {', '.join(auth.AREAS)}")
        if level not in auth.LEVELS:
            raise BadRequest(f"{part!r}: no level {level!r}{near(level, auth.LEVELS)}; there are: {', '.join(auth.LEVELS)}")
        areas = [place for place, name in enumerate(auth.AREAS) if area == name or (area == "all" and name != "admin")]
        found += [[place, auth.LEVELS.index(level), os.fsencode(prefix)] for place in areas]
    return found


def _changed(given: Given, schema: str, name: str, tag: int, *fields: object) -> int:
    said = request_id(given)
    try:
        is_new = surely(said, lambda: auth.change(fast.asking(given), tag, *fields, request_id=said))
    except Conflict as error:  # it would lock somebody out, or let everybody in
        plain.note(f"coordctl: {error.sentence}")
        return REFUSED
    outcome = "done" if is_new else "unchanged"
    if given.is_json():
        plain.json_line({**fast.head(schema, outcome, DONE), "name": name, "request_id": said})
    elif not given["quiet"]:
        plain.line(outcome if is_new else f"{name} was so already")
    return DONE


def _role_list(given: Given) -> int:
    for role in auth.roles(fast.asking(given)):
        grants = [grant.shown() for grant in role.grants]
        if given.is_json():
            plain.json_line({**fast.head("auth-role-ls", "found", DONE), "name": role.name, "grants": grants})
        else:
            plain.line(f"{role.name:20}  {'everything' if role.name == 'admin' else ' '.join(grants)}")
    return DONE


def _role_add(given: Given) -> int:
    return _changed(given, "auth-role-add", given["name"], auth.SET_ROLE, given["name"], _grants(given["grants"]), given["reason"])


def _role_remove(given: Given) -> int:
    if given["accept"] not in ("", "no-roles"):
        raise BadRequest(f"--accept {given['accept']}: the only risk here is no-roles")
    return _changed(
        given, "auth-role-remove", given["name"], auth.REMOVE_ROLE, given["name"], given["accept"] == "no-roles", given["reason"]
    )


def _user_list(given: Given) -> int:
    count = 0
    for user in auth.users(fast.asking(given)):
        if given.is_json():
            plain.json_line({**fast.head("auth-user-ls", "found", DONE), **user._asdict()})
        else:
            if not count:
                plain.line(f"{'USER':20}  {'TOKENS':>6}  ROLES")
            plain.line(f"{user.name:20}  {user.tokens:>6}  {' '.join(user.roles) or '-'}")
        count += 1
    return DONE if count else FAILED


def _user_add(given: Given) -> int:
    roles = [name for name in given["role"].split(",") if name]
    return _changed(given, "auth-user-add", given["name"], auth.SET_USER, given["name"], roles, given["reason"])


def _user_remove(given: Given) -> int:
    return _changed(given, "auth-user-remove", given["name"], auth.REMOVE_USER, given["name"], given["reason"])


def _token_list(given: Given) -> int:
    count = 0
    for token in auth.tokens(fast.asking(given)):
        since = time_shown(token.since_wall_ms)
        if given.is_json():
            row = {"id": token.id(), "user": token.user, "note": token.note, "since": since, "sha256": token.digest.hex()}
            plain.json_line({**fast.head("auth-token-ls", "found", DONE), **row})
        else:
            if not count:
                plain.line(f"{'ID':8}  {'USER':20}  {'SINCE':20}  NOTE")
            plain.line(f"{token.id():8}  {token.user:20}  {since:20}  {token.note}")
        count += 1
    return DONE if count else FAILED


def _token_add(given: Given) -> int:
    said, drawn = request_id(given), ""
    if "token" in given:
        token = content(given["token"]).decode(errors="replace").strip()
        if given["token"] not in ("-",) and not given["token"].startswith("@"):
            raise BadRequest("a token in an argument list can be read by everybody on this machine: give - or @FILE")
        if len(token) < MIN_LETTERS:
            raise BadRequest(f"a token of {len(token)} letters can be guessed: give at least {MIN_LETTERS}, drawn at random")
    else:
        token = drawn = f"coord_{os.urandom(24).hex()}"
    digest = sha256(token.encode()).digest()
    asking = fast.asking(given)
    fields = (given["user"], digest, given["note"], given["reason"])
    surely(said, lambda: auth.change(asking, auth.ADD_TOKEN, *fields, request_id=said))
    if given.is_json():
        row = {"id": digest[:4].hex(), "user": given["user"], "token": drawn or None, "request_id": said}
        plain.json_line({**fast.head("auth-token-add", "done", DONE), **row})
    elif drawn:
        plain.line(drawn)
    return DONE


def _token_remove(given: Given) -> int:
    asking = fast.asking(given)
    found = [token for token in auth.tokens(asking) if token.digest.hex().startswith(given["id"].lower())]
    if not found or len(given["id"]) < 8:
        raise Missing(f"there is no token {given['id']}; `coordctl auth token ls` shows their IDs")
    if len(found) > 1:
        raise BadRequest(f"{len(found)} tokens begin with {given['id']}: give more of what `auth token ls -o json` shows as sha256")
    return _changed(given, "auth-token-remove", found[0].id(), auth.REMOVE_TOKEN, found[0].digest, given["reason"])


def time_shown(unix_ms: int) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(unix_ms / 1000))


MIN_LETTERS = 32
THINGS = ("role", "user", "token")
COMMANDS = {
    "role ls": Command(ROLE_LIST, _role_list, Kind.QUERY),
    "role add": Command(ROLE_ADD, _role_add, Kind.ACTION),
    "role remove": Command(ROLE_REMOVE, _role_remove, Kind.ACTION),
    "user ls": Command(USER_LIST, _user_list, Kind.QUERY),
    "user add": Command(USER_ADD, _user_add, Kind.ACTION),
    "user remove": Command(USER_REMOVE, _user_remove, Kind.ACTION),
    "token ls": Command(TOKEN_LIST, _token_list, Kind.QUERY),
    "token add": Command(TOKEN_ADD, _token_add, Kind.ACTION),
    "token remove": Command(TOKEN_REMOVE, _token_remove, Kind.ACTION),
}
