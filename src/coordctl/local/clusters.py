"""Which cluster a command speaks to: from flags, the environment, or the only local cluster. Reads and writes a cluster's description."""

from __future__ import annotations

import os

from coordctl.local import notes
from coordnode.errors import BadRequest, Unreachable
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

DESCRIPTION = "cluster.json"
INVENTORY = ".toml"
FORMAT = 1
DEFAULT_NAME = "local"
COORDNODE, ETCD, ZOOKEEPER = "coordnode", "etcd", "zookeeper"  # engines
SCHEMES = {"http": COORDNODE, "etcd": ETCD, "zk": ZOOKEEPER}
ROOMS = {COORDNODE: "coordctl.hot", ETCD: "coordctl.engines.etcd", ZOOKEEPER: "coordctl.engines.zookeeper"}


class Endpoint(NamedTuple):
    address: str  # host:port
    member: int = 0  # id; 0: not known
    name: str = ""


class Chosen(NamedTuple):
    engine: str
    name: str  # "": it has none here
    endpoints: list[Endpoint]


class LocalMember(NamedTuple):
    name: str
    member: int
    address: str
    pid: int = 0  # 0: not started, or ended by us
    started: str = ""  # tells this process from a later one with the same pid
    peers: tuple[int, ...] = ()  # ports on which another engine's members speak with one another


class LocalCluster(NamedTuple):
    folder: str
    name: str
    cluster: int
    created: int  # unix seconds
    is_made: bool  # its members' folders exist
    members: tuple[LocalMember, ...]
    tls: str = ""  # folder of a client's certificate; "": in the clear
    inventory: str = ""  # its members run on hosts, which this file names; "": on this machine
    fault_injection: bool = False  # its members are started so that they may be harmed on purpose
    archive: str = ""  # a backup whose state its members begin with, as long as they are not made
    replaces: tuple[int, ...] = ()  # clusters whose place it took
    engine: str = COORDNODE
    read_as: str = ""  # of another engine: which state of its inventory's file this is
    is_recovery: bool = False  # it takes the place of one whose quorum was lost; as long as its members are not made

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint(member.address, member.member, member.name) for member in self.members]


def state_folder(environment: Mapping[str, str] = os.environ) -> str:
    return own_folder("XDG_STATE_HOME", os.path.join(".local", "state"), environment)


def own_folder(variable: str, below_home: str, environment: Mapping[str, str]) -> str:
    """A base that is not absolute is none, says the XDG specification; members would be started elsewhere than they are looked for."""
    base = environment.get(variable, "")
    return os.path.join(base if os.path.isabs(base) else os.path.join(os.path.expanduser("~"), below_home), "coordctl")


def folder_of(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """`name` is what `up` was told: a plain name, or a path as given to --dir."""
    return os.path.abspath(name) if os.sep in name else os.path.join(state_folder(environment), name)


def names(environment: Mapping[str, str] = os.environ) -> list[str]:
    try:
        found = sorted(os.listdir(state_folder(environment)))
    except OSError:
        return []
    return [name for name in found if os.path.exists(os.path.join(state_folder(environment), name, DESCRIPTION))]


def read(folder: str) -> LocalCluster | None:
    """None: no cluster was made there."""
    path = os.path.join(folder, DESCRIPTION)
    try:
        with open(path, encoding="utf-8") as file:
            found = decoded(file.read())
        if found["format"] != FORMAT:
            raise BadRequest(f"{path} is of format {found['format']}, and only {FORMAT} is known here: use the coordctl that made it")
        members = tuple(_member(entry) for entry in found["members"])
        more = (found.get("tls", ""), found.get("inventory", ""), found.get("fault_injection", False))
        origin = (found.get("archive", ""), tuple(found.get("replaces", ())))
        of = (found["name"], found["cluster"], found["created"], found["is_made"])
        last = (found.get("engine", COORDNODE), found.get("read_as", ""), found.get("is_recovery", False))
        return LocalCluster(folder, *of, members, *more, *origin, *last)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"{path} is not what `coordctl up` writes ({error!r}): move {folder} away and run `coordctl up`") from None


