"""A real browser for tests and for the README's pictures.

It is headless Chromium, driven over plain HTTP through Debian's chromedriver.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
TEXT = "return document.body ? document.body.innerText : ''"


def why_no_browser() -> str | None:
    """Return why there is no browser, None if there is one."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return (
        f"{' and '.join(missing)} not found: install Debian's chromium and chromium-driver"
        if missing
        else None
    )


class Browser:
    """One window; every method waits for the browser's answer."""

    def __init__(self, driver: str, window: str) -> None:
        self._session = f"{driver}/session/{window}"

    def open(self, url: str) -> None:
        """Go to url."""
        _post(f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what JavaScript returns."""
        return _post(f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, *words: str, seconds: float = 60.0) -> str:
        """Return the text of the page as soon as all words are on it.

        Raises TimeoutError naming those that never came.
        """
        deadline, text = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            text = self.run(TEXT)
            if all(word in text for word in words):
                return text
            time.sleep(0.1)
        raise TimeoutError(
            f"not on the page after {seconds:.0f} s: {[word for word in words if word not in text]}; it "
            f"says: {text[:2000]}"
        )

    def wait_for_script(self, script: str, seconds: float = 60.0) -> Any:
        """Return what JavaScript returns as soon as that is something; raises TimeoutError if it never is."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := self.run(script):
                return found
            time.sleep(0.1)
        raise TimeoutError(
            f"still nothing after {seconds:.0f} s: {script}; the page says: {self.run(TEXT)[:2000]}"
        )

    def click(self, words: str) -> None:
        """Click the last element whose own text is words; raises LookupError if there is none."""
        script = (
            "\n            const found = [...document.querySelectorAll('button, a, span, div, label')]"
            ".filter(one => one.innerText && one.innerText.trim() === arguments[0]);\n"
            "            if (found.length) { found[found.length - 1].click(); }\n"
            "            return found.length;\n        "
        )
        if not self.run(script, words):
            raise LookupError(f"nothing on the page says {words!r}")

    def picture(self, path: Path) -> None:
        """Write the window as PNG."""
        with urllib.request.urlopen(f"{self._session}/screenshot") as answer:
            path.write_bytes(base64.b64decode(json.load(answer)["value"]))


@contextmanager
def open_browser(width: int = 1400, height: int = 1000, scale: float = 1.0) -> Iterator[Browser]:
    """Yield a browser with a window of width × height and a profile of its own; both are gone afterwards."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process,
    ):
        try:
            port = next(
                line.rsplit("port ", 1)[1].strip(". \n")
                for line in process.stdout
                if "started successfully on port" in line
            )
            driver = f"http://127.0.0.1:{port}"
            flags = [
                *FLAGS,
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                f"--force-device-scale-factor={scale}",
            ]
            wanted = {
                "capabilities": {
                    "alwaysMatch": {
                        "browserName": "chrome",
                        "goog:chromeOptions": {"args": flags, "binary": shutil.which("chromium")},
                    }
                }
            }
            window = _post(f"{driver}/session", wanted)["sessionId"]
            yield Browser(driver, window)
            urllib.request.urlopen(
                urllib.request.Request(f"{driver}/session/{window}", method="DELETE")
            ).close()
        finally:
            process.terminate()


def _post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["value"]
