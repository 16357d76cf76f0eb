"""The boundary to MLflow: errors of MLflow become TrackingErrors; errors of this package stay unchanged."""

import re
import traceback
from dataclasses import dataclass
from types import TracebackType

from pipeline.core.errors import TrackingError


@dataclass(frozen=True)
class Boundary:
    """A context that turns every error raised inside MLflow, and every OSError, into a TrackingError.

    Other errors stay unchanged. An error is MLflow's if its traceback passes through MLflow. The class of the
    error cannot decide, because artifact stores, databases and torch's export raise classes of their own.
    """

    uri: str

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and (isinstance(error, OSError) or _passes_mlflow(trace)):
            text = re.sub(r"//[^@/\s]*@", "//***@", f"MLflow at {self.uri} failed: {error}")[:600]
            remedy = (
                "check the tracking URI and that the server answers. The store keeps all results, and "
                "the next run logs what is missing"
            )
            raise TrackingError(f"{text}; {remedy}") from error


def _passes_mlflow(trace: TracebackType | None) -> bool:
    return any(
        frame.f_globals.get("__name__", "").partition(".")[0] == "mlflow"
        for frame, _ in traceback.walk_tb(trace)
    )
