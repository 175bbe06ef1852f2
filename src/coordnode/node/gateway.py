"""What HTTP asks of this member: shown at once where it is about the member itself, else asked of the cluster as a client of it.

The client core finds the leader, follows it, repeats what may be repeated and passes the deadline on; members never forward
what comes over the client protocol, so nothing goes in circles. Only stale reads are answered from here. Each identity that asks has a
connection of its own, so that the leader authorises what it asks like anybody else's.
"""

import asyncio
import ssl
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from coordnode import __version__
from coordnode.address import Address
from coordnode.api import openapi
from coordnode.api.answers import shown, shown_error
from coordnode.api.asking import Envelope, WrongType, ask, envelope_of
from coordnode.api.route import Asked, Plain, Read, ReadQuery, Renew, Route, Wait, Watch, Work, Write
from coordnode.api.table import ROUTES, TABLE, NoSuchMethod, NoSuchPath
from coordnode.api.watches import STREAM_TYPE, Gap, Progress, last_event, stream_event
from coordnode.client.clock import now_ms
from coordnode.client.inboxes import Inbox, Scope
from coordnode.client.requests import Request as Question
from coordnode.client.tasks import Tasks
from coordnode.errors import BadRequest, CoordError, HistoryGone, Overloaded, TooLarge, Unknown, Unreachable
from coordnode.ids import ClusterId, Revision
from coordnode.limits import KIB
from coordnode.net.http import JSON, HttpAnswer, Request
from coordnode.net.http_link import HttpLink
from coordnode.services.callers import Caller, digest_of
from coordnode.services.commands import NOTICES, ClientCommand, ReadOperation, Result, SessionOpened, decode_result
from coordnode.wire.hello import TOKEN_LETTERS_MAX

CALLS_MAX = 4_096  # requests under way
WATCHERS_MAX = 512  # of these, streams and answers that wait for changes
ASKERS_MAX = 256  # identities with a connection to the cluster
ASKER_IDLE_SECONDS_MAX = 10.0  # without a request, until its connection is closed
WAITING_BYTES_MAX = 512 * KIB  # of one watcher that does not read; it goes on behind it once that is read
HEARTBEAT_MS = 10_000  # a stream is not silent for longer

NAMED_BY_HTTP: dict[type[CoordError], int] = {NoSuchPath: 404, NoSuchMethod: 405, WrongType: 415}
BY_STATUS: dict[int, type[CoordError]] = {413: TooLarge, 431: TooLarge, 503: Overloaded}


class Host(Protocol):
    """The member, as far as HTTP needs it."""

    def show(self, path: str, caller: Caller) -> HttpAnswer:
        """What is to be seen of the member itself. Raises NotPermitted."""

    def read_stale(self, operation: ReadOperation, min_revision: Revision, caller: Caller) -> tuple[bytes, int]: ...

    def endpoints(self) -> list[Address]:
        """Where members are reached, this one first."""

    def nonce(self) -> bytes: ...

    def on_bug(self, error: str, trace: str) -> None: ...


class Asker:
    """One identity, and its connection to the cluster."""

    def __init__(self, caller: Caller, client: Tasks) -> None:
        self.caller = caller
        self.client = client
        self.under_way = 0
        self.idle_since_s = 0.0  # while nothing is under way


