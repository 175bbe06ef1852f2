"""`coordctl queue` against real members: what it prints, what it means, and which codes it ends with."""

import signal
from collections.abc import Iterator

import pytest

from tests.processes.local import Home
from tests.processes.runner.jobs import until
from tests.processes.test_commands import valid


@pytest.fixture
def queue(shared: Home, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.node.name
    yield name
    shared.run("queue", "purge", name, "--yes")
    shared.run("queue", "purge", name, "--dead", "--yes")
    shared.run("queue", "delete", name)


def token_of(printed: str) -> str:
    return printed.partition("\n")[0]


def test_from_put_to_done(shared: Home, queue: str) -> None:
    put = shared.ctl("queue", "put", queue, "to: ann\nhello")
    assert put.startswith("task ")
    taken = shared.ctl("queue", "take", queue)
    token, _, payload = taken.partition("\n")
    assert payload == "to: ann\nhello"
    assert shared.ctl("queue", "extend", queue, token, "--lease", "90s") == "yours for 90 s from now\n"
    assert f"token {token}" in shared.ctl("queue", "tasks", queue, "--state", "taken")
    assert shared.ctl("queue", "ack", queue, token) == "done\n"
    again = shared.run("queue", "ack", queue, token)
    assert again.returncode == 1
    assert f"token {token} holds no task of queue {queue}".encode() in again.stderr
    empty = shared.run("queue", "take", queue)
    assert (empty.returncode, empty.stdout) == (75, b"")
    assert b"has no task to take now" in empty.stderr


def test_what_fails_is_tried_again_then_dead_then_redriven(shared: Home, queue: str) -> None:
    shared.ctl("queue", "set", queue, "--retries", "1", "--backoff", "0s")
    assert shared.ctl("queue", "set", queue, "--retries", "1") == f"{queue}: was so already\n"
    shared.ctl("queue", "put", queue, "poison")
    first = token_of(shared.ctl("queue", "take", queue))
    assert shared.ctl("queue", "nack", queue, first, "--unbegun") == "ready\n"
    second = token_of(shared.ctl("queue", "take", queue))
    assert shared.ctl("queue", "nack", queue, second, "--note", "no such street") == "ready\n"
    third = token_of(shared.ctl("queue", "take", queue))
    assert shared.ctl("queue", "nack", queue, third, "--note", "returned to sender") == "dead\n"
    listed = shared.ctl("queue", "dead", queue)
    assert "dead, priority 0, 2 attempts, 6 bytes, returned: returned to sender" in listed
    number = listed.split()[0]
    assert shared.ctl("queue", "show", queue, number, "--payload") == "poison"
    assert shared.ctl("queue", "redrive", queue) == f"{queue}: 1 redriven\n"
    assert shared.run("queue", "dead", queue).returncode == 1
    refused = shared.run("queue", "redrive", queue, number)
    assert refused.returncode == 1
    assert b"has no dead task" in refused.stderr
    unanswered = shared.run("queue", "purge", queue)
    assert unanswered.returncode == 76
    assert b"--yes" in unanswered.stderr
    held = shared.run("queue", "delete", queue)
    assert held.returncode == 75
    assert b"has 1 tasks" in held.stderr
    assert shared.ctl("queue", "purge", queue, "--yes") == f"{queue}: 1 dropped\n"
    assert shared.ctl("queue", "delete", queue) == "deleted\n"
    assert shared.ctl("queue", "delete", queue) == "was not there\n"


def test_json_is_what_the_schemas_say(shared: Home, queue: str) -> None:
    def said(*arguments: str) -> dict[str, object]:
        return valid(shared.ctl("queue", arguments[0], queue, *arguments[1:], "-o", "json"))

    assert said("set", "--lease", "20s", "--bytes-max", "1MiB")["outcome"] == "changed"
    put = said("put", "a", "--priority", "-1", "--key", "once")
    assert said("put", "a", "--key", "once")["outcome"] == "put before"
    said("put", "later", "--delay", "1h")
    shown = said("show")
    assert (shown["ready"], shown["delayed"], shown["settings"]["lease_ms"]) == (1, 1, 20_000)  # type: ignore[index]
    assert valid(shared.ctl("queue", "ls", queue, "-o", "json"))["queue"] == queue
    assert said("tasks")["task"] == put["task"]
    assert said("show", str(put["task"]))["payload"] == "a"
    taken = said("take", "--count", "5")
    assert (taken["task"], taken["priority"], taken["lease_ms"]) == (put["task"], -1, 20_000)
    assert said("extend", str(taken["token"]))["lease_ms"] == 20_000
    assert said("nack", str(taken["token"]), "--note", "no")["outcome"] == "delayed"
    assert said("redrive")["outcome"] == "nothing to do"
    assert said("purge", "--yes")["count"] == 2
    said("put", "b")
    assert said("ack", str(said("take")["token"]))["outcome"] == "done"
    shared.ctl("queue", "set", queue, "--retries", "0")
    said("put", "c")
    said("nack", str(said("take")["token"]))
    assert said("dead")["failure"] == "returned"
    said("purge", "--dead", "--yes")
    assert said("delete")["outcome"] == "done"


def test_with_a_request_id_it_happens_once(shared: Home, queue: str) -> None:
    assert len({shared.ctl("queue", "put", queue, "a", "--request-id", f"{queue}-1") for _ in range(2)}) == 1
    assert len({shared.ctl("queue", "take", queue, "--request-id", f"{queue}-2") for _ in range(2)}) == 1
    token = token_of(shared.ctl("queue", "take", queue, "--request-id", f"{queue}-2"))
    assert [shared.ctl("queue", "ack", queue, token, "--request-id", f"{queue}-3") for _ in range(2)] == ["done\n", "done\n"]


def test_payloads_come_from_standard_input_and_files_byte_for_byte(shared: Home, queue: str) -> None:
    data = bytes(range(256)) * 1_000
    (shared.folder / "payload").write_bytes(data)
    shared.ctl("queue", "put", queue, f"@{shared.folder / 'payload'}")
    taken = shared.run("queue", "take", queue)
    assert taken.returncode == 0
    assert taken.stdout.partition(b"\n")[2] == data
    too_large = shared.run("queue", "put", queue, "-", stdin=b"x" * 262_145)
    assert too_large.returncode == 64
    assert b"at most 262144" in too_large.stderr


def test_waiting_ends_with_a_task_or_with_75(shared: Home, queue: str) -> None:
    empty = shared.run("queue", "take", queue, "--wait", "200ms")
    assert empty.returncode == 75
    waiting = shared.start("queue", "take", queue, "--wait", "30s")
    until(lambda: queue in shared.ctl("queue", "ls", queue, code=None) and shared.json("queue", "show", queue)["waiting"])
    shared.ctl("queue", "put", queue, "at last")
    out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    token, _, payload = out.decode().partition("\n")
    assert payload == "at last"
    assert shared.ctl("queue", "ack", queue, token) == "done\n", "it outlives the session that waited"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("put", "", "x"), 64, "the queue has no name"),
        (("put", "q", "x", "--priority", "300"), 64, "priority cannot be 300"),
        (("put", "q", "x", "--delay", "10"), 64, "a number above 0 with its unit is needed"),
        (("put", "q", "x", "--holding", "7"), 1, "token 7 is not held any more"),
        (("take", "no-such-queue"), 1, "there is no queue no-such-queue"),
        (("take", "no-such-queue", "--count", "2"), 64, "add -o json"),
        (("take", "q", "--lease", "1ms"), 64, "lease cannot be 1 ms"),
        (("take", "q", "--wait", "1s", "--request-id", "x"), 64, "exclude each other"),
        (("ack", "q", "seven"), 64, "a whole number is needed"),
        (("ack", "no-such-queue", "7"), 1, "there is no queue"),
        (("show", "no-such-queue"), 1, "there is no queue"),
        (("show", "q", "--payload"), 64, "--payload needs a TASK"),
        (("tasks", "q", "--state", "done"), 64, "choose from ready, delayed, taken, dead"),
        (("set", "q", "--lease", "1ms"), 64, "lease_ms cannot be 1"),
        (("set", "q", "--bytes-max", "7"), 64, "such as 64MiB"),
        (("frobnicate",), 64, "no verb queue frobnicate"),
    ],
)
def test_bad_input_is_named(shared: Home, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    done = shared.run("queue", *arguments)
    assert (done.returncode, done.stdout) == (code, b"")
    assert sentence in done.stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_ended_while_it_waits_leaves_the_line(shared: Home, queue: str, number: signal.Signals) -> None:
    shared.ctl("queue", "set", queue)
    waiting = shared.start("queue", "take", queue, "--wait", "60s")
    until(lambda: shared.json("queue", "show", queue)["waiting"])
    waiting.send_signal(number)
    out, _ = waiting.communicate(timeout=30)
    assert (waiting.returncode, out) == (128 + number, b"")
    assert shared.json("queue", "show", queue)["waiting"] == 0
    shared.ctl("queue", "put", queue, "for the living")
    assert shared.ctl("queue", "take", queue).endswith("\nfor the living")
