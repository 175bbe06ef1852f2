"""A connection of load to another engine, on which one question at a time waits for its answer.

What was asked longer ago than is waited for is given up together with its session, since it may still be done.
"""

from coordctl.engines import unblocked
from coordctl.local.clusters import Chosen
from coordctl.operations.load_connection import Connection, Owner, Terms, Work
from coordnode.client.clock import now_ms
from coordnode.client.requests import as_result, as_words
from coordnode.errors import TimedOut


class ForeignConnection(Connection):
    def __init__(self, owner: Owner, chosen: Chosen, terms: Terms, *, keeps: bool) -> None:
        super().__init__(owner, terms, 1)
        self._session = unblocked.Session(chosen, terms.identity, terms.ttl_ms, f"{terms.prefix}.session", keeps=keeps)
        self._work: Work | None = None
        self._until_ms = 0  # what is asked is waited for
        self.open()

    def open(self) -> None:
        self._session.open()
        self._until_ms = now_ms() + self._terms.timeout_ms

    def close(self) -> None:
        self.is_open = self._session.close()

    @property
    def under_way(self) -> int:
        return int(self._work is not None)

    def _ask(self, work: Work, now_ns: int) -> None:
        self._work = work
        self._until_ms = now_ms() + self._terms.timeout_ms
        self._session.ask(as_words(work.request.operation), is_write=work.is_write)

    def _is_held(self) -> bool:
        return self._session.is_held and not self._session.is_doubtful

    def abandon(self) -> list[Work]:
        work, self._work = self._work, None
        return [work] if work is not None else []

    def carry_out(self) -> None:
        while told := self._session.poll():
            for one in told:
                self._on_told(one)
        if self._until_ms and now_ms() >= self._until_ms:
            self._give_up()

    def _on_told(self, told: unblocked.Told) -> None:
        if isinstance(told, unblocked.Opened):
            self._until_ms = 0
            self.is_open, self.trouble = not told.trouble, told.trouble
            self._owner.on_opened(self)
        elif isinstance(told, unblocked.Finished):
            self._until_ms = 0
            work, self._work = self._work, None
            if work is not None:
                self._on_finished(work, None if told.error is not None else as_result(told.result), told.error)
        else:
            self.is_open = False
            self._owner.on_session_lost(self)

    def _give_up(self) -> None:
        self._until_ms = 0
        late = TimedOut(f"no answer within {self._terms.timeout_ms} ms")
        if not self.is_open:
            self.trouble = late.sentence
            self._owner.on_opened(self)
            return
        self.is_open = False
        if self._work is not None:
            work, self._work = self._work, None
            self._failed(work, late)
        self._owner.on_session_lost(self)

    def wanted(self) -> tuple[int, int] | None:
        file, interest = self._session.descriptor()
        return (file, interest) if file >= 0 else None

    def on_ready(self, event: int) -> None:
        self._session.on_ready()

    def wake_at_ms(self) -> int | None:
        times = [self._session.wake_at_ms(), self._until_ms or None]
        return min((one for one in times if one is not None), default=None)

    def hang_up(self) -> None:
        self._session.end()
