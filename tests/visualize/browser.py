"""Drives a headless Chromium over its DevTools pipe, with nothing but the standard library."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The browser reads commands from descriptor 3 and answers on 4, whatever they are called here.
LAUNCHER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
)
KEYS = {"Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9, "Enter": 13, " ": 32}
PATIENCE = 60


def executable():
    """The browser's path, or None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def browser(folder):
    """Yields a Page of a browser that keeps its profile in `folder` and has no network."""
    (command_end, commands), (answers, answer_end) = os.pipe(), os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (command_end, answer_end)]
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    flags += ["--no-first-run", f"--user-data-dir={folder}", "--proxy-server=127.0.0.1:9", "--remote-debugging-pipe"]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, *map(str, ends), executable(), *flags, "about:blank"],
        pass_fds=ends,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (command_end, answer_end, *ends):
        os.close(end)
    try:
        yield Page(commands, answers)
    finally:
        os.close(commands)
        os.close(answers)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Page:
    """One tab: opens files, evaluates JavaScript, presses keys, clicks and takes pictures.

    `messages` holds what the page logged as an error or threw, `requests` the addresses that it asked for.
    """

    def __init__(self, commands, answers):
        self.commands, self.answers = commands, answers
        self.buffer, self.count, self.session = b"", 0, None
        self.messages, self.requests, self.loaded = [], [], 0
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Sends a DevTools command and returns its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        return self._until(lambda answer: answer.get("id") == self.count)["result"]

    def open(self, path, *, width=1280, height=900, dark=False, phone=False):
        """Shows a file and waits until it is loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        before = self.loaded
        self.call("Page.navigate", url=path.resolve().as_uri())
        if self.loaded == before:
            self._until(lambda _: self.loaded > before)

    def value(self, expression):
        """What the JavaScript expression gives; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector):
        """Clicks the middle of the first element that matches, where a mouse would."""
        place = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return {x: b.x + b.width / 2, y: b.y + b.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)
        self._settle()

    def press(self, key):
        """Presses and releases a key of KEYS."""
        text = {"Enter": {"text": "\r"}, " ": {"text": " "}}.get(key, {})
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key], **text)
        self._settle()

    def picture(self, path, *, whole=False):
        """Writes a PNG of what is seen, or of the whole page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _settle(self):
        self.value("new Promise((done) => setTimeout(done, 100))")

    def _until(self, wanted):
        """Reads messages until one is wanted; notes the events among them."""
        end = time.monotonic() + PATIENCE
        while True:
            while b"\0" not in self.buffer:
                ready, _, _ = select.select([self.answers], [], [], max(0, end - time.monotonic()))
                piece = os.read(self.answers, 1 << 20) if ready else b""
                assert piece, "the browser gave no answer"
                self.buffer += piece
            line, self.buffer = self.buffer.split(b"\0", 1)
            message = json.loads(line)
            self._note(message)
            if wanted(message):
                assert "error" not in message, message["error"]
                return message

    def _note(self, message):
        kind, details = message.get("method"), message.get("params", {})
        if kind == "Page.loadEventFired":
            self.loaded += 1
        elif kind == "Network.requestWillBeSent":
            self.requests.append(details["request"]["url"])
        elif kind == "Runtime.exceptionThrown":
            self.messages.append(str(details["exceptionDetails"]))
        elif kind == "Log.entryAdded":
            self.messages.append(details["entry"]["text"])
