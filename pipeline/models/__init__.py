"""Models, one plug-in a file; a new one is a file here and a line in the table."""

from pipeline.core.registry import PluginTable
from pipeline.models.base import Model
from pipeline.models.cnn import Cnn
from pipeline.models.logistic import Logistic
from pipeline.models.mlp import Mlp

MODELS = PluginTable("model", Model, (Logistic, Mlp, Cnn))
