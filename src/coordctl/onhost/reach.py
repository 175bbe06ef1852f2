"""Whether this host reaches the others at their members' ports. All ask at once: each listens where nobody does yet, until all came."""

import json
import select
import socket
import time

PAUSE_SECONDS = 0.05


def main(said: dict[str, object]) -> None:
    address, port, seconds = str(said["address"]), int(str(said["port"])), float(str(said["seconds"]))
    others: dict[str, list[object]] = dict(said["others"])  # type: ignore[call-overload]  # name: [address, port]
    until = time.monotonic() + seconds
    listening = _listen(address, port)
    came: set[str] = set()
    reached: dict[str, float] = {}
    trouble = dict.fromkeys(others, "it does not answer")
    # Whoever is done goes on listening: the others may have begun later.
    while time.monotonic() < until and (len(reached) < len(others) or (listening is not None and len(came) < len(others))):
        for name in sorted(set(others) - set(reached)):
            began = time.monotonic()
            try:
                host, number = others[name]
                with socket.create_connection((str(host), int(str(number))), 1.0) as connection:
                    reached[name] = round((time.monotonic() - began) * 1000, 2)
                    connection.sendall(f"coordctl {said['name']}\n".encode())
            except OSError as error:
                trouble[name] = "it does not answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        if listening is not None:
            _accept(listening, came)
        else:
            time.sleep(PAUSE_SECONDS)
    print(json.dumps({"reached_ms": reached, "trouble": {name: trouble[name] for name in others if name not in reached}}))


def _listen(address: str, port: int) -> "socket.socket | None":
    """None: the member itself is there already."""
    try:
        family, kind, _, _, name = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(name)
        listening.listen(64)
    except OSError:
        return None
    return listening


def _accept(listening: socket.socket, came: "set[str]") -> None:
    if not select.select([listening], [], [], PAUSE_SECONDS)[0]:
        return
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(0.5)
        try:
            words = connection.recv(200).decode(errors="replace").split()
        except OSError:
            return
        if len(words) == 2 and words[0] == "coordctl":
            came.add(words[1])
