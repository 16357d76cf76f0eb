"""Sentences on how many requests make a datamodel cheaper than retraining.

They also cover focused models, which are trained for one request alone. `dmm plan` and the report use the
same sentences.
"""

import math

from pipeline.results.formatting import of_retraining


def break_even(datamodel_retrainings: float, request_fraction: float) -> str:
    """Return in words how many requests must share the datamodel before it beats retraining.

    datamodel_retrainings is the cost of the datamodel, which is paid once. request_fraction is the cost of
    one request that uses it. Both are in trainings on all points.
    """
    spent, request = f"{datamodel_retrainings:,.0f} retrainings", of_retraining(request_fraction)
    if datamodel_retrainings == 0:
        return f"The datamodel was brought along and cost nothing here; a request costs {request}."
    if request_fraction >= 1:
        return f"One request costs {request}, so the datamodel ({spent}) never pays: retrain."
    pays = (
        f"it pays if {math.ceil(datamodel_retrainings / (1 - request_fraction)):,} or more requests share "
        "it; for fewer, retrain"
    )
    return f"The datamodel costs {spent} once, a request then {request}: {pays}."


def proxies_counted(by_time: float | None, request_fraction: float) -> str:
    """Return in words how proxies are counted in costs, and when the datamodel pays by measured time.

    A proxy has another architecture or recipe than the model that unlearns; the datamodel is learnt from it.
    by_time is the cost of the datamodel by measured time, None if unknown. request_fraction is the cost of
    one request. Both are in retrainings of the model that unlearns.
    """
    said = "Models of a proxy are counted as retrainings of the proxy, not of the model that unlearns."
    if by_time is None:
        return said
    pays = (
        "never pays"
        if request_fraction >= 1
        else f"pays if {math.ceil(by_time / (1 - request_fraction)):,} or more requests share it"
    )
    return (
        f"{said} By measured time, the datamodel costs {by_time:,.0f} retrainings of that model and {pays}."
    )


def focused_pays(focused: float, break_even: float | None, n_models: int) -> str:
    """Return in words when focused models pay, which are trained for one request alone.

    focused is their cost in retrainings for each request. break_even is the number of requests from which
    datamodel and focused models together cost less than retraining, None if they never do. In each request
    n_models models must forget.
    """
    pays = "never pay: retrain" if break_even is None else f"pay from {math.ceil(break_even):,} requests on"
    said = (
        f"Focused models add {focused:,.3g} retrainings to each request, the price of "
        f"{math.floor(focused):,} exact oracles."
    )
    return f"{said} For {n_models:,} models in each request, datamodel and focused models together {pays}."
