"""The proxies in the links of a local cluster: which stands where, durable; their process, kept running; and what is done to links.

Each of the n·(n-1) links has a proxy of its own. A member sends on its own connection only: what goes from a to b is the upstream of
a's link to b, and what b's link to a brings back is its downstream.
"""

import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from coordctl.chaos import values
from coordctl.chaos.ledger import Entry, Ledger, is_held, write_durably
from coordctl.local import fleet, processes
from coordctl.local.clusters import LocalCluster, host_and_port
from coordctl.local.fleet import LINKS_FILE, Failed
from coordnode.errors import UnknownFormat

FORMAT = 1
LOCK = "proxy.lock"
PROXIES_FILE = "proxies.json"
SERVES_SECONDS_MAX = 20.0
ASK_SECONDS = 5.0
LOOKS_SECONDS = 0.2  # in which bytes that are not held back surely pass
SILENT_SECONDS = 2.0
MEASURED_TIMES = 3  # a machine that stands still holds back what comes, or lets together what does not belong together
LATE_SECONDS = 0.15  # of a piece that was lost: it comes 0.2 s late
LOSS_SECONDS_MAX = 20.0
PAD_BYTES = 8 * 1024
Pair = tuple[str, str]  # from, to


class LinkPlace(msgspec.Struct, frozen=True):
    source: str
    target: str
    listen: str
    upstream: str

    @property
    def name(self) -> str:
        return f"{self.source}-{self.target}"


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    is_used: bool  # False: members are being led back
    api: str
    links: list[LinkPlace]
    dial: dict[str, str]  # member -> what its --dial says

    def at(self, pair: Pair) -> LinkPlace:
        return next(one for one in self.links if (one.source, one.target) == pair)


def plan(cluster: LocalCluster) -> Installation:
    pairs = [(one, other) for one in cluster.members for other in cluster.members if one is not other]
    api, *ports = fleet.free_ports(len(pairs) + 1, random.SystemRandom())
    links = [LinkPlace(one.name, other.name, f"127.0.0.1:{port}", other.address) for (one, other), port in zip(pairs, ports, strict=True)]
    ids = {member.name: member.member for member in cluster.members}
    dial = {name: ",".join(f"{ids[one.target]}={one.listen}" for one in links if one.source == name) for name in ids}
    return Installation(is_used=True, api=f"127.0.0.1:{api}", links=links, dial=dial)


def _path(ledger: Ledger) -> str:
    return os.path.join(ledger.folder, LINKS_FILE)


def read(ledger: Ledger) -> Installation | None:
    """None: no proxies are installed."""
    try:
        with open(_path(ledger), "rb") as file:
            found = msgspec.json.decode(file.read(), type=Installation)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownFormat(f"{_path(ledger)} is not what chaos writes ({error}): `coordctl down`, then remove it") from None
    if found.format != FORMAT:
        raise UnknownFormat(f"{_path(ledger)} is of format {found.format}, and only {FORMAT} is known here: use the coordctl that made it")
    return found


def write(ledger: Ledger, installation: Installation) -> None:
    """And what its process is told, for whoever starts that: both reapers may, at once."""
    proxies = [{"name": one.name, "listen": one.listen, "upstream": one.upstream} for one in installation.links]
    write_durably(os.path.join(ledger.folder, PROXIES_FILE), json.dumps(proxies).encode())
    write_durably(_path(ledger), msgspec.json.encode(installation))


def remove(ledger: Ledger) -> None:
    with suppress(FileNotFoundError):
        os.unlink(_path(ledger))


# --- the process -------------------------------------------------------------------------------------------------------


def is_served(ledger: Ledger) -> bool:
    return is_held(os.path.join(ledger.folder, LOCK))


def start(ledger: Ledger, installation: Installation) -> None:
    """Unless it runs; who comes second finds its lock taken, and ends."""
    if is_served(ledger):
        return
    config = os.path.join(ledger.folder, PROXIES_FILE)
    arguments = ["--listen", installation.api, "--config", config, "--lock", os.path.join(ledger.folder, LOCK)]
    arguments += ["--cluster", ledger.cluster_folder]
    log = os.path.join(ledger.folder, "proxy.log")
    processes.let_go(processes.start(arguments, log, ledger.folder, module="coordctl.chaos.proxy.server"))


