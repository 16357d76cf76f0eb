"""Write the README's pictures of MLflow from a finished store: python tests/pictures.py STORE FOLDER."""

import sys
import tempfile
from pathlib import Path

from browser import open_browser
from server import serving
from test_browser import Pages

# Without the toolbars over charts, and the button of MLflow's assistant in the corner.
TIDY = """
    const style = document.head.appendChild(document.createElement('style'));
    style.textContent = '.modebar-container { display: none !important }';
    for (const one of document.querySelectorAll('button')) {
        const box = one.getBoundingClientRect();
        if (box.right > innerWidth - 60 && box.bottom > innerHeight - 60) { one.style.display = 'none'; }
    }
"""
TO_PROGRESS = (
    "[...document.querySelectorAll('*')].find(one => !one.children.length && (one.innerText || '').trim() "
    "=== 'progress').scrollIntoView()"
)
# Six charts must be in sight. A chart is drawn once it is in sight; those further down are drawn earlier.
HAS_CHARTS = (
    "\n    return [...document.querySelectorAll('.js-plotly-plot')].filter(one => {\n"
    "        const box = one.getBoundingClientRect();\n"
    "        return box.top > 0 && box.top < innerHeight"
    " && one.querySelector('.scatterlayer .points path, .scatterlayer .lines path');\n"
    "    }).length >= 6\n"
)


def main(store: Path, folder: Path, run: str = "digits") -> None:
    """Write mlflow.png, the overview of a run, and mlflow_progress.png, its curves."""
    database = f"sqlite:///{store.resolve()}/mlflow.db"
    with (
        tempfile.TemporaryDirectory() as place,
        serving(database, Path(place), store.resolve() / "mlartifacts") as server,
        open_browser(1280, 1010) as browser,
    ):
        pages = Pages(browser, server.uri, database)
        pages.open(run)
        browser.wait_for("Show more", "Child runs")
        browser.click("Show more")
        browser.wait_for("Show less")
        browser.run(TIDY)
        browser.picture(folder / "mlflow.png")
        pages.open(run, "/model-metrics")
        browser.wait_for("progress")
        browser.run(TO_PROGRESS)
        browser.wait_for_script(HAS_CHARTS)
        browser.run(TIDY)
        browser.picture(folder / "mlflow_progress.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
