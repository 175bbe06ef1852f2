"""What the test command does in short, at length: five members, 200 requests a second, and a driver that is killed in every step.

    python -m tests.upgrade.campaign roll     # N → N+1 → N under load
    python -m tests.upgrade.campaign bad      # builds that crash, hang, apply and sync late, under load
    python -m tests.upgrade.campaign kills    # kill -9 in every step of every host
    python -m tests.upgrade.campaign aborts   # and in every step of the way back

Needs root, as tests/hosts does. Prints what it counted, and ends with 1 when anything is not as it must be.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.hosts import fleet as harness
from tests.upgrade import builds, fleets
from tests.upgrade.fleets import ACCEPTED, BACK, FORWARD, Fleet, killed_at, said_in, start
from tests.upgrade.users import Users, users


class Campaign:
    def __init__(self, fleet: Fleet, folder: Path, options: argparse.Namespace) -> None:
        self._fleet = fleet
        self._folder = folder
        self._bake = f"{options.bake}s"
        self._first = fleet.versions()
        self._killed = 0

    def roll(self) -> None:
        """Up, and down again."""
        following = builds.made(self._folder, "0.2.0", builds.KNOWS_ANOTHER_LEVEL)
        for what, to in (("up", following), ("down", self._first[0])):
            began = time.monotonic()
            done = self._fleet.upgrade("run", "--to", to, "--bake", self._bake, "--hold-level", *ACCEPTED)
            assert done["outcome"] == "done", done
            print(f"{what}: {len(done['hosts'])} members in {time.monotonic() - began:.0f} s, {self._bake} of bake for each", flush=True)
        assert self._fleet.versions() == self._first

    def bad(self) -> None:
        build = builds.planted(self._folder, "0.3.0")
        for fault in ("crash", "hang", "apply", "sync"):
            self._fleet.plant(fault)
            began = time.monotonic()
            found = self._fleet.upgrade("run", "--to", build, "--bake", self._bake, "--healthy-within", "15s", *ACCEPTED, code=1)
            states = [one["state"] for one in found["hosts"]]
            assert (found["outcome"], states) == ("rolled back", ["back", *["unchanged"] * (len(states) - 1)]), found
            print(f"{fault}: rolled back after {time.monotonic() - began:.0f} s: {found['evidence']}", flush=True)
            assert self._fleet.versions() == self._first

    def kills(self) -> None:
        """Each driver comes one step further than the one before, and is killed there; the last one is let be."""
        following = builds.made(self._folder, "0.2.0")
        run = ("run", "--to", following, "--bake", "1s", *ACCEPTED)
        order = [one["name"] for one in self._fleet.upgrade(*run, "--dry-run", code=1)["hosts"]]
        self._kill("unpack ", *run)
        for words in [f"{name}: {words}" for name in order for words in FORWARD] + ["look at all"]:
            self._kill(words, "resume", "--to", following)
        done = self._fleet.upgrade("resume")
        assert (done["outcome"], {one["state"] for one in done["hosts"]}) == ("done", {"upgraded"}), done
        print(f"killed in {self._killed} steps, and all upgraded", flush=True)

    def aborts(self) -> None:
        """Back from the last step of the last host."""
        following = builds.made(self._folder, "0.2.0")
        with start(self._fleet.operator, "run", "--to", following, "--bake", "1s", *ACCEPTED) as driver:
            for count, _ in enumerate(self._first, 1):
                assert said_in(driver, "watch it lead"), (count, driver.stdout and driver.stdout.read())
            driver.kill()
        order = [one["name"] for one in self._fleet.upgrade("status")["hosts"]]
        for words in [f"{name}: {words}" for name in reversed(order) for words in BACK] + ["look at all"]:
            self._kill(words, "abort")
        done = self._fleet.upgrade("abort")
        assert (done["outcome"], {one["state"] for one in done["hosts"]}) == ("rolled back", {"back"}), done
        print(f"killed in {self._killed} steps, and all brought back", flush=True)

    def _kill(self, words: str, *arguments: str) -> None:
        assert killed_at(self._fleet.operator, words, *arguments), f"{arguments} did not come to: {words}"
        self._killed += 1


def judge(load: Users) -> bool:
    told = load.end()
    failures = told.pop("failures")
    print({name: round(value, 1) if isinstance(value, float) else value for name, value in told.items()}, flush=True)
    print(f"failures: {len(failures)} {failures[:5]}", flush=True)
    print(*load.judged(), sep="\n", flush=True)
    return not failures and told["held_at_the_end"] == [told["held"]]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("roll", "bad", "kills", "aborts"))
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--bake", type=int, default=10)
    parser.add_argument("--init", choices=("plain", "systemd"), default="plain")
    options = parser.parse_args()
    if harness.why_not():
        parser.error(harness.why_not())
    with tempfile.TemporaryDirectory(prefix="upgrade-") as made:
        return ran(options, Path(made))


def ran(options: argparse.Namespace, folder: Path) -> int:
    (folder / "operator").mkdir()
    with fleets.opened(options.members, folder / "operator", options.init) as fleet:
        campaign = Campaign(fleet, folder, options)
        work: Callable[[], None] = getattr(campaign, options.what)
        with users(fleet.endpoints, fleet.tls, folder / "users", options.rate) as load:
            work()
            return 0 if judge(load) else 1


if __name__ == "__main__":
    sys.exit(main())