def broken(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """Proxy -> its toxics: what a process that starts anew must not mend."""
    found: dict[str, list[dict[str, Any]]] = {}
    installation = read(ledger)
    for entry in ledger.entries():
        if installation is not None and entry.links and not entry.is_due():
            for name, toxic in _toxics(installation, entry):
                found.setdefault(name, []).append(toxic)
    return found


def await_served(ledger: Ledger, installation: Installation) -> None:
    until = time.monotonic() + SERVES_SECONDS_MAX
    while True:
        with suppress(Failed):
            ask(installation, "GET", "/version")
            return
        if time.monotonic() > until:
            words = " ".join(processes.tail(os.path.join(ledger.folder, "proxy.log"), 2))
            raise Failed(f"the proxies do not start: {words or 'they say nothing'}")
        time.sleep(0.02)


def stop(ledger: Ledger) -> None:
    """Whoever holds the lock wrote its pid into it."""
    path = os.path.join(ledger.folder, LOCK)
    if not is_held(path):
        return
    with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        pid = int(file.read(32))
        processes.send(pid, processes.started_mark(pid), signal.SIGTERM)


def ask(installation: Installation, method: str, path: str, body: object = None) -> Any:
    import http.client  # as in lives

    host, port = host_and_port(installation.api)
    connection = http.client.HTTPConnection(host, port, timeout=ASK_SECONDS)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        found = json.loads(answer.read() or b"null")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failed(f"the proxies do not answer at {installation.api}: {error}") from None
    finally:
        connection.close()
    if answer.status >= 400 and answer.status != 404:
        raise Failed(f"the proxies refuse {method} {path}: {found}")
    return found


# --- faults ------------------------------------------------------------------------------------------------------------


def toxic_of(fault: str, by: str) -> tuple[str, dict[str, float]]:
    if fault == "cut":
        return "timeout", {"timeout": 0}
    if fault == "delay":
        return "latency", {"latency": values.duration_ms(by)}
    if fault == "jitter":
        half_ms = values.duration_ms(by) // 2
        return "latency", {"latency": half_ms, "jitter": half_ms}
    if fault == "slow-close":
        return "slow_close", {"delay": values.duration_ms(by)}
    if fault == "bandwidth":
        return "bandwidth", {"rate": max(1, round(values.bytes_each_second(by) / 1000))}
    if fault == "loss":
        return "loss", {"rate": values.percent(by)}
    return "reset_peer", {"timeout": 0}


def _streams(pair: Pair) -> list[tuple[Pair, str]]:
    """Where what goes from one to the other passes."""
    source, target = pair
    return [((source, target), "upstream"), ((target, source), "downstream")]


def _toxics(installation: Installation, entry: Entry) -> Iterator[tuple[str, dict[str, Any]]]:
    """(proxy, toxic): each goes by itself when the time is over."""
    kind, attributes = toxic_of(entry.fault, entry.by)
    for pair in entry.links:
        for link, stream in _streams(pair):
            toxic = {"name": f"{entry.id}-{stream}", "type": kind, "stream": stream, "attributes": attributes}
            yield installation.at(link).name, {**toxic, "lifetime_ms": max(1, entry.left_ms())}


MEASURED = {
    "cut": "nothing passes",
    "delay": "all is late",
    "jitter": "all is late, now more, now less",
    "slow-close": "an end is told late",
    "bandwidth": "all is slow",
    "loss": "pieces come late",
    "reset": "connections are reset",
}


def seen(entry: Entry) -> str:
    count = f"{len(entry.links)} link" + ("s" if len(entry.links) > 1 else "")
    return f"{count} measured, {MEASURED[entry.fault]}"


def strike(ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    installation = read(ledger)
    return [_strike(ledger, installation, one) if installation is not None else "no proxies are installed" for one in entries]


def _strike(ledger: Ledger, installation: Installation, entry: Entry) -> str:
    """What is wrong, or "": each link was measured, and is as it should be."""
    with ledger.striking([entry]):
        for name, toxic in _toxics(installation, entry):
            ask(installation, "POST", f"/proxies/{name}/toxics", toxic)
    from concurrent.futures import ThreadPoolExecutor  # as in lives

    with ThreadPoolExecutor(max_workers=len(entry.links)) as pool:
        troubles = list(pool.map(lambda pair: _measured(installation, pair, entry), entry.links))
    return "; ".join(trouble for trouble in troubles if trouble)


def cure(ledger: Ledger, entry: Entry) -> None:
    """Also of toxics that ended by themselves, and of those that went with their proxies."""
    installation = read(ledger)
    if installation is None:
        return
    for pair in entry.links:
        for link, stream in _streams(pair):
            ask(installation, "DELETE", f"/proxies/{installation.at(link).name}/toxics/{entry.id}-{stream}")


def is_cured(ledger: Ledger, entry: Entry) -> bool:
    """What is sent comes through, or is refused by who is there: it is not swallowed any more."""
    installation = read(ledger)
    if installation is None:
        return True
    for pair in entry.links:
        for link, _ in _streams(pair):
            shown = ask(installation, "GET", f"/proxies/{installation.at(link).name}/toxics") or []
            if any(toxic["name"].startswith(entry.id) for toxic in shown):
                return False
    return True


def drop(ledger: Ledger, entry: Entry) -> None:
    """It goes with the proxies."""


def _measured(installation: Installation, pair: Pair, entry: Entry) -> str:
    """What is wrong, or "": once it was seen to be as it should."""
    trouble = _look(installation, pair, entry)
    for _ in range(MEASURED_TIMES - 1 if entry.fault not in ("loss", "jitter") else 0):  # what is chance is looked at for long anyway
        if trouble:
            trouble = _look(installation, pair, entry)
    return trouble


def _look(installation: Installation, pair: Pair, entry: Entry) -> str:
    place = installation.at(pair)
    name = f"{pair[0]} -> {pair[1]}"
    if entry.fault == "cut":
        received, passed = _passed(installation, place)
        return "" if received and not passed else f"{name}: {passed} of {received} bytes passed"
    if entry.fault == "reset":
        heard, _ = trip(place.listen)
        return "" if heard == "reset" else f"{name}: {heard}, and no reset"
    if entry.fault in ("loss", "jitter"):
        late = LATE_SECONDS if entry.fault == "loss" else 0.45 * values.duration_ms(entry.by) / 1000
        until = time.monotonic() + LOSS_SECONDS_MAX
        heard = "nothing"
        while time.monotonic() < until:
            whole, usual = trip(place.upstream)  # around the proxy: who is slow itself is so there, too
            heard, seconds = trip(place.listen)
            if whole == heard == "answer" and seconds - usual >= late:
                return ""
        return f"{name}: {heard}, and nothing came later than around its proxy in {LOSS_SECONDS_MAX:g} s"
    if entry.fault == "slow-close":
        wanted = values.duration_ms(entry.by) / 1000
        seconds = _end_after(installation.at((pair[1], pair[0])).listen, wanted * 2 + SILENT_SECONDS)
        return "" if seconds >= 0.9 * wanted else f"{name}: the end came {seconds * 1000:.0f} ms after the answer"
    least = values.duration_ms(entry.by) / 1000 if entry.fault == "delay" else PAD_BYTES / values.bytes_each_second(entry.by)
    heard, seconds = trip(place.listen, pad=entry.fault == "bandwidth", patience=least * 2 + SILENT_SECONDS)
    return "" if heard == "answer" and seconds >= 0.9 * least else f"{name}: {heard} after {seconds * 1000:.0f} ms"


def _end_after(listen: str, patience: float) -> float:
    """From an answer to the end of its connection, as who asked is told of it; 0: no answer."""
    try:
        with socket.create_connection(host_and_port(listen), patience) as connection:
            connection.sendall(_probe())
            if not connection.recv(1):
                return 0.0
            began = time.monotonic()
            while connection.recv(65_536):
                pass
            return time.monotonic() - began
    except OSError:
        return 0.0


def _passed(installation: Installation, place: LinkPlace) -> tuple[int, int]:
    """(bytes that came, that went on) of what we send there."""

    def traffic() -> tuple[int, int]:
        found = ask(installation, "GET", f"/proxies/{place.name}/traffic")["upstream"]
        return found["received"], found["passed"]

    before = traffic()
    with socket.create_connection(host_and_port(place.listen), ASK_SECONDS) as connection:
        connection.sendall(_probe())
        until = time.monotonic() + SILENT_SECONDS
        while traffic()[0] == before[0] and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(LOOKS_SECONDS)  # what is not held back passes meanwhile
        after = traffic()
    return after[0] - before[0], after[1] - before[1]


def _probe(*, pad: bool = False) -> bytes:
    filling = f"X-Pad: {'x' * PAD_BYTES}\r\n" if pad else ""
    return f"GET /livez HTTP/1.1\r\nHost: coordnode\r\n{filling}Connection: close\r\n\r\n".encode()


def trip(listen: str, *, pad: bool = False, patience: float = SILENT_SECONDS) -> tuple[str, float]:
    """(answer, end, reset or silence; after so many seconds)"""
    began = time.monotonic()
    try:
        with socket.create_connection(host_and_port(listen), patience) as connection:
            connection.settimeout(patience)
            connection.sendall(_probe(pad=pad))
            heard = "answer" if connection.recv(1) else "end"
    except ConnectionResetError:
        heard = "reset"
    except TimeoutError:
        heard = "silence"
    except OSError:
        heard = "end"
    return heard, time.monotonic() - began


def matrix(installation: Installation, pairs: Sequence[Pair]) -> dict[Pair, str]:
    return {pair: trip(installation.at(pair).listen)[0] for pair in pairs}
