"""Judges, one plug-in a file: each says how far unlearned models are from retrained ones.

A new one is a file and a line in the table. `pipeline.evaluation.klom` and its neighbours never import this
table, so that a judge may import torch.
"""

from pipeline.core.registry import PluginTable
from pipeline.evaluation.judges.accuracy_judge import AccuracyJudge
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.ulira_judge import UliraJudge

JUDGES = PluginTable("judge", Judge, (KlomJudge, UliraJudge, AccuracyJudge))
