"""How one member is set up: a TOML file, then the environment, then flags. Every mistake is named, with its place and the remedy."""

import difflib
import ipaddress
import os
import re
import tomllib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypedDict

from coordnode.errors import ConfigRefused
from coordnode.limits import CLIENT_OUTSTANDING_MAX, COMMAND_BYTES_MAX, KIB, MIB, TOKEN_MAX

ENVIRONMENT_PREFIX = "COORDNODE_"
PORT_MAX = 65_535
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", re.ASCII)
GIB = 1024 * MIB


class Listen(NamedTuple):
    """Where to listen. Port 0: one that the system chooses."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


LOG_BYTES_LEAST = 64 * KIB
PROMOTE_MS_LEAST = 5_000
LISTEN = Listen("127.0.0.1", 7001)
PLAINTEXT = "plaintext"
RISKS = (PLAINTEXT,)
PROD = "prod"
ENVIRONMENTS = ("dev", "staging", PROD)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    folder: str = ""
    cluster: int = 0  # id; 0: whatever the folder says
    cluster_name: str = "local"  # only shown
    replaces: tuple[int, ...] = ()  # ids of clusters whose state this one went on with: their clients are told so
    member: int = 0  # id; 0: whatever the folder says
    name: str = ""  # only shown; "": "member ID"
    listen: Listen = LISTEN  # clients, members and HTTP
    advertise: str = ""  # how others reach this member, host:port; "": the address it listens on
    tls: str = ""  # folder with ca.pem, certificate.pem, key.pem; "": in the clear
    accept: str = ""  # a risk that is taken knowingly, one of RISKS
    environment: str = "dev"  # one of ENVIRONMENTS; nothing is broken on purpose in the last of them
    fault_injection: bool = False  # this member may be harmed on purpose; shown by health
    dial: tuple[tuple[int, str], ...] = ()  # how these members are reached instead of where they say; only with fault_injection
    http_listen: Listen | None = None  # a second place that speaks only HTTP, for those who may see the state but not change it
    log_file: str = ""  # where events go, one JSON object a line; "": to standard error
    log_bytes_max: int = 8 * MIB  # a larger log file is put aside, as FILE.1
    adopt: bool = False  # the folder was moved here, and the original will never run again

    tick_ms: int = 40
    election_ticks_min: int = 13
    election_ticks_max: int = 21
    heartbeat_ticks: int = 2
    stuck_ticks: int = 40
    slow_commit_ms: int = 100  # a commit that takes longer is told with its breakdown
    promote_after_ms: int = 0  # a learner takes the place of a voter that was silent for so long; 0: nobody does by itself

    snapshot_entries: int = 50_000
    snapshot_log_bytes: int = 64 * MIB
    keep_entries: int = 5_000
    segment_bytes: int = 16 * MIB
    free_bytes_min: int = 256 * MIB

    connections_max: int = 10_000
    pending_bytes_max: int = 64 * MIB  # asks of all clients that are not answered yet
    client_connections_max: int = 0  # of one identity, as what follows; 0: half of connections_max
    client_requests_max: int = 16_384  # not answered yet
    client_pending_bytes_max: int = 16 * MIB  # likewise
    client_watches_max: int = 16_384
    client_sessions_max: int = 100_000


OWN = (
    "folder",
    "member",
    "name",
    "listen",
    "advertise",
    "http_listen",
    "log_file",
    "log_bytes_max",
    "adopt",
    "dial",
    "tls",
)  # differ between members


RELOADABLE = (
    *("slow-commit", "snapshot-entries", "snapshot-log", "keep-entries"),
    *("free-min", "connections-max", "pending-max"),
    *("client-connections-max", "client-requests-max", "client-pending-max", "client-watches-max", "client-sessions-max"),
)  # taken over on SIGHUP, as certificates are; all others wait for the next start


class Told(TypedDict):
    config_hash: str
    settings: dict[str, object]


def told_settings(config: NodeConfig) -> Told:
    """Of the settings that the members of a cluster share: a hash of all, and those that are not the defaults."""
    shared = {field.name: (getattr(config, field.name), field.default) for field in fields(config) if field.name not in OWN}
    digest = zlib.crc32(repr([(name, value) for name, (value, _) in shared.items()]).encode())
    return Told(config_hash=f"{digest:08x}", settings={name: value for name, (value, default) in shared.items() if value != default})


# --- values as people write them -----------------------------------------------------------------------------------


DURATION_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
SIZE_UNITS = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}


def parse_listen(text: str) -> Listen:
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("write an IPv6 address in brackets, as in [::1]:7001")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > PORT_MAX:
        raise ValueError("give host:port, for example 127.0.0.1:7001, or 0.0.0.0:7001 for all interfaces")
    return Listen(host, int(port))


def _unit(text: str, units: Mapping[str, int], example: str) -> int:
    match = re.fullmatch(r"(\d+)\s*([A-Za-z]+)", text.strip(), re.ASCII)
    if match is None or match[2] not in units:
        raise ValueError(f"give a number with a unit ({', '.join(units)}), for example {example}")
    return int(match[1]) * units[match[2]]


def parse_duration_ms(text: str) -> int:
    return _unit(text, DURATION_UNITS, "40ms")


def parse_size(text: str) -> int:
    return _unit(text, SIZE_UNITS, "64MiB")


def _parse_count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("give a whole number")
    return int(text)


def _parse_switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("give true or false")
    return text == "true"


def _parse_name(text: str) -> str:
    if NAME.fullmatch(text) is None:
        raise ValueError("give up to 63 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or a digit")
    return text


def _parse_advertise(text: str) -> str:
    found = parse_listen(text)
    if not found.port:
        raise ValueError("others must be able to connect to it: give the real port")
    if found.host in ("0.0.0.0", "::"):
        raise ValueError("others must be able to connect to it: give the host's own address or name, not all interfaces")
    return str(found)


def _parse_path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("give a path")
    return text


def _parse_risk(text: str) -> str:
    if text not in RISKS:
        raise ValueError(f"give one of {', '.join(RISKS)}")
    return text


def _parse_environment(text: str) -> str:
    if text not in ENVIRONMENTS:
        raise ValueError(f"give one of {', '.join(ENVIRONMENTS)}")
    return text


def _parse_dial(text: str) -> tuple[tuple[int, str], ...]:
    found = []
    for part in text.split(","):
        member, equals, place = part.partition("=")
        if not equals or not member.isascii() or not member.isdigit():
            raise ValueError("give ID=HOST:PORT, several with commas, for example 12=127.0.0.1:9001")
        found.append((int(member), str(parse_listen(place))))
    return tuple(found)


def _parse_ids(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError("give ids of clusters, several with commas")
    return tuple(int(part) for part in parts)


class Key(NamedTuple):
    """One setting as people write it."""

    field: str
    parse: Callable[[str], object]
    help: str
    metavar: str


KEYS: dict[str, Key] = {
    "folder": Key("folder", _parse_path, "this member's folder, made by `coordnode init`", "DIR"),
    "cluster": Key("cluster", _parse_count, "refuse the folder unless it is of this cluster", "ID"),
    "cluster-name": Key("cluster_name", _parse_name, "what the cluster is called; only shown", "NAME"),
    "replaces": Key("replaces", _parse_ids, "clusters whose place this one took by a restore: their clients are told so", "ID,…"),
    "member": Key("member", _parse_count, "refuse the folder unless it is this member's", "ID"),
    "name": Key("name", _parse_name, "what this member is called; only shown", "NAME"),
    "listen": Key("listen", parse_listen, "where clients, members and HTTP connect; port 0: the system chooses", "HOST:PORT"),
    "advertise": Key("advertise", _parse_advertise, "how others reach this member, when it is not the address of --listen", "HOST:PORT"),
    "tls": Key("tls", _parse_path, "folder with ca.pem, certificate.pem and key.pem; members and clients without are refused", "DIR"),
    "accept": Key("accept", _parse_risk, "a risk taken knowingly; plaintext: whoever reaches the port may read and change all", "RISK"),
    "environment": Key("environment", _parse_environment, "dev, staging or prod; in prod nothing is broken on purpose", "NAME"),
    "fault-injection": Key("fault_injection", _parse_switch, "this member may be harmed on purpose; shown by health", ""),
    "dial": Key("dial", _parse_dial, "how these members are reached, instead of where they say; with fault-injection", "ID=HOST:PORT,…"),
    "http-listen": Key("http_listen", parse_listen, "a second place that speaks only HTTP", "HOST:PORT"),
    "log-file": Key("log_file", _parse_path, "where events go instead of standard error", "FILE"),
    "log-max": Key("log_bytes_max", parse_size, "a log file that grows beyond this is put aside as FILE.1; one is kept", "8MiB"),
    "adopt": Key("adopt", _parse_switch, "once: the folder was moved here, and the original will never run again", ""),
    "tick": Key("tick_ms", parse_duration_ms, "the beat of elections and heartbeats", "40ms"),
    "election-ticks-min": Key("election_ticks_min", _parse_count, "silence of the leader that a member always bears", "TICKS"),
    "election-ticks-max": Key("election_ticks_max", _parse_count, "silence of the leader that no member bears", "TICKS"),
    "heartbeat-ticks": Key("heartbeat_ticks", _parse_count, "how often the leader is heard at least", "TICKS"),
    "stuck-ticks": Key("stuck_ticks", _parse_count, "a leader whose disk hangs for so long steps down", "TICKS"),
    "slow-commit": Key("slow_commit_ms", parse_duration_ms, "commits slower than this are logged with their breakdown", "100ms"),
    "promote-after": Key("promote_after_ms", parse_duration_ms, "a learner takes the place of a voter that was silent for so long", "10m"),
    "snapshot-entries": Key("snapshot_entries", _parse_count, "a snapshot is due after so many log entries", "N"),
    "snapshot-log": Key("snapshot_log_bytes", parse_size, "or after so much log", "64MiB"),
    "keep-entries": Key("keep_entries", _parse_count, "log entries kept behind a snapshot for members that lag", "N"),
    "segment": Key("segment_bytes", parse_size, "size of one file of the log", "16MiB"),
    "free-min": Key("free_bytes_min", parse_size, "below this much free disk, writes that add data are refused", "256MiB"),
    "connections-max": Key("connections_max", _parse_count, "connections at a time", "N"),
    "pending-max": Key("pending_bytes_max", parse_size, "requests of all clients that wait at a time", "64MiB"),
    "client-connections-max": Key("client_connections_max", _parse_count, "of one identity at a time; 0: half of connections-max", "N"),
    "client-requests-max": Key("client_requests_max", _parse_count, "of one identity, not answered, before nothing more is read", "N"),
    "client-pending-max": Key("client_pending_bytes_max", parse_size, "likewise, their bytes", "16MiB"),
    "client-watches-max": Key("client_watches_max", _parse_count, "of one identity at a time, on one member", "N"),
    "client-sessions-max": Key("client_sessions_max", _parse_count, "of one identity at a time", "N"),
}

assert {*RELOADABLE} <= {*KEYS}
assert {key.field for key in KEYS.values()} == {field.name for field in fields(NodeConfig)}


# --- putting it together -------------------------------------------------------------------------------------------


class Source(NamedTuple):
    """Settings from one place, the later places win."""

    values: dict[str, tuple[str, object]]  # key -> (where it was found, value as written)
    mistakes: list[str]


def from_file(path: str) -> Source:
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
        found = tomllib.loads(text)
    except OSError as error:
        return Source({}, [f"{path}: cannot be read: {error.strerror}"])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return Source({}, [f"{path}: this is not TOML: {error}"])
    except RecursionError:
        return Source({}, [f"{path}: lists are nested too deeply: each setting is a plain value"])
    lines = _lines_of_keys(text)
    values: dict[str, tuple[str, object]] = {}
    mistakes = []
    for key, value in found.items():
        where = f"{path}:{lines.get(key, 1)}"
        if key in KEYS:
            values[key] = (where, value)
        else:
            mistakes.append(f"{where}: {_unknown(key)}")
    return Source(values, mistakes)


def _lines_of_keys(text: str) -> dict[str, int]:
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*\[?\[?\s*["\']?([A-Za-z0-9_-]+)', line)
        if match is not None:
            lines.setdefault(match[1], number)
    return lines


def from_environment(environment: Mapping[str, str]) -> Source:
    values: dict[str, tuple[str, object]] = {}
    mistakes = []
    for variable in sorted(environment):
        if variable.startswith(ENVIRONMENT_PREFIX):
            key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", "-")
            if key in KEYS:
                values[key] = (f"the variable {variable}", environment[variable])
            else:
                mistakes.append(f"the variable {variable}: {_unknown(key)}")
    return Source(values, mistakes)


def from_flags(arguments: Sequence[str]) -> Source:
    """`--key VALUE`, `--key=VALUE`; a switch may stand alone."""
    values: dict[str, tuple[str, object]] = {}
    mistakes = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith("--") or argument == "--":
            mistakes.append(f"{argument!r}: only flags are known here, as in --folder DIR")
            continue
        key, equals, value = argument[2:].partition("=")
        if key not in KEYS:
            mistakes.append(f"--{key}: {_unknown(key)}")
            if not equals and waiting and not waiting[0].startswith("--"):
                waiting.pop(0)
            continue
        if not equals:
            if KEYS[key].parse is _parse_switch:
                value = "true"
            elif waiting:
                value = waiting.pop(0)
            else:
                mistakes.append(f"--{key}: a value is missing, as in --{key} {KEYS[key].metavar}")
                continue
        values[key] = (f"--{key}", value)
    return Source(values, mistakes)


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key.replace("_", "-"), KEYS, 1)
    return f"there is no setting {key!r}" + (f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(KEYS)}")


def build(sources: Sequence[Source]) -> NodeConfig:
    """Raises ConfigRefused with every mistake there is."""
    mistakes = [mistake for source in sources for mistake in source.mistakes]
    chosen: dict[str, Any] = {}
    places: dict[str, str] = {}
    for source in sources:
        for name, (where, written) in source.values.items():
            key = KEYS[name]
            try:
                chosen[key.field] = key.parse(_as_written(written))
            except ValueError as error:
                mistakes.append(f"{where}: {name} = {written!r}: {error}")
            places[key.field] = where
    config = NodeConfig(**chosen)
    mistakes += _disagreements(config, places)
    if mistakes:
        raise ConfigRefused("\n".join(mistakes))
    return config


def _as_written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise ValueError("give a plain value, not a table, list or fraction")


def _disagreements(config: NodeConfig, places: Mapping[str, str]) -> list[str]:
    """What no field can know alone."""

    def at(field: str) -> str:
        return places.get(field, f"the default of {field.replace('_', '-')}")

    wrong = []
    if not config.folder:
        wrong.append("no folder is given: name it with --folder DIR, and make it first with `coordnode init`")
    for field in ("cluster", "member"):
        if getattr(config, field) > TOKEN_MAX:
            wrong.append(f"{at(field)}: ids are below 2**53; take the one that `coordnode init` printed")
    if not 5 <= config.tick_ms <= 1_000:
        wrong.append(f"{at('tick_ms')}: a tick of {config.tick_ms} ms makes no sense; give 5ms to 1s")
    if config.heartbeat_ticks < 1 or config.heartbeat_ticks * 2 >= config.election_ticks_min:
        wrong.append(
            f"{at('heartbeat_ticks')}: a heartbeat every {config.heartbeat_ticks} ticks and elections after {config.election_ticks_min} "
            "do not fit: a member must survive one lost heartbeat; raise election-ticks-min above twice heartbeat-ticks"
        )
    if config.election_ticks_min >= config.election_ticks_max:
        wrong.append(
            f"{at('election_ticks_max')}: election-ticks-max {config.election_ticks_max} must be larger than election-ticks-min "
            f"{config.election_ticks_min}: members that give up at the same moment split the vote"
        )
    if config.stuck_ticks <= config.election_ticks_min:
        wrong.append(f"{at('stuck_ticks')}: stuck-ticks must be larger than election-ticks-min, {config.election_ticks_min}")
    if config.promote_after_ms and config.promote_after_ms < PROMOTE_MS_LEAST:
        wrong.append(f"{at('promote_after_ms')}: give at least {PROMOTE_MS_LEAST // 1_000}s: whoever is silent for less may be there soon")
    if config.segment_bytes < MIB or config.segment_bytes > GIB:
        wrong.append(f"{at('segment_bytes')}: give 1MiB to 1GiB")
    if config.free_bytes_min < 2 * config.segment_bytes:
        wrong.append(f"{at('free_bytes_min')}: free-min must be at least two segments, {2 * config.segment_bytes // MIB}MiB")
    if config.snapshot_entries < 100:
        wrong.append(f"{at('snapshot_entries')}: give at least 100")
    if config.keep_entries >= config.snapshot_entries:
        wrong.append(f"{at('keep_entries')}: keep-entries must be smaller than snapshot-entries, {config.snapshot_entries}")
    if config.log_bytes_max < LOG_BYTES_LEAST:
        wrong.append(f"{at('log_bytes_max')}: give at least 64KiB")
    if config.snapshot_log_bytes < MIB:
        wrong.append(f"{at('snapshot_log_bytes')}: give at least 1MiB")
    if not 1 <= config.connections_max <= 1_000_000:
        wrong.append(f"{at('connections_max')}: give 1 to 1000000")
    if config.pending_bytes_max < 8 * MIB:
        wrong.append(f"{at('pending_bytes_max')}: give at least 8MiB: the largest requests must fit")
    if config.client_requests_max < CLIENT_OUTSTANDING_MAX:
        wrong.append(f"{at('client_requests_max')}: give at least {CLIENT_OUTSTANDING_MAX}: a single connection asks for so many at once")
    if config.client_pending_bytes_max < COMMAND_BYTES_MAX:
        wrong.append(f"{at('client_pending_bytes_max')}: give at least {COMMAND_BYTES_MAX // MIB}MiB: the largest request must fit")
    for field in ("client_watches_max", "client_sessions_max"):
        if not 1 <= getattr(config, field) <= 1_000_000:
            wrong.append(f"{at(field)}: give 1 to 1000000")
    if config.http_listen is not None and config.http_listen.port and config.http_listen == config.listen:
        wrong.append(f"{at('http_listen')}: {config.listen} speaks HTTP already; leave http-listen out, or give another address")
    for field in ("listen", "http_listen"):
        place = getattr(config, field)
        if place is not None and not _is_loopback(place.host) and not config.tls and config.accept != PLAINTEXT:
            wrong.append(
                f"{at(field)}: {place} can be reached from other machines, and without tls whoever reaches it may read and change "
                f"everything: give tls a folder of certificates, or take the risk with accept = {PLAINTEXT!r}"
            )
    if config.fault_injection and config.environment == PROD:
        wrong.append(f"{at('fault_injection')}: nothing is broken on purpose in {PROD}: leave fault-injection out")
    if config.dial and not config.fault_injection:
        wrong.append(f"{at('dial')}: links are only led elsewhere to be broken on purpose: add fault-injection, or leave dial out")
    if not config.advertise and config.listen.host in ("0.0.0.0", "::"):
        wrong.append(f"{at('listen')}: others cannot connect to {config.listen.host}; say with advertise how they reach this member")
    return wrong


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> NodeConfig:
    """`--config FILE` first, then the environment, then flags."""
    rest = list(arguments)
    sources = []
    for position, argument in enumerate(rest):
        if argument == "--config" or argument.startswith("--config="):
            _, equals, path = argument.partition("=")
            if not equals and position + 1 >= len(rest):
                raise ConfigRefused("--config: a value is missing, as in --config FILE")
            path = path if equals else rest[position + 1]
            del rest[position : position + (1 if equals else 2)]
            sources.append(from_file(path))
            break
    return build([*sources, from_environment(environment), from_flags(rest)])
