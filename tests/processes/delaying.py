"""Ways that are long: relays before members, each of which keeps what comes for a while before it passes it on."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

Address = tuple[str, int]


class Delaying:
    """Relays in a thread of their own. What is under way when the delay changes keeps its place."""

    def __init__(self) -> None:
        self.seconds = 0.0  # each way
        self.loses_answers = False  # what comes back is passed on to nobody
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def before(self, address: Address) -> Address:
        """Where it is reached by those who are far away."""
        return asyncio.run_coroutine_threadsafe(self._listen(address), self._loop).result(30)

    @contextmanager
    def by(self, seconds: float) -> Iterator[None]:
        self.seconds = seconds
        try:
            yield
        finally:
            self.seconds = 0.0

    def cut(self) -> None:
        """Ends every connection; new ones are taken."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(30)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self, address: Address) -> Address:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                far_reader, far_writer = await asyncio.open_connection(*address)
            except OSError:
                writer.close()
                return
            self._writers += [writer, far_writer]
            for source, target, is_answer in ((reader, far_writer, False), (far_reader, writer, True)):
                task = self._loop.create_task(self._relay(source, target, is_answer=is_answer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        server = await asyncio.start_server(accept, address[0], 0)
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        return host, port

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        """In order: what is read later leaves later."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = self._loop.create_task(self._send(waiting, writer))
        self._tasks.add(sending)
        sending.add_done_callback(self._tasks.discard)
        with suppress(OSError):
            while data := await reader.read(65_536):
                if not (is_answer and self.loses_answers):
                    waiting.put_nowait((self._loop.time() + self.seconds, data))
        waiting.put_nowait((self._loop.time() + self.seconds, b""))
        await sending

    async def _send(self, waiting: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        while True:
            at, data = await waiting.get()
            await asyncio.sleep(max(0.0, at - self._loop.time()))
            if not data:
                break
            writer.write(data)
        writer.close()

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
