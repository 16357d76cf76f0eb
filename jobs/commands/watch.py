"""`dmm watch`: the progress of a run, from any machine that can list its store.

The command needs neither Ray nor MLflow, and writes nothing.
"""

import shlex
import time
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from jobs.options import DONE, FAILED, Config, Json, Set, StoreUri, finish, paper, screen
from jobs.running.experiment_index import run_in
from jobs.running.progress_display import duration_in_words
from jobs.running.run_counts import Look, Watcher
from jobs.session import Session, open_session
from pipeline.results.tables import Cell, Column, Tone, number_column, row_of, table_of
from pipeline.show.terminal import TerminalTable

# The pause between two looks at the store lasts at least _INTERVAL seconds, and at least REST times as long
# as a look. Otherwise a store of 20,000 shards would be listed all the time.
_INTERVAL, REST = 3.0, 10.0
# In logs the pause lasts at least this many seconds instead.
_LINE_SECONDS = 10.0
# At most this many of the shards that were given up are named.
_MOST_NAMED = 3
# Minutes without new units after which the run counts as stopped.
_PATIENCE = 30.0


class Vigil:
    """Pauses between the looks at a run, and decides when to stop looking.

    patience is the number of minutes without new units after which the run counts as stopped.
    """

    def __init__(self, watcher: Watcher, patience: float) -> None:
        self._watcher, self._seconds = watcher, 60 * patience
        self._made, self._since = 0, time.monotonic()

    def is_over(self, look: Look) -> bool:
        """Return whether there is nothing to wait for: all is done, or the run counts as stopped."""
        made, now = sum(stage.done for stage in look.stages), time.monotonic()
        if made != self._made:
            self._made, self._since = made, now
        return look.is_complete or now - self._since >= self._seconds

    def look_again(self, interval: float) -> Look:
        """Wait, look at the store and return the look.

        interval is the least pause in seconds. After a long look the pause is extended to REST times the
        look's duration, unless all is done.
        """
        time.sleep(interval)
        begun = time.monotonic()
        look = self._watcher.look()
        time.sleep(0.0 if look.is_complete else max(0.0, REST * (time.monotonic() - begun) - interval))
        return look


def watch(
    config: Config = None,
    set_: Set = None,
    store: StoreUri = None,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end, for logs.")] = False,
    patience: Annotated[
        float,
        typer.Option(
            "--patience",
            metavar="MINUTES",
            min=0,
            help="End with status 1 when nothing was made for so long.",
        ),
    ] = 30.0,
    json_: Json = False,
) -> None:
    """Follow a run from any machine that sees its store, until it is complete. Computes nothing.

    Ends with status 1 if nothing was made for --patience minutes.
    """
    session = open_session(config, set_ or (), store)
    others = run_in(session.store) if config is None else []
    if others and f"{session.experiment.name}-{session.graph.digest}" not in others:
        about = f"the demonstration was never run in {session.store.uri}, which holds {', '.join(others)}"
        screen.print(
            f"{about}. Name the config of one of these: `dmm watch CONFIG --store "
            f"{shlex.quote(session.store.uri)}`",
            style="yellow",
            soft_wrap=True,
        )
    look = follow_run(session, paper(), once=once, patience=patience)
    finish(look.to_json(), json_, DONE if once or look.is_complete else FAILED)


def follow_run(session: Session, console: Console, *, once: bool, patience: float = _PATIENCE) -> Look:
    """Show the progress of a run until it is complete, and return the last look.

    It also ends if nothing was made for patience minutes. With once, it looks at the store only once.
    """
    watcher = Watcher(session)
    look = watcher.look()
    if once or look.is_complete:
        console.print(picture(look))
        return look
    vigil = Vigil(watcher, patience)
    look = (
        _follow_live(vigil, look, console) if console.is_terminal else _follow_in_lines(vigil, look, console)
    )
    if not look.is_complete:
        given_up = f" {len(look.failed)} shards were given up." if look.failed else ""
        console.print(
            f"No shard was made for {duration_in_words(60 * patience)}, so probably no run is "
            f"active.{given_up} Start `dmm run` to continue, or wait longer with --patience.",
            style="yellow",
        )
    return look


