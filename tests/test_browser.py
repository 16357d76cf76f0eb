"""MLflow in a browser after a run: the parent run, its children, their metrics, figures and the report."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, open_browser, why_no_browser
from mlflow import MlflowClient
from server import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_no_browser() is not None, reason=str(why_no_browser())),
]

# What MLflow's pages keep in the browser: the view of training runs instead of that of language models, and
# no panel over it.
SETTINGS = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
}


class Pages:
    """The UI of one experiment."""

    def __init__(self, browser: Browser, uri: str, database: str) -> None:
        self.browser, self._uri = browser, uri
        client = MlflowClient(database)
        self._experiment = client.get_experiment_by_name("unlearning").experiment_id
        self._runs = {run.info.run_name: run.info.run_id for run in client.search_runs([self._experiment])}
        browser.open(f"{uri}/health")
        for name, value in SETTINGS.items():
            browser.run("localStorage.setItem(arguments[0], arguments[1])", name, value)

    def open(self, run: str, part: str = "") -> None:
        """Open the page of a run."""
        self.browser.open("about:blank")
        self.browser.open(f"{self._uri}/#/experiments/{self._experiment}/runs/{self._runs[run]}{part}")


@pytest.fixture(scope="module")
def pages(viewed_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    database = f"sqlite:///{viewed_store}/mlflow.db"
    with (
        serving(database, tmp_path_factory.mktemp("served"), viewed_store / "mlartifacts") as server,
        open_browser() as browser,
    ):
        yield Pages(browser, server.uri, database)


def test_the_parent_shows_its_verdict_its_children_and_its_metrics(pages: Pages) -> None:
    pages.open("tiny")
    text = pages.browser.wait_for(
        "Finished", "Child runs", "4 some: dmm", "planted", "Description", "Show more"
    )
    assert "dmm.store" in text
    pages.browser.click("Show more")
    pages.browser.wait_for("validation", "dmm watch config.yaml")


def test_links_of_the_parents_note_lead_to_the_children(pages: Pages) -> None:
    pages.open("tiny")
    pages.browser.wait_for("Show more")
    links = pages.browser.run(
        "return [...document.querySelectorAll('a')].filter(one => one.innerText === '3 attribution').map(one "
        "=> one.href)"
    )
    pages.browser.open("about:blank")
    pages.browser.open(links[-1])
    pages.browser.wait_for("Parent run", "What each training point does to each output", "LDS")


def test_a_method_has_a_page_of_its_own(pages: Pages) -> None:
    pages.open("4 some: dmm")
    pages.browser.wait_for(
        "judged against models retrained without it",
        "p95_klom_forget",
        "dmm.forget_set",
        "unlearner.retain_points",
    )


def test_progress_is_drawn_as_curves(pages: Pages) -> None:
    pages.open("tiny", "/model-metrics")
    pages.browser.wait_for("progress", "p95_klom_forget/some")
    assert pages.browser.wait_for_script("return document.querySelectorAll('.js-plotly-plot').length > 3")


def test_figures_and_the_report_are_shown(pages: Pages) -> None:
    pages.open("tiny", "/artifacts/report.html")
    pages.browser.wait_for("figures", "tables", "config.yaml", "report.html")
    assert pages.browser.wait_for_script(
        "return [...document.querySelectorAll('iframe')].some(one => one.srcdoc || one.src)"
    )
    pages.open("tiny", "/artifacts/figures/klom_against_cost.png")
    assert pages.browser.wait_for_script("return [...document.images].some(one => one.naturalWidth > 800)")
