"""Roles, users, tokens, whose a session is, and the chain of who changed what: nothing locks everybody out, nothing is rewritten unseen."""

from hashlib import sha256

import msgspec
import pytest

from coordnode.errors import BadRequest, Conflict, Full, Missing
from coordnode.services.auth import audit
from coordnode.services.auth.audit import chained
from coordnode.services.auth.permits import Permit
from coordnode.services.auth.service import ADMIN_GRANTS, USER_TOKENS_MAX
from coordnode.services.callers import Caller
from coordnode.services.commands import (
    AddToken,
    AuditPage,
    AuditRecord,
    CloseSession,
    Done,
    Failure,
    Grant,
    ListRoles,
    ListTokens,
    ListUsers,
    ReadAudit,
    ReadOperation,
    RemoveRole,
    RemoveToken,
    RemoveUser,
    Result,
    RoleInfo,
    RolePage,
    SetRole,
    SetUser,
    TokenPage,
    UserInfo,
    UserPage,
    decode_result,
)
from coordnode.services.rights import ADMIN, KV, MANAGE, READ, USE

from .driven import Driven, alone, opening

OPERATOR = {"by": "cert:operator", "place": "10.0.0.7:40000"}
DIGEST = sha256(b"ann's token").digest()


def read(driven: Driven, operation: ReadOperation) -> Result:
    return decode_result(driven.machine.read(operation))


def audited(driven: Driven) -> list[AuditRecord]:
    page = read(driven, ReadAudit())
    assert isinstance(page, AuditPage)
    return page.records


def refused(driven: Driven, operation: object, error: type[Exception]) -> str:
    result = driven.one(alone(operation))  # type: ignore[arg-type]
    assert isinstance(result, Failure)
    assert result.code == error.code  # type: ignore[attr-defined]
    return result.sentence


def with_admin() -> Driven:
    driven = Driven()
    driven.apply(alone(SetUser("ann", ("admin",), by="unproven:me")), alone(AddToken("ann", DIGEST, "laptop", by="unproven:me")))
    return driven


def test_what_was_set_is_listed_and_set_again_changes_nothing() -> None:
    driven = with_admin()
    grants = (Grant(KV, USE, b"app/"), Grant(ADMIN, READ))
    assert driven.one(alone(SetRole("app", grants, by="token:ann"))) == Done(0)
    assert driven.one(alone(SetRole("app", grants, by="token:ann"))) == Done(0, 0)
    assert driven.one(alone(SetUser("bob", ("app",), by="token:ann"))) == Done(0)
    assert read(driven, ListRoles()) == RolePage(0, [RoleInfo("admin", ADMIN_GRANTS), RoleInfo("app", grants)], False)
    assert read(driven, ListUsers(limit=1)) == UserPage(0, [UserInfo("ann", ("admin",), 1)], True)
    assert read(driven, ListUsers("ann", 1)) == UserPage(0, [UserInfo("bob", ("app",), 0)], False)
    tokens = read(driven, ListTokens())
    assert isinstance(tokens, TokenPage)
    assert [(token.digest, token.user, token.note) for token in tokens.tokens] == [(DIGEST, "ann", "laptop")]
    assert len(audited(driven)) == 4, "what changes nothing is not written down"


def test_the_first_role_is_refused_while_nobody_could_take_it_back() -> None:
    driven = Driven()
    role = SetRole("app", (Grant(KV, READ),), by="unproven:me")
    assert "nobody could change this again" in refused(driven, role, Conflict)
    assert not driven.machine.auth.is_on()
    driven.apply(alone(SetUser("ann", ("admin",), by="unproven:me")))
    assert "nobody could change this again" in refused(driven, role, Conflict), "an administrator without a token proves nothing"
    driven.apply(alone(AddToken("ann", DIGEST, by="unproven:me")))
    assert driven.one(alone(role)) == Done(0)
    assert driven.machine.auth.is_on()


@pytest.mark.parametrize("operation", [RemoveUser("ann"), RemoveToken(DIGEST), SetUser("ann", ())])
def test_the_last_who_may_change_roles_stays(operation: RemoveUser | RemoveToken | SetUser) -> None:
    driven = with_admin()
    driven.apply(alone(SetRole("app", (Grant(KV, READ),), by="token:ann")))
    before = driven.machine.state_bytes
    assert "nobody could change this again" in refused(driven, msgspec.structs.replace(operation, by="token:ann"), Conflict)
    assert driven.machine.state_bytes == before
    assert read(driven, ListUsers()) == UserPage(0, [UserInfo("ann", ("admin",), 1)], False)
    by_operator = msgspec.structs.replace(operation, **OPERATOR)
    assert driven.one(alone(by_operator)) == Done(0), "that certificate gets in whatever is changed"


def test_a_role_with_users_and_the_last_one_are_not_removed_by_mistake() -> None:
    driven = with_admin()
    driven.apply(alone(SetRole("app", (Grant(KV, READ),), **OPERATOR)), alone(SetUser("bob", ("app",), **OPERATOR)))
    assert refused(driven, RemoveRole("app", True, **OPERATOR), Conflict) == "user bob has role app; give that user other roles first"
    driven.apply(alone(SetUser("bob", (), **OPERATOR)))
    assert "is the last role" in refused(driven, RemoveRole("app", **OPERATOR), Conflict)
    assert driven.one(alone(RemoveRole("app", True, **OPERATOR))) == Done(0)
    assert not driven.machine.auth.is_on()
    refused(driven, RemoveRole("app", True, **OPERATOR), Missing)


