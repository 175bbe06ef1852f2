"""Members that an operator is at work on, as it is written down in their cluster: keys below `_drains/`, where members look for them."""

import getpass
import json
import socket
import time
from collections.abc import Sequence
from urllib.parse import quote

from coordctl.facts.members import ClusterFacts, Drain
from coordctl.operations import http
from coordnode.errors import CoordError, Unknown, Unreachable

ASK_SECONDS = 5.0
PREFIX = "_drains/"


class Drains:
    def __init__(self, facts: ClusterFacts) -> None:
        """Asked is whoever is well, the leader first."""
        leader, contacts = facts.leader_status, facts.contacts()
        well = [one.status["member"] for one in facts.answered if one.status is not None and facts.state(one) == "ok"]
        well.sort(key=lambda member: leader is None or member != leader["member"])
        self._contacts: Sequence[str] = [contacts[member] for member in well if member in contacts]
        self._known = facts.drains()

    def note(self, member: int, for_seconds: float, reason: str) -> None:
        """Bound to a session that nobody renews: it goes by itself."""
        by = f"{getpass.getuser()}@{socket.gethostname()}"
        said = {"until_unix_s": int(time.time() + for_seconds), "by": by, "reason": reason}
        opened = self._ask("POST", "/v1/sessions", {"ttl_ms": int(for_seconds * 1000), "owner": f"drain by {by}"[:64]})
        session = int(opened.body["session"])
        self._ask("PUT", f"/v1/kv/{quote(PREFIX)}{member}", {"value": json.dumps(said)}, session=session, query="&bound=true")
        before = self._known.get(member)
        if before is not None and before.session != session:
            self.end(before)

    def end(self, drain: Drain) -> None:
        self._ask("DELETE", f"/v1/sessions/{drain.session}")

    def _ask(self, method: str, path: str, body: object = None, *, session: int = 0, query: str = "") -> http.Answer:
        trouble: CoordError = Unreachable("no member is well")
        for contact in self._contacts:
            try:
                answer = http.ask(contact, method, path, body, seconds=ASK_SECONDS, session=session, query=query)
            except Unreachable as error:
                trouble = error
                continue
            if not answer.is_ok:
                raise Unknown(f"{method} {path}: {answer.sentence}")
            return answer
        raise trouble
