"""Settings that a network cannot be made with are refused before any data is read, in one line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from data.batch import SequenceBatch
from data.competition import Competition
from data.configure import make_settings
from data.errors import InputError
from data.schema import InputSchema
from data.setting_ranges import refuse_out_of_range
from models.check_network import check_network, made_up_schema
from models.heads import HEADS
from models.members.base import MEMBERS
from models.mixers.base import MIXERS
from models.mixers.tcn import levels_to_cover
from models.network import NETWORKS, Network


def competition(task: str, **settings: Any) -> Competition:
    return Competition(name="made_up", task=task, target=["y", "z"], seasonality=[4], **settings)


#: Network, settings, and how the line goes on after its key.
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("lstm", {"hidden": 0}, ".hidden: found 0, expected a whole number from 1 on"),
    ("lstm", {"layers": 0}, ".layers: found 0, expected a whole number from 1 on"),
    ("lstm", {"dropout": 2.0}, ".dropout: found 2.0, expected a number from 0 to 1"),
    ("lstm", {"forget_bias": float("nan")}, ".forget_bias: found nan, expected a number that is finite"),
    ("lstm", {"hiden": 3}, ": unknown setting 'hiden'; did you mean 'hidden'?"),
    ("lstm", {"hidden": "many"}, ".hidden: Value 'many'"),
    ("lstm", {"static_state": "sate"}, ".static_state: unknown static_state 'sate'; did you mean 'state'"),
    ("lstm", {"add_last": "lsat"}, ".add_last: unknown add_last 'lsat'; did you mean 'last'"),
    ("lstm", {"chrono": 2}, ".chrono=2; expected 0 (off) or"),
    ("plstm", {"gates": 5}, ".gates=5; expected 3 or 4"),
    ("plstm", {"kernel": "numbaa"}, ".kernel: unknown kernel 'numbaa'"),
    ("tcn", {"kernel": 1}, ".kernel=1; expected at least 2 rows"),
    ("wavenet", {"kernel": 1}, ".kernel=1; expected at least 2 rows"),
    ("cnn_lstm", {"channels": 0}, ".channels: found 0"),
    ("cnn_lstm", {"recurrent": "lsmt"}, ".recurrent: unknown recurrent 'lsmt'"),
    ("transformer", {"heads": 5}, ".heads: 5 does not divide the width of 64"),
    ("transformer", {"feedforward": -1}, ".feedforward: found -1, expected a whole number from 0 on"),
    ("tft_hybrid", {"width": 0}, ".width: found 0, expected a whole number from 1 on"),
    ("tft_hybrid", {"local": "lsmt"}, ".local: 'lsmt' is not among"),
    ("ventilator_hybrid", {"kernels": [3, 0]}, ".kernels: found [3, 0], expected a whole number from 1 on"),
    ("seq2seq_attention", {"cell": "conv"}, ".cell: 'conv' cannot go on"),
    ("deepar", {"lags": [0]}, ".lags: found [0], expected a whole number from 1 on"),
    ("es_rnn", {"floor": 0.0}, ".floor: found 0.0, expected a number above 0"),
    ("es_rnn", {"dilations": [[0]]}, ".dilations=[[0]]: expected blocks"),
    ("dlinear", {"kernel": 24}, ".kernel: 24; expected an odd number"),
    ("stack", {"mixers": []}, ".mixers: the list is empty"),
    ("stack", {"mixers": ["lsmt"]}, ".mixers: unknown mixer 'lsmt'"),
    ("stack", {"mixers": [3]}, ".mixers[0]: 3 is not the name of a mixer"),
    ("stack", {"mixers": [{"name": "lstm", "hidden": 0}]}, ".mixers[0].lstm.hidden: found 0"),
    ("stack", {"mixers": [{"name": "lstm", "hidden": "many"}]}, ".mixers[0].lstm.hidden: Value 'many'"),
    ("stack", {"mixers": [{"name": "lstm", "hiden": 3}]}, ".mixers[0].lstm: unknown setting 'hiden'"),
]


@pytest.mark.parametrize(("name", "settings", "line"), REFUSED)
def test_refused(name: str, settings: dict[str, Any], line: str) -> None:
    kind = NETWORKS.get(name)
    with pytest.raises(InputError) as caught:
        check_network(kind, settings, competition(kind.tasks[-1]), None, "member.mine")
    assert str(caught.value).startswith(f"member.mine{line}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NETWORKS.names())
def test_what_can_be_made_passes(name: str) -> None:
    """All variants, and the defaults, at the sizes that a competition may have; the made-up columns do."""
    kind = NETWORKS.get(name)
    for task in kind.tasks:
        for config in (kind.Config(), *kind.variants()):
            for settings in ({}, {"horizon": 1, "context": 1}):
                check_network(kind, asdict(config), competition(task, **settings), None, "member.mine")


def test_what_hangs_on_the_data_is_left_to_the_fit() -> None:
    """A column by its name; a period and a lag that the made-up history does not hold."""
    for name, settings in (
        ("bilstm_two_heads", {"switch": "u_out"}),
        ("es_rnn", {"periods": [1000]}),
        ("deepar", {"lags": [1000]}),
    ):
        check_network(NETWORKS.get(name), settings, competition("horizon", context=30), None, "member.mine")


def test_a_network_that_will_not_run_is_not_looked_at() -> None:
    check_network(NETWORKS.get("es_rnn"), {"dilations": [[0]]}, competition("sequence"), None, "member.mine")


def test_lengths_are_the_competition_s() -> None:
    schema = made_up_schema(competition("horizon", horizon=5, context=7), None)
    assert (schema.context, schema.horizon) == (7, 5)
    assert made_up_schema(competition("horizon", horizon=5, context=7), 3).context == 3
    assert made_up_schema(competition("horizon", horizon=5), None).context == 10
    assert made_up_schema(competition("sequence"), None).context == 0


class Reading(Network):
    """Looks at a number that it has drawn, which cannot be done where nothing is drawn."""

    @dataclass(frozen=True)
    class Config:
        """Settings."""

        hidden: int = 3

    def __init__(self, schema: InputSchema, config: Any, outputs: int = 1) -> None:
        super().__init__(schema, config, outputs)
        self.map = nn.Linear(config.hidden, 1)
        if float(self.map.weight.detach().sum()) > 1e9:
            raise AssertionError
        if config.hidden == 13:
            raise InputError("hidden: found 13, expected a lucky number")

    def forward(self, batch: SequenceBatch) -> Tensor:
        return batch.real


def test_random_numbers_are_where_they_were_and_networks_may_look_at_theirs() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check_network(Reading, {}, competition("horizon"), None, "member.mine")
    check_network(NETWORKS.get("bilstm"), {}, competition("horizon"), None, "member.mine")
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(InputError, match=r"member\.mine\.hidden: found 13"):
        check_network(Reading, {"hidden": 13}, competition("horizon"), None, "member.mine")


@pytest.mark.parametrize("registry", [NETWORKS, MIXERS, HEADS, MEMBERS])
def test_all_defaults_are_in_their_ranges(registry: Any) -> None:
    for _, kind in registry.items():
        for config in (kind.Config(), kind.small() if hasattr(kind, "small") else kind.Config()):
            refuse_out_of_range(type(config), vars(config), lambda key: key)


def test_zero_is_allowed_where_it_is_the_default() -> None:
    @dataclass(frozen=True)
    class Config:
        layers: int = 0
        kernel: int = 3

    assert make_settings(Config, {"layers": 0}, "here").layers == 0
    with pytest.raises(InputError, match=r"here\.layers: found -1, expected a whole number from 0 on"):
        make_settings(Config, {"layers": -1}, "here")
    with pytest.raises(InputError, match=r"here\.kernel: found 0, expected a whole number from 1 on"):
        make_settings(Config, {"kernel": 0}, "here")


def test_no_levels_cover_a_window_with_a_kernel_of_one_row() -> None:
    with pytest.raises(InputError, match="kernel=1"):
        levels_to_cover(10, 1)
