"""Training data with a forget set: who is to be forgotten, who stays, and streams of both."""

from tfunlearn.data import datasets, scenarios
from tfunlearn.data.duplicates import Duplicates, DuplicateWarning
from tfunlearn.data.normalizer import Normalizer
from tfunlearn.data.split import ForgetSplit
from tfunlearn.data.streams import batches, pairs

by_index = ForgetSplit.by_index
random = ForgetSplit.random
by_class = ForgetSplit.by_class
by_group = ForgetSplit.by_group
from_dataset = ForgetSplit.from_dataset

__all__ = [
    "DuplicateWarning",
    "Duplicates",
    "ForgetSplit",
    "Normalizer",
    "batches",
    "by_class",
    "by_group",
    "by_index",
    "datasets",
    "from_dataset",
    "pairs",
    "random",
    "scenarios",
]
