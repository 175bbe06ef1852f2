"""What the verbs of a fleet refuse before any host is asked."""

import subprocess
import sys

import pytest

from coordctl.inventory.template import template
from tests.processes.local import Home


def refused(home: Home, *arguments: str, environment: str = "prod") -> tuple[int, str]:
    (home.folder / "payments.toml").write_text(template("payments", environment, ["127.0.0.1"]))
    done = home.run(*arguments)
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("verb", ["deploy", "start", "stop", "restart", "destroy"])
def test_in_prod_every_change_has_its_reason(home: Home, verb: str) -> None:
    assert refused(home, verb) == (64, "coordctl: payments is prod: say why with --reason\n")


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_in_prod_an_outage_wants_the_name_typed_again(home: Home, verb: str) -> None:
    code, said = refused(home, verb, "--reason", "move", "--yes")
    assert (code, said.endswith("(prod)? Say so with --confirm payments\n")) == (76, True)


def test_elsewhere_it_is_asked_and_without_a_terminal_refused(home: Home) -> None:
    code, said = refused(home, "stop", environment="dev")
    assert (code, said) == (76, "coordctl: Stop all members of payments (dev)? There is no terminal to ask on: say so with --yes\n")


def test_a_host_whose_key_is_not_pinned_is_no_bug_and_names_the_command(home: Home) -> None:
    (home.folder / "payments.toml").write_text(template("payments", "dev", ["127.0.0.1"]))
    done = home.run("deploy")
    assert done.returncode == 69
    assert b"n1: its host key is not pinned: look at it and pin it with `coordctl inventory trust`" in done.stdout


def test_mistakes_in_the_inventory_come_before_everything(home: Home) -> None:
    (home.folder / "payments.toml").write_text(template("payments", "dev", ["127.0.0.1"]).replace("address", "adress", 1))
    done = home.run("deploy", "-c", "payments")
    assert done.returncode == 64
    assert b"no key adress in [hosts.n1]; did you mean address?" in done.stderr


def test_without_the_extra_it_says_what_to_install(home: Home) -> None:
    (home.folder / "payments.toml").write_text(template("payments", "dev", ["127.0.0.1"]))
    script = "import sys; sys.modules['paramiko'] = None; from coordctl.__main__ import program; program()"
    done = subprocess.run(
        [sys.executable, "-c", script, "deploy"], capture_output=True, text=True, env=home.environment, cwd=home.folder, check=False
    )
    assert (done.returncode, done.stderr) == (
        1,
        "coordctl: deploy needs paramiko, which is not installed: pip install 'coordctl[ssh]'\n",
    )
