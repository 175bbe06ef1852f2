"""Which cluster a command means, in this order: --endpoints, -c, COORD_ENDPOINTS, COORD_CLUSTER, the only local one."""

import os
import random
from pathlib import Path

import pytest

from coordctl.inventory import places
from coordctl.local import canaries, clusters, fleet, samples, seen
from coordctl.local.clusters import Endpoint, LocalCluster, LocalMember
from coordctl.operations import backups
from coordnode.errors import BadRequest, Unreachable


def make(state: Path, name: str, port: int) -> LocalCluster:
    folder = state / "coordctl" / name
    folder.mkdir(parents=True)
    members = (LocalMember("n1", 5, f"127.0.0.1:{port}", 42, "boot:7"), LocalMember("n2", 6, f"127.0.0.1:{port + 1}"))
    cluster = LocalCluster(str(folder), name, 77, 1_790_000_000, True, members)
    clusters.write(cluster)
    return cluster


def test_a_description_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = make(tmp_path, "one", 1000)
    assert clusters.read(made.folder) == made
    assert clusters.read(str(tmp_path)) is None
    assert made.endpoints() == [Endpoint("127.0.0.1:1000", 5, "n1"), Endpoint("127.0.0.1:1001", 6, "n2")]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "{} {}", "nul", '{"a": }', '{"format": 1}', '{"format": 9}', '{"format": 1, "members": 3}']
)
def test_a_damaged_description_is_named(tmp_path: Path, text: str) -> None:
    made = make(tmp_path, "one", 1000)
    Path(made.folder, "cluster.json").write_text(text)
    with pytest.raises(BadRequest, match=r"one/cluster\.json"):
        clusters.read(made.folder)


def test_the_order(tmp_path: Path) -> None:
    home = {"XDG_STATE_HOME": str(tmp_path)}
    with pytest.raises(Unreachable, match="coordctl up"):
        clusters.choose("", "", home)
    make(tmp_path, "one", 1000)
    assert clusters.choose("", "", home)[0] == "one"
    two = make(tmp_path, "two", 2000)
    with pytest.raises(BadRequest, match=r"several local clusters \(one, two\)"):
        clusters.choose("", "", home)
    named = {**home, "COORD_CLUSTER": "two"}
    assert clusters.choose("", "", named) == ("two", two.endpoints())
    addressed = {**named, "COORD_ENDPOINTS": "a:1, http://b:2/"}
    assert clusters.choose("", "", addressed) == ("", [Endpoint("a:1"), Endpoint("b:2")])
    assert clusters.choose("", "one", addressed)[0] == "one"
    assert clusters.choose("c:3", "one", addressed) == ("", [Endpoint("c:3")])
    assert clusters.choose("", two.folder, home)[0] == "two"
    with pytest.raises(BadRequest, match=r"no local cluster is called three \(there are: one, two\)"):
        clusters.choose("", "three", home)


def test_a_state_folder_of_another_user_is_called_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(folder: str) -> list[str]:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(Unreachable, match=f"^{tmp_path}/coordctl: Permission denied: is HOME yours"):
        clusters.choose("", "", {"XDG_STATE_HOME": str(tmp_path)})


def test_addresses_are_named_each_once_and_can_be_looked_up() -> None:
    assert clusters.split(" a:1,,[::1]:2/ , a:01,", "--endpoints") == [Endpoint("a:1"), Endpoint("[::1]:2")]
    for wrong, says in [
        ("::1:2", "in brackets"),
        ("a", "is not host:port"),
        ("[]:1", "is not host:port"),
        ("a..b:1", "names no host"),
        (",", "no endpoint is given"),
    ]:
        with pytest.raises(BadRequest, match=f"^--endpoints: .*{says}"):
            clusters.split(wrong, "--endpoints")


def test_a_base_that_is_not_absolute_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    relative = {"XDG_STATE_HOME": "here", "XDG_DATA_HOME": "here", "XDG_CONFIG_HOME": "here"}
    assert clusters.folder_of("one", relative) == str(tmp_path / ".local/state/coordctl/one")
    assert backups.folder_of("one", relative) == str(tmp_path / ".local/share/coordctl/backups/one")
    assert places.folders(relative)[1] == str(tmp_path / ".config/coordctl")


LISTED = 'name = "keys"\nenvironment = "dev"\nengine = "etcd"\n[hosts.n1]\naddress = "10.0.0.11"\n'


