"""A headless Chromium, driven over its debugging pipe: JSON that ends in a zero byte, on descriptors 3 and 4."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

# As Debian, others, and macOS call it.
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

_FLAGS = (
    "--headless",
    "--no-sandbox",  # as root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

# What a page may take to answer, in seconds: far more than it does, so that a slow machine fails no test.
_PATIENCE = 60


def find_browser() -> str | None:
    """The path of a Chromium, None where there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser with one page; what the page logs and asks for is kept.

    Attributes:
        messages: every error, warning, violation and log line of the page.
        requests: every address that it asked for, but for what its own policy kept from being sent.
        dialogs: every alert, confirmation or prompt.
    """

    def __init__(self, path: str) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self._addresses: dict[str, str] = {}
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self._pending = b""
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        # The shell moves the two ends to the descriptors where Chromium expects them.
        command = f'exec "$@" 3<&{theirs_read} 4>&{theirs_write}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", command, "bash", path, *_FLAGS, f"--user-data-dir={self._folder.name}", "about:blank"],
            pass_fds=(theirs_read, theirs_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_read)
        os.close(theirs_write)
        self._reading, self._writing = ours_read, ours_write
        self._session: str | None = None
        targets = self._call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser and remove its profile."""
        self._process.terminate()
        self._process.wait(timeout=_PATIENCE)
        os.close(self._reading)
        os.close(self._writing)
        self._folder.cleanup()

    def open(
        self, file: Path, *, width: int = 1200, height: int = 900, scheme: str = "light", script: bool = True
    ) -> None:
        """Open a file in a window of some size, in the light or the dark scheme, and forget what happened before."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._call("Emulation.setScriptExecutionDisabled", value=not script)
        self.messages.clear()
        self.requests.clear()
        self.dialogs.clear()
        self._events.clear()
        self._call("Page.navigate", url=file.resolve().as_uri())
        self._wait_for("Page.loadEventFired")

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, *, text: str = "") -> None:
        """Press and release a key, such as "Tab"; `text` is what it types."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        about = {"key": key, "code": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper()))}
        typed = {"text": text or "\r"} if text or key == "Enter" else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", **about, **typed)
        self._call("Input.dispatchKeyEvent", type="keyUp", **about)

    def accessible_names(self) -> list[str]:
        """What a screen reader would name, which is known without running anything in the page."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        return [node["name"]["value"] for node in nodes if not node["ignored"] and node.get("name")]

    def screenshot(self, file: Path, *, whole: bool = True) -> None:
        """Write a picture of the page."""
        found = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _wait_for(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            self._receive()

    def _receive(self) -> dict[str, Any]:
        """The next message; an event is kept too."""
        deadline = time.monotonic() + _PATIENCE
        while b"\0" not in self._pending:
            part = os.read(self._reading, 1 << 20)
            assert part, "the browser ended"
            assert time.monotonic() < deadline, "the browser does not answer"
            self._pending += part
        text, _, self._pending = self._pending.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self._events.append(message)
            self._keep(message["method"], message["params"])
        return message

    def _keep(self, method: str, details: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])
            self._addresses[details["requestId"]] = details["request"]["url"]
        elif method == "Network.loadingFailed" and details.get("blockedReason") == "csp":
            self.requests.remove(self._addresses[details["requestId"]])
        elif method == "Log.entryAdded":
            self.messages.append(f"{details['entry']['level']}: {details['entry']['text']}")
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(f"console: {details['args']}")
        elif method == "Runtime.exceptionThrown":
            self.messages.append(f"exception: {details['exceptionDetails']}")
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(details["message"])
            self._number += 1
            message = {"id": self._number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            os.write(self._writing, json.dumps({**message, "sessionId": self._session}).encode() + b"\0")
