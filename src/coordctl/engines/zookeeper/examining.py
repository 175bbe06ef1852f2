"""All that one member of ZooKeeper tells a client of itself: by its four-letter words, and in /zookeeper/config."""

from coordctl.engines.examining import Examined, Known
from coordctl.engines.zookeeper import jute, words
from coordctl.engines.zookeeper.asking import Asking
from coordctl.engines.zookeeper.looking import look, said
from coordctl.local.clusters import Endpoint
from coordnode.errors import CoordError, Unreachable

CONFIG = b"/zookeeper/config"
TELLS = ("conf", "mntr")


def examine(endpoint: Endpoint, seconds: float) -> Examined:
    found = look(endpoint, seconds)
    if found.trouble:
        return Examined(found)
    try:
        conf, counts = (said(endpoint.address, word, seconds) for word in TELLS)
    except Unreachable as error:
        return Examined(found._replace(trouble=error.sentence))
    unsaid = [word for word, text in zip(TELLS, (conf, counts), strict=True) if "whitelist" in text]
    settings = dict(line.split("=", 1) for line in conf.splitlines() if "=" in line)
    numbers = dict(line.split("\t", 1) for line in counts.splitlines() if "\t" in line)

    def number(name: str) -> int | None:
        return int(numbers[name]) if numbers.get(name, "").isdecimal() else None

    return Examined(
        found,
        member=settings.get("serverId", ""),
        known=_known(endpoint.address, seconds),
        files_used=number("zk_open_file_descriptor_count"),
        files_max=number("zk_max_file_descriptor_count"),
        settings=settings,
        unsaid=f"{' and '.join(unsaid)} {'is' if len(unsaid) == 1 else 'are'} not among its 4lw.commands.whitelist" if unsaid else "",
    )


def _known(address: str, seconds: float) -> tuple[Known, ...]:
    """`server.2=host:2888:3888:participant;0.0.0.0:2181`"""
    try:
        text = words.said(Asking([address], round(seconds * 1000)).once(jute.get(CONFIG), address))[0].decode(errors="replace")
    except CoordError:
        return ()
    found = []
    for line in text.splitlines():
        name, is_one, places = line.partition("=")
        if is_one and name.startswith("server."):
            _, _, client = places.partition(";")
            found.append(Known(name.removeprefix("server."), (client or places.partition(":")[0],), ":observer" not in places))
    return tuple(found)
