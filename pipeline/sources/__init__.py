"""Sources: models trained elsewhere, of which masks, outputs or states (weights) are read from files.

To add a source, write one file and add one line to the table here.
"""

from pipeline.core.registry import PluginTable
from pipeline.sources.base import ModelSource
from pipeline.sources.checkpoints import CheckpointFiles
from pipeline.sources.easydub import EasyDub
from pipeline.sources.klom_models import KlomModels
from pipeline.sources.madrylab import MadryLab

SOURCES = PluginTable("source", ModelSource, (MadryLab, EasyDub, KlomModels, CheckpointFiles))
