"""`dmm compare`: finished experiments of one store on one page."""

from typing import Annotated

import typer
from rich.console import Console

from jobs.options import DONE, Json, Set, StoreUri, finish, paper, screen
from jobs.session import open_session
from pipeline.results.comparison_content import Comparison
from pipeline.show.comparison.comparison_tables import headline_table
from pipeline.show.comparison.comparison_words import headline
from pipeline.show.terminal import TerminalTable


def compare(
    configs: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG CONFIG ...",
            help="YAML files of experiments that were run in one store.",
            show_default=False,
        ),
    ],
    set_: Set = None,
    store: StoreUri = None,
    json_: Json = False,
) -> None:
    """Show finished experiments of one store side by side on one page. Computes nothing.

    The page has a table of methods and experiments for each forget set that all of them have.
    """
    from jobs.answers.comparison import compare_experiments

    result = compare_experiments(configs, lambda path: open_session(path, set_ or (), store), screen)
    show_comparison(result.content, result.page, paper())
    finish(result.to_json(), json_, DONE)


def show_comparison(content: Comparison, page: str, console: Console) -> None:
    """Print a table of scores, a sentence on its meaning, and the location of the page.

    The table has the main score of every method in every experiment, beside the floor.
    """
    console.print(TerminalTable(headline_table(content)))
    console.print(headline(content), style="bold")
    console.print(f"Page:  {page}", soft_wrap=True)
