"""An authority is replaced in three stages, each of which can be begun again; what was revoked is on a list."""

import os
from collections.abc import Callable
from functools import cache
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from cryptography import x509

from coordctl.authority import files, making
from coordctl.authority.files import BOTH, SETTLED, SIGNS, Authority
from coordctl.authority.making import Pair
from coordctl.inventory.model import Inventory
from coordctl.operations import certificates, rotating
from coordctl.operations.running import Worked
from coordnode.errors import BadRequest
from coordnode.net.tls import Tls, ends_of


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(str(tmp_path / "test.ca"))
    made.init("test")
    made.member("n1", 1, 10)
    made.client("ops", 10)
    return made


def folder(authority: Authority, kind: str, name: str) -> Path:
    return Path(authority.folder) / kind / name


def certificate(authority: Authority, kind: str = "members", name: str = "n1") -> bytes:
    return (folder(authority, kind, name) / "certificate.pem").read_bytes()


def test_at_each_stage_everybody_believes_whatever_anybody_shows(authority: Authority) -> None:
    old = authority.certificate()
    assert authority.stage() == SETTLED
    authority.believe_next("test")
    assert authority.stage() == BOTH
    first, new = making.split(authority.certificate())
    assert first == old
    for kind, name in (("members", "n1"), ("clients", "ops")):
        assert making.split((folder(authority, kind, name) / "ca.pem").read_bytes()) == [old, new]
        assert making.is_issued_by(certificate(authority, kind, name), old)
    authority.member("n2", 2, 10)
    assert making.is_issued_by(certificate(authority, "members", "n2"), old), "the old one signs as long as not everybody believes the new"
    authority.sign_with_next(10)
    assert authority.stage() == SIGNS
    for kind, name in (("members", "n1"), ("members", "n2"), ("clients", "ops")):
        assert making.split((folder(authority, kind, name) / "ca.pem").read_bytes()) == [new, old]
        assert making.is_issued_by(certificate(authority, kind, name), new)
        assert not making.is_issued_by(certificate(authority, kind, name), old)
    authority.forget_old()
    assert authority.stage() == SETTLED
    assert authority.certificate() == (folder(authority, "members", "n1") / "ca.pem").read_bytes() == new
    assert not list(Path(authority.folder).glob("next*"))
    authority.client("late", 10)
    assert making.is_issued_by(certificate(authority, "clients", "late"), new)


def test_what_was_issued_anew_is_not_issued_again(authority: Authority) -> None:
    authority.believe_next("test")
    authority.sign_with_next(10)
    before = certificate(authority)
    assert not authority.complete(10)
    assert certificate(authority) == before


def test_a_second_stage_that_was_stopped_at_its_first_write_is_ended_by_the_next(authority: Authority) -> None:
    authority.believe_next("test")
    old, new = making.split(authority.certificate())
    (Path(authority.folder) / "ca.pem").write_bytes(new + old)  # and then the process ended
    assert authority.stage() == BOTH
    authority.sign_with_next(10)
    assert making.split(authority.certificate()) == [new, old]
    assert making.is_issued_by(certificate(authority), new)


def test_who_was_revoked_is_on_the_list_and_is_issued_another(authority: Authority) -> None:
    revoked = authority.revoke("member", "n1", "host stolen")
    assert authority.revoked().decode() == f"{revoked} member n1 host stolen\n"
    authority.member("n1", 1, 10)
    assert making.about(certificate(authority)).fingerprint != revoked
    authority.revoke("client", "ops", "")
    assert len(authority.revoked().splitlines()) == 2


@pytest.mark.parametrize("reason", ["stolen\nby whom?", "stolen\r", "a\x1b[31m", "a\u2028b"])
def test_a_reason_is_one_line_of_the_list(reason: str, authority: Authority) -> None:
    with pytest.raises(BadRequest, match="give one line of text"):
        authority.revoke("member", "n1", reason)
    assert authority.revoked() == b""