class Gateway:
    """Implements net.http_link.HttpHandler."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: Host,
        cluster: ClusterId,
        identity: str,
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        self._tls = tls
        self.statuses: dict[int, int] = {}  # how often each was answered
        self._loop = loop
        self._host = host
        self._cluster = cluster
        self._identity = identity
        self._askers: dict[tuple[str, str, str], Asker] = {}  # by user, host and token; who asked last is last
        self._looking: asyncio.TimerHandle | None = None  # for those that are idle, while there are any
        self._asking: dict[HttpLink, Asker] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._under_way: dict[HttpLink, asyncio.Task[None]] = {}
        self._watchers: dict[HttpLink, asyncio.Event] = {}  # set when its stream may be written to
        self._document = b""

    def is_quiet(self) -> bool:
        """Nothing that was begun is unfinished; watchers never are."""
        return len(self._under_way) == len(self._watchers)

    def watchers(self) -> int:
        return len(self._watchers)

    async def close(self) -> None:
        for task in list(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        if self._looking is not None:
            self._looking.cancel()
        for asker in self._askers.values():
            await asker.client.close()
        await asyncio.gather(*self._closing)

    # --- requests --------------------------------------------------------------------------------------------------

    def on_request(self, link: HttpLink, request: Request) -> None:
        try:
            if not request.path.startswith("/v1/"):
                self._say(link, self._seen(link, request))
            elif request.path == "/v1/openapi.json" and request.method in ("GET", "HEAD"):
                self._document = self._document or openapi.encoded(ROUTES, __version__)
                self._say(link, HttpAnswer(200, JSON, self._document))
            else:
                self._begin(link, request)
        except CoordError as error:
            self._say(link, _refused(error))
        except Exception as error:
            self._say(link, self._bug(error))

    def on_writable(self, link: HttpLink) -> None:
        writable = self._watchers.get(link)
        if writable is not None:
            writable.set()

    def on_gone(self, link: HttpLink) -> None:
        task = self._under_way.get(link)
        if task is not None:
            task.cancel()

    def refusal(self, status: int, sentence: str) -> HttpAnswer:
        self._count(status)
        return HttpAnswer(*shown_error(BY_STATUS.get(status, BadRequest)(sentence), status))

    def _say(self, link: HttpLink, answer: HttpAnswer) -> None:
        self._count(answer.status)
        link.answer(answer)

    def _count(self, status: int) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def _seen(self, link: HttpLink, request: Request) -> HttpAnswer:
        if request.method not in ("GET", "HEAD"):
            raise NoSuchMethod("what is to be seen of a member is only read", ("GET", "HEAD"))
        answer = self._host.show(request.path, link.caller._replace(name=self._identity, token=digest_of(_token(request))))
        if answer.status == 404:
            raise NoSuchPath(answer.body.decode().strip())
        return answer

    def _begin(self, link: HttpLink, request: Request) -> None:
        route, path = TABLE.find(request.method, request.path)
        asked = ask(route, path, request.query, request.headers, request.body, self._host.nonce())
        envelope = envelope_of(request.headers) if route.is_write else Envelope()
        work = route.build(asked)
        if len(self._under_way) >= CALLS_MAX:
            raise Overloaded(f"{CALLS_MAX} requests are under way here; try again, or another member", retry_after_ms=1_000)
        if isinstance(work, Watch | Wait) and request.method == "HEAD":
            raise NoSuchMethod("a watch has no head without its body", ("GET",))
        is_watcher = isinstance(work, Watch) or (isinstance(work, Wait) and work.wait_ms > 0)
        if is_watcher and len(self._watchers) >= WATCHERS_MAX:
            raise Overloaded(f"{WATCHERS_MAX} watches are under way here; try another member", retry_after_ms=1_000)
        asker = self._asker(link, request)
        if is_watcher:
            self._watchers[link] = asyncio.Event()
        answering = (
            self._watch(link, request, asked, work, asker)
            if isinstance(work, Watch)
            else self._answer(link, route, asked, work, envelope, asker)
        )
        self._asking[link] = asker
        asker.under_way += 1
        task = self._loop.create_task(answering)
        self._under_way[link] = task
        task.add_done_callback(lambda done: self._ended(link) if self._under_way.get(link) is done else None)  # not the next one's

    def _ended(self, link: HttpLink) -> None:
        self._under_way.pop(link, None)
        self._watchers.pop(link, None)
        asker = self._asking.pop(link, None)
        if asker is None:
            return
        asker.under_way -= 1
        if not asker.under_way:
            asker.idle_since_s = self._loop.time()
            if self._looking is None:
                self._looking = self._loop.call_later(ASKER_IDLE_SECONDS_MAX, self._end_idle)

    def _end_idle(self) -> None:
        """Those that are idle for long enough; and looks again when the next of them may be."""
        now_s = self._loop.time()
        idle = {key: asker.idle_since_s + ASKER_IDLE_SECONDS_MAX for key, asker in self._askers.items() if not asker.under_way}
        for key, until_s in list(idle.items()):
            if until_s <= now_s:
                del idle[key]
                self._close(key)
        self._looking = self._loop.call_at(min(idle.values()), self._end_idle) if idle else None

    def _close(self, key: tuple[str, str, str]) -> None:
        closing = self._loop.create_task(self._askers.pop(key).client.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _asker(self, link: HttpLink, request: Request) -> Asker:
        user, place, token = link.caller.user, link.caller.place.rpartition(":")[0], _token(request)
        key = user, place, token
        asker = self._askers.pop(key, None)
        if asker is None:
            if len(self._askers) >= ASKERS_MAX:
                self._let_go()
            behalf = (user, place) if self._tls() is not None else None  # in the clear nobody would believe it
            client = Tasks(self._host.endpoints(), self._identity, self._cluster, tls=self._tls, token=token, behalf=behalf)
            asker = Asker(Caller(self._identity, user, digest_of(token), place), client)
        self._askers[key] = asker
        return asker

    def _let_go(self) -> None:
        """Of whoever has not asked for longest."""
        idle = next((key for key, asker in self._askers.items() if not asker.under_way), None)
        if idle is None:
            raise Overloaded(f"{ASKERS_MAX} identities ask here at once; try again, or another member", retry_after_ms=1_000)
        self._close(idle)

    # --- one answer ------------------------------------------------------------------------------------------------

    async def _answer(self, link: HttpLink, route: Route, asked: Asked[Any, Any], work: Work, envelope: Envelope, asker: Asker) -> None:
        try:
            if isinstance(work, Wait):
                said = HttpAnswer(*shown(await self._waited(asked, work, envelope, asker)))
            else:
                result, age = await self._result(asked, work, envelope, asker)
                answer = shown(route.show(asked, result))
                said = HttpAnswer(*answer._replace(headers=answer.headers + age))
        except CoordError as error:
            said = _refused(error)
        except Exception as error:
            said = self._bug(error)
        self._ended(link)  # before the answer: the next request may come with it
        self._say(link, said)

    async def _waited(self, asked: Asked[Any, Any], work: Wait, envelope: Envelope, asker: Asker) -> Plain:
        """Looks again when its session is told something, and once more when the time is over."""
        line, client, until_ms = work.line, asker.client, now_ms() + work.wait_ms
        result, _ = await self._result(asked, line.first, envelope, asker)
        again = line.on_result(result)
        key, inbox = line.session.to_bytes(8), None
        try:
            while again is not None and now_ms() < until_ms:
                if inbox is None:  # what was told before the answer is in it
                    inbox = client.watch(Scope(key, key + b"\0", NOTICES), line.revision + 1, WAITING_BYTES_MAX)
                while not inbox.has_something() and now_ms() < until_ms:
                    await client.wait_watch(inbox, until_ms)
                if not _goes_on(client, inbox):
                    client.end_watch(inbox)
                    inbox = None
                result, _ = await self._result(asked, again, Envelope(), asker)
                again = line.on_result(result)
        finally:
            if inbox is not None:
                client.end_watch(inbox)
        return line.show()

    async def _result(
        self, asked: Asked[Any, Any], work: Work, envelope: Envelope, asker: Asker
    ) -> tuple[Result, tuple[tuple[str, str], ...]]:
        query = asked.query
        if isinstance(work, Read):
            min_revision = query.min_revision if isinstance(query, ReadQuery) else 0
            if isinstance(query, ReadQuery) and query.stale:
                encoded, age_ms = self._host.read_stale(work.operation, Revision(min_revision), asker.caller)
                return decode_result(encoded), (("Coord-Age-Ms", str(age_ms)),)
            question = Question(work.operation, lambda result: result, min_revision=min_revision)
            result = await asker.client.call(question, query.timeout_ms)
        elif isinstance(work, Renew):
            ttl_ms = await asker.client.renew(work.session, query.timeout_ms)
            result = SessionOpened(work.session, ttl_ms, Revision(0))
        else:
            assert isinstance(work, Write)
            command = ClientCommand(*envelope, work.operation)
            result = await asker.client.submit(command, query.timeout_ms, is_safe_twice=work.is_safe_twice)
        if result is None:
            raise Unknown("the member answered with nothing")
        return result, ()

    def _bug(self, error: Exception) -> HttpAnswer:
        self._host.on_bug(f"HTTP: {type(error).__name__}: {error}", "".join(traceback.format_exception(error)))
        return HttpAnswer(*shown_error(Unknown("a bug of this member; its log says more"), 500))

    # --- watches ---------------------------------------------------------------------------------------------------

    async def _watch(self, link: HttpLink, request: Request, asked: Asked[Any, Any], work: Watch, asker: Asker) -> None:
        client = asker.client
        is_stream = STREAM_TYPE in request.headers.get("accept", "")
        said: HttpAnswer | None = None
        inbox: Inbox | None = None
        try:
            from_revision = last_event(request.headers) + 1 if is_stream and last_event(request.headers) else work.from_revision
            present: list[tuple[Revision, Struct]] = []
            if work.present is not None and not from_revision:
                result, _ = await self._result(asked, Read(work.present.read), Envelope(), asker)
                present = [work.present.show(result)]
                from_revision = present[0][0] + 1
            inbox = client.watch(Scope(work.start, work.end, work.space), from_revision, WAITING_BYTES_MAX)
            if is_stream:
                await self._stream(client, inbox, link, asked.query.timeout_ms, work, present)
            elif present:
                said = HttpAnswer(*shown(work.show_all([told for _, told in present], from_revision)))
            else:
                said = HttpAnswer(*shown(await _changes(client, inbox, asked.query.timeout_ms, work)))
        except CoordError as error:
            said = _refused(error)
        except Exception as error:
            said = self._bug(error)
        finally:
            if inbox is not None:
                client.end_watch(inbox)
        self._ended(link)
        if said is not None:
            self._say(link, said)

    async def _stream(
        self, client: Tasks, inbox: Inbox, link: HttpLink, timeout_ms: int, work: Watch, present: list[tuple[Revision, Struct]]
    ) -> None:
        """Never returns while the watch is in force. Until the head is sent an error is an answer, then an event."""
        await _in_force(client, inbox, timeout_ms)
        self._count(200)
        link.begin_stream(STREAM_TYPE)
        writable = self._watchers[link]
        try:
            told, silent_until_ms = -1, now_ms() + HEARTBEAT_MS
            for revision, what in present:
                link.stream(stream_event("change", what, revision))
                told = revision
            while not link.is_gone():
                change = client.take_change(inbox)
                if change is not None:
                    link.stream(stream_event("change", work.show(change), change.revision))
                    told = change.revision
                elif not inbox.has_something():
                    up_to = inbox.up_to or 0
                    if up_to > told or now_ms() >= silent_until_ms:
                        link.stream(stream_event("progress", Progress(up_to + 1), up_to))
                        told, silent_until_ms = up_to, now_ms() + HEARTBEAT_MS
                    await client.wait_watch(inbox, silent_until_ms)
                while not link.is_writable() and not link.is_gone():
                    writable.clear()
                    await writable.wait()
        except HistoryGone as error:
            link.stream(stream_event("gap", Gap(error.floor)))
        except CoordError as error:
            link.stream(b"event: error\ndata: " + shown_error(error).body + b"\n")
        link.close()


def _token(request: Request) -> str:
    """Of `Authorization: Bearer …`; nothing where there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        return ""
    if len(token) > TOKEN_LETTERS_MAX:
        raise BadRequest("the token of the header Authorization is too long to be one of ours")
    return token.strip()


