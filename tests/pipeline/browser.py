"""A headless Chromium that opens a file, driven through the DevTools protocol on a pair of pipes.

The protocol's messages are JSON, one after another, each ended by a zero byte (`--remote-debugging-pipe`: the
browser reads descriptor 3 and writes 4), so nothing but the standard library is needed.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
PATIENCE = 60.0  # seconds for one answer


def browser() -> str | None:
    """The program, if one is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Tab:
    """One page of the browser, and what it said since it was opened."""

    _pipes: _Pipes
    _session: str
    messages: list[str] = field(default_factory=list)  # of the console, and errors that nobody caught
    requests: list[str] = field(default_factory=list)  # addresses that were asked for

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the protocol."""
        return self._pipes.ask(method, parameters, self._session, self._heard)

    def show(self, file: Path, width: int, dark: bool = False, height: int = 844) -> None:
        """Open a file in a window of so many CSS pixels and wait until it is laid out."""
        self.messages.clear()
        self.requests.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.ask("Page.navigate", url=file.resolve().as_uri())
        end = time.monotonic() + PATIENCE
        while self.value("document.readyState") != "complete":
            assert time.monotonic() < end, f"{file} is not loaded"
            time.sleep(0.02)
        # Two frames: by then all is laid out and drawn.
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def value(self, expression: str) -> Any:
        """What a line of JavaScript comes to, as JSON."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self, file: Path, clip: tuple[float, float, float, float] | None = None) -> None:
        """The whole page as PNG, or a part of it (x, y, width, height)."""
        if clip is None:
            size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
            clip = (0.0, 0.0, size["width"], size["height"])
        area = dict(zip(("x", "y", "width", "height"), clip, strict=True))
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip={**area, "scale": 1})
        file.write_bytes(base64.b64decode(found["data"]))

    def _heard(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled":
            words = [str(one.get("value", one.get("description"))) for one in parameters["args"]]
            self.messages.append(f"console.{parameters['type']}: {' '.join(words)}")
        elif method == "Runtime.exceptionThrown":
            self.messages.append(f"exception: {parameters['exceptionDetails']['text']}")
        elif method == "Log.entryAdded":
            self.messages.append(f"{parameters['entry']['level']}: {parameters['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])


class _Pipes:
    """Commands out, answers and events in."""

    def __init__(self, out: BinaryIO, into: BinaryIO) -> None:
        self._out, self._into = out, into
        self._number = 0
        self._rest = b""

    def ask(self, method: str, parameters: dict[str, Any], session: str = "", heard: Any = None) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._next(end, method)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if heard is not None and answer.get("sessionId") == session and "method" in answer:
                heard(answer["method"], answer["params"])

    def _next(self, end: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._into], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no answer to {method} in {PATIENCE:g} s"
            piece = os.read(self._into.fileno(), 1 << 20)
            assert piece, "the browser has gone"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        found = json.loads(line)
        assert isinstance(found, dict)
        return found


@contextmanager
def opened(program: str, flags: Sequence[str] = FLAGS) -> Iterator[Tab]:
    """A tab of a fresh browser with an empty profile; all of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="profile-", ignore_cleanup_errors=True) as profile:
        to_read, our_write = os.pipe()
        our_read, to_write = os.pipe()

        def placed() -> None:
            """In the child: the browser's ends stand at 3 and 4, whatever numbers they had."""
            low, high = os.dup(to_read), os.dup(to_write)
            os.dup2(low, 3)
            os.dup2(high, 4)

        process = subprocess.Popen(
            [program, *flags, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=placed,
            pass_fds=(3, 4),
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        with os.fdopen(our_write, "wb") as out, os.fdopen(our_read, "rb", buffering=0) as into:
            try:
                pipes = _Pipes(out, into)
                target = pipes.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
                found = pipes.ask("Target.attachToTarget", {"targetId": target, "flatten": True})
                yield Tab(pipes, found["sessionId"])
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
