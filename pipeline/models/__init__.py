"""The models that the pipeline can train: one plug-in per file, listed in the table MODELS."""

from pipeline.core.registry import PluginTable
from pipeline.models.base import Model
from pipeline.models.cnn import Cnn
from pipeline.models.logistic import Logistic
from pipeline.models.mlp import Mlp

MODELS = PluginTable("model", Model, (Logistic, Mlp, Cnn))
