"""The expression language: values by hand, three-valued truth, and refusal of everything else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from data.expression import check_expression, evaluate, evaluate_values

NAN = float("nan")
FRAME = pd.DataFrame(
    {
        "open": [1, 0, 1, 1, 0],
        "sales": [5, 0, 0, NAN, NAN],
        "kind": ["0", "a", "0", None, "b"],
        "date": pd.to_datetime(["2015-01-01", "2015-02-01", "2015-04-30", "2015-02-03", "2015-09-01"]),
        "months": ["Jan,Apr", None, "Feb", "Feb,May", "Mar,Jun,Sept,Dec"],
    }
)


@pytest.mark.parametrize(
    ("text", "known", "sales_unknown"),
    [
        ("open == 1 and sales > 0", [1, 0, 0, 0, 0], [1, 0, 0, 1, 0]),
        ("not (sales == 0)", [1, 0, 0, 1, 1], [1, 0, 0, 1, 1]),
        ("not (sales > 0)", [0, 1, 1, 1, 1], [0, 1, 1, 1, 1]),
        ("sales > 0 or open == 0", [1, 1, 0, 0, 1], [1, 1, 0, 1, 1]),
        ("open and sales", [1, 0, 0, 0, 0], [1, 0, 0, 1, 0]),
        ("0 < sales + 1 <= 1", [0, 1, 1, 0, 0], [0, 1, 1, 1, 1]),
        ("kind == 0", [1, 0, 1, 0, 0], [1, 0, 1, 0, 0]),
        ("kind in ['a', 'b']", [0, 1, 0, 0, 1], [0, 1, 0, 0, 1]),
        ("kind not in [0]", [0, 1, 0, 1, 1], [0, 1, 0, 1, 1]),
        ("isna(kind)", [0, 0, 0, 1, 0], [0, 0, 0, 1, 0]),
        ("date >= '2015-02-03'", [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]),
        ("date in ['2015-02-03', '2015-09-01']", [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]),
        ("contains(months, month_name(date))", [1, 0, 0, 1, 1], [1, 0, 0, 1, 1]),
    ],
)
def test_truth(text: str, known: list[int], sales_unknown: list[int]) -> None:
    assert evaluate(text, FRAME).astype(int).tolist() == known
    assert evaluate(text, FRAME, unknown=["sales"]).astype(int).tolist() == sales_unknown


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("12 * (year(date) - 2014) + month(date)", [13, 14, 16, 14, 21]),
        ("clip(sales, 1, 2)", [2, 1, 1, NAN, NAN]),
        ("where(open == 1, 2, -open)", [2, 0, 2, 2, 0]),
        ("open == 1", [1, 0, 1, 1, 0]),
        ("7", [7, 7, 7, 7, 7]),
    ],
)
def test_values(text: str, values: list[float]) -> None:
    np.testing.assert_array_equal(evaluate_values(text, FRAME), np.array(values, dtype=float))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("opn == 1", ["'opn'", "'open'", "position 1"]),
        ("open = 1", ["position 6"]),
        ("open is 1", ["`is`"]),
        ("__import__('os')", ["unknown function"]),
        ("open.real", ["Attribute", "position 1"]),
        ("[x for x in open]", ["ListComp"]),
        ("(lambda: 1)()", ["Call"]),
        ("open in kind", ["list of constants"]),
        ("year(date, 2)", ["year takes 1"]),
        ("yeer(date)", ["'year'"]),
        ("kind + 1", ["no number"]),
        ("kind < 1", ["text and a number"]),
        ("log(kind)", ["log cannot be taken"]),
        ("date >= '01.02.2015'", ["found '01.02.2015'", "expected a date as 2020-12-31"]),
        ("'yesterday' == date", ["found 'yesterday'", "expected a date"]),
        ("date not in ['2015-02-01', 'May']", ["found 'May'", "expected a date"]),
        ("", ["expected an expression"]),
    ],
)
def test_everything_else_is_refused(text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as raised:
        evaluate(text, FRAME)
    for word in words:
        assert word in str(raised.value)


def test_columns_that_are_read() -> None:
    assert check_expression("a > 1 and not isna(b) or c in [1]", None) == ("a", "b", "c")
