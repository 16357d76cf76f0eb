"""When focused models pay is said with its figures, and honestly where they never do."""

from pipeline.reporting.payback import focused_pays


def test_the_price_is_told_in_oracles_and_requests():
    assert focused_pays(6.8, 30.4, 100) == (
        "Focused models add 6.8 retrainings to each request, the price of 6 exact oracles. "
        "For 100 models in each request, datamodel and focused models together pay from 31 requests on."
    )


def test_for_few_models_the_advice_is_to_retrain():
    assert focused_pays(8.0, None, 6).endswith("For 6 models in each request, datamodel and focused models together never pay: retrain.")
