"""A headless Chromium, driven by chromedriver's HTTP interface (W3C WebDriver) with the standard library alone."""

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key under which the standard has an element's id
KEYS = {"tab": "\ue004", "space": " ", "left": "\ue012", "right": "\ue014", "home": "\ue011", "end": "\ue010"}
BINARIES = ("chromium", "chromium-browser", "google-chrome")
PHONE, DESKTOP = (390, 844), (1280, 900)


def binary():
    """The path of Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, BINARIES)), None)


def missing():
    """Why there is no browser here; None where there is one."""
    found = {"chromedriver": shutil.which("chromedriver"), "chromium": binary()}
    absent = [name for name, path in found.items() if path is None]
    return f"{' and '.join(absent)} not installed (Debian: chromium, chromium-driver)" if absent else None


@contextmanager
def browsing(folder):
    """A browser that keeps its profile in a folder, for as long as the context lasts."""
    command = [shutil.which("chromedriver"), "--port=0"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        ready = next(line for line in driver.stdout if "successfully on port" in line)
        port = ready.rsplit(" ", 1)[1].rstrip(".\n")
        browser = Browser(f"http://127.0.0.1:{port}", folder)
        try:
            yield browser
        finally:
            browser.ask("DELETE", "")
    finally:
        driver.terminate()
        driver.wait()
        driver.stdout.close()


class Browser:
    def __init__(self, address, folder):
        self.address = address
        arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"]
        options = {
            "binary": binary(),
            "args": [*arguments, f"--user-data-dir={folder}"],
        }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self.session = ""
        self.session = "/" + self.ask("POST", "", capabilities={"alwaysMatch": wanted})["sessionId"]

    def ask(self, method, path, **content):
        body = json.dumps(content).encode() if method == "POST" else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/session{self.session}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def devtools(self, command, **given):
        return self.ask("POST", "/goog/cdp/execute", cmd=command, params=given)

    def open(self, path, size=DESKTOP, theme="light", media="screen"):
        """Show a file in a window of that size, forgetting what was logged before."""
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **screen)
        prefers = {"prefers-color-scheme": theme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in prefers.items()]
        self.devtools("Emulation.setEmulatedMedia", media=media, features=features)
        self.devtools("Emulation.setFocusEmulationEnabled", enabled=True)
        self.ask("POST", "/url", url="about:blank")
        self.logged("browser"), self.logged("performance")
        self.ask("POST", "/url", url=path.resolve().as_uri())

    def logged(self, kind):
        return self.ask("POST", "/se/log", type=kind)

    def requests(self):
        """The addresses that were asked for since the page was opened, its own first."""
        events = [json.loads(entry["message"])["message"] for entry in self.logged("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def run(self, script, *given):
        return self.ask("POST", "/execute/sync", script=script, args=list(given))

    def settled(self, script, wanted, seconds=5):
        """What a script returns once it is what is wanted, or at the end: keys are heard a little later."""
        end = time.monotonic() + seconds
        while (found := self.run(script)) != wanted and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def wait(self, script, *given):
        """What an asynchronous script hands to its last argument."""
        return self.ask("POST", "/execute/async", script=script, args=list(given))

    def all(self, selector):
        found = self.ask("POST", "/elements", using="css selector", value=selector)
        return [element[ELEMENT] for element in found]

    def click(self, element):
        self.ask("POST", f"/element/{element}/click")

    def press(self, *keys):
        """Press keys, wherever the focus is."""
        actions = [{"type": kind, "value": KEYS[key]} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def name(self, element):
        """What a screen reader calls it."""
        return self.ask("GET", f"/element/{element}/computedlabel")

    def picture(self, path):
        """Save what the whole page looks like as a PNG."""
        found = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))
