"""The display of a run: bars on a terminal, a line every few seconds elsewhere.

Both are written to standard error.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from typing_extensions import override

from pipeline.execution.progress import Listener, Progress
from pipeline.graph.node import Node
from pipeline.graph.node_kinds import by_title
from pipeline.tracking.rate import Pace

_LINE_SECONDS = 5.0
# The time left is shown once this share of the models is made. Earlier the pace predicts the time left badly:
# the first models are counted long before a whole shard is finished.
TELLING = 0.02


class Rate:
    """Models a second over the last seconds, and the time left at that rate."""

    def __init__(self) -> None:
        self._pace = Pace()

    def update(self, progress: Progress) -> tuple[float, float | None]:
        """Return (models a second, seconds left); seconds left is None while too few models are made."""
        under_way = progress.models_under_way()
        made, remaining = progress.n_models_made + under_way, progress.remaining_models() - under_way
        pace = self._pace.update(time.monotonic(), made)
        return pace, Pace.seconds_left(remaining, pace) if made >= TELLING * (made + remaining) else None


@dataclass(frozen=True, kw_only=True)
class Count:
    """The progress of all nodes that share one title on the display.

    done and wanted are in units; done includes the finished units of running shards, with fractions.
    """

    done: float
    wanted: int
    is_running: bool
    makes_models: bool


def counts_in_words(progress: Progress) -> dict[str, Count]:
    """Return one Count for each title among the nodes that the run computes, in the order of the stages."""
    nodes = (state.node for key, state in progress.states.items() if key in progress.wanted)
    return {title: _count(progress, of_title) for title, of_title in by_title(nodes).items()}


def _count(progress: Progress, nodes: Sequence[Node]) -> Count:
    under_way = sum((progress.under_way.get(node.key, 0.0) for node in nodes), start=0.0)
    return Count(
        done=sum(progress.n_done(node.key) for node in nodes) + round(under_way, 1),
        wanted=sum(node.n_units for node in nodes),
        is_running=any(progress.running.get(node.key) for node in nodes),
        makes_models=any(node.trains for node in nodes),
    )


def rate_text(rate: float) -> str:
    """Return models a second in words, with enough digits to tell a slow pace from none."""
    return f"{rate:.0f} models/s" if rate >= 10 or rate == 0 else f"{rate:.2g} models/s"


def _is_making_models(progress: Progress) -> bool:
    """Return whether models are being made, or come next because nothing else is running."""
    running = [progress.states[key].node.trains for key, count in progress.running.items() if count]
    return any(running) or (not running and progress.remaining_models() > 0)


class Notice:
    """Prints what a run waits for, once after each change."""

    def __init__(self, console: Console) -> None:
        self._console, self._said = console, ""

    def update(self, progress: Progress) -> None:
        """Print the notice if it is new."""
        if progress.notice and progress.notice != self._said:
            self._console.print(progress.notice, style="yellow", soft_wrap=True)
        self._said = progress.notice


class BarDisplay(Listener):
    """A bar for each kind of work, on a terminal."""

    def __init__(self, console: Console) -> None:
        self._notice = Notice(console)
        self._bars = Bars(
            TextColumn("{task.description:<20}", markup=False),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=False,
        )
        self._rows: dict[str, TaskID] = {}
        self._rate = Rate()

    @override
    def changed(self, progress: Progress) -> None:
        if not self._rows:
            self._bars.start()
        self._notice.update(progress)
        rate, left = self._rate.update(progress)
        for title, count in counts_in_words(progress).items():
            if title not in self._rows:
                self._rows[title] = self._bars.add_task(title, total=count.wanted, note="")
            note = "running" if count.is_running and count.done < count.wanted else ""
            if count.makes_models and count.is_running and left:
                note = f"{rate_text(rate)}, {duration_in_words(left)} left"
            self._bars.update(self._rows[title], completed=count.done, total=count.wanted, note=note)

    def stop(self) -> None:
        """Restore the terminal."""
        if self._rows:
            self._bars.stop()


class LineDisplay(Listener):
    """A line every few seconds, for logs."""

    def __init__(self, console: Console) -> None:
        self._console, self._notice = console, Notice(console)
        self._next = time.monotonic() + _LINE_SECONDS
        self._rate = Rate()

    @override
    def changed(self, progress: Progress) -> None:
        self._notice.update(progress)
        rate, left = self._rate.update(progress)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LINE_SECONDS
        every = counts_in_words(progress).items()
        busy = [_line(title, one) for title, one in every if one.is_running or 0 < one.done < one.wanted]
        failed = f" · {len(progress.failures)} shards failed" if progress.failures else ""
        # The pace of models does not predict the time of a fit.
        pace = (
            f" · {rate_text(rate)}{f' · {duration_in_words(left)} left' if left else ''}"
            if _is_making_models(progress)
            else ""
        )
        self._console.print(
            f"[{progress.seconds:4.0f} s] {' · '.join(busy) or 'working'}{pace}{failed}", soft_wrap=True
        )

    def stop(self) -> None:
        """Do nothing, because lines leave nothing to restore."""


def _line(title: str, count: Count) -> str:
    return f"{title} {f'{count.done:.1f}'.removesuffix('.0')}/{count.wanted}"


def open_display(console: Console) -> BarDisplay | LineDisplay:
    """Return bars if console is a terminal, lines otherwise."""
    return BarDisplay(console) if console.is_terminal else LineDisplay(console)


def duration_in_words(seconds: float | None) -> str:
    """Return seconds in words, such as 45 s, 3 min 20 s or 2 h 5 min."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
