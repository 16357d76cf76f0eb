"""Judges measure how far unlearned models are from retrained models; each file holds one judge.

To add a judge, write one file and add a line to the table here. `pipeline.evaluation.klom` and its neighbours
never import this table, so a judge may import torch.
"""

from pipeline.core.registry import PluginTable
from pipeline.evaluation.judges.accuracy_judge import AccuracyJudge
from pipeline.evaluation.judges.base import Judge
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.ulira_judge import UliraJudge

JUDGES = PluginTable("judge", Judge, (KlomJudge, UliraJudge, AccuracyJudge))
