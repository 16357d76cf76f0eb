"""The table of unlearners. They make a trained model behave as if it had never seen a forget set."""

from pipeline.core.registry import PluginTable
from pipeline.unlearning.ascent import GradientAscent
from pipeline.unlearning.dm_direct import DmDirect
from pipeline.unlearning.finetune import Finetune
from pipeline.unlearning.matching import Dmm, OracleMatching
from pipeline.unlearning.no_op import NoOp
from pipeline.unlearning.unlearner import Unlearner

UNLEARNERS = PluginTable(
    "unlearner", Unlearner, (NoOp, DmDirect, Dmm, OracleMatching, GradientAscent, Finetune)
)
