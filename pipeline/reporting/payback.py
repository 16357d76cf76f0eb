"""When models trained for one request alone pay, in words; `dmm plan` and the report say it alike."""

import math


def focused_pays(focused: float, break_even: float | None, n_models: int) -> str:
    """Return when focused models that cost so many retrainings a request pay, n_models being to forget in each.

    break_even: from how many requests on datamodel and focused models together cost less than retraining all models, None if they never do.
    """
    spent = f"{focused:,.3g} retrainings"
    needed = "never pay: retrain" if break_even is None else f"pay from {math.ceil(break_even):,} requests on"
    return (
        f"Focused models add {spent} to each request and serve no other; the same would buy {math.floor(focused):,} exact oracles. They pay only where more "
        f"models than that are to forget the same points, such as an ensemble or deployed copies that each keep their own randomness; for fewer, retrain "
        f"them. For {n_models:,} models in each request, datamodel and focused models together {needed}."
    )