def _refused(error: CoordError) -> HttpAnswer:
    answer = shown_error(error, NAMED_BY_HTTP.get(type(error), 0))
    if isinstance(error, NoSuchMethod):
        answer = answer._replace(headers=(("Allow", ", ".join(error.allowed)),))
    return HttpAnswer(*answer)


async def _in_force(client: Tasks, inbox: Inbox, timeout_ms: int) -> None:
    until_ms = now_ms() + timeout_ms
    while inbox.up_to is None and inbox.error is None:
        if now_ms() >= until_ms:
            raise Unreachable(f"no leader took the watch within {timeout_ms} ms")
        await client.wait_watch(inbox, until_ms)


async def _changes(client: Tasks, inbox: Inbox, timeout_ms: int, work: Watch) -> Struct:
    until_ms = now_ms() + work.wait_ms
    await _in_force(client, inbox, timeout_ms)
    while not inbox.has_something() and now_ms() < until_ms:
        await client.wait_watch(inbox, until_ms)
    changes: list[Struct] = []
    while inbox.has_changes() or not changes:
        change = client.take_change(inbox)  # raises what ended the watch, if there is nothing before it
        if change is None:
            break
        changes.append(work.show(change))
    return work.show_all(changes, (inbox.up_to or 0) + 1)


def _goes_on(client: Tasks, inbox: Inbox) -> bool:
    """Takes all that was told; false: some of it was missed, and no more comes."""
    try:
        while inbox.has_something() and client.take_change(inbox) is not None:
            pass
    except HistoryGone:
        return False
    return True