def picture(look: Look) -> Group:
    """Return a bar and the time left for each stage, and below them the hosts at work and any trouble."""
    columns = (
        Column("stage"),
        Column(),
        number_column("done"),
        number_column("wanted"),
        Column(),
        number_column("a second", digits=1),
        number_column("left", show=duration_in_words),
    )
    rows = []
    for stage in look.stages:
        is_done = stage.done >= stage.wanted
        tone = Tone.GOOD if is_done else Tone.NEUTRAL if stage.pace else Tone.MUTED
        title = Cell(value=stage.title, tone=tone, is_best=bool(stage.pace) and not is_done)
        bar, unit = Cell(share=stage.done / max(stage.wanted, 1)), Cell(value=stage.unit, tone=Tone.MUTED)
        pace = "" if is_done or not stage.pace else stage.pace
        left = "" if is_done or stage.seconds_left is None else stage.seconds_left
        rows.append(row_of(title, bar, stage.done, stage.wanted, unit, pace, left))
    remarks = (Text(f"  {line}", style) for line, style in _remarks(look))
    return Group(Text(f"store {look.store}", "italic"), TerminalTable(table_of(columns, rows)), *remarks)


def _remarks(look: Look) -> list[tuple[str, str]]:
    remarks = []
    if look.makers and not look.is_complete:
        hosts = ", ".join(f"{host} ({count})" for host, count in look.makers.items())
        ago = "" if look.silence is None else f", the last {duration_in_words(look.silence)} ago"
        remarks.append((f"newest shards by {hosts}{ago}", "cyan"))
    remarks += _troubles(look)
    remarks.append(("complete", "bold green") if look.is_complete else ("not complete yet", "dim"))
    return remarks


def _troubles(look: Look) -> list[tuple[str, str]]:
    remarks = [(look.nothing_there, "yellow")] if look.nothing_there else []
    if look.set_aside:
        remarks.append((f"{look.set_aside} bad shards were set aside; `dmm run` makes them again", "yellow"))
    for one in look.failed[:_MOST_NAMED]:
        remarks.append(
            (f"given up: {one.key} {one.start}-{one.stop}: {one.error}; `dmm run` tries again", "red")
        )
    if len(look.failed) > _MOST_NAMED:
        remarks.append(
            (f"and {len(look.failed) - _MOST_NAMED} more shards that were given up: see `dmm status`", "red")
        )
    return remarks


def _follow_live(vigil: Vigil, look: Look, console: Console) -> Look:
    with Live(picture(look), console=console, auto_refresh=False) as live:
        while not vigil.is_over(look):
            look = vigil.look_again(_INTERVAL)
            live.update(picture(look), refresh=True)
    return look


def _follow_in_lines(vigil: Vigil, look: Look, console: Console) -> Look:
    """Print the progress as a line every few seconds, for logs, and each new problem once."""
    told: list[tuple[str, str]] = []
    while True:
        begun = [stage for stage in look.stages if 0 < stage.done < stage.wanted]
        busy = [f"{stage.title} {stage.done:,}/{stage.wanted:,}" for stage in begun]
        trained = [stage for stage in look.stages if stage.stage == "train" and stage.unit == "models"]
        left = [f"{duration_in_words(stage.seconds_left)} left" for stage in trained if stage.seconds_left]
        said = [*busy, *left] or ["complete" if look.is_complete else "nothing yet"]
        troubles = _troubles(look)
        new, told = [one for one in troubles if one not in told], troubles
        for line in (" · ".join(said), *(line for line, _ in new)):
            console.print(line, soft_wrap=True)
        if vigil.is_over(look):
            return look
        look = vigil.look_again(_LINE_SECONDS)
