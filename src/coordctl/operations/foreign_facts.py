"""What a bundle has of another engine's member beside its log: how it is, its numbers and its settings, as it tells them to a client."""

from collections.abc import Iterator

import msgspec

from coordctl.engines import looking, telling
from coordctl.local.clusters import Endpoint
from coordctl.operations.parts import Part
from coordctl.results.logs import NotCollected

ASK_SECONDS = 2.0


def facts(engine: str, endpoint: Endpoint) -> Iterator[Part | NotCollected]:
    """Of a member that may not answer: of that, too, is told."""
    folder = endpoint.name
    (look,) = looking.look(engine, [endpoint], ASK_SECONDS)
    if look.trouble:
        yield NotCollected(what=f"{folder}/status.json", why=f"{endpoint.address}: {look.trouble}")
    else:
        yield Part(f"{folder}/status.json", f"{endpoint.address}, asked how it is", [(0, msgspec.json.encode(look))])
    for one in telling.tell(engine, endpoint, ASK_SECONDS):
        if one.trouble:
            yield NotCollected(what=f"{folder}/{one.file}", why=f"{one.source}: {one.trouble}")
        else:
            yield Part(f"{folder}/{one.file}", one.source, [(0, line) for line in one.said.splitlines()])
