"""Members on hosts that may be harmed, what their hosts look like, and when they are whole again."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.door import IS_LONG
from tests.hosts import fleet
from tests.hosts.fleet import Hosts, Init
from tests.hosts.operator import Operator
from tests.processes.members import wait_until

BASE = "/var/lib/coordnode/fleet"
INITS: tuple[Init, ...] = ("systemd", "plain") if IS_LONG else ("systemd",)
PLACES = ("chaos/*.fault.json*", "run/kept-down-*", "data/harm.json*", "data/chaos-filling-*")
LEFT = f'for one in {" ".join(f"{BASE}/{place}" for place in PLACES)}; do [ ! -e "$one" ] || echo "$one"; done'
# What lies in these comes and goes; and whoever was killed leaves a lock that the next one takes over.
UNSEEN = (*[f"-path '{BASE}/{place}' -prune -o" for place in ("chaos", "data/*")], f"! -path {BASE}/operator.lock")
OURS = r"coordctl\.chaos\."
REAPERS = r"coordctl\.chaos\.reapers"
WHOLE_SECONDS = 120.0  # a member's start included, and that of whoever heals it
BRIEFLY = (5, 20, 80)  # seconds: the first that are enough for what is to be seen meanwhile, however long the machine stands still
GIVE_IT_LONGER = (b"give it longer", b"did not take")  # what is said of a fault whose time was over before it was seen
Seen = dict[int, tuple[str, ...]]


@contextmanager
def operated(folder: Path, init: Init) -> Iterator[Operator]:
    """Three members that may be harmed, which whoever uses them leaves as they were before."""
    if fleet.why_not() or (init == "systemd" and not fleet.has_systemd()):
        pytest.skip(fleet.why_not() or "there is no systemd here")
    with Hosts.opened(3, init) as hosts:
        operator = Operator(folder, hosts)
        operator.write(top='[settings]\nfault-injection = "true"')
        operator.trust()
        operator.json("deploy", "--reason", "first")
        before = wait_until(lambda: found if (found := looks(operator)) == looks(operator) else None, "nothing of the deployment goes on")
        yield operator
        wait_until(lambda: looks(operator) == before, "all is as it was", WHOLE_SECONDS)
        operator.close()


def looks(operator: Operator) -> Seen:
    """What of a host faults could change: programs that run, mounts, qdiscs, rules, files."""
    asked = (
        "ps -e -o args= | grep -Ev '^(ps|grep|sh|sort|sed|sshd|sleep|.*systemd|\\[)|sudo|\\(sd-pam\\)' | sort",
        "cut -d' ' -f5- /proc/self/mountinfo | sort",
        "tc qdisc show",
        "nft list ruleset",
        f"find {BASE} /etc /run/systemd/system {' '.join(UNSEEN)} -print | sort",
        LEFT,
    )
    return {number: tuple(operator.hosts.run(number, "sh", "-c", one) for one in asked) for number in (1, 2, 3)}


def pid_of(operator: Operator, number: int) -> int:
    """Of the member; 0: it does not run."""
    found = operator.hosts.run(number, "pgrep", "-f", f"coordnode run --config {BASE}", check=False).split()
    return int(found[0]) if found else 0


def is_stopped(operator: Operator, number: int) -> bool:
    pid = pid_of(operator, number)
    return bool(pid) and operator.hosts.run(number, "ps", "-o", "state=", "-p", str(pid), check=False).strip() == "T"


def is_whole(operator: Operator) -> bool:
    """Nothing is written down as broken, nobody is left who would heal, and each member runs."""
    for number in (1, 2, 3):
        left = operator.hosts.run(number, "sh", "-c", LEFT) or operator.hosts.run(number, "pgrep", "-f", OURS, check=False)
        if left or not pid_of(operator, number) or is_stopped(operator, number):
            return False
    return True


def must_become_whole(operator: Operator) -> None:
    wait_until(lambda: is_whole(operator), "all is healed", WHOLE_SECONDS)
    operator.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")


def kill(operator: Operator, number: int, pattern: str) -> None:
    operator.hosts.run(number, "pkill", "-KILL", "-f", pattern, check=False)


def number_of_host(name: str) -> int:
    return int(name.removeprefix("n"))


def number_of(fault: object) -> int:
    return number_of_host(str(fault["member"]))  # type: ignore[index]


def injected(operator: Operator, fault: str, to: str, *how: str, lasts: str = "10m") -> list[Any]:
    """What was seen of it, each with its id."""
    found: Any = operator.json("chaos", "inject", fault, to, "--for", lasts, *how, "-c", "fleet")["faults"]
    return list(found)


def briefly(operator: Operator, fault: str, to: str, *how: str) -> list[Any]:
    """As above; it ends by itself."""
    for seconds in BRIEFLY:
        done = operator.run("chaos", "inject", fault, to, "--for", f"{seconds}s", *how, "-c", "fleet", "-o", "json")
        if done.returncode == 0:
            return list(json.loads(done.stdout)["faults"])
        assert any(words in done.stderr for words in GIVE_IT_LONGER), done
        must_become_whole(operator)
    raise AssertionError(done)


def begun_and_left(operator: Operator, begins: Callable[[], object], *words: str) -> None:
    """Who asks is killed as soon as that is seen of a fault that ends by itself."""
    for seconds in BRIEFLY:
        with operator.start("chaos", "inject", *words, "--for", f"{seconds}s", "-c", "fleet") as asking:
            seen = wait_until(lambda: "begun" if begins() else "over" if asking.poll() is not None else "", "it begins", WHOLE_SECONDS)
            asking.send_signal(signal.SIGKILL)
            asking.communicate()
        if seen == "begun":
            return
        must_become_whole(operator)
    raise AssertionError(f"nothing was seen of it in {BRIEFLY[-1]} s")


@contextmanager
def none_left(operator: Operator) -> Iterator[None]:
    """Where a test fails, the next one begins with what is whole all the same."""
    try:
        yield
    except BaseException:
        operator.run("chaos", "revert", "--all", "-c", "fleet")
        raise


def must_be_reverted(operator: Operator, faults: list[Any]) -> None:
    """All of them, and nothing else, by one command."""
    done: Any = operator.json("chaos", "revert", "--all", "-c", "fleet")
    assert ({one["id"] for one in done["reverted"]}, done["left"]) == ({one["id"] for one in faults}, [])
    must_become_whole(operator)
