"""Keys of hosts: shown, pinned, and believed only then. Every way in that is not open is named for the host it is shut at."""

import re

import pytest

from coordctl.transport.base import HostFailed, Script
from tests.hosts.operator import Operator

SAYS = Script("question", "echo said; echo more >&2")


def failure(operator: Operator, number: int = 1) -> HostFailed:
    with pytest.raises(HostFailed) as caught:
        transport = operator.connect(number)
        try:
            transport.run(SAYS, 60)
        finally:
            transport.close()
    return caught.value


def test_no_key_is_believed_before_it_was_pinned(operator: Operator) -> None:
    assert failure(operator).sentence == "n1: its host key is not pinned: look at it and pin it with `coordctl inventory trust`"
    refused = operator.run("inventory", "trust")
    assert (refused.returncode, b"There is no terminal to ask on: say so with --yes" in refused.stderr) == (76, True)
    assert failure(operator).kind == "key"
    shown = operator.trust()
    truth = operator.hosts.run(1, "ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert f"ssh-ed25519 {truth}  new" in shown
    assert shown.endswith("3 of 3 keys pinned in ~/fleet.known_hosts, 3 of them now\n")
    transport = operator.connect(1)
    assert transport.run(SAYS, 60)[:] == (0, "said\n", "more\n")
    transport.close()
    assert operator.json("inventory", "trust")["added"] == 0


def test_a_changed_key_is_refused_until_that_host_is_named(operator: Operator) -> None:
    operator.trust()
    operator.hosts.run(1, "sh", "-c", "cd /etc/ssh && rm ssh_host_* && ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key")
    operator.hosts.reboot(1)
    assert re.fullmatch(
        r"n1: its host key has changed: ssh-ed25519 SHA256:\S+ is shown, ssh-ed25519 SHA256:\S+ is pinned; somebody may be in between\. "
        r"If the host was made anew, pin the new key with `coordctl inventory trust --changed n1`",
        failure(operator).sentence,
    )
    operator.trust(code=76)
    assert failure(operator).kind == "key"
    operator.trust("--changed", "n1")
    operator.connect(1).close()


def test_a_key_of_another_kind_is_a_changed_key(operator: Operator) -> None:
    operator.trust()
    operator.hosts.run(1, "sh", "-c", "cd /etc/ssh && rm ssh_host_* && ssh-keygen -q -t ecdsa -N '' -f ssh_host_ed25519_key")
    operator.hosts.reboot(1)
    assert "ecdsa-sha2-nistp256 SHA256:" in failure(operator).sentence
    assert failure(operator).kind == "key"


def test_behind_another_host_it_is_reached_through_it(operator: Operator) -> None:
    jump = f'ssh = {{ jump = "ops@{operator.hosts.address(2)}" }}'
    operator.write(host={1: jump})
    operator.trust()
    pinned = (operator.folder / "fleet.known_hosts").read_text().split()[::3]
    assert pinned == [f"jump/{operator.hosts.address(2)}", "n1", "n2", "n3"]
    transport = operator.connect(1)
    came_from = transport.run(Script("from", "echo $SUDO_COMMAND; ss -Htn state established '( sport = :22 )'"), 60)
    transport.close()
    assert operator.hosts.address(2) in came_from.stdout


def test_ssh_config_is_followed_and_what_it_cannot_is_named(operator: Operator) -> None:
    config = operator.folder / "ssh_config"
    operator.write(user="ops", host={1: 'ssh = { host = "first" }'})
    operator.path.write_text(operator.path.read_text().replace('user = "ops"', "").replace(f'key = "{operator.hosts.key}"', ""))
    config.write_text(f"Host first\n  HostName {operator.hosts.address(1)}\nHost *\n  User ops\n  IdentityFile {operator.hosts.key}\n")
    operator.trust()
    assert str(operator.target(1)) == f"ops@{operator.hosts.address(1)}"
    operator.connect(1).close()
    config.write_text(config.read_text() + "  ProxyCommand nc %h %p\n")
    refused = operator.run("inventory", "show")
    assert refused.returncode == 64
    assert b"ssh_config:6: ProxyCommand is not supported: use ProxyJump, or jump in the inventory" in refused.stderr


def test_logins_that_are_refused_say_what_was_tried(operator: Operator) -> None:
    operator.trust()
    operator.hosts.run(1, "rm", "/etc/ssh/authorized/ops")
    assert failure(operator).sentence.startswith(
        f"n1: ops@{operator.hosts.address(1)} refuses the keys of ssh-agent and of {operator.hosts.key}"
    )
    operator.hosts.run(1, "sh", "-c", "sed -i s/^PasswordAuthentication.*/PasswordAuthentication\\ yes/ /etc/ssh/sshd_config")
    operator.hosts.reboot(1)
    assert "; it takes publickey or password, and passwords are never asked for" in failure(operator).sentence


def test_sudo_that_wants_a_password_or_refuses_is_named(operator: Operator) -> None:
    operator.trust()
    operator.hosts.run(1, "sh", "-c", "echo 'ops ALL=(root) ALL' > /etc/sudoers.d/ops")
    assert failure(operator).sentence.startswith("n1: sudo wants a password of ops, and none is ever asked for: allow it without one")
    operator.hosts.run(2, "rm", "/etc/sudoers.d/ops")
    assert failure(operator, 2).kind == "sudo"
    operator.hosts.run(3, "mv", "/usr/bin/sudo", "/usr/bin/sudo-not-here")
    assert failure(operator, 3).sentence == "n3: there is no sudo: log in as root, or leave sudo out of the inventory"


def test_who_cannot_be_reached_is_named_and_costs_the_others_nothing(operator: Operator) -> None:
    operator.hosts.halt(2)
    shown = operator.json("inventory", "trust", "--yes", "--timeout", "10s", code=1)
    keys = {str(one["name"]): one for one in shown["keys"]}  # type: ignore[attr-defined]
    assert [one["state"] for one in keys.values()] == ["pinned", "failed", "pinned"]
    assert str(keys["n2"]["trouble"]).startswith(f"n2: ops@{operator.hosts.address(2)} shows no host key: ")


def test_a_host_that_goes_while_it_works_and_one_that_takes_too_long(operator: Operator) -> None:
    operator.trust()
    transport = operator.connect(1)
    with pytest.raises(HostFailed, match="n1: slow did not end in 2 s: it may still be at work there"):
        transport.run(Script("slow", "sleep 600"), 2)
    with pytest.raises(HostFailed, match="n1: the connection broke during last"):
        transport.run(Script("last", "kill -9 $(pidof -s -o $$ sshd) $PPID; kill -9 $(pidof sshd)"), 60)
    transport.close()
