"""What MLflow shows of a run: one parent, a child for each stage and each (unlearner, forget set). The store is the truth; this only mirrors it."""

from pipeline.view.listener import TrackingListener, open_view
from pipeline.view.pace import Pace
from pipeline.view.results import result_rows, results_of
from pipeline.view.spent import Spent, spent_on
from pipeline.view.studies import study_results

__all__ = ["Pace", "Spent", "TrackingListener", "open_view", "result_rows", "results_of", "spent_on", "study_results"]
