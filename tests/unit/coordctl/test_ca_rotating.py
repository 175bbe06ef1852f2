"""An authority is replaced in three stages, each of which can be begun again; what was revoked is on a list."""

from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from cryptography import x509

from coordctl.authority import making
from coordctl.authority.files import BOTH, SETTLED, SIGNS, Authority
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
    authority.issue_all(10)
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

    def push(self, *, is_dry: bool) -> Worked:
        assert not is_dry
        if len(self.stages) == self.fails_at:
            self.fails_at = -1
            return Worked("failed", 69, "n2 cannot be reached", [], 1)
        self.stages.append(self.authority.stage())
        return Worked("done", 0, "well", [], 1)


@pytest.fixture
def brought(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Brought:
    made = Brought(authority)
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
