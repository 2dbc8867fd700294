"""A real headless Chromium, told what to do through its debugging pipe, so that nothing but the browser is needed."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.containers.engine import install

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")


def program() -> str:
    """Where the browser is. Where there is none, Debian's is installed, which needs root."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        install({"chromium": "chromium"})
    return found or "chromium"


class Browser:
    """One page of one browser."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._numbers = itertools.count(1)
        self._rest = b""
        self._session: str | None = None
        self.errors: list[str] = []
        """What the page said on its console as an error, or failed to load."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer to one command; what it reports meanwhile is looked at."""
        number = next(self._numbers)
        order: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            order["sessionId"] = self._session
        os.write(self._to, json.dumps(order).encode() + b"\0")
        while True:
            said = self._read()
            self._look(said)
            if said.get("id") == number:
                assert "error" not in said, said["error"]
                result: dict[str, Any] = said["result"]
                return result

    def open(self, address: str) -> None:
        """Load a page whole."""
        self.ask("Page.navigate", url=address)
        while True:
            said = self._read()
            self._look(said)
            if said.get("method") == "Page.loadEventFired":
                return

    def look_as(self, width: int, dark: bool) -> None:
        """As on a screen of ``width``, in light or dark mode."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        wish = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[wish])

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is in the page."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        taken = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._from, 2**20)
            assert read, "the browser has ended"
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\0")
        said: dict[str, Any] = json.loads(line)
        return said

    def _look(self, said: dict[str, Any]) -> None:
        told, method = said.get("params", {}), said.get("method")
        if method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled" and told["type"] == "error"):
            self.errors.append(json.dumps(told)[:500])
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])
        elif method == "Network.loadingFailed":
            self.errors.append(told["errorText"])


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with a profile in ``folder``, which ends with the block."""
    read_orders, to_browser = os.pipe()
    from_browser, write_answers = os.pipe()

    def place() -> None:
        """The browser reads from descriptor 3 and writes to 4."""
        orders, answers = os.dup(read_orders), os.dup(write_answers)
        os.dup2(orders, 3)
        os.dup2(answers, 4)

    command = [program(), *_OPTIONS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        command, preexec_fn=place, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(read_orders)
    os.close(write_answers)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        process.terminate()
        process.wait(30)
        os.close(to_browser)
        os.close(from_browser)
