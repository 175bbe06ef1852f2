"""All numbers of one member of etcd."""

import time

from coordctl.engines.secrets import secured
from coordctl.engines.telling import Told
from coordctl.hot.dialling import connect, seconds_left
from coordctl.hot.secrecy import trouble
from coordctl.local.clusters import Endpoint
from coordnode.errors import Unreachable

METRICS_BYTES_MAX = 1 << 22
OK = b" 200 "


def tell(endpoint: Endpoint, seconds: float) -> list[Told]:
    source = f"http://{endpoint.address}/metrics"
    try:
        return [Told("metrics.txt", source, metrics(endpoint.address, seconds))]
    except Unreachable as error:
        return [Told("metrics.txt", source, b"", error.sentence)]


def metrics(address: str, seconds: float) -> bytes:
    """As they are shown there. Raises Unreachable, also where they are shown elsewhere."""
    until = time.monotonic() + seconds
    said = bytearray()
    connection = secured(connect(address, seconds), address)
    try:
        connection.sendall(f"GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        while len(said) < METRICS_BYTES_MAX:
            connection.settimeout(seconds_left(until))
            part = connection.recv(1 << 18)
            if not part:
                break
            said += part
    except OSError as error:
        raise Unreachable(trouble(error, address)) from None
    finally:
        connection.close()
    head, _, body = said.partition(b"\r\n\r\n")
    if OK not in head.partition(b"\r\n")[0]:
        raise Unreachable("shows no metrics there")
    return bytes(body)
