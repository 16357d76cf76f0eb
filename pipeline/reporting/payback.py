"""When a datamodel pays, and when models trained for one request alone do, in words; `dmm plan` and the report say it alike."""

import math

from pipeline.reporting.formatting import of_retraining


def break_even(datamodel_retrainings: float, request_fraction: float) -> str:
    """Return how many requests must share the datamodel before it beats retraining for each.

    datamodel_retrainings: cost of the subset models in trainings on all points; request_fraction: cost of one request in the same unit.
    """
    if datamodel_retrainings == 0:
        return f"The datamodel was brought along and cost nothing here; a request costs {of_retraining(request_fraction)}."
    spent = f"{datamodel_retrainings:,.0f} retrainings"
    if request_fraction >= 1:
        return f"One request costs {of_retraining(request_fraction)}, so the datamodel ({spent}) never pays: retrain."
    requests = math.ceil(datamodel_retrainings / (1 - request_fraction))
    return (
        f"The datamodel costs {spent} once, a request then {of_retraining(request_fraction)}. It beats retraining for each request only if "
        f"{requests:,} or more requests share it; for fewer, retrain."
    )


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
