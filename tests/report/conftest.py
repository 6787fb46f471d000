"""Runs to report on, and a real browser without a window, driven through its debugging pipe."""

import base64
import json
import os
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from reluopt.engines.options import EngineOptions
from reluopt.method import Method
from reluopt.networks.metadata import NetworkMetadata
from reluopt.networks.network import ReLUNetwork
from reluopt.networks.saving import save_network
from reluopt.questions.problems import AbsoluteMargin, Norm, ShiftTarget
from reluopt.runs.attack import AttackJob, AttackSettings
from reluopt.runs.instances import load_instances
from reluopt.runs.job import Finished
from reluopt.runs.row import AttackRow, row_class
from reluopt.runs.runner import run_job
from reluopt.runs.store import ResultStore

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)

_SECONDS = 60.0
"""How long a browser on a busy machine may take to answer."""


class Page:
    """One tab of a browser."""

    def __init__(self, browser: "Browser") -> None:
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters):
        return self._browser.call(method, session=self._session, **parameters)

    def open(self, path: Path, width: int, height: int, *, dark: bool = False, touch: bool = False):
        """Load a file at a window size; requests and complaints are kept from here on."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if touch else 1, mobile=touch,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self._browser.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + _SECONDS
        while self.run("document.documentElement?.dataset.ready") != "yes":
            assert time.monotonic() < deadline, f"the page is not ready: {self.complaints()}"
            time.sleep(0.05)

    def run(self, script: str):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            code = {"Escape": 27}.get(key, 0)  # dialogs go by the number
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    def place(self, selector: str) -> tuple[float, float]:
        """The middle of an element, scrolled into view."""
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]"
            "})()"
        )
        return box[0], box[1]

    def click(self, selector: str) -> None:
        """Click where the element is, so that whatever covers it would get the click."""
        x, y = self.place(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def hover(self, selector: str) -> None:
        x, y = self.place(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def tap(self, selector: str) -> None:
        x, y = self.place(selector)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def swipe(self, selector: str, across: float) -> None:
        x, y = self.place(selector)
        for kind, points in (
            ("touchStart", [{"x": x, "y": y}]),
            ("touchMove", [{"x": x + across, "y": y}]),
            ("touchEnd", []),
        ):
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def screenshot(self, path: Path, *, whole: bool = False) -> bytes:
        """A picture of the window, or of the whole page."""
        options = {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            options = {"clip": clip, "captureBeyondViewport": True}
        data = base64.b64decode(self.call("Page.captureScreenshot", **options)["data"])
        path.write_bytes(data)
        return data

    def complaints(self) -> list[str]:
        """Errors and warnings since the page was opened."""
        found = []
        for event in self._browser.events:
            kind, details = event["method"], event["params"]
            if kind == "Runtime.exceptionThrown":
                found.append(details["exceptionDetails"]["exception"]["description"])
            elif kind == "Log.entryAdded" and details["entry"]["level"] in ("error", "warning"):
                found.append(details["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Addresses that were asked for since the page was opened, but for data in the page."""
        sent = [e for e in self._browser.events if e["method"] == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in sent]
        return [url for url in urls if not url.startswith("data:")]


class Browser:
    """A browser with a profile of its own."""

    def __init__(self, program: str, profile: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self._in, self._out, self._rest, self._number = ours_in, ours_out, b"", 0
        self.events: list[dict] = []
        command = [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        # The pipe must have the numbers 3 (it reads) and 4 (it writes).
        shell = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)

    def call(self, method: str, session: str | None = None, **parameters):
        """Call a method of the DevTools protocol and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _SECONDS
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _receive(self, deadline: float) -> dict:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(deadline - time.monotonic(), 0.0))
            assert ready, "the browser does not answer"
            block = os.read(self._in, 1 << 20)
            assert block, "the browser has gone"
            self._rest += block
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A running browser; tests that need one are skipped where none is installed."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser found (looked for {', '.join(_NAMES)})")
    running = Browser(program, tmp_path_factory.mktemp("browser") / "profile")
    yield running
    running.close()


@pytest.fixture
def page(browser):
    """A new tab."""
    return Page(browser)


@pytest.fixture(scope="session")
def real(tmp_path_factory, make_network):
    """Two real runs of a small network, one in L1 and one in L2."""
    folder = tmp_path_factory.mktemp("report")
    drawn = make_network((6, 5, 4, 3), 6)
    network = ReLUNetwork(drawn.layers, NetworkMetadata(name="small", input_shape=(2, 3)))
    path = folder / "small.safetensors"
    save_network(network, path)
    images = []
    for number in range(3):
        images.append(str(folder / f"image-{number}.npy"))
        np.save(images[-1], np.random.default_rng(number).random((2, 3)))
    instances = load_instances(network, images)
    for norm, engine in ((Norm.L1, "highs"), (Norm.L2, "scip")):
        method = Method(engine, options=EngineOptions(30.0))
        target, margin = ShiftTarget(1), AbsoluteMargin(0.01)
        settings = AttackSettings(target, norm, margin, method, str(path))
        record = {"command": ["reluopt", "attack", "<b>small</b>"], "versions": {"numpy": "2"}}
        store = ResultStore(folder / str(norm), AttackRow, settings.describe(network), record)
        run_job(AttackJob(network, settings), instances, store)
    return folder


@pytest.fixture
def copy(real, tmp_path):
    """The L1 run, for a test to spoil."""
    return shutil.copytree(real / "l1", tmp_path / "run")


@pytest.fixture(scope="session")
def entries_of():
    """A function that reads the gallery's data out of the text of a page."""
    return _entries


def _entries(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


@pytest.fixture
def optimal_inputs(tmp_path):
    """Two optimal inputs: logits that shall be large, and no image to start from."""
    folder = tmp_path / "ideal"
    columns = ("image", "label", "status", "objective", "bound", "predicted", "certified",
               "seconds", "time_limit", "network")  # fmt: skip
    settings = {"experiment": "ideal", "network": "thesis", "time_limit": 9.0}
    cls = row_class(columns)
    store = ResultStore(folder, cls, settings, {})
    for label, status, bound in ((0, "OPTIMAL", 26.5), (1, "FEASIBLE", 40.0)):
        row = (f"label:{label}", label, status, 26.5, bound, 0, True, 2.0 + label, 9.0, "thesis")
        found = cls(**dict(zip(columns, row, strict=True)))
        store.append(Finished(found, np.full((28, 28), 1.0 - label)))
    return folder
