"""plstm, biplstm: stacked pLSTM, the LSTM with a power-law forget gate, with static initial states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.network import NETWORKS
from models.networks.recurrent import RecurrentNetwork


class PLSTMFamily(RecurrentNetwork):
    """Stacks of pLSTM; the equations stand in models/kernels/reference.py."""

    cell = "plstm"

    @dataclass(frozen=True)
    class Config(RecurrentNetwork.Config):
        """Settings with their defaults."""

        gates: int = 3  # 3: i = 1 - f, the paper's; 4: a free input gate
        chrono: int = 0  # T_max of the reset gate's start, in rows; -1: the window; 0: the authors' start
        largest_power: float = 1.0  # p starts between 0 and this
        kernel: str = "auto"  # auto, reference, torch, numba, triton

    @classmethod
    def variants(cls) -> list[Any]:
        return [cls.small(), cls.Config(hidden=8, gates=4, chrono=-1, residual=True, static_width=8)]

    @classmethod
    def search(cls, trial: Any) -> dict[str, Any]:
        return {
            **super().search(trial),
            "gates": trial.suggest_categorical("gates", [3, 4]),
            "chrono": trial.suggest_categorical("chrono", [0, -1]),
            "largest_power": trial.suggest_categorical("largest_power", [0.3, 1.0]),
        }


@NETWORKS.register("plstm")
class PLSTMNetwork(PLSTMFamily):
    """Stacked pLSTM (Chien et al. 2021): what it read fades by a power law of the rows since then."""

    causal = True


@NETWORKS.register("biplstm")
class BiPLSTMNetwork(PLSTMFamily):
    """Stacked bidirectional pLSTM: each row also sees the known inputs of the rows after it."""

    bidirectional = True
