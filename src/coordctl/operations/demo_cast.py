"""Who plays in the demo: clients that want a lock or use keys, each with a connection of its own, and what they write down."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from coordctl.operations import fencing
from coordnode.checking.history import Recorder, Value
from coordnode.checking.writing import history_lines
from coordnode.client.sync import connect
from coordnode.errors import CoordError

LOCK = "nightly"
LEASE_SECONDS = 10.0
PAUSE_SECONDS = 0.01  # between two questions of one visitor: the machine is not ours alone


class Notebook:
    """What each asked and was answered, and when: a history of one model. Of several threads."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._recorder = Recorder()
        self._lock = threading.Lock()

    def asks(self, process: int, function: str, argument: Value) -> int:
        with self._lock:
            return self._recorder.invoke(process, function, argument, time.monotonic_ns())

    def answered(self, question: int, result: Value) -> None:
        with self._lock:
            self._recorder.ok(question, result, time.monotonic_ns())

    def failed(self, question: int, error: CoordError) -> None:
        with self._lock:
            if error.definite:
                self._recorder.fail(question, time.monotonic_ns())
            else:
                self._recorder.unknown(question)

    def save(self, folder: str) -> Path:
        """As `coordctl check` reads it."""
        path = Path(folder, f"{self.model}.jsonl")
        with self._lock:
            path.write_bytes(b"".join(history_lines(self._recorder.history(self.model))))
        return path


class Resource:
    """A file that the lock guards: it takes no write with a token below one that it has seen."""

    def __init__(self, folder: str) -> None:
        self._tokens = os.path.join(folder, "resource.token")
        self._content = Path(folder, "resource")

    def take(self, token: int, value: str) -> bool:
        is_admitted = fencing.admit(self._tokens, token) == token
        if is_admitted:
            self._content.write_text(value)
        return is_admitted


class Holder:
    """Wants the lock, waits in line for it, writes under it, gives it back."""

    def __init__(self, process: int, name: str, endpoints: list[str], notebook: Notebook) -> None:
        self.name = name
        self.token = 0  # 0: not had yet
        self.had_at = 0.0
        self.trouble = ""
        self._process = process
        self._notebook = notebook
        self._cluster = connect(endpoints, identity=name)
        self._lock = self._cluster.lock(LOCK, ttl=LEASE_SECONDS)
        self._thread = threading.Thread(target=self._acquire, name=name, daemon=True)

    def queue_up(self) -> None:
        self._thread.start()

    def _acquire(self) -> None:
        question = self._notebook.asks(self._process, "acquire", None)
        try:
            self._lock.acquire()
        except CoordError as error:
            self.trouble = error.sentence
            self._notebook.failed(question, error)
            return
        self.had_at = time.monotonic()
        self._notebook.answered(question, int(self._lock.token))
        self.token = int(self._lock.token)

    def check(self) -> None:
        """Raises if it cannot rely on it any more."""
        self._lock.check()

    def write(self, resource: Resource) -> bool:
        question = self._notebook.asks(self._process, "write", (self.token, self.name))
        is_taken = resource.take(self.token, self.name)
        self._notebook.answered(question, is_taken)
        return is_taken

    def give_back(self) -> None:
        question = self._notebook.asks(self._process, "release", self.token)
        try:
            self._lock.release()
        except CoordError as error:
            self._notebook.failed(question, error)
            raise
        self._notebook.answered(question, True)

    def close(self) -> None:
        self._cluster.close()
        if self._thread.ident is not None:
            self._thread.join()


class Visitor:
    """Puts and gets keys all the time, whatever happens to the members."""

    def __init__(self, process: int, endpoints: list[str], notebook: Notebook) -> None:
        self._process = process
        self._notebook = notebook
        self._cluster = connect(endpoints, identity=f"visitor {process}")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._visit, name=f"visitor {process}", daemon=True)
        self._thread.start()

    def _visit(self) -> None:
        number = 0
        while not self._is_over.wait(PAUSE_SECONDS):
            number += 1
            key = f"key {number % 3}"
            with suppress(CoordError):
                self._put(key, f"{self._process}-{number}")
                self._get(key)

    def _put(self, key: str, value: str) -> None:
        question = self._notebook.asks(self._process, "put", (key, value))
        try:
            self._cluster.kv.put(key, value, request_id=value)
        except CoordError as error:
            self._notebook.failed(question, error)
            raise
        self._notebook.answered(question, (key, value))

    def _get(self, key: str) -> None:
        question = self._notebook.asks(self._process, "get", (key, None))
        try:
            item = self._cluster.kv.get(key)
        except CoordError as error:
            self._notebook.failed(question, error)
            raise
        self._notebook.answered(question, (key, item.value.decode() if item is not None else ""))

    def stop(self) -> None:
        """Once it has the answer that it waits for."""
        self._is_over.set()
        self._thread.join()

    def close(self) -> None:
        self._is_over.set()
        self._cluster.close()
        self._thread.join()
