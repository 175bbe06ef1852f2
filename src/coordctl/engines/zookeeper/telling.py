"""All numbers and settings of one member of ZooKeeper, by its four-letter words."""

from coordctl.engines.telling import Told
from coordctl.engines.zookeeper.looking import said
from coordctl.local.clusters import Endpoint
from coordnode.errors import Unreachable

FILES = {"mntr": "metrics.txt", "conf": "settings.txt"}


def tell(endpoint: Endpoint, seconds: float) -> list[Told]:
    return [_word(endpoint, word, file, seconds) for word, file in FILES.items()]


def _word(endpoint: Endpoint, word: str, file: str, seconds: float) -> Told:
    source = f"{word} of {endpoint.address}"
    try:
        told = said(endpoint.address, word, seconds)
    except Unreachable as error:
        return Told(file, source, b"", error.sentence)
    return (
        Told(file, source, b"", f"{word} is not among its 4lw.commands.whitelist")
        if "whitelist" in told
        else Told(file, source, told.encode())
    )
