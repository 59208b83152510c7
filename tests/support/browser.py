"""Chromium for the page's tests: in real time, with what it complained of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

PATIENCE_S = 20.0
_SWITCHES = (
    "--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage",
    "--disable-background-networking", "--no-first-run", "--window-size=1280,800",
)  # fmt: skip
_WATCH = """
window.cspReports = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.cspReports.push(event.violatedDirective + " " + event.blockedURI);
});
"""


@dataclass
class Browser:
    """A page under test."""

    driver: Any
    address: str
    downloads: Path

    def go(self, path: str) -> None:
        """Open a page of the service."""
        self.driver.get(self.address + path)

    def size(self, width: int, height: int) -> None:
        """The size of the viewport in CSS pixels."""
        values = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", values)

    def sign_in(self, key: str) -> None:
        """Through the form, unless a session is there."""
        self.go("/review")
        if not self.driver.current_url.endswith("/login"):
            return
        self.one("#key").send_keys(key)
        self.one("#login button").click()
        self.until(lambda: self.all("#sign-out"))

    def one(self, selector: str) -> WebElement:
        """The one element of a selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """All elements of a selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def script(self, text: str, *arguments: object) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(text, *arguments)

    def until(self, true: Callable[[], Any], *, within_s: float = PATIENCE_S) -> Any:
        """Wait in real time for something to be true; returns it."""
        end = time.monotonic() + within_s
        while True:
            with suppress(StaleElementReferenceException, NoSuchElementException):
                found = true()
                if found:
                    return found
            assert time.monotonic() < end, f"not within {within_s} s; the page says: {self.words()[:800]}"
            time.sleep(0.05)

    def drop(self, selector: str, file: Path) -> None:
        """Drag a file from outside onto an element and let it fall."""
        box = self.one(selector).rect
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "data": data, **place})

    def words(self) -> str:
        """All text of the page."""
        return str(self.script("return document.body.innerText"))

    def settled(self) -> None:
        """Every picture that is asked for is shown."""
        self.until(
            lambda: self.script(
                "const shown = [...document.querySelectorAll('.pane .picture:not([hidden])')];"
                "return shown.length > 4 && shown.every((image) => image.complete && image.naturalWidth > 0)"
                " && !document.querySelector('.pane[aria-busy]')"
            )
        )

    def pixels(self, pane: str) -> Any:
        """Grey values of the picture in a pane, as a flat list."""
        return self.script(
            "const image = document.querySelector(`.pane[data-pane=${arguments[0]}] .picture`);"
            "const canvas = document.createElement('canvas');"
            "canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;"
            "const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);"
            "return [canvas.width, canvas.height,"
            " [...context.getImageData(0, 0, canvas.width, canvas.height).data.filter((_, at) => at % 4 === 0)]]",
            pane,
        )

    def complaints(self) -> list[str]:
        """Errors of the console and reports of the content policy, since the last call."""
        severe = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return severe + [f"csp {report}" for report in self.script("return window.cspReports || []")]


@contextmanager
def started(chromium: str, driver: str, address: str, downloads: Path) -> Iterator[Browser]:
    """A browser, ended with the block."""
    options = Options()
    options.binary_location = chromium
    for switch in _SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    held = webdriver.Chrome(options=options, service=Driver(driver))
    try:
        held.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
        held.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
        yield Browser(held, address, downloads)
    finally:
        held.quit()