def test_a_member_reads_the_list_and_when_its_certificate_ends(authority: Authority) -> None:
    own = folder(authority, "members", "n1")
    tls = Tls(str(own))
    assert (tls.revoked, tls.ends_unix_s) == (frozenset(), making.about(certificate(authority)).ends_unix_s)
    (own / "revoked.txt").write_bytes((fingerprint := "ab" * 32).encode() + b" client lost, a laptop\n\n")
    tls.renew()
    assert tls.revoked == {fingerprint}
    (own / "revoked.txt").write_bytes(b"lost\n")
    with pytest.raises(BadRequest, match=r"revoked\.txt: each line begins with a certificate's SHA-256"):
        tls.renew()
    assert tls.revoked == {fingerprint}, "what cannot be read changes nothing"


@pytest.mark.parametrize("days", [1, 397, 3_650, 20_000, 40_000])
def test_the_end_is_read_from_whatever_form_it_has(days: int) -> None:
    """From 2050 on years have four digits."""
    made = making.client(making.authority("test"), "ops", days)
    assert (
        ends_of(x509.load_pem_x509_certificate(made.certificate).public_bytes(making.serialization.Encoding.DER))
        == making.about(made.certificate).ends_unix_s
    )


class Brought:
    """In place of the hosts: what every member's folder believes and shows whenever it is brought there; fails when it is told to."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.stages: list[str] = []
        self.fails_at = -1
        self._there = b""

    def push(self, *, is_dry: bool) -> Worked:
        assert not is_dry
        if len(self.stages) == self.fails_at:
            self.fails_at = -1
            return Worked("failed", 69, "n2 cannot be reached", [], 1)
        self.stages.append(self.authority.stage())
        there, self._there = self._there, self.authority.certificate() + certificate(self.authority)
        return Worked("unchanged" if there == self._there else "done", 0, "well", [], 1)


@pytest.fixture
def brought(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Brought:
    made = Brought(authority)
    made.push(is_dry=False)  # as it was deployed
    made.stages.clear()
    monkeypatch.setattr(rotating, "Configuring", lambda *_arguments: made)
    monkeypatch.setattr(certificates, "authority_of", lambda _inventory: authority)
    monkeypatch.setattr(certificates, "become_operator", lambda _inventory: None)
    return made


INVENTORY = cast(Inventory, SimpleNamespace(name="test", certificate_days=10, tls=True))


def rotated(*, through: bool = False) -> tuple[str, int, str]:
    done = rotating.rotate(INVENTORY, "", through, lambda _text: None)
    return done.outcome, done.exit_code, done.stage


def test_each_stage_reaches_every_member_before_the_next_begins(brought: Brought) -> None:
    assert rotated(through=True) == ("done", 0, SETTLED)
    assert [stage for stage, _ in groupby(brought.stages)] == [SETTLED, BOTH, SIGNS, SETTLED]


def test_with_clients_of_their_own_it_waits_after_each_stage(brought: Brought, authority: Authority) -> None:
    assert [rotated(), rotated(), rotated()] == [("begun", 0, BOTH), ("begun", 0, SIGNS), ("done", 0, SETTLED)]
    authority.revoke("client", "ops", "")
    brought.stages.clear()
    assert rotated() == ("done", 0, SETTLED), "whoever has every folder here need not wait"


def test_a_stage_that_did_not_reach_everybody_is_brought_again_before_the_next(brought: Brought) -> None:
    brought.fails_at = 1
    assert rotated(through=True) == ("failed", 69, BOTH)
    brought.stages.clear()
    assert rotated(through=True) == ("done", 0, SETTLED)
    assert brought.stages[0] == BOTH
    assert [stage for stage, _ in groupby(brought.stages)] == [BOTH, SIGNS, SETTLED]


def test_with_clients_of_their_own_it_waits_for_these_also_after_a_stage_that_an_earlier_run_began(brought: Brought) -> None:
    brought.fails_at = 1
    assert rotated() == ("failed", 69, BOTH)
    assert [rotated(), rotated(), rotated()] == [("begun", 0, BOTH), ("begun", 0, SIGNS), ("done", 0, SETTLED)]


# --- killed anywhere ------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


fits, is_issued_by, split = cache(making.fits), cache(making.is_issued_by), cache(making.split)  # asked the same a thousand times


class Fleet:
    """Members that have what they were brought last. Whoever is brought anything must be met, before and after, by all others."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.has: dict[str, tuple[bytes, Pair]] = {}
        self.push(is_dry=False)

    def push(self, *, is_dry: bool) -> Worked:
        assert not is_dry
        for number, name in enumerate(("n1", "n2", "n3"), 1):
            wanted = self.authority.certificate(), self.authority.member(name, number, 10)
            if self.has.get(name) != wanted:
                self.must_meet()
                self.has[name] = wanted
        self.must_meet()
        return Worked("done", 0, "well", [], 1)

    def must_meet(self) -> None:
        operator = Path(self.authority.client(certificates.OPERATOR, 10))
        pair = Pair((operator / "certificate.pem").read_bytes(), (operator / "key.pem").read_bytes())
        everybody = [*self.has.values(), ((operator / "ca.pem").read_bytes(), pair)]
        for believed, _ in everybody:
            for _, shown in everybody:
                assert fits(shown)
                assert any(is_issued_by(shown.certificate, one) for one in split(believed))


