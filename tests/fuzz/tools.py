"""What the toolkit reads: files that people write, logs of whatever became of a member, and what a proxy is told."""

import json
from collections.abc import Callable
from pathlib import Path

from coordctl.chaos.lined import DEPTH_MAX, Fields, Node, Rows, Text, parse_lined
from coordctl.chaos.playbook import Playbook, Refused, parse_playbook, playbook_of
from coordctl.chaos.proxy.api import TOXIC_TYPE
from coordctl.chaos.proxy.decoding import decoded
from coordctl.chaos.proxy.toxics import ApiError, parse_toxic
from coordctl.hot import msgpack
from coordctl.inventory.reading import parse as parse_inventory
from coordctl.inventory.template import template
from coordctl.logs.lines import Parser
from coordnode.client.addresses import parse_addresses
from coordnode.errors import BadRequest, FrameError, RecordError
from coordnode.raft.blobs import Blob, decode_list, encode_lists

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
LINES = [
    b'{"at":"2026-11-28T12:00:00.123Z","hlc":"1.0","level":"warning","event":"peer_lost","member":101,"term":3,"index":40,"peer":2}',
    b'{"level":"warn","ts":"2026-11-28T12:00:00.123456Z","msg":"apply request took too long","took":"1.2s","raft-term":3}',
    b'{"severity":"ERROR","time":1795867200.123,"message":"no"}',
    b"2026-11-28 12:00:00,123 [myid:2] - WARN  [QuorumPeer[myid=2](plain=/0:0:0:0:0:0:0:0:2181):Learner@102] - Got zxid 0x100000001",
    b"[2026-11-28 12:00:00.123+02:00] ERROR: cannot open /var/lib/x/y: errno 5",
    b"<13>Nov 28 12:00:00.001 web1 kernel: Out of memory: Killed process 812 (coordnode)",
]
SHORT_PLAYBOOKS = [  # the parser of YAML is Python's: what is short is fed often
    b"proves: x\nversion: 1\nrows: [{at: 2s, for: 4s, do: kill, to: leader}]\nexpect: [{that: healthy, within: 30s}]\n",
    b"version: 1\nproves: >\n  x\n  y\nload:\n- do: kv\n  clients: 3\nrows:\n- at: '2s'\n  for: \"4s\"\n  do: kill\n  to: leader # now\n",
]
INVENTORY = (
    template("shop", "prod", ["10.0.0.1", "db2.example"])
    + """role = "spare"
zone = "a"
labels = ["ssd"]
ssh = { host = "n1.example", user = "ops", port = 22 }
settings = { tick = "40ms" }
"""
).encode()
SHORT_INVENTORY = b'name = "a"\nenvironment = "dev"\n[ssh]\nuser = "b"\n[hosts.n1]\naddress = "10.0.0.1"\n'
TOXICS = [
    {"name": "slow", "type": "latency", "stream": "upstream", "toxicity": 0.5, "attributes": {"latency": 100, "jitter": 10}},
    {"type": "limit_data", "attributes": {"bytes": 4096}, "lifetime_ms": 1000},
]


def text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(str(error)) from None


def inventory(data: bytes) -> object:
    found = parse_inventory(text(data), "inventory.toml")
    if found.inventory is None:
        assert found.mistakes, "nothing is wrong, and there is no inventory"
        raise BadRequest(found.mistakes[0])
    return found.inventory


def playbook(data: bytes) -> object:
    return unless_refused(lambda: parse_playbook("p", data))


def unless_refused(read: Callable[[], Playbook]) -> Playbook:
    try:
        return read()
    except Refused as refused:
        assert refused.mistakes, "nothing is wrong, and there is no playbook"
        raise BadRequest(str(refused)) from None


def as_json(node: Node) -> object:
    if isinstance(node, Fields):
        return {name: as_json(field) for name, (_, field) in node.fields.items()}
    return [as_json(item) for item in node.items] if isinstance(node, Rows) else node.text


def as_node(value: object, depth: int = 0) -> Node:
    """As the reader of YAML hands it on: scalars are text, and nothing is nested deeper."""
    if isinstance(value, dict | list) and depth == DEPTH_MAX:
        raise BadRequest("nested too deeply")
    if isinstance(value, dict):
        return Fields({name: (1, as_node(field, depth + 1)) for name, field in value.items()}, 1)
    return Rows([as_node(item, depth + 1) for item in value], 1) if isinstance(value, list) else Text(str(value), 1)


def playbook_tree(data: bytes) -> object:
    """What is behind the reader of YAML, many times as often."""
    return unless_refused(lambda: playbook_of("p", as_node(json_of(data))))


def json_of(data: bytes) -> object:
    try:
        return json.loads(text(data))
    except (ValueError, RecursionError) as error:
        raise BadRequest(repr(error)) from None


def line(data: bytes) -> object:
    """As whoever reads a log does: a line that began as one of ours and is damaged is one of these."""
    try:
        return Parser(1_795_867_200_000).parse(data)
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(repr(error)) from None


def toxic(data: bytes) -> object:
    try:
        return parse_toxic(decoded(data, dict, TOXIC_TYPE))
    except ApiError as error:
        raise BadRequest(str(error)) from None


def answer(data: bytes) -> object:
    """What fits is the same once it is written and read again."""
    value = msgpack.unpack(data)
    try:
        again = msgpack.pack(value)
    except BadRequest:  # a number or text that is read and that nobody may write
        raise FrameError("cannot be written") from None
    assert msgpack.unpack(again) == value
    return value


TREES = [json.dumps(as_json(parse_lined(path.read_bytes()))).encode() for path in sorted(PLAYBOOKS.glob("*.yaml"))]
TOOLS: dict[str, tuple[list[bytes], Callable[[bytes], object]]] = {
    "inventories": ([INVENTORY, SHORT_INVENTORY], inventory),
    "playbooks": ([(PLAYBOOKS / "kill-leader.yaml").read_bytes(), *SHORT_PLAYBOOKS], playbook),
    "playbook-trees": (
        [json.dumps(as_json(parse_lined(path.read_bytes()))).encode() for path in sorted(PLAYBOOKS.glob("*.yaml"))],
        playbook_tree,
    ),
    "log-lines": (LINES, line),
    "toxics": ([json.dumps(one).encode() for one in TOXICS], toxic),
    "hot-answers": ([msgpack.pack([1, -5, 2**40, "a", b"b" * 40, None, True, [["x"] * 20, "y" * 300]])], answer),
    "addresses": ([b"127.0.0.1:7001,[::1]:7002,db.example:9000"], lambda data: parse_addresses(text(data))),
    "blob-lists": (list(encode_lists([Blob(4096, 100, 7), Blob(8192, 0, 0)])), decode_list),
}
