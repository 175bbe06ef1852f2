"""What tokens guard: writes that ask whether a grant still lasts, with tokens of now and of the past, of every service that grants any."""

from collections.abc import Mapping

from coordnode.checking import shown
from coordnode.errors import NotHeld
from coordnode.ids import Token
from coordnode.services.commands import (
    EQUAL,
    NOT_EQUAL,
    TOKEN,
    Command,
    Compare,
    Failure,
    Put,
    PutTask,
    Result,
    TaskPut,
    Transaction,
    TransactionDone,
)
from coordnode.simulator import marks
from coordnode.simulator.client import SimClient
from coordnode.simulator.services.service import SimService, Stage, Step

KEYS = 3
REMEMBERED_MAX = 60  # tokens that were live once
WRONG_NAME_SHARE = 0.1


class SimGuarded(SimService):
    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._chance = stage.chance
        self._remembered: dict[int, bytes] = {}  # by token: its name

    def steps(self) -> Mapping[Step, int]:
        return {self._put: 3, self._put_task: 1}

    # --- the steps -----------------------------------------------------------------------------------------------------

    def _draw(self) -> tuple[bytes, int]:
        """One that is live, or was a while ago; token 0: there never was any."""
        live = {token: name for name, token in self.stage.tokens() if token > 0}
        self._remembered.update(live)
        for forgotten in list(self._remembered)[:-REMEMBERED_MAX]:
            del self._remembered[forgotten]
        known = live if live and self._chance.random() < 0.6 else self._remembered
        if not known:
            return b"", 0
        token = list(known)[int(self._chance.random() * len(known))]
        return known[token], token

    def _put(self, client: SimClient) -> None:
        """Both branches are the same: which one is taken says what is known of the token, and the store's model need not know."""
        name, token = self._draw()
        if token:
            if self._chance.random() < WRONG_NAME_SHARE:
                name += b"/other"
            relation = EQUAL if self._chance.random() < 0.7 else NOT_EQUAL
            put = Put(b"guarded/%d" % int(self._chance.random() * KEYS), self.stage.new_value(client)[:100])
            self.stage.write(client, Transaction([Compare(name, TOKEN, relation, token)], [put], [put]))

    def _put_task(self, client: SimClient) -> None:
        _, token = self._draw()
        if token:
            self.stage.write(client, PutTask(b"guarded", self.stage.new_value(client)[:40], holding=Token(token)))

    # --- what must have happened ---------------------------------------------------------------------------------------

    def on_effect(self, place: tuple[int, int], cluster_ms: int, command: Command, result: Result) -> None:
        operation = command.operation
        if isinstance(operation, Transaction) and isinstance(result, TransactionDone):
            for compare in operation.compares:
                if compare.field == TOKEN:
                    lasts = (compare.key, compare.number) in self.stage.tokens()
                    self._must_be(f"token {compare.number} of {compare.key!r}", result.succeeded is (compare.relation == EQUAL), lasts)
        elif isinstance(operation, PutTask) and operation.holding:
            is_refused = isinstance(result, Failure) and result.code == NotHeld.code
            if is_refused or isinstance(result, TaskPut):
                lasts = int(operation.holding) in [token for _, token in self.stage.tokens()]
                self._must_be(f"token {operation.holding}", not is_refused, lasts)

    def _must_be(self, what: str, answered: bool, lasts: bool) -> None:
        shown.token_must_be(what, taken_for_live=answered, lasts=lasts)
        if not lasts:
            self.stage.marks.reach(marks.STALE_TOKEN_REFUSED)
