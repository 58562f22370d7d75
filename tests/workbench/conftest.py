"""A real JupyterLab in a real browser, for tests of what people see and do."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import pytest

PATIENCE = 120  # s, for a kernel that imports torch on a busy machine


class Lab:
    """One JupyterLab, whose folder is `root`, and one browser on it."""

    def __init__(self, root, browser, address):
        self.root, self.browser, self.address = root, browser, address

    def write(self, name, *cells):
        """Write a notebook of code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, self.root / name)
        return name

    def run(self, name):
        """Open a notebook and run all of its cells."""
        self.browser.get(f"{self.address}/lab/tree/{name}?reset")
        self.wait(lambda: self.find(".jp-Notebook .jp-Cell"), "the notebook")
        ready = "return !!window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel"
        self.wait(lambda: self.browser.execute_script(ready), "a kernel")
        self.browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def find(self, selector):
        """All elements of a CSS selector."""
        return self.browser.find_elements("css selector", selector)

    def the(self, selector):
        """The last element of a CSS selector, once it is there."""
        self.wait(lambda: self.find(selector), selector)
        return self.find(selector)[-1]

    def text(self, selector):
        """Its text; empty while it is drawn anew."""
        from selenium.common.exceptions import StaleElementReferenceException

        with contextlib.suppress(StaleElementReferenceException, IndexError):
            return self.find(selector)[-1].text
        return ""

    def wait(self, condition, what, seconds=PATIENCE):
        """Wait until a condition holds, and fail with what was waited for."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.1)
        picture = self.root / "failed.png"
        self.browser.save_screenshot(str(picture))
        raise AssertionError(f"waited in vain for {what}; see {picture}. Outputs: {self.outputs()}")

    def outputs(self):
        """What the cells have printed, the last 2000 letters."""
        return " ".join(element.text for element in self.find(".jp-OutputArea-output"))[-2000:]

    def say(self, text, seconds=30):
        """Wait until the editor's count begins with a text."""
        self.wait(lambda: self.text(".stemlib-workbench .counts").startswith(text), f"{text!r}", seconds)

    def actions(self):
        """A chain of what a person does."""
        from selenium.webdriver import ActionChains

        return ActionChains(self.browser, duration=50)

    def offset(self, y, x, shape):
        """Where a place of an image that is shown as a whole lies from the middle of the editor's picture."""
        box = self.the(".stemlib-workbench .overlay").rect
        scale = min(box["width"] / shape[1], box["height"] / shape[0])
        return round((x + 0.5 - shape[1] / 2) * scale), round((y + 0.5 - shape[0] / 2) * scale)

    def click_at(self, y, x, shape):
        """Click a place of the image."""
        picture = self.the(".stemlib-workbench .overlay")
        self.actions().move_to_element_with_offset(picture, *self.offset(y, x, shape)).click().perform()

    def drag(self, start, end, shape):
        """Drag from one place (y, x) of the image to another."""
        picture = self.the(".stemlib-workbench .overlay")
        first, last = (self.offset(*place, shape) for place in (start, end))
        chain = self.actions().move_to_element_with_offset(picture, *first).click_and_hold()
        chain = chain.move_by_offset((last[0] - first[0]) // 2, (last[1] - first[1]) // 2)
        chain.move_to_element_with_offset(picture, *last).release().perform()

    def press(self, *keys):
        """Press keys in the editor, one after the other."""
        self.actions().send_keys(*keys).perform()


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A `Lab`; skipped, with the reason, where there is no browser."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs a browser: Debian's packages chromium and chromium-driver are not installed")
    webdriver = pytest.importorskip("selenium.webdriver")
    root, home = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home")
    port = _free_port()
    options = {
        "ServerApp.port": port,
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.root_dir": root,
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": True,
        "LabApp.news_url": "None",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    environment = os.environ | {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home)}
    with (
        open(home / "log", "w") as log,
        subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log) as server,
    ):
        browser = None
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/api", server, home / "log")
            flags = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --window-size=1400,1300"
            flags += " --disable-background-networking --disable-component-update --disable-sync"
            flags += f" --disable-dev-shm-usage --user-data-dir={tmp_path_factory.mktemp('browser')}"
            chrome = webdriver.ChromeOptions()
            chrome.binary_location = chromium
            for flag in flags.split():
                chrome.add_argument(flag)
            browser = webdriver.Chrome(options=chrome, service=webdriver.ChromeService(driver))
            browser.set_window_size(1400, 1300)
            yield Lab(root, browser, address)
        finally:
            if browser is not None:
                browser.quit()
            server.terminate()


def _wait_for(address, server, log):
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(address, timeout=1).close()
            return
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()}")
