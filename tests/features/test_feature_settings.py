"""What wrong settings of features get, and how columns come together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data.errors import InputError
from data.split import horizon_of
from features.build import all_columns, build_features, transform_all
from tests.panels import HORIZON, make_panel


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("horizon", {"lagz": {}}, r"features\.lagz: unknown feature 'lagz'; did you mean 'lags'"),
        ("horizon", {"mine": {"kind": "rollin"}}, r"features\.mine: unknown feature 'rollin'; .*'rolling'"),
        ("horizon", {"lags": {"lag": [1]}}, r"features\.lags: unknown setting 'lag'; did you mean 'lags'"),
        ("horizon", {"lags": {"lags": 7}}, r"features\.lags\.lags: found 7, expected a list of whole number"),
        ("horizon", {"lags": {"lags": [1.5]}}, r"found \[1\.5\], expected a list of whole number"),
        ("horizon", {"lags": {"lags": [0]}}, r"features\.lags\.lags: found 0, expected at least 1"),
        ("horizon", {"lags": {"counted": 1}}, r"found 1, expected true or false"),
        ("horizon", {"lags": [1]}, r"features\.lags: found \[1\], expected settings of the family"),
        ("horizon", {"lags": {"inputs": ["slaes"]}}, r"unknown column 'slaes'; did you mean 'sales'"),
        ("horizon", {"lags": {"inputs": ["price"]}}, r"column 'price' is known ahead; use shift"),
        ("horizon", {"lags": {"inputs": ["weather"]}}, r"column 'weather' is categorical"),
        ("horizon", {"shift": {"inputs": ["sales"]}}, r"column 'sales' is the target.*lags"),
        ("horizon", {"shift": {"inputs": ["visitors"]}}, r"'visitors' is observed only in the past.*lags"),
        ("horizon", {"shift": {"inputs": ["pric"]}}, r"unknown column 'pric'; did you mean 'price'"),
        (
            "horizon",
            {"difference": {"inputs": ["holiday"]}},
            r"'holiday' is categorical and its values are no",
        ),
        ("horizon", {"expanding": {"whole": ["max"]}}, r"sequence tasks.*horizon task"),
        (
            "horizon",
            {"at_row": {"rows": [0, -1]}},
            r"at_row\.rows: found -1.*horizon task: expected 0 or more",
        ),
        ("horizon", {"ewm": {"half_lives": [0.0]}}, r"ewm\.half_lives: found 0\.0, expected at least 0\.1"),
        ("horizon", {"rolling": {"statistics": ["medain"]}}, r"unknown statistic 'medain'; .*'median'"),
        ("horizon", {"target_encoding": {"keys": ["region"]}}, r"expected a sequence task.*keyed_history"),
        ("horizon", {"keyed_history": {}}, r"setting 'keys' is missing, expected a list of text"),
        ("horizon", {"keyed_history": {"keys": ["sales"]}}, r"column 'sales' is the target"),
        ("horizon", {"keyed_history": {"keys": ["promotoin"]}}, r"unknown key 'promotoin'; .*'promotion'"),
        (
            "horizon",
            {"cross": {"crosses": [["region", "price"]]}},
            r"column 'price' is real; a categorical one",
        ),
        ("horizon", {"fourier": {"periods": ["weakly"]}}, r"unknown period 'weakly'; .*'weekly'"),
        ("horizon", {"calendar": {"parts": ["weekday"]}}, r"unknown part 'weekday'"),
        ("horizon", {"events": {"events": ["price=cheap"]}}, r"column 'price' is real, found 'cheap'"),
        ("horizon", {"holidays": {}}, r"neither country nor country_column"),
        ("sequence", {"lags": {"lags": [1]}}, r"a sequence task shows no past targets"),
        ("sequence", {"calendar": {"parts": ["day"]}}, r"the time column holds no dates"),
        ("sequence", {"fourier": {}}, r"features\.fourier\.periods: found none"),
        ("sequence", {"target_encoding": {}}, r"features\.target_encoding\.keys: found none"),
        (
            "sequence",
            {"cumulative": {"time": "secnds"}},
            r"features\.cumulative\.time: unknown column 'secnds'",
        ),
    ],
)
def test_wrong_settings_get_one_clear_line(task: str, settings: dict[str, Any], message: str) -> None:
    competition, panel = make_panel(task)
    with pytest.raises(InputError, match=message) as raised:
        build_features(competition, panel, settings)
    assert "\n" not in str(raised.value)


def test_names_kinds_and_features_left_out() -> None:
    competition, panel = make_panel("horizon")
    settings = {"week": {"kind": "lags", "lags": [7]}, "lags": {"lags": [1]}, "age": None, "calendar": {}}
    features = build_features(competition, panel, settings)
    assert [name for name, _ in features] == ["week", "lags", "calendar"]


def test_two_columns_of_one_name_are_refused() -> None:
    competition, panel = make_panel("horizon")
    settings = {"a": {"kind": "lags", "lags": [7]}, "b": {"kind": "lags", "lags": [1, 7]}}
    with pytest.raises(
        InputError, match=r"features\.b: column 'sales\.lag_7' is there already, from features\.a"
    ):
        build_features(competition, panel, settings)
    crossed = {"cross": {"crosses": [["holiday"]]}}
    with pytest.raises(InputError, match=r"'holiday' is there already, from the competition's columns"):
        build_features(competition, panel, crossed)


def test_stored_columns_are_taken_and_computed_ones_handed_out() -> None:
    competition, panel = make_panel("horizon")
    features = build_features(competition, panel, {"lags": {"lags": [1]}, "age": {}, "calendar": {}})
    columns, table = transform_all(competition, panel, features)
    assert [column for own in all_columns(competition, panel, features).values() for column in own] == list(
        columns
    )
    assert table.dtype == np.float32
    age = np.full((panel.rows, 1), 3.5, dtype=np.float32)
    computed: dict[str, np.ndarray] = {}
    _, again = transform_all(
        competition,
        panel,
        features,
        stored={"age": age},
        computed=lambda name, own: computed.update({name: own.copy()}),
    )
    assert list(computed) == ["lags", "calendar"]
    assert np.array_equal(computed["lags"], table[:, :2], equal_nan=True)
    assert (again[:, 2] == 3.5).all()
    assert np.array_equal(again[:, 3:], table[:, 3:], equal_nan=True)
    assert np.array_equal(again[:, :2], table[:, :2], equal_nan=True)


def test_a_fitted_family_needs_its_parameters() -> None:
    competition, panel = make_panel("sequence")
    features = build_features(competition, panel, {"target_encoding": {"position": True}})
    with pytest.raises(ValueError, match="needs the parameters of fit"):
        transform_all(competition, panel, features)


@pytest.mark.parametrize("family", ["lags", "rolling", "seasonal", "growth"])
def test_a_lag_that_is_not_given_reaches_over_days_that_nobody_asks(family: str) -> None:
    """The run's horizon counts a Sunday between asked days, and so does the reach of what is shown then."""
    competition, panel = make_panel("horizon", gaps=False)
    competition.horizon = None
    last = panel.offsets[1:] - 1
    test, present = panel.test.copy(), panel.present.copy()
    test[last - 2] = present[last - 2] = False  # in the midst of each series' asked rows
    panel = replace(panel, test=test, present=present)
    assert horizon_of(competition, panel) == HORIZON == test[-HORIZON:].sum() + 1
    [(_, feature)] = build_features(competition, panel, {family: {}})
    columns = feature.columns(competition, panel)
    reaches = [column.reach for column in columns if column.reach is not None]
    assert reaches
    assert min(reaches) >= HORIZON
    competition.horizon = HORIZON  # as a run that goes on with stored models declares it
    assert feature.columns(competition, panel) == columns
