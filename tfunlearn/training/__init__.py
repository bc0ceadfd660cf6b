"""How every method trains: a recipe taken from the original, a guarded fit, a plain result."""

from tfunlearn.training.fitting import Diverged, check_epochs, fit, fit_passes, fit_steps, iterate
from tfunlearn.training.movement import moved_share
from tfunlearn.training.recipe import OwnRate, Recipe, check_rate, optimizer_like
from tfunlearn.training.result import adopt, finish
from tfunlearn.training.workers import check_workers

__all__ = [
    "Diverged",
    "OwnRate",
    "Recipe",
    "adopt",
    "check_epochs",
    "check_rate",
    "check_workers",
    "finish",
    "fit",
    "fit_passes",
    "fit_steps",
    "iterate",
    "moved_share",
    "optimizer_like",
]