def test_a_user_takes_its_tokens_along_and_has_a_bounded_number() -> None:
    driven = with_admin()
    driven.apply(alone(SetUser("bob", (), **OPERATOR)))
    for number in range(USER_TOKENS_MAX):
        assert driven.one(alone(AddToken("bob", bytes([number]) * 32, **OPERATOR))) == Done(0)
    refused(driven, AddToken("bob", b"x" * 32, **OPERATOR), Full)
    refused(driven, AddToken("bob", DIGEST, **OPERATOR), Conflict)
    refused(driven, AddToken("eve", b"x" * 32, **OPERATOR), Missing)
    assert driven.machine.auth.user_of(bytes([3]) * 32) == "bob"
    driven.apply(alone(RemoveUser("bob", **OPERATOR)))
    assert driven.machine.auth.user_of(bytes([3]) * 32) is None
    refused(driven, RemoveToken(bytes([3]) * 32, **OPERATOR), Missing)


def test_what_was_charged_is_given_back() -> None:
    driven = Driven()
    kept = driven.machine.state_bytes
    driven.apply(
        alone(SetRole("app", (Grant(KV, READ, b"app/"),), **OPERATOR)),
        alone(SetUser("bob", ("app",), **OPERATOR)),
        alone(AddToken("bob", DIGEST, "note", **OPERATOR)),
        alone(SetUser("bob", (), **OPERATOR)),
        alone(RemoveUser("bob", **OPERATOR)),
        alone(RemoveRole("app", True, **OPERATOR)),
    )
    noted = sum([audit._charge(record) for record in audited(driven)])
    assert driven.machine.state_bytes - kept == noted


@pytest.mark.parametrize(
    "operation",
    [
        SetRole("admin", (Grant(KV, READ),)),
        SetRole("", (Grant(KV, READ),)),
        SetRole("a b", (Grant(KV, READ),)),
        SetRole("é", (Grant(KV, READ),)),
        SetRole("app", ()),
        SetRole("app", (Grant(99, READ),)),
        SetRole("app", (Grant(KV, 3),)),
        SetRole("app", (Grant(ADMIN, READ, b"app/"),)),
        SetUser("operator", ()),
        SetUser("member:7", ()),
        SetUser("ann", ("app", "app")),
        AddToken("ann", b"short"),
        AddToken("ann", DIGEST, "two\nlines"),
        SetRole("app", (Grant(KV, READ),), "two\nlines"),
    ],
)
def test_what_makes_no_sense_is_refused(operation: SetRole | SetUser | AddToken) -> None:
    refused(with_admin(), operation, BadRequest)


# --- sessions --------------------------------------------------------------------------------------------------------


def test_a_session_is_its_users_until_it_ends() -> None:
    driven = Driven()
    driven.apply(opening(1, user="ann"), opening(2))
    auth = driven.machine.auth
    assert [auth.owner_of(1), auth.owner_of(2), auth.owner_of(3), auth.owner_of(-1)] == ["ann", "", "", ""]
    driven.apply(alone(CloseSession(1)), alone(CloseSession(2)))
    assert auth.owner_of(1) == ""


# --- the chain of changes --------------------------------------------------------------------------------------------


def test_each_record_says_what_was_and_what_is_and_names_the_one_before() -> None:
    driven = with_admin()
    driven.apply(alone(SetRole("app", (Grant(KV, READ),), "new team", **OPERATOR)))
    driven.apply(alone(SetRole("app", (Grant(KV, USE, b"app/"),), "too much", by="token:ann", place="10.0.0.8:1")))
    records = audited(driven)
    shown = [(record.number, record.by, record.place, record.what, record.before, record.after, record.reason) for record in records[2:]]
    assert shown == [
        (3, "cert:operator", "10.0.0.7:40000", "role app", "", "kv:read", "new team"),
        (4, "token:ann", "10.0.0.8:1", "role app", "kv:read", "kv:use:app/", "too much"),
    ]
    assert [record.previous for record in records] == [b"", *[record.chain for record in records[:-1]]]
    assert all([record.chain == chained(record) for record in records])
    assert chained(msgspec.structs.replace(records[2], before="x")) != records[2].chain
    assert DIGEST.hex() not in repr(records), "not even a token's whole digest is shown to whoever reads what happened"


def test_only_the_newest_are_kept_and_the_chain_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "RECORDS_MAX", 3)
    driven = Driven()
    for number in range(5):
        driven.apply(alone(SetUser(f"user-{number}", (), **OPERATOR)))
    records = audited(driven)
    assert [record.number for record in records] == [3, 4, 5]
    assert [record.previous for record in records[1:]] == [record.chain for record in records[:-1]]
    page = read(driven, ReadAudit(3, 1))
    assert isinstance(page, AuditPage)
    assert ([record.number for record in page.records], page.more) == ([4], True)


# --- who is who ------------------------------------------------------------------------------------------------------


def test_a_token_decides_before_a_certificate_and_an_unknown_one_is_nobodys() -> None:
    auth = with_admin().machine.auth
    assert Permit(auth, Caller(user="bob")).by == "cert:bob"
    assert Permit(auth, Caller(user="bob", token=DIGEST)).by == "token:ann"
    assert Permit(auth, Caller(name="me\n" + "x" * 90)).by == "unproven:me?" + "x" * 57
    unknown = Permit(auth, Caller(user="operator", token=b"?" * 32))
    assert (unknown.user, unknown.may_all) == ("", False), "a wrong token is wrong also while nobody needs one"
    assert "not known here" in unknown.refusal


def test_the_operator_and_members_may_everything_whatever_the_roles_say() -> None:
    driven = Driven()
    driven.apply(alone(SetRole("app", (Grant(KV, MANAGE),), **OPERATOR)))
    auth = driven.machine.auth
    assert [Permit(auth, Caller(user=user)).may_all for user in ("operator", "member:7", "ann", "")] == [True, True, False, False]
