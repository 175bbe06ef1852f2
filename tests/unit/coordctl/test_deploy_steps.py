"""Steps of a deployment: each is needed exactly when facts say so, and what must be right before is judged from facts alone."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from coordctl.facts import hosts, preflight
from coordctl.facts.preflight import REMARK, STOPS
from coordctl.steps import member as steps
from coordctl.steps.member import File, Wish
from tests.unit.coordctl.test_identities import facts as bare

FILES = (File(steps.CONFIG, b'name = "n1"\n'),)
WISH = Wish("fleet", "/srv/fleet", "1-a", "/var/tmp/a", "00", FILES, ("init",), {"name": "n1", "member": 5})
MARKER = {"name": "n1", "member": 5}


def changed(**more: object) -> hosts.HostFacts:
    kept = {name: getattr(bare("n1"), name) for name in hosts.HostFacts.__slots__}
    return hosts.HostFacts(**(kept | more))  # type: ignore[arg-type]


def as_wished(**more: object) -> hosts.HostFacts:
    unit = steps.Unit(WISH).text(changed())
    there = {
        "versions": ("0-x", "1-a"),
        "current": "1-a",
        "digests": {file.path: file.digest for file in FILES},
        "unit": hashlib.sha256(unit.encode()).hexdigest(),
        "marker": MARKER,
        "running": {"version": "1-a", "config": WISH.config_digest},
    }
    return changed(**(there | more))


def said(facts: hosts.HostFacts) -> list[str]:
    return [step.says() for step in steps.needed([*steps.prepare(WISH), *steps.switch(WISH)], facts)]


def test_nothing_is_needed_where_all_is_as_wished() -> None:
    assert said(as_wished()) == []


@pytest.mark.parametrize(
    ("facts", "needed"),
    [
        (as_wished(running=None), ["start the member with it"]),
        (as_wished(running={"version": "0-x", "config": WISH.config_digest}), ["start the member with it"]),
        (as_wished(running={"version": "1-a", "config": "other"}), ["start the member with it"]),
        (as_wished(current="0-x"), ["switch to version 1-a, and keep the one before"]),
        (as_wished(versions=("0-x",), current="0-x"), ["unpack version 1-a", "switch to version 1-a, and keep the one before"]),
        (as_wished(digests={}), ["write config/node.toml"]),
        (as_wished(unit="other"), ["install coordnode-fleet.service"]),
        (as_wished(boots=False), ["install coordnode-fleet.service"]),
        (as_wished(has_systemd=False, boots=False), ["have cron start it after a reboot"]),
        (as_wished(has_systemd=False, has_cron=False, boots=False), []),
        (as_wished(has_account=False), ["make the user coordnode"]),
        (as_wished(has_account=False, uid=1000, user="ops", has_systemd=False), []),
        (as_wished(marker=None), ["make /srv/fleet", "make the state of member n1"]),
    ],
)
def test_each_step_is_needed_when_facts_say_so(facts: hosts.HostFacts, needed: list[str]) -> None:
    assert said(facts) == needed


def test_the_version_before_is_kept_and_those_before_that_are_not(tmp_path: Path) -> None:
    for name in ("0-a", "0-b", "0-b.part", "1-a"):
        (tmp_path / "versions" / name).mkdir(parents=True)
    (tmp_path / "current").symlink_to("versions/0-b")
    facts = changed(versions=("0-a", "0-b", "0-b.part", "1-a"), current="0-b")
    script = steps.Switch(WISH._replace(base=str(tmp_path))).script(facts)
    subprocess.run(["sh", "-s"], input=script, text=True, check=True)
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["0-b", "1-a"]
    assert (tmp_path / "current").resolve().name == "1-a"


def test_a_script_that_ends_early_says_at_which_step(tmp_path: Path) -> None:
    fine, empty, bad = File("a", b"it's $HOME `x`\n"), File("none", b""), File("nowhere/b", b"b\n")
    facts = changed(uid=1000)
    script = steps.script_of([steps.Put(file, str(tmp_path)) for file in (fine, empty, bad)], facts)
    done = subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == "at: write nowhere/b"
    assert (tmp_path / "a").read_bytes() == fine.content
    assert (tmp_path / "none").read_bytes() == b""  # as a list of revoked certificates is, at first
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def found(facts: hosts.HostFacts) -> list[tuple[str, str]]:
    return [(one.level, one.sentence) for one in preflight.of_host(facts, "10.0.0.1", 7001)]


def test_what_stops_a_deployment_and_what_is_only_worth_a_thought() -> None:
    assert found(changed()) == []
    assert found(changed(has_account=False, has_useradd=False))[0] == (STOPS, "there is no user coordnode, and no useradd to make one")
    assert found(changed(uid=7, user="ops", can_write=False))[0][0] == STOPS
    assert found(changed(port_taken="Address already in use")) == [(STOPS, "it cannot listen at 10.0.0.1:7001: Address already in use")]
    assert found(changed(port_taken="Address already in use", running={})) == []
    assert found(changed(sync_ms=None, sync_trouble="Read-only file system"))[0][0] == STOPS
    assert found(changed(sync_ms=55.0)) == [(REMARK, "its disk takes 55 ms to make 4 KiB durable")]
    assert found(changed(free_bytes=300 << 20)) == [(REMARK, "it has 300 MiB of free disk")]
    assert found(changed(files_max=1024)) == [(REMARK, "it allows 1024 open files")]
    assert found(changed(has_systemd=False, has_cron=False))[0][0] == REMARK


def test_clocks_are_compared_with_each_other_within_what_is_known() -> None:
    def offsets(*found_ms: float, error_ms: float = 10.0) -> list[str]:
        return [one.sentence for one in preflight.of_clocks([changed(offset_ms=one, offset_error_ms=error_ms) for one in found_ms])]

    assert offsets(9_000, 9_010, 9_020) == []  # ours is the one that is wrong
    assert offsets(0, 10, 2_000) == ["its clock is +2.0 s from the others' (± 0.0 s)"]
    assert offsets(0, 10, 2_000, error_ms=1_900) == []
    assert offsets(5_000) == []


def test_an_answer_is_parsed_as_it_was_given(tmp_path: Path) -> None:
    """Asked of this machine, as any host is asked."""
    said = {"folder": str(tmp_path / "base"), "cluster": "c", "account": "nobody", "files": ["x"], "unit": "/none", "service": "none"}
    script = hosts.question_text({**said, "address": "127.0.0.1", "port": 0})
    done = subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, check=True)
    facts = hosts.parse("here", done.stdout, asked_unix_ns=0, answered_unix_ns=2_000_000)
    assert (facts.base, facts.current, facts.marker, facts.running) == (str(tmp_path / "base"), "", None, None)
    assert facts.offset_error_ms == 1.0
    assert facts.sync_ms is not None
    assert not list(tmp_path.iterdir())
