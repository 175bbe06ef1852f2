"""The same questions for a real toxiproxy and for the embedded one: what either answers, and where they differ.

    PYTHONPATH=src:. .venv/bin/python -m tests.unit.coordctl.toxiproxy --real PATH [--record]

PATH: what `go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0` makes. `--record` writes the real one's answers beside this file,
where the tests hold ours against them.
"""

import argparse
import http.client
import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.unit.coordctl.proxied import PATIENCE_S, Proxied

RECORDED = Path(__file__).with_name("toxiproxy.jsonl")
API = "API_PORT"  # in what is asked: where the server itself listens, which is a port that is surely taken
FREE = "FREE_PORT"  # and one that nobody has
WITHOUT_COUNTERPART = re.compile(
    r',"Logger":\{\}|"version": "[^"]*"|(?<=Go struct field )\w+'
)  # a fault of the original; who it is; its types
JSON = {"Content-Type": "application/json"}


class Question(NamedTuple):
    method: str
    path: str
    body: object = None  # text is sent as it is
    headers: dict[str, str] = {}
    is_chunked: bool = False


class Answer(NamedTuple):
    status: int
    kind: str
    body: str


def _proxy(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1", **more}


def _toxic(kind: str, **more: object) -> Question:
    return Question("POST", "/proxies/a/toxics", {"type": kind, **more})


QUESTIONS = [
    Question("GET", "/version"),
    Question("GET", "/proxies"),
    Question("GET", "/nothing"),
    Question("GET", "/proxies/a"),
    Question("DELETE", "/proxies/a"),
    Question("PUT", "/proxies"),
    Question("GET", "/version", headers={"User-Agent": "Mozilla/5.0 (X11)"}),
    Question("POST", "/proxies", ""),
    Question("POST", "/proxies", "{"),
    Question("POST", "/proxies", "[]"),
    Question("POST", "/proxies", '"a"'),
    Question("POST", "/proxies", {"name": "a"}),
    Question("POST", "/proxies", {"upstream": "127.0.0.1:1"}),
    Question("POST", "/proxies", {"name": 7, "upstream": "127.0.0.1:1"}),
    Question("POST", "/proxies", _proxy("a"), JSON),
    Question("POST", "/proxies", _proxy("a")),
    Question("POST", "/proxies", _proxy("taken", listen=f"127.0.0.1:{API}")),
    Question("POST", "/proxies", _proxy("off", enabled=False)),
    Question("POST", "/proxies", _proxy("odd", unknown=[1, 2])),
    Question("GET", "/proxies/a"),
    Question("GET", "/proxies/off"),
    Question("DELETE", "/proxies/odd"),
    Question("POST", "/proxies/a", {"upstream": "127.0.0.1:2"}),
    Question("PATCH", "/proxies/a", {"upstream": "127.0.0.1:3"}),
    Question("POST", "/proxies/a", {"enabled": False}),
    Question("POST", "/proxies/a", {"enabled": True}),
    Question("POST", "/proxies/nobody", {"enabled": True}),
    Question("POST", "/proxies/a", "x"),
    Question("GET", "/proxies/a/toxics"),
    Question("GET", "/proxies/nobody/toxics"),
    _toxic("latency"),
    _toxic("latency", attributes={"latency": 5, "jitter": 1}),
    _toxic("latency", name="mine", stream="upstream", toxicity=0.5, attributes={"latency": 7}),
    _toxic("bandwidth", attributes={"rate": 9}),
    _toxic("slow_close", attributes={"delay": 11}),
    _toxic("timeout", attributes={"timeout": 13}),
    _toxic("reset_peer", attributes={"timeout": 15}),
    _toxic("slicer", attributes={"average_size": 64, "size_variation": 8, "delay": 10}),
    _toxic("limit_data", attributes={"bytes": 17}),
    _toxic("gone"),
    _toxic("latency", name="sideways", stream="sideways"),
    _toxic("latency", name="words", attributes={"latency": "slow"}),
    _toxic("latency", name="more", attributes={"latency": 1, "unknown": 2}),
    Question("POST", "/proxies/a/toxics", "{"),
    Question("POST", "/proxies/a/toxics", {}),
    Question("POST", "/proxies/nobody/toxics", {"type": "latency"}),
    Question("GET", "/proxies/a/toxics/mine"),
    Question("GET", "/proxies/a/toxics/nothing"),
    Question("POST", "/proxies/a/toxics/mine", {"attributes": {"jitter": 3}}),
    Question("PATCH", "/proxies/a/toxics/mine", {"toxicity": 0.25, "stream": "downstream", "type": "timeout"}),
    Question("POST", "/proxies/a/toxics/mine", "{"),
    Question("POST", "/proxies/a/toxics/nothing", {"toxicity": 1}),
    Question("GET", "/proxies/a/toxics"),
    Question("DELETE", "/proxies/a/toxics/bandwidth_downstream"),
    Question("DELETE", "/proxies/a/toxics/bandwidth_downstream"),
    Question("DELETE", "/proxies/nobody/toxics/mine"),
    Question("GET", "/proxies/a"),
    Question("POST", "/reset"),
    Question("GET", "/proxies"),
    Question("GET", "/reset"),
    Question("POST", "/populate", "{"),
    Question("POST", "/populate", []),
    Question("POST", "/populate", [_proxy("p1"), _proxy("p2", enabled=False)]),
    Question("POST", "/populate", [{"name": "p3"}]),
    Question("POST", "/populate", [{"upstream": "127.0.0.1:1"}]),
    Question("POST", "/populate", [_proxy("p1", upstream="127.0.0.1:9")]),
    Question("GET", "/proxies"),
    Question("DELETE", "/proxies/p1"),
    Question("DELETE", "/proxies/p1"),
    Question("HEAD", "/proxies"),
    Question("OPTIONS", "/proxies"),
    Question("POST", "/proxies", _proxy("named", listen=f"localhost:{FREE}")),
    Question("POST", "/proxies/named/toxics", {"type": "latency"}),
    Question("POST", "/populate", [_proxy("named", listen=f"localhost:{FREE}")]),
    Question("PATCH", "/proxies/named", {"listen": f"localhost:{FREE}"}),
    Question("POST", "/populate", [_proxy("named", listen=f"127.0.0.1:{FREE}")]),
    Question("POST", "/populate", [_proxy("named", listen=f"localhost:{FREE}", upstream="127.0.0.1:2")]),
    Question("POST", "/proxies", _proxy("chunked"), is_chunked=True),
    Question("POST", "/proxies/chunked/toxics", "{", is_chunked=True),
    Question("GET", "/version", headers={"Transfer-Encoding": "gzip"}),
    Question("POST", "/proxies/a/toxics", '{"type":"latency","toxicity":NaN}'),
    Question("POST", "/proxies/a/toxics", '{"type":"latency","toxicity":-Infinity}'),
    Question("POST", "/proxies/a/toxics", '{"type":"latency","toxicity":1e39}'),
    Question("POST", "/proxies/a/toxics", '{"type":"latency","toxicity":' + "1" * 5_000 + "}"),
    Question("POST", "/proxies/a/toxics", '{"type":"latency","attributes":{"latency":1e3}}'),
    Question("POST", "/proxies/a/toxics", '{"type":"latency","attributes":{"latency":-' + "1" * 5_000 + "}}"),
    _toxic("latency", attributes={"latency": 2**63}),
    _toxic("latency", attributes={"latency": 2**63 - 1, "jitter": -(2**63)}),
    Question("PATCH", "/proxies/a/toxics/latency_downstream", {"Toxicity": 0.5, "ATTRIBUTES": {"Jitter": 3, "latency": None}}),
    Question("PATCH", "/proxies/a/toxics/latency_downstream", {"toxicity": None, "attributes": None}),
    Question("POST", "/proxies", "[" * 100_000),
    Question("POST", "/proxies", '{"name":' * 100_000),
    Question("POST", "/proxies", {"name": 1.5, "upstream": "127.0.0.1:1"}),
    Question("POST", "/proxies", {"Name": "Cased", "LISTEN": "127.0.0.1:0", "upStream": "127.0.0.1:1", "Enabled": False}),
    Question("POST", "/proxies", '{"name":"x","Name":"last","name":null,"upstream":"127.0.0.1:1","listen":"127.0.0.1:0"} and more'),
    Question("POST", "/proxies", "{'name'"),
    Question("POST", "/proxies", '"cut short'),
    Question("POST", "/proxies", _proxy("far", listen="127.0.0.1:" + "1" * 5_000)),
    Question("POST", "/proxies", "null"),
    Question("POST", "/populate", "null"),
    Question("POST", "/populate", "{}"),
    Question("POST", "/populate", [7]),
    Question("POST", "/populate", [_proxy("never"), [7]]),
    Question("POST", "/populate", [None]),
    Question("POST", "/populate", "[] and more"),
    Question("GET", "/proxies"),
]


def ask(address: str, question: Question, free_port: int) -> Answer:
    host, port = address.split(":")
    body = question.body if question.body is None or isinstance(question.body, str) else json.dumps(question.body)
    sent = body and body.replace(API, port).replace(FREE, str(free_port)).encode()
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    try:
        pieces = iter([sent[:7], sent[7:]]) if sent and question.is_chunked else sent
        connection.request(question.method, question.path, pieces, question.headers)
        answer = connection.getresponse()
        body = answer.read().decode().replace(f":{port}", f":{API}")
        return Answer(answer.status, answer.getheader("Content-Type", ""), normal(body))
    finally:
        connection.close()


def normal(body: str) -> str:
    """Without what a server chose by itself."""
    return re.sub(r"(127\.0\.0\.1|\[::\]):(?!\d\b)\d+", "HOST:PORT", WITHOUT_COUNTERPART.sub("", body))


def answers(address: str) -> list[Answer]:
    free_port = unused_port()
    return [ask(address, question, free_port) for question in QUESTIONS]


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def recorded() -> list[Answer]:
    return [Answer(*json.loads(line)) for line in RECORDED.read_text().splitlines()]


def real(path: str) -> list[Answer]:
    port = unused_port()
    process = subprocess.Popen([path, "-host", "127.0.0.1", "-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < until, "it does not start"
                time.sleep(0.02)
        return answers(f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def differences(theirs: list[Answer], ours: list[Answer]) -> list[tuple[Question, Answer, Answer]]:
    return [(asked, one, other) for asked, one, other in zip(QUESTIONS, theirs, ours, strict=True) if one != other]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.unit.coordctl.toxiproxy")
    parser.add_argument("--real", required=True, metavar="PATH")
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    theirs = real(asked.real)
    if asked.record:
        RECORDED.write_text("".join(json.dumps(answer) + "\n" for answer in theirs))
    embedded = Proxied()
    try:
        found = differences(theirs, answers(embedded.address))
    finally:
        embedded.close()
    for question, one, other in found:
        print(f"{question.method} {question.path} {question.body or ''}\n  the original: {one}\n  here:         {other}")
    print(f"{len(QUESTIONS)} questions, {len(found)} answered otherwise")
    return 0


if __name__ == "__main__":
    sys.exit(main())
