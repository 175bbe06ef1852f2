"""A cluster's authority: what it makes, where, and what it never does twice or shows."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordctl.authority import files, making
from coordctl.authority.files import Authority
from coordctl.inventory.model import Inventory
from coordctl.inventory.reading import read
from coordctl.inventory.template import template
from coordctl.operations import certificates
from coordnode.errors import BadRequest, Conflict


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "fleet.toml"
    path.write_text(template("fleet", "dev", ["10.0.0.1"]))
    return read(str(path))


def test_one_authority_for_a_cluster_and_nobody_replaces_it(inventory: Inventory) -> None:
    with pytest.raises(BadRequest, match=r"ca\.pem: No such file or directory; make it with `coordctl ca init`"):
        certificates.show(inventory)
    certificates.init(inventory)
    with pytest.raises(Conflict, match="is an authority already; members that believe it would not believe another"):
        certificates.init(inventory)


def test_what_was_made_stays_until_it_is_renewed_or_is_for_another_id(inventory: Inventory) -> None:
    certificates.init(inventory)
    authority = certificates.authority_of(inventory)
    first = authority.member("n1", 5, 10)
    assert authority.member("n1", 5, 10) == first
    other = authority.member("n1", 6, 10)
    assert other != first
    made = certificates.issue(inventory, "ci", None)
    assert certificates.issue(inventory, "ci", None).certificate == made.certificate
    assert certificates.issue(inventory, "ci", 3).certificate.days_left == 2
    shown = {(one.kind, one.name): one for one in certificates.show(inventory).certificates}
    assert {key: one.uri for key, one in shown.items()} == {
        ("authority", "-"): "",
        ("member", "n1"): "urn:coordnode:member:6",
        ("client", "ci"): "urn:coordnode:client:ci",
    }
    renewed = certificates.renew(inventory, ["n1"]).certificates
    assert [one.uri for one in renewed] == ["urn:coordnode:member:6"]
    assert renewed[0].fingerprint != shown["member", "n1"].fingerprint
    assert renewed[0].days_left == 396
    with pytest.raises(BadRequest, match="no certificate was made for n9; there are: n1, ci"):
        certificates.renew(inventory, ["n9"])


def test_a_name_is_no_way_out_of_the_folder(inventory: Inventory) -> None:
    certificates.init(inventory)
    with pytest.raises(BadRequest, match="a client's name has up to 63"):
        certificates.issue(inventory, "../../etc", None)


def test_no_key_can_be_read_by_others_not_even_for_a_moment(inventory: Inventory) -> None:
    certificates.init(inventory)
    authority = Authority(inventory.beside("ca"))
    authority.member("n1", 1, 1)
    authority.client("ci", 1)
    keys = [*Path(authority.folder).rglob("*key*")]
    assert len(keys) == 3
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert Path(authority.folder).stat().st_mode & 0o777 == 0o700


# --- killed, or without room, in the midst of it --------------------------------------------------------------------


VERBS: dict[str, Callable[[Inventory], object]] = {
    "deploy": lambda inventory: certificates.authority_of(inventory).member("n1", 1, 10),
    "issue": lambda inventory: certificates.issue(inventory, "ci", None),
    "renew": lambda inventory: certificates.renew(inventory, []),
    "revoke": lambda inventory: certificates.revoke(inventory, "ci", "lost"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("is_there", [False, True])
def test_wherever_a_verb_ends_the_next_makes_whole_pairs_of_what_it_left(
    inventory: Inventory, monkeypatch: pytest.MonkeyPatch, verb: str, is_there: bool
) -> None:
    for ends_at in range(8):
        shutil.rmtree(inventory.beside("ca"), ignore_errors=True)
        certificates.init(inventory)
        authority = certificates.authority_of(inventory)
        if is_there or verb in ("renew", "revoke"):
            authority.member("n1", 1, 10)
            authority.client("ci", 10)
        with monkeypatch.context() as ending:
            end_at(ending, ends_at)
            with suppress(OSError):
                VERBS[verb](inventory)
        member = authority.member("n1", 1, 10)
        assert making.fits(member)
        issued = certificates.issue(inventory, "ci", None)
        folder = Path(issued.folder)
        assert making.fits(making.Pair((folder / "certificate.pem").read_bytes(), (folder / "key.pem").read_bytes()))
        assert issued.certificate.fingerprint not in authority.revoked().decode()
        VERBS[verb](inventory)
        certificates.issue(inventory, "ci", None)


def end_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The change to files with this number finds no room."""
    left = [number]

    def change(real: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(*arguments)

        return changed

    monkeypatch.setattr(files, "_write", change(files._write))
    monkeypatch.setattr(files, "os", SimpleNamespace(**{**vars(os), "unlink": change(os.unlink)}))
