"""A watch through one member of etcd: whole changes, in order, with their revisions."""

from typing import Any

from coordctl.engines import watching
from coordctl.engines.etcd.gateway import Answer, Ask, Reader, authenticate, plain, request, result, token_of
from coordctl.engines.secrets import user_here
from coordctl.engines.watching import GONE, PUT, Change
from coordnode.errors import Disconnected
from coordnode.ranges import prefix_end


class Watching(watching.Watching):
    def _begin(self, prefix: str) -> None:
        self._reader = Reader()
        token = self._token()
        self._reader = Reader(streams=True)
        start = prefix.encode()
        asked = Ask("watch", {"create_request": {"key": start, "range_end": prefix_end(start)}})
        self._send(request(asked, self._address, token))
        self.take()

    def _token(self) -> str:
        user = user_here()
        if user is None:
            return ""
        self._send(request(authenticate(user), self._address))
        (answer,) = self._answers()
        return token_of(answer)

    def _answers(self) -> list[Answer]:
        while not (answers := self._reader.feed(self._receive())):
            continue
        return answers

    def take(self) -> list[Change]:
        answers = self._answers()
        found = [result(answer) for answer in answers]
        if any(one.get("canceled") for one in found):
            raise Disconnected("it ended the watch")
        return [_change(event) for one in found for event in one.get("events", ())]


def _change(event: dict[str, Any]) -> Change:
    about = event["kv"]
    kind = GONE if event.get("type") == "DELETE" else PUT
    return Change(kind, int(about["mod_revision"]), plain(about["key"]).decode(), plain(about.get("value")).decode())
