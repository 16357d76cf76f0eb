"""Data sets, masks and forget sets. To add a plug-in, write one file and add one line to a table here."""

from pipeline.core.registry import PluginTable
from pipeline.data.dataset import Dataset
from pipeline.data.datasets.digits import Digits
from pipeline.data.datasets.flights import Flights
from pipeline.data.datasets.npz import ArraysFile
from pipeline.data.datasets.planted import Planted
from pipeline.data.forget_sets.base import ForgetSet
from pipeline.data.forget_sets.coherent import Coherent
from pipeline.data.forget_sets.file import IndexFile
from pipeline.data.forget_sets.hardest import Hardest
from pipeline.data.forget_sets.indices import IndexList
from pipeline.data.forget_sets.mislabelled import Mislabelled
from pipeline.data.forget_sets.random import Random

DATASETS = PluginTable("data set", Dataset, (Digits, Flights, Planted, ArraysFile))
FORGET_SETS = PluginTable(
    "forget set", ForgetSet, (Random, Coherent, Mislabelled, Hardest, IndexList, IndexFile)
)
