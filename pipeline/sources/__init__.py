"""Models trained elsewhere, read by their masks, outputs or states.

A new source is one file and one line in the table here.
"""

from pipeline.core.registry import PluginTable
from pipeline.sources.base import ModelSource
from pipeline.sources.checkpoints import CheckpointFiles
from pipeline.sources.easydub import EasyDub
from pipeline.sources.klom_models import KlomModels
from pipeline.sources.madrylab import MadryLab

SOURCES = PluginTable("source", ModelSource, (MadryLab, EasyDub, KlomModels, CheckpointFiles))
