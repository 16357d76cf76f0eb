"""The report states with figures when focused models pay, and says so if they never do."""

from pipeline.graph.result_rows import Spending
from pipeline.results.payback import focused_pays, proxies_counted
from pipeline.results.report_content import PopulationContent


def test_the_price_is_told_in_oracles_and_requests():
    assert focused_pays(6.8, 30.4, 100) == (
        "Focused models add 6.8 retrainings to each request, the price of 6 exact oracles. "
        "For 100 models in each request, datamodel and focused models together pay from 31 requests on."
    )


def test_for_few_models_the_advice_is_to_retrain():
    assert focused_pays(8.0, None, 6).endswith(
        "For 6 models in each request, datamodel and focused models together never pay: retrain."
    )


def models(role: str, retrainings: float, seconds: float | None) -> PopulationContent:
    return PopulationContent(role=role, n_models=1, points_kept=1, retrainings=retrainings, seconds=seconds)


def test_a_proxy_costs_its_measured_time_in_retrainings_of_the_model_that_unlearns():
    spending = Spending(
        datamodel=110.0, focused=0.0, n_requests=2, n_models=5, epochs=1, n_train=10, proxies=("subset",)
    )
    full, scout = models("full", 5.0, 50.0), models("scout", 10.0, None)
    assert spending.by_time([full, models("subset", 100.0, 200.0), scout]) == 10 + 20
    assert spending.by_time([full, models("subset", 100.0, None), scout]) is None
    assert spending.by_time([models("full", 0.0, 1.0), models("subset", 100.0, 200.0), scout]) is None


def test_the_datamodel_of_a_proxy_pays_by_measured_time_where_that_is_known():
    assert proxies_counted(30.0, 0.25).endswith(
        "costs 30 retrainings of that model and pays if 40 or more requests share it."
    )
    assert proxies_counted(30.0, 1.0).endswith("of that model and never pays.")
    assert (
        proxies_counted(None, 0.25)
        == "Models of a proxy are counted as retrainings of the proxy, not of the model that unlearns."
    )
