"""A cluster's authority: what it makes, where, and what it never does twice or shows."""

from pathlib import Path

import pytest

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
