"""What is written down in a cluster for whoever looks at it, where its members look for it: who is drained, which risks were accepted, and
the newest backup."""

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
DRAINS, RISKS, BACKUP = "_drains/", "_accepted/", "_backups/newest"


class Notes:
    def __init__(self, facts: ClusterFacts) -> None:
        """Asked is whoever is well, the leader first."""
        leader, contacts = facts.leader_status, facts.contacts()
        well = [one.status["member"] for one in facts.answered if one.status is not None and facts.state(one) == "ok"]
        well.sort(key=lambda member: leader is None or member != leader["member"])
        self._contacts: Sequence[str] = [contacts[member] for member in well if member in contacts]
        self._facts = facts

    # --- drains ----------------------------------------------------------------------------------------------------

    def drain(self, member: int, for_seconds: float, reason: str) -> None:
        """Bound to a session that nobody renews: it goes by itself."""
        said = {"until_unix_s": int(time.time() + for_seconds), "by": _me(), "reason": reason}
        opened = self._ask("POST", "/v1/sessions", {"ttl_ms": int(for_seconds * 1000), "owner": f"drain by {_me()}"[:64]})
        session = int(opened.body["session"])
        self._ask("PUT", f"/v1/kv/{quote(DRAINS)}{member}", {"value": json.dumps(said)}, session=session, query="&bound=true")
        before = self._facts.drains().get(member)
        if before is not None and before.session != session:
            self.undrain(before)

    def undrain(self, drain: Drain) -> None:
        self._ask("DELETE", f"/v1/sessions/{drain.session}")

    # --- risks -----------------------------------------------------------------------------------------------------

    def accept(self, risk: str, verb: str, reason: str) -> None:
        said = {"unix_s": int(time.time()), "by": _me(), "verb": verb, "reason": reason}
        self._ask("PUT", f"/v1/kv/{quote(RISKS + risk)}", {"value": json.dumps(said)})

    def clear(self, risk: str) -> None:
        self._ask("DELETE", f"/v1/kv/{quote(RISKS + risk)}")

    # --- backups ---------------------------------------------------------------------------------------------------

    def backed_up(self, taken_unix_s: int, index: int, path: str) -> None:
        """By its id a cluster that was restored from a backup knows that this is no backup of its own."""
        said = {"cluster": self._facts.cluster, "taken_unix_s": taken_unix_s, "index": index, "by": _me(), "path": path}
        self._ask("PUT", f"/v1/kv/{quote(BACKUP)}", {"value": json.dumps(said)})

    # ---------------------------------------------------------------------------------------------------------------

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


def _me() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
