"""Who may do what: clients with the operator's certificate change what a guest may do, and the guest, with a token, tries."""

from collections import deque
from collections.abc import Mapping
from hashlib import sha256
from typing import ClassVar

import msgspec

from coordnode.checking import roles
from coordnode.client.actions import Finished
from coordnode.errors import NotPermitted
from coordnode.services.commands import (
    AddToken,
    AuditPage,
    ClientOperation,
    Command,
    Done,
    Get,
    Grant,
    ListRoles,
    ListTokens,
    ListUsers,
    Noted,
    ReadAudit,
    RemoveRole,
    RemoveToken,
    RemoveUser,
    Result,
    SetRole,
    SetUser,
    encode,
)
from coordnode.services.rights import KV, LOCK, READ, USE
from coordnode.simulator.client import SimClient
from coordnode.simulator.services.service import SimService, Stage, Step
from coordnode.simulator.vocabulary import Words, other, other_read

DIGEST = sha256(b"of the guest of every simulated cluster").digest()
KEY = b"guest/key"
GRANTS = (Grant(KV, READ, b"guest/"), Grant(KV, USE), Grant(KV, READ, b"other/"), Grant(LOCK, READ))
DENIED_AFTER_MAX = 600
"""Operations, which is twenty seconds: a denial needs no round, so who was cut off or stood still may deny by what it knew then."""
CHANGES = (SetRole, RemoveRole, SetUser, RemoveUser, AddToken, RemoveToken)


class SimAuth(SimService):
    WORDS: ClassVar[Mapping[type, Words]] = {
        **dict.fromkeys(CHANGES, other("")),
        **dict.fromkeys((ListRoles, ListUsers, ListTokens, ReadAudit), other_read("roles")),
    }

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._truth = roles.Roles(DIGEST, KV, KEY)
        self._asked: dict[int, tuple[int, int]] = {}  # by call of the guest: how many changes were known when it asked, and long before
        self._known_at: deque[tuple[int, int]] = deque([(0, 0)])  # after so many operations: so many changes
        self._changing: dict[tuple[int, int], None] = {}  # by client and call
        self._reading: dict[tuple[int, int], None] = {}

    def steps(self) -> Mapping[Step, int]:
        return {self._change: 3, self._try: 4, self._read: 1}

    def _change(self, client: SimClient) -> None:
        """Mostly what brings the guest on its way in, and then other grants; else something is taken away."""
        chance = self.stage.chance.random
        grant = SetRole("guests", (GRANTS[int(chance() * len(GRANTS))],), "why")
        changes: dict[str, ClientOperation] = {
            "role": grant,
            "user": SetUser("guest", ("guests",)),
            "token": AddToken("guest", DIGEST),
            "": grant,
        }
        removals = (SetUser("guest", ()), RemoveToken(DIGEST), RemoveUser("guest"), RemoveRole("guests", chance() < 0.7))
        operation = changes[self._truth.missing()] if chance() < 0.8 else removals[int(chance() * len(removals))]
        self._changing[client.number, self.stage.write(client, operation)] = None

    def _try(self, _client: SimClient) -> None:
        guest = self.stage.guest
        self._asked[self.stage.call(guest, Get(KEY))] = (self._truth.known, self._known_long_ago())
        guest.poll()

    def _known_long_ago(self) -> int:
        known_at, begun = self._known_at, self.stage.begun
        known_at.append((begun, self._truth.known))
        while len(known_at) > 1 and known_at[1][0] <= begun - DENIED_AFTER_MAX:
            known_at.popleft()
        return known_at[0][1]

    def _read(self, client: SimClient) -> None:
        self._reading[client.number, self.stage.call(client, ReadAudit())] = None

    # --- what came of it -------------------------------------------------------------------------------------------

    def on_finished(self, client: SimClient, finished: Finished) -> None:
        call = client.number, finished.call
        if client is self.stage.guest:
            self._judge(finished, self._asked.pop(finished.call))
        elif call in self._changing:
            del self._changing[call]
            if finished.index:
                self._truth.answered((finished.index, finished.position))
        elif call in self._reading:
            del self._reading[call]
            result = finished.result
            if isinstance(result, AuditPage) and not result.more and self.stage.recording.is_newest(finished.index):
                self._truth.must_be_whole(
                    [
                        roles.Record(
                            each.number, each.previous, each.chain, sha256(encode(msgspec.structs.replace(each, chain=b""))).digest()
                        )
                        for each in result.records
                    ]
                )

    def _judge(self, finished: Finished, known: tuple[int, int]) -> None:
        error = finished.error
        if error is None or isinstance(error, NotPermitted):
            self._truth.must_fit(
                known[error is not None], was_let_in=error is None, words=error.sentence if error is not None else "come in"
            )

    # --- in the order of the log -----------------------------------------------------------------------------------

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        operation, truth = command.operation, self._truth
        if not isinstance(result, Done) or not result.changed:
            return
        match operation:
            case SetRole():
                truth.set_role(operation.name, [roles.Grant(grant.area, grant.prefix) for grant in operation.grants])
            case RemoveRole():
                truth.remove_role(operation.name)
            case SetUser():
                truth.set_user(operation.name, operation.roles)
            case RemoveUser():
                truth.remove_user(operation.name)
            case AddToken():
                truth.add_token(operation.user, operation.digest)
            case RemoveToken():
                truth.remove_token(operation.digest)
            case Noted():
                pass
            case _:
                return
        truth.changed(place)