def test_an_inventory_of_another_engine_is_known_by_its_name_and_read_again_when_it_changed(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "coordctl"
    folder.mkdir(parents=True)
    path = folder / "keys.toml"
    path.write_text(LISTED)
    here = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert clusters.chosen("", "keys", here) == ("etcd", "keys", [Endpoint("10.0.0.11:2379", 1, "n1")])
    assert clusters.names(here) == ["keys"], "from now on it is known as all others are"
    with pytest.raises(BadRequest, match="coordnode's members only, and not with etcd"):
        clusters.choose("", "keys", here)
    elsewhere = {**here, "XDG_CONFIG_HOME": str(tmp_path)}
    path.write_text(LISTED.replace("10.0.0.11", "10.0.0.99"))
    assert clusters.chosen("", "", elsewhere).endpoints == [Endpoint("10.0.0.99:2379", 1, "n1")]
    path.write_text(LISTED.replace("address", "adress"))
    with pytest.raises(BadRequest, match=r"keys\.toml:5: no key adress in \[hosts\.n1\]"):
        clusters.chosen("", "keys", here)
    path.unlink()
    with pytest.raises(BadRequest, match="no local cluster is called keys"):
        clusters.chosen("", "keys", here)
    assert clusters.names(here) == []


def test_an_inventory_is_named_by_its_path_too_and_takes_no_other_cluster_s_name(tmp_path: Path) -> None:
    path = tmp_path / "any.toml"
    path.write_text(LISTED)
    here = {"XDG_STATE_HOME": str(tmp_path)}
    assert clusters.chosen_local(str(path), here).inventory == str(path)
    make(tmp_path, "mine", 1000)
    path.write_text(LISTED.replace("keys", "mine"))
    with pytest.raises(BadRequest, match="another cluster that is known here is called mine: give this one another name"):
        clusters.chosen_local(str(path), here)
    path.write_text(LISTED.replace('engine = "etcd"', ""))
    with pytest.raises(BadRequest, match="has members of coordnode: once `coordctl deploy` has deployed them, -c keys names them"):
        clusters.chosen_local(str(path), here)


def test_who_led_last_is_remembered_and_never_worth_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one, other = [Endpoint("a:1"), Endpoint("b:2")], [Endpoint("c/d:3")]
    assert clusters.led_last(one) == ""
    clusters.note_led(one, "b:2")
    clusters.note_led(other, "[::1]:4")
    assert (clusters.led_last(one), clusters.led_last(other)) == ("b:2", "[::1]:4")
    clusters.note_led(one, "no address")
    assert clusters.led_last(one) == ""
    clusters.forget_led(one)
    clusters.forget_led(other)
    assert list((tmp_path / "coordctl").iterdir()) == []
    (tmp_path / "coordctl").rmdir()
    (tmp_path / "coordctl").write_text("in the way")
    clusters.note_led(one, "b:2")
    assert clusters.led_last(one) == ""


@pytest.mark.parametrize("text", ["host", "host:", ":7001", "host:0", "host:65536", "::1:7001", " , "])
def test_endpoints_that_are_none(text: str) -> None:
    with pytest.raises(BadRequest, match="--endpoints"):
        clusters.split(text, "--endpoints")


def test_an_ipv6_endpoint() -> None:
    assert clusters.host_and_port(clusters.split("[::1]:7001", "x")[0].address) == ("::1", 7001)


def test_the_scheme_says_of_which_engine_all_of_them_are() -> None:
    found = clusters.named("etcd://a:1, b:2,etcd://c:3/", "--endpoints")
    assert (found.engine, [one.address for one in found.endpoints]) == ("etcd", ["a:1", "b:2", "c:3"])
    assert clusters.named("http://a:1", "--endpoints").engine == clusters.named("a:1", "--endpoints").engine == "coordnode"
    for text in ("etcd://a:1,http://b:2", "ftp://a:1", "etcd://"):
        with pytest.raises(BadRequest):
            clusters.named(text, "--endpoints")
    with pytest.raises(BadRequest, match="coordnode's members only, and not with etcd"):
        clusters.choose("etcd://a:1", "")


def test_what_cannot_be_noted_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a full disk: each command would leave another file there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    there = [tmp_path / "coordctl" / name for name in ("led/a:1", "seen/7.json", "seen/7.samples.json", "canary/one.json")]
    for path in there:
        path.mkdir(parents=True)
    clusters.note_led([Endpoint("a:1")], "b:2")
    seen.note(7, [1])
    samples.exchange(7, {1: samples.Kept(1.0, 2, 3, "")})
    canaries._write("one", canaries.Kept(1, 1.0, []))
    assert sorted(path for path in tmp_path.rglob("*.*") if path.name.endswith("tmp")) == []
    assert all(path.is_dir() for path in there)


def test_ports_are_drawn_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fleet.PORTS_VARIABLE, "21000-21009")
    assert set(fleet.free_ports(5, random.Random(1))) <= {*range(21_000, 21_010)}
    for wrong in ("21000", "21009-21000", "0-7", "a-b", "21000-70000"):
        monkeypatch.setenv(fleet.PORTS_VARIABLE, wrong)
        with pytest.raises(BadRequest, match=f"{fleet.PORTS_VARIABLE}={wrong}: give the first and the last port, such as 20000-31999"):
            fleet.port_range()
    monkeypatch.delenv(fleet.PORTS_VARIABLE)
    assert (fleet.port_range()[0], fleet.port_range()[-1]) == (20_000, 31_999)
