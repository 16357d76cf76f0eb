"""How a run is shown while it works: bars on a terminal, a line every few seconds elsewhere, on standard error either way."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from pipeline.kinds import makes_models, stages, title_of
from pipeline.run import Listener, Progress
from pipeline.view import Pace

LINE_SECONDS = 5.0
# Share of the models after which their pace tells how long the rest takes: the first few come long before whole shards do.
TELLING = 0.02


class Rate:
    """Models a second over the last seconds, and what is left at that rate."""

    def __init__(self) -> None:
        self._pace = Pace()

    def update(self, progress: Progress) -> tuple[float, float | None]:
        """Return (models a second, seconds left or None while too little is made to tell)."""
        under_way = progress.models_under_way()
        made, remaining = progress.n_models_made + under_way, progress.remaining_models() - under_way
        pace = self._pace.update(time.monotonic(), made)
        return pace, Pace.seconds_left(remaining, pace) if made >= TELLING * (made + remaining) else None


def stage_counts(progress: Progress) -> dict[str, tuple[int, int]]:
    """Return (units done, units wanted) of each stage that the run is to reach, in order."""
    counts: dict[str, tuple[int, int]] = {}
    for stage in stages():
        keys = [key for key in progress.wanted if progress.states[key].node.stage == stage]
        if keys:
            counts[stage] = (sum(progress.n_done(key) for key in keys), sum(progress.states[key].node.n_units for key in keys))
    return counts


def under_way(progress: Progress, stage: str) -> float:
    """Return how many units the shards of a stage that run now amount to so far, to a tenth."""
    units = sum((units for key, units in progress.under_way.items() if progress.states[key].node.stage == stage), start=0.0)
    return round(units, 1)


def rate_text(rate: float) -> str:
    """Return models a second in words, with as many digits as tell a slow pace from none."""
    return f"{rate:.0f} models/s" if rate >= 10 or rate == 0 else f"{rate:.2g} models/s"


def _is_making_models(progress: Progress) -> bool:
    """Return whether models are made just now, or nothing else is."""
    running = [progress.states[key].node.trains for key, count in progress.running.items() if count]
    return any(running) or not running


class Notice:
    """Says what a run waits for, once each time that this changes."""

    def __init__(self, console: Console) -> None:
        self._console, self._said = console, ""

    def update(self, progress: Progress) -> None:
        """Say it, if it is new."""
        if progress.notice and progress.notice != self._said:
            self._console.print(progress.notice, style="yellow", soft_wrap=True)
        self._said = progress.notice


class BarDisplay(Listener):
    """A bar for each stage, on a terminal."""

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

    def changed(self, progress: Progress) -> None:
        """See Listener."""
        if not self._rows:
            self._bars.start()
        self._notice.update(progress)
        rate, left = self._rate.update(progress)
        running = {progress.states[key].node.stage for key, count in progress.running.items() if count}
        for stage, (done, wanted) in stage_counts(progress).items():
            if stage not in self._rows:
                self._rows[stage] = self._bars.add_task(title_of(stage), total=wanted, note="")
            note = f"{rate_text(rate)}, {duration(left)} left" if makes_models(stage) and stage in running and left else ""
            if done < wanted and stage in running and not note:
                note = "running"
            self._bars.update(self._rows[stage], completed=done + under_way(progress, stage), total=wanted, note=note)

    def stop(self) -> None:
        """Leave the terminal as it was found."""
        if self._rows:
            self._bars.stop()


class LineDisplay(Listener):
    """A line every few seconds, for logs."""

    def __init__(self, console: Console) -> None:
        self._console, self._notice = console, Notice(console)
        self._next = time.monotonic() + LINE_SECONDS
        self._rate = Rate()

    def changed(self, progress: Progress) -> None:
        """See Listener."""
        self._notice.update(progress)
        rate, left = self._rate.update(progress)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_SECONDS
        counts = [(stage, done + under_way(progress, stage), wanted) for stage, (done, wanted) in stage_counts(progress).items()]
        busy = [f"{title_of(stage)} {f'{done:.1f}'.removesuffix('.0')}/{wanted}" for stage, done, wanted in counts if 0 < done < wanted]
        failed = f" · {len(progress.failures)} shards failed" if progress.failures else ""
        # Of how long a fit takes the pace of models says nothing.
        pace = f" · {rate_text(rate)}{f' · {duration(left)} left' if left else ''}" if _is_making_models(progress) else ""
        self._console.print(f"[{progress.seconds:4.0f} s] {' · '.join(busy) or 'working'}{pace}{failed}", soft_wrap=True)

    def stop(self) -> None:
        """Nothing to undo."""


def open_display(console: Console) -> BarDisplay | LineDisplay:
    """Return bars if console is a terminal, lines otherwise."""
    return BarDisplay(console) if console.is_terminal else LineDisplay(console)


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: 45 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
