"""A headless Chromium, spoken to over a pipe: what a page asks for, complains of, and how wide it is."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

SECONDS_MAX = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (390, 1280)


class Seen(NamedTuple):
    asked: list[str]  # every address that the page wanted, but for its own
    said: list[str]  # errors and warnings of the console, and exceptions
    widths: dict[int, int]  # of the window → of what is to be seen in it
    title: str


def why_not() -> str:
    """Empty: there is one."""
    return "" if _path() else f"there is no browser here ({', '.join(NAMES)}): reports are not looked at"


def _path() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    def __init__(self, process: "subprocess.Popen[bytes]", to_it: int, from_it: int) -> None:
        self._process = process
        self._to, self._from = to_it, from_it
        self._numbers = itertools.count(1)
        self._rest = b""
        self.events: list[dict[str, Any]] = []

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator["Browser"]:
        path = _path()
        assert path is not None
        commands, to_it = os.pipe()
        from_it, answers = os.pipe()
        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        words += ["--no-first-run", "--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder}"]
        process = subprocess.Popen(
            ["bash", "-c", f'exec 3<&{commands} 4>&{answers}; exec "$@"', "sh", path, *words, "about:blank"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        os.close(commands)
        os.close(answers)
        browser = cls(process, to_it, from_it)
        try:
            yield browser
        finally:
            browser.close()

    def close(self) -> None:
        try:
            self.ask("Browser.close")
            self._process.wait(SECONDS_MAX)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait(SECONDS_MAX)
            os.close(self._to)
            os.close(self._from)

    def look(self, page: Path, picture: Path | None = None) -> Seen:
        """Opens it at each width."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable", session)
        self.events.clear()
        address, widths, title = page.resolve().as_uri(), {}, ""
        for width in WIDTHS:
            self.ask("Emulation.setDeviceMetricsOverride", session, width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
            loaded = len(self.events)
            self.ask("Page.navigate", session, url=address)
            self._await(lambda loaded=loaded: any(one["method"] == "Page.loadEventFired" for one in self.events[loaded:]))  # type: ignore[misc]
            widths[width] = self._value(session, "document.documentElement.scrollWidth")
            title = self._value(session, "document.title")
            if picture is not None:
                shot = self.ask("Page.captureScreenshot", session, captureBeyondViewport=True)
                picture.with_name(f"{picture.stem}-{width}.png").write_bytes(base64.b64decode(shot["data"]))
        asked = [one["params"]["request"]["url"] for one in self.events if one["method"] == "Network.requestWillBeSent"]
        said = [json.dumps(one["params"]) for one in self.events if _is_complaint(one)]
        self.ask("Target.closeTarget", targetId=target)
        return Seen([one for one in asked if one != address and not one.startswith("data:")], said, widths, title)

    def _value(self, session: str, expression: str) -> Any:
        return self.ask("Runtime.evaluate", session, expression=expression, returnByValue=True)["result"]["value"]

    def ask(self, method: str, session: str = "", **params: object) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + SECONDS_MAX
        while True:
            for answer in self._hear(until):
                if answer.get("id") == number:
                    assert "error" not in answer, answer
                    result: dict[str, Any] = answer["result"]
                    return result

    def _await(self, is_so: Any) -> None:
        until = time.monotonic() + SECONDS_MAX
        while not is_so():
            list(self._hear(until))

    def _hear(self, until: float) -> Iterator[dict[str, Any]]:
        ready, _, _ = select.select([self._from], [], [], max(0.0, until - time.monotonic()))
        assert ready, "the browser says nothing"
        data = os.read(self._from, 1 << 20)
        assert data, "the browser ended"
        *whole, self._rest = (self._rest + data).split(b"\0")
        for raw in whole:
            message = json.loads(raw)
            if "method" in message:
                self.events.append(message)
            yield message


def _is_complaint(event: dict[str, Any]) -> bool:
    if event["method"] == "Log.entryAdded":
        return event["params"]["entry"]["level"] in ("warning", "error")
    if event["method"] == "Runtime.consoleAPICalled":
        return event["params"]["type"] in ("warning", "error", "assert")
    return event["method"] == "Runtime.exceptionThrown"
