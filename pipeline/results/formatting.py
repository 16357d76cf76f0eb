"""Numbers and settings as text, with as many digits as the measurement supports."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def nats(value: float) -> str:
    """Return a value in nats as text: two decimals, one from 10 on, and `n/a` if it is not finite."""
    if not math.isfinite(value):
        return "n/a"
    return f"{value:.1f}" if abs(value) >= 9.95 else f"{value:.2f}"


def in_unit(value: float, unit: str, *, is_named: bool = False) -> str:
    """Return a score as text: fractions in percent, all others as `nats` writes them.

    With is_named, the unit follows scores that are not fractions.
    """
    if unit == "fraction":
        return share(value)
    return f"{nats(value)} {unit}" if is_named and unit else nats(value)


def unit_suffix(unit: str) -> str:
    """Return a unit in brackets for a heading; fractions need none, because they are shown in percent."""
    return "" if unit in ("", "fraction") else f" ({unit})"


def span_in_unit(interval: tuple[float, float], unit: str) -> str:
    """Return the interval of a score as text, such as `0.61 to 0.83`; fractions are in percent."""
    return f"{in_unit(interval[0], unit)} to {in_unit(interval[1], unit)}"


def share(fraction: float) -> str:
    """Return a share of a whole in percent with one decimal."""
    return f"{100 * fraction:.1f}%" if math.isfinite(fraction) else "n/a"


def percent(fraction: float) -> str:
    """Return a fraction as text, such as `0.012%`, `4.1%` or `62%`; from 2 on as a multiple like `3.1×`."""
    if not math.isfinite(fraction):
        return "n/a"
    if abs(fraction) >= 2:
        return f"{fraction:,.1f}×" if abs(fraction) < 10 else f"{fraction:,.0f}×"
    size = abs(100 * fraction)
    if size == 0 or size >= 9.95:
        return f"{100 * fraction:.0f}%"
    return f"{100 * fraction:.1f}%" if size >= 0.095 else f"{100 * fraction:.2g}%"


def of_retraining(fraction: float) -> str:
    """Return a cost in words, such as `6.2% of one retraining`; fraction is the cost in retrainings."""
    if fraction == 0:
        return "no training"
    return f"{percent(fraction)} of one retraining" if fraction < 2 else f"{fraction:,.0f} retrainings"


def times_floor(value: float, floor: float) -> str:
    """Return a KLoM as a multiple of the floor; empty if the floor is not positive or a number not finite."""
    if not (math.isfinite(value) and math.isfinite(floor) and floor > 0):
        return ""
    ratio = value / floor
    return f"{ratio:.0f}×" if ratio >= 9.95 else f"{ratio:.1f}×"


def points(difference: float) -> str:
    """Return a difference of accuracies in signed percentage points."""
    rounded = round(100 * difference, 1) if math.isfinite(difference) else math.nan
    return "n/a" if math.isnan(rounded) else "±0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "−")


def duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def signed(value: float, n_digits: int = 2) -> str:
    """Return a number with `+` or `−` before it and n_digits decimals; one decimal from 10 on.

    A value that rounds to 0 has no sign. A value that is not finite is `n/a`.
    """
    if not math.isfinite(value):
        return "n/a"
    text = f"{value:+.{1 if abs(value) >= 9.95 else n_digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def give_or_take(value: float, standard_error: float | None) -> str:
    """Return a signed number with its standard error, if that is known."""
    return signed(value) + ("" if standard_error is None else f" ± {nats(standard_error)}")


def listed(words: Sequence[str], at_most: int = 4) -> str:
    """Return words as a list with `and`; words beyond at_most are replaced by their number."""
    if len(words) > at_most:
        return f"{', '.join(words[:at_most])} and {len(words) - at_most:,} more"
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def in_use(
    settings: Mapping[str, Any], identity: Mapping[str, Any], *, always: Collection[str] | None = None
) -> dict[str, Any]:
    """Return the settings that a page shows.

    These are the settings in identity, which go into the fingerprint, and all others whose value is not
    false, 0 or empty. If always is given, these others are shown only if always names them.
    """
    on = {name for name, value in settings.items() if value and (always is None or name in always)}
    return {name: value for name, value in settings.items() if name in identity or name in on}


def sentence(settings: Mapping[str, Any]) -> str:
    """Return settings as words, such as `mlp, width 256, no bias`.

    The value of `name` comes first. A setting that is true or false is shown as its key, or `no` and its key.
    A setting that is None is left out.
    """
    parts = [_part(key, value) for key, value in settings.items() if key != "name" and value is not None]
    return ", ".join(([str(settings["name"])] if "name" in settings else []) + parts).replace("_", " ")


def _part(key: str, value: Any) -> str:
    return f"{key} {value}" if not isinstance(value, bool) else key if value else f"no {key}"
