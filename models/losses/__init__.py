"""Training losses by name, each in scaled or in original units, as its metric wants it.

A loss gives one number a row; rows are weighted by `batch.weight` and divided by the sum of the weights,
so that padding, closed days and unknown targets count for nothing.
"""

from models.losses.base import LOSSES, Loss, check_loss, choose_loss, weighted_mean
from models.losses.categorical import CrossEntropy
from models.losses.likelihood import NegativeLogLikelihood
from models.losses.point import L1, L2, MAPE, RMSLE, RMSPE, SMAPE, Huber
from models.losses.quantile import Pinball
from models.units import Units

__all__ = [
    "L1",
    "L2",
    "LOSSES",
    "MAPE",
    "RMSLE",
    "RMSPE",
    "SMAPE",
    "CrossEntropy",
    "Huber",
    "Loss",
    "NegativeLogLikelihood",
    "Pinball",
    "Units",
    "check_loss",
    "choose_loss",
    "weighted_mean",
]