def counted(monkeypatch: pytest.MonkeyPatch, kills_at: int) -> list[int]:
    """Of changes to files: the one with this number is not made."""
    seen: list[int] = []

    def change(real: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments: object) -> None:
            seen.append(len(seen))
            if seen[-1] == kills_at:
                raise Killed
            real(*arguments)

        return changed

    monkeypatch.setattr(files, "_write", change(files._write))
    monkeypatch.setattr(files, "os", SimpleNamespace(**{**vars(os), "replace": change(os.replace), "unlink": change(os.unlink)}))
    return seen


def test_wherever_it_is_killed_the_next_run_ends_it_and_everybody_meets_everybody_at_any_moment(tmp_path: Path) -> None:
    kills_at, was_killed = 0, True
    while was_killed:
        authority = Authority(str(tmp_path / f"{kills_at}.ca"))
        authority.init("test")
        fleet = Fleet(authority)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(rotating, "Configuring", lambda *_arguments, fleet=fleet: fleet)
            patched.setattr(certificates, "authority_of", lambda _inventory, authority=authority: authority)
            patched.setattr(certificates, "become_operator", lambda _inventory: None)
            with pytest.MonkeyPatch.context() as killing:
                counted(killing, kills_at)
                try:
                    rotated(through=True)
                    was_killed = False
                except Killed:
                    pass
            fleet.must_meet()
            if was_killed:
                assert rotated(through=True) == ("done", 0, SETTLED)
        believed = {ca for ca, _ in fleet.has.values()}
        assert believed == {authority.certificate()}
        assert len(making.split(authority.certificate())) == 1
        kills_at += 1
    assert kills_at > 30  # changes to files that a rotation makes


@pytest.mark.parametrize("removed", [0, 1])
def test_whoever_was_revoked_gets_no_other_unasked_also_where_that_was_stopped(
    brought: Brought, authority: Authority, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    authority.client("ci", 10)
    with monkeypatch.context() as killing:
        counted(killing, 2 + removed)  # behind the list, which is two changes
        with pytest.raises(Killed):
            authority.revoke("client", "ops", "laptop stolen")
    before = certificate(authority, "clients", "ops")
    assert [one.name for one in certificates.renew(INVENTORY, []).certificates] == ["n1", "ci"]
    with pytest.raises(BadRequest, match="no certificate was made for ops; there are: n1, ci"):
        certificates.renew(INVENTORY, ["ops"])
    assert rotated(through=True) == ("done", 0, SETTLED)
    assert making.is_issued_by(certificate(authority, "clients", "ci"), authority.certificate())
    assert certificate(authority, "clients", "ops") == before
    authority.revoke("client", "ops", "laptop stolen")
    assert not (folder(authority, "clients", "ops") / "certificate.pem").exists()
