"""`coordctl elect` against real members: what it prints, what it means, which codes it ends with."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coordnode.client.sync import Cluster as Client
from coordnode.client.sync import connect
from coordnode.errors import NotHeld
from tests.processes.local import Home
from tests.processes.members import PATIENCE_S, wait_until
from tests.processes.test_commands import valid
from tests.processes.test_group_commands import addresses, line, started


@contextmanager
def standing(client: Client, name: str, candidate: str, value: str) -> Iterator[threading.Event]:
    """It stands, then leads until the event is set, or it is told that its leadership is over."""
    ended, stands = threading.Event(), len(client.election(name).view().candidates)

    def follow() -> None:
        try:
            with client.election(name, ttl=60).campaign(value, candidate=candidate, on_lost=lambda _why: ended.set()):
                ended.wait(PATIENCE_S)
        except NotHeld:
            pass

    thread = threading.Thread(target=follow)
    thread.start()
    wait_until(lambda: len(client.election(name).view().candidates) > stands or None, f"{candidate} stands")
    yield ended
    ended.set()
    thread.join(PATIENCE_S)


def observed(watching: "subprocess.Popen[bytes]") -> tuple[object, object, object]:
    found = valid(line(watching))
    leader = found["leader"]
    assert leader is None or isinstance(leader, dict)
    return found["outcome"], leader and leader["candidate"], leader["value"] if leader else found["reason"]


def test_who_leads_who_stands_and_how_it_is_handed_over(shared: Home) -> None:
    with connect(addresses(shared)) as client, started(shared, "elect", "observe", "primary", "-o", "json") as watching:
        assert observed(watching) == ("vacant", None, "")
        lost = pytest.raises(NotHeld, match=r"election primary was lost: ops@.* ended it: upgrade")
        with lost, client.election("primary", ttl=60).campaign("a:80", candidate="a") as first:
            assert observed(watching) == ("led", "a", "a:80")
            first.proclaim("a:81")
            assert observed(watching) == ("led", "a", "a:81")
            with standing(client, "primary", "b", "b:80") as b_ended, standing(client, "primary", "c", "c:80") as c_ended:
                screen = shared.ctl("elect", "show", "primary").splitlines()
                assert screen[0] == f"primary  led by a  token {first.token}"
                assert screen[1].endswith(", 2 standing")
                assert screen[2].endswith(", value a:81")
                assert [row.split(":", 1)[1].split(",")[0].strip() for row in screen[3:]] == ["b", "c"]
                shown = valid(shared.ctl("elect", "show", "primary", "-o", "json"))
                assert [one["candidate"] for one in shown["candidates"]] == ["b", "c"]  # type: ignore[attr-defined]
                assert "       2  by a, for " in shared.ctl("elect", "ls", "prim")
                assert valid(shared.ctl("elect", "ls", "primary", "-o", "json"))["candidates"] == 2
                vain = shared.run("elect", "transfer", "primary", "d")
                assert (vain.returncode, b"nobody called d stands for election primary" in vain.stderr) == (1, True)
                stale = shared.run("elect", "transfer", "primary", "c", "--token", "5")
                assert (stale.returncode, b"a leads it now, with token" in stale.stderr) == (1, True)
                first.check()
                moved = valid(shared.ctl("elect", "transfer", "primary", "c", "--reason", "upgrade", "-o", "json"))
                assert (moved["token"], moved["leader"]["candidate"]) == (first.token, "c")  # type: ignore[index]
                assert isinstance(moved["told_ms"], int)
                assert observed(watching) == ("led", "c", "c:80")
                assert first.wait_lost(PATIENCE_S)
                again = shared.run("elect", "resign", "primary", str(first.token))
                assert (again.returncode, b"is not led with token" in again.stderr) == (1, True)
                token = str(moved["leader"]["token"])  # type: ignore[index]
                told = shared.ctl("elect", "resign", COORD_ELECTION="primary", COORD_TOKEN=token)
                assert told.startswith("primary: b leads with token ")
                assert f"; c, token {token}, was told" in told
                assert c_ended.wait(PATIENCE_S), "its holder is told"
                assert observed(watching) == ("led", "b", "b:80")
                b_ended.set()
                assert observed(watching) == ("vacant", None, "resigned")
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=60)
    assert watching.returncode == 130
    vacant = shared.run("elect", "show", "primary", "-o", "json")
    assert (vacant.returncode, valid(vacant.stdout.decode())["outcome"]) == (1, "vacant")
    assert shared.run("elect", "ls", "primary").returncode == 1


def test_what_a_person_sees_of_it(shared: Home) -> None:
    with connect(addresses(shared)) as client, started(shared, "elect", "observe", "seen", "--count", "3") as watching:
        assert line(watching).endswith(" no leader now\n")
        with client.election("seen", ttl=60).campaign("here", candidate="me") as leadership:
            assert line(watching).endswith(f" me leads, token {leadership.token}, value here\n")
        assert line(watching).endswith(" no leader now: resigned\n")
        watching.communicate(timeout=60)
    assert watching.returncode == 0


REFUSED: list[tuple[list[str], int, str]] = [
    (["elect", "show", ""], 64, "the election has no name"),
    (["elect", "show", "pri\nmary"], 64, "control character"),
    (["elect", "show", "none"], 1, "nobody leads none, and nobody stands"),
    (["elect", "observe", ""], 64, "the election has no name"),
    (["elect", "resign"], 64, "which election? give NAME and TOKEN"),
    (["elect", "resign", "none"], 64, "which leadership? give its TOKEN"),
    (["elect", "resign", "none", "x"], 64, "a whole number is needed"),
    (["elect", "resign", "none", "5"], 1, "nobody leads none"),
    (["elect", "proclaim", "x"], 64, "which election? give NAME and TOKEN"),
    (["elect", "proclaim", "x", "none", "5"], 64, "elect proclaim needs a session"),
    (["elect", "proclaim", "x", "none", "5", "--session", "999999"], 1, "session 999999 is over"),
    (["elect", "transfer", "none"], 64, "CANDIDATE is missing"),
    (["elect", "transfer", "none", ""], 64, "to whom?"),
    (["elect", "transfer", "none", "b"], 1, "nobody leads none"),
    (["elect", "what"], 64, "no verb elect what"),
]


@pytest.mark.parametrize(("words", "code", "sentence"), REFUSED, ids=[" ".join(row[0]).replace("\n", "\\n") for row in REFUSED])
def test_bad_input_is_named(shared: Home, words: list[str], code: int, sentence: str) -> None:
    refused = shared.run(*words)
    assert (refused.returncode, refused.stdout) == (code, b""), refused
    assert sentence in refused.stderr.decode()
