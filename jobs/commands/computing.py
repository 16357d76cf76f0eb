"""The commands that compute: `dmm run`, `dmm verify`, and the entries of single stages."""

from typing import Annotated

import typer

from jobs.commands import listing, verbs
from jobs.commands.enough import find_enough
from jobs.commands.options import DONE, FAILED, AllowMissing, Config, ExecutorName, Json, Set, StoreUri, finish, paper, screen
from jobs.commands.verifying import verify as check
from jobs.session import open_session
from pipeline.execution.wanted import wanted_keys
from pipeline.graph.nodes.curve import WORTHWHILE
from pipeline.graph.nodes.fit import Score


def run(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage.")] = None,
    executor: ExecutorName = "ray",
    until_enough: Annotated[bool, typer.Option("--until-enough", help="Train subset models in doublings, and no more once they score hardly better.")] = False,
    tolerance: Annotated[float, typer.Option(help="LDS that a doubling must gain to be worth it, for --until-enough.")] = WORTHWHILE,
    allow_missing: AllowMissing = False,
    json_: Json = False,
) -> None:
    """Compute everything that does not exist yet, judge it and write the report; run it again to resume."""
    session = open_session(config, set_ or (), store)
    # A stage or an address that cannot be is refused before models are trained to find out how many are enough.
    wanted_keys(session.graph, until)
    verbs.view_address(session)
    enough = find_enough(session, screen, executor=executor, tolerance=tolerance, allow_missing=allow_missing) if until_enough else None
    unknown = enough is not None and enough.gain is None
    session = session if enough is None else enough.session
    # Where nobody knows whether the models are enough, none are judged that rest on them.
    result = verbs.run(session, screen, executor=executor, until=Score.stage if unknown else until, allow_missing=allow_missing)
    listing.show_run(result, paper(), session)
    status = DONE if result.succeeded and not unknown else FAILED
    finish(result.to_json() | ({} if enough is None else {"enough": enough.to_json()}), json_, status)


def verify(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    repair: Annotated[bool, typer.Option("--repair", help="Set bad files aside and compute just their shards again.")] = False,
    executor: Annotated[str, typer.Option(help="ray or serial, for --repair.")] = "ray",
    json_: Json = False,
) -> None:
    """Read every byte of the store and name files that are corrupt, foreign or half-written; those that a run may still need are left alone."""
    session = open_session(config, set_ or (), store)
    result = check(session, screen, repair=repair, executor=executor)
    listing.show_verify(result, paper())
    finish(result, json_, DONE if result["ok"] else FAILED)
