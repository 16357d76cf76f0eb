"""Number formats of the convex study, whose numbers span many powers of ten."""

import math

# R is a ratio of squared distances. In double precision, an R below this value is only rounding.
ROUNDING = 1e-24


def share_left(value: float) -> str:
    """Return R with two significant digits, or below 0.001 and from 100 on as a multiple of a power of ten.

    The result is `0` for a value that is only rounding, and `diverged` from 1e11 on.
    """
    if math.isnan(value):
        return "n/a"
    if value >= 1e11:
        return "diverged"
    if value < ROUNDING:
        return "0"
    return f"{value:.2g}" if 9.95e-4 <= value < 99.5 else _power_of_ten(value)


def amount(value: float) -> str:
    """Return a number that may exceed 1, such as R or a count; below 10 it is formatted as R."""
    if math.isnan(value) or value < 10 or value == math.inf:
        return share_left(value)
    return f"{value:,.0f}" if value < 1e5 else _power_of_ten(value)


def raised(exponent: int) -> str:
    """Return an exponent in superscript digits."""
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def power(value: float) -> str:
    """Return a power of ten as the label of an axis."""
    return "1" if value == 1 else f"10{raised(round(math.log10(value)))}"


def _power_of_ten(value: float) -> str:
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}·10{raised(int(exponent))}"
