"""Small expressions over raw columns, as competitions write them: `Open == 1 and Sales > 0`.

The language is a checked part of Python's expression syntax: column names, constants, comparisons (chained
ones too), and/or/not, + - * / // % **, `in` with a list of constants, and the functions of FUNCTIONS.
Nothing else is accepted, so an expression from a YAML cannot do anything but read columns.

Truth has three values where a column is not known yet (the target on test rows): `evaluate` says whether
the expression can be true, so that `Open == 1 and Sales > 0` is false on a closed test day and true on an
open one.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data.errors import InputError, unknown
from data.expression_functions import FUNCTIONS, NoDateError, alike, equal

Masks = dict[str, np.ndarray]  # expression: (R,) bool


class _Truth(NamedTuple):
    """Whether each row can be true and can be false; both where it depends on what is not known."""

    can_hold: np.ndarray
    can_fail: np.ndarray


class _Value(NamedTuple):
    """Numbers, texts or dates of the rows (or one constant), and where they are not known."""

    content: Any
    unknown: np.ndarray | None = None


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}


def check_expression(text: str, columns: Iterable[str] | None, where: str = "") -> tuple[str, ...]:
    """The columns that `text` reads, sorted; columns=None accepts any name.

    Raises InputError with the position of what is not allowed, or the column nearest to an unknown name.
    """
    return tuple(sorted(_names(_parse(text, where), text, columns, where)))


def evaluate(text: str, frame: pd.DataFrame, unknown: Iterable[str] = (), where: str = "") -> np.ndarray:
    """(N,) bool: where the expression holds over the rows of `frame`.

    Missing values of the columns in `unknown` are not known: what depends on them counts as true. Any
    other missing value makes a comparison false (and `!=` true), as in NumPy.
    """
    tree = _parse(text, where)
    _names(tree, text, frame.columns, where)
    return _Evaluation(text, frame, frozenset(unknown), where).truth(tree).can_hold


def evaluate_values(text: str, frame: pd.DataFrame, where: str = "") -> np.ndarray:
    """(N,) what the expression is worth: float64 (truth as 0 and 1), or objects where it is text or dates."""
    tree = _parse(text, where)
    _names(tree, text, frame.columns, where)
    result = _Evaluation(text, frame, frozenset(), where).visit(tree)
    content = result.can_hold if isinstance(result, _Truth) else result.content
    array = np.asarray(content)
    if array.dtype.kind in "biuf":
        array = array.astype(np.float64)
    return np.broadcast_to(array, len(frame)).copy() if array.ndim == 0 else array


def _parse(text: str, where: str) -> ast.expr:
    if not isinstance(text, str) or not text.strip():
        place = where or "expression"
        raise InputError(f"{place}: expected an expression such as 'Open == 1', found {text!r}")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise InputError(f"{_place(where, text)}: {error.msg} at position {error.offset}") from None


def _place(where: str, text: str) -> str:
    return f"{where}: expression {text!r}" if where else f"expression {text!r}"


def _names(tree: ast.expr, text: str, columns: Iterable[str] | None, where: str) -> set[str]:
    """Names read; every node is checked against the language."""
    known = None if columns is None else list(columns)
    names: set[str] = set()

    def refuse(node: ast.AST, what: str) -> InputError:
        position = getattr(node, "col_offset", 0) + 1
        return InputError(f"{_place(where, text)}: {what} at position {position} is not part of the language")

    def walk(node: ast.AST) -> None:
        match node:
            case ast.Name(id=name):
                if known is not None and name not in known:
                    place = f"{_place(where, text)}, position {node.col_offset + 1}"
                    raise unknown("column", name, known, place)
                names.add(name)
            case ast.Constant(value=constant):
                if not isinstance(constant, bool | int | float | str):
                    raise refuse(node, repr(constant))
            case ast.BoolOp(values=values):
                for value in values:
                    walk(value)
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
                walk(operand)
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
                walk(left)
                walk(right)
            case ast.Compare(left=left, ops=operators, comparators=others):
                walk(left)
                for operator, other in zip(operators, others, strict=True):
                    if isinstance(operator, ast.In | ast.NotIn):
                        if not isinstance(other, ast.List | ast.Tuple | ast.Set):
                            raise refuse(other, "`in` without a list of constants")
                        _constants(other, refuse)
                    elif isinstance(operator, ast.Eq | ast.NotEq) or type(operator) in _ORDER:
                        walk(other)
                    else:
                        raise refuse(node, "`is`")
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                if name not in FUNCTIONS:
                    raise unknown("function", name, FUNCTIONS, _place(where, text))
                if len(arguments) != FUNCTIONS[name][0]:
                    count = FUNCTIONS[name][0]
                    raise InputError(
                        f"{_place(where, text)}: {name} takes {count} arguments, found {len(arguments)}"
                    )
                for argument in arguments:
                    walk(argument)
            case _:
                raise refuse(node, f"{type(node).__name__}")

    walk(tree)
    return names


_Refuse = Callable[[ast.AST, str], InputError]


def _constants(node: ast.expr, refuse: _Refuse) -> list[Any]:
    assert isinstance(node, ast.List | ast.Tuple | ast.Set)
    values = []
    for element in node.elts:
        try:
            values.append(ast.literal_eval(element))
        except ValueError:
            raise refuse(element, "`in` with something that is no constant") from None
    return values


class _Evaluation:
    """Visits the checked tree with arrays over the rows of one frame."""

    def __init__(self, text: str, frame: pd.DataFrame, unknown_columns: frozenset[str], where: str) -> None:
        self.text = text
        self.frame = frame
        self.unknown = unknown_columns
        self.where = where

    def visit(self, node: ast.AST) -> _Value | _Truth:
        match node:
            case ast.Name(id=name):
                column = self.frame[name]
                missing = column.isna().to_numpy() if name in self.unknown else None
                return _Value(_array(column), missing if missing is not None and missing.any() else None)
            case ast.Constant(value=constant):
                return _Value(constant)
            case ast.BoolOp(op=operator, values=values):
                hold, fail = zip(*(self.truth(value) for value in values), strict=True)
                if isinstance(operator, ast.And):
                    return _Truth(np.logical_and.reduce(hold), np.logical_or.reduce(fail))
                return _Truth(np.logical_or.reduce(hold), np.logical_and.reduce(fail))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                truth = self.truth(operand)
                return _Truth(truth.can_fail, truth.can_hold)
            case ast.UnaryOp(op=operator, operand=operand):
                number = self.value(operand)
                sign = -1.0 if isinstance(operator, ast.USub) else 1.0
                return _Value(sign * self.number(number.content), number.unknown)
            case ast.BinOp(left=left, op=operator, right=right):
                first, second = self.value(left), self.value(right)
                with np.errstate(all="ignore"):
                    take = _ARITHMETIC[type(operator)]
                    content = take(self.number(first.content), self.number(second.content))
                return _Value(content, _either(first.unknown, second.unknown))
            case ast.Compare(left=left, ops=operators, comparators=others):
                return self.comparison(left, operators, others)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.call(name, arguments)
        raise AssertionError(f"{type(node).__name__} passed the check of {self.text!r}")

    def value(self, node: ast.AST) -> _Value:
        result = self.visit(node)
        if isinstance(result, _Value):
            return result
        both = result.can_hold & result.can_fail
        return _Value(result.can_hold.astype(np.float64), both if both.any() else None)

    def truth(self, node: ast.AST) -> _Truth:
        result = self.visit(node)
        if isinstance(result, _Truth):
            return result
        held = self.rows(np.nan_to_num(self.number(result.content)) != 0)
        return _truth(held, result.unknown)

    def rows(self, mask: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(mask, dtype=bool), len(self.frame))

    def number(self, content: Any) -> Any:
        array = np.asarray(content)
        if array.dtype.kind not in "biuf":
            raise InputError(f"{_place(self.where, self.text)}: arithmetic on something that is no number")
        return array.astype(np.float64)

    def comparison(self, left: ast.expr, operators: list[ast.cmpop], others: list[ast.expr]) -> _Truth:
        result: _Truth | None = None
        first = self.value(left)
        for operator, other in zip(operators, others, strict=True):
            if isinstance(operator, ast.In | ast.NotIn):
                held = np.zeros(len(self.frame), dtype=bool)
                for constant in _constants(other, lambda _, what: InputError(what)):  # type: ignore[arg-type]
                    held = held | self.rows(self.compare(ast.Eq(), first.content, constant))
                second = _Value(None)
                held = ~held if isinstance(operator, ast.NotIn) else held
            else:
                second = self.value(other)
                held = self.rows(self.compare(operator, first.content, second.content))
            step = _truth(held, _either(first.unknown, second.unknown))
            result = (
                step
                if result is None
                else _Truth(result.can_hold & step.can_hold, result.can_fail | step.can_fail)
            )
            first = second
        assert result is not None
        return result

    def compare(self, operator: ast.cmpop, first: Any, second: Any) -> Any:
        try:
            if isinstance(operator, ast.Eq):
                return equal(first, second)
            if isinstance(operator, ast.NotEq):
                return ~np.asarray(equal(first, second), dtype=bool)
            first, second = alike(first, second)
            with np.errstate(invalid="ignore"):
                return _ORDER[type(operator)](first, second)
        except NoDateError as error:
            raise InputError(f"{_place(self.where, self.text)}: {error}") from None
        except TypeError:
            raise InputError(
                f"{_place(self.where, self.text)}: a text and a number cannot be compared by size"
            ) from None

    def call(self, name: str, arguments: list[ast.expr]) -> _Value | _Truth:
        if name == "isna":
            value = self.value(arguments[0])
            return _truth(self.rows(pd.isna(value.content)), value.unknown)
        lost: np.ndarray | None = None
        if name == "where":
            condition = self.truth(arguments[0])
            first, second = self.value(arguments[1]), self.value(arguments[2])
            both = condition.can_hold & condition.can_fail
            lost = _either(both if both.any() else None, _either(first.unknown, second.unknown))
            return _Value(np.where(condition.can_hold, first.content, second.content), lost)
        values = [self.value(argument) for argument in arguments]
        try:
            content = FUNCTIONS[name][1](*(value.content for value in values))
        except (TypeError, ValueError, OverflowError) as error:
            found = str(error).splitlines()[0]
            place = _place(self.where, self.text)
            raise InputError(f"{place}: {name} cannot be taken of this: {found}") from error
        for value in values:
            lost = _either(lost, value.unknown)
        if np.asarray(content).dtype == bool:
            return _truth(self.rows(content), lost)
        return _Value(content, lost)


def _truth(held: np.ndarray, lost: np.ndarray | None) -> _Truth:
    return _Truth(held, ~held) if lost is None else _Truth(held | lost, ~held | lost)


def _either(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    if first is None or second is None:
        return second if first is None else first
    return first | second


def _array(column: pd.Series) -> np.ndarray:
    return column.to_numpy() if column.dtype.kind in "biufM" else column.to_numpy(dtype=object)