def decoded(text: str) -> Any:
    """As json.loads does it, by the scanner of C below it: json is loaded in 8 ms, which every command on this machine would wait for."""
    try:
        from _json import make_scanner
    except ImportError:  # a Python that has none
        import json

        return json.loads(text)
    text = text.strip()
    try:
        value, end = make_scanner(_Scanning())(text, 0)  # type: ignore[arg-type]  # it takes whatever has these names
    except StopIteration:
        raise ValueError("it is no JSON") from None
    if end < len(text):
        raise ValueError("it goes on behind its end")
    return value


class _Scanning:
    """What json.JSONDecoder tells the scanner."""

    strict = True
    object_hook = object_pairs_hook = parse_constant = None
    parse_float, parse_int = float, int


def _member(entry: dict[str, Any]) -> LocalMember:
    peers = tuple(entry.get("peers", ()))
    return LocalMember(entry["name"], entry["id"], entry["address"], entry["pid"], entry["started"], peers)


def write(cluster: LocalCluster) -> None:
    import json

    members: list[dict[str, object]] = []
    for one in cluster.members:
        told = {"name": one.name, "id": one.member, "address": one.address, "pid": one.pid, "started": one.started}
        members.append({**told, "peers": one.peers} if one.peers else told)
    identity = {"name": cluster.name, "cluster": cluster.cluster, "created": cluster.created, "is_made": cluster.is_made}
    more: dict[str, Any] = {"tls": cluster.tls, "inventory": cluster.inventory} if cluster.inventory else {}
    more |= {"engine": cluster.engine} if cluster.engine != COORDNODE else {}
    more |= {"read_as": cluster.read_as} if cluster.read_as else {}
    more |= {"fault_injection": True} if cluster.fault_injection else {}
    more |= {"archive": cluster.archive, "replaces": cluster.replaces} if cluster.replaces else {}
    more |= {"is_recovery": True} if cluster.is_recovery else {}
    text = json.dumps({"format": FORMAT, **identity, **more, "members": members}, indent=1)
    path = os.path.join(cluster.folder, DESCRIPTION)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".tmp", path)


def choose(endpoints: str, cluster: str, environment: Mapping[str, str] = os.environ) -> tuple[str, list[Endpoint]]:
    """(what to call it, its endpoints) for a verb that knows coordnode's members only."""
    engine, name, found = chosen(endpoints, cluster, environment)
    must_be_own(engine)
    return name, found


def must_be_own(engine: str) -> None:
    if engine != COORDNODE:
        raise BadRequest(f"this is done with coordnode's members only, and not with {engine}: docs/engines.md says what can be")


def chosen(endpoints: str, cluster: str, environment: Mapping[str, str] = os.environ) -> Chosen:
    """--endpoints, then -c, then COORD_ENDPOINTS, then COORD_CLUSTER, then the only local cluster."""
    if endpoints:
        return named(endpoints, "--endpoints")
    if not cluster and environment.get("COORD_ENDPOINTS"):
        return named(environment["COORD_ENDPOINTS"], "COORD_ENDPOINTS")
    found = chosen_local(cluster, environment)
    if found.tls:
        os.environ.setdefault("COORD_TLS", found.tls)  # whoever speaks to it, and what we run, is this client
    return Chosen(found.engine, found.name, found.endpoints())


def addressed(engine: str, endpoints: Sequence[Endpoint]) -> list[str]:
    """As `--endpoints` takes them."""
    scheme = {known: scheme for scheme, known in SCHEMES.items()}[engine]
    return [one.address if engine == COORDNODE else f"{scheme}://{one.address}" for one in endpoints]


def spoken(engine: str, part: str) -> Any:
    """The module with this part of how an engine is spoken to: `asking`, `line`. The one place that chooses among engines."""
    return __import__(f"{ROOMS[engine]}.{part}", fromlist=["of"])


def chosen_local(cluster: str, environment: Mapping[str, str] = os.environ) -> LocalCluster:
    wanted = cluster or environment.get("COORD_CLUSTER", "")
    if not wanted:
        known = names(environment)
        if len(known) > 1:
            raise BadRequest(f"there are several local clusters ({', '.join(known)}): name one with -c")
        if not known:
            _must_be_readable(state_folder(environment))
            raise Unreachable("no cluster is known: start one here with `coordctl up`, or name its members with --endpoints")
        wanted = known[0]
    found = None if wanted.endswith(INVENTORY) else read(folder_of(wanted, environment))
    if found is None or (found.read_as and found.read_as != state_of(found.inventory)):
        found = _listed(wanted, environment)
    if found is None:
        known_names = ", ".join(names(environment)) or "none"
        raise BadRequest(f"no local cluster is called {wanted} (there are: {known_names}): start it with `coordctl up -c {wanted}`")
    return found


def _must_be_readable(folder: str) -> None:
    """With the home of another user, as after sudo: starting a cluster there is no remedy."""
    try:
        os.listdir(folder)
    except PermissionError as error:
        raise Unreachable(f"{folder}: {error.strerror}: is HOME yours? Set it, or name a cluster's members with --endpoints") from None
    except OSError:
        return


def _listed(wanted: str, environment: Mapping[str, str]) -> LocalCluster | None:
    """By an inventory: 50 ms that are spent when its file is new, or another one than it was."""
    from coordctl.local import listed

    return listed.found(wanted, environment)


def state_of(path: str) -> str:
    """Of a file: another one after each change; "": it is not there."""
    try:
        now = os.stat(path)
    except OSError:
        return ""
    return f"{now.st_ino} {now.st_size} {now.st_mtime_ns}"


# --- who led last --------------------------------------------------------------------------------------------------


def led_last(endpoints: Sequence[Endpoint]) -> str:
    """Where the leader was when somebody here last asked one; "": not known. Whoever is asked first may say otherwise."""
    try:
        file = os.open(_path_of_led(endpoints), os.O_RDONLY)
    except OSError:
        return ""
    try:
        text = os.read(file, 512).decode("ascii", "replace")
    finally:
        os.close(file)
    _, colon, port = text.rpartition(":")
    return text if colon and port.isascii() and port.isdigit() else ""


def note_led(endpoints: Sequence[Endpoint], address: str) -> None:
    """It saves the next command a question."""
    notes.write(_path_of_led(endpoints), address)


def forget_led(endpoints: Sequence[Endpoint]) -> None:
    try:
        os.unlink(_path_of_led(endpoints))
        os.rmdir(os.path.dirname(_path_of_led(endpoints)))
    except OSError:
        return


def _path_of_led(endpoints: Sequence[Endpoint]) -> str:
    """By the address that is named first: whoever names the same ones in another order learns it anew."""
    return os.path.join(state_folder(), "led", endpoints[0].address.replace(os.sep, "_"))


def named(text: str, where: str) -> Chosen:
    """Members by address; the first one's scheme says of which engine all of them are."""
    found = {part.strip().partition("://")[0] for part in text.split(",") if "://" in part} or {"http"}
    scheme = found.pop()
    if found or scheme not in SCHEMES:
        raise BadRequest(f"{where}: {text.strip()!r} is not all of one of {', '.join(f'{known}://' for known in SCHEMES)}")
    return Chosen(SCHEMES[scheme], "", split(text.replace(f"{scheme}://", ""), where))


def split(text: str, where: str) -> list[Endpoint]:
    """Each once, in the order given."""
    from coordnode.client.addresses import parse_addresses

    try:
        return [Endpoint(str(address)) for address in parse_addresses([part.strip().rstrip("/") for part in text.split(",")])]
    except BadRequest as error:
        raise BadRequest(f"{where}: {error.sentence}") from None


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
