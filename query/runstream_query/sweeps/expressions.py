"""Parse and evaluate the expressions of `when:` and `constraints:`.

They have Python's syntax of comparisons and arithmetic, which is read into a tree and evaluated by walking it. Nothing
is ever compiled, and nothing is called but the functions below.

Names are parameters, dotted if they are nested (`optimizer.name`); `params['learning-rate']` names those that are no
Python names. Strings and truth values can only be compared. A power is computed in floating point, so that no number
grows beyond a double.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runstream_query.sweeps.errors import refuse
from runstream_query.sweeps.limits import MAX_EXPRESSION, MAX_EXPRESSION_NODES

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda base, exponent: float(base) ** float(exponent),
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
_FUNCTIONS: dict[str, Callable[..., object]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
    "int": int,
    "float": float,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sqrt": math.sqrt,
}
_HELP = "use comparisons, and, or, not, in, arithmetic, " + ", ".join(_FUNCTIONS)


class EvaluationError(Exception):
    """The expression has no value for these parameters: it has text in place of a number, divides by zero, ..."""


@dataclass(frozen=True)
class Expression:
    text: str
    names: frozenset[str]
    """Names of the parameters that it depends on."""
    _tree: ast.expr
    nodes: int
    """How many nodes its syntax tree has: an evaluation costs some 0.5 microseconds a node."""

    def holds(self, values: Mapping[str, object]) -> bool:
        """Return whether the expression is true; `values` has every name. An expression without a value is false."""
        try:
            return bool(_value(self._tree, values))
        except EvaluationError:
            return False

    def explain(self, values: Mapping[str, object]) -> str:
        """Return why the expression has no value; empty if it has one."""
        try:
            _value(self._tree, values)
        except EvaluationError as error:
            return str(error)
        return ""


def parse(path: str, text: object) -> Expression:
    """Parse an expression. Raise DefinitionError."""
    if not isinstance(text, str) or not text.strip():
        refuse(path, f"is {text!r}: give an expression such as \"optimizer == 'sgd' and lr < 0.1\"")
    if len(text) > MAX_EXPRESSION:
        refuse(path, f"has {len(text)} characters: at most {MAX_EXPRESSION}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        refuse(path, f"{text!r} cannot be read ({getattr(error, 'msg', error)}): {_HELP}")
    nodes = sum(1 for _ in ast.walk(tree))
    if nodes > MAX_EXPRESSION_NODES:
        refuse(path, f"has more than {MAX_EXPRESSION_NODES} parts: split it")
    names: set[str] = set()
    _check(path, tree, names)
    return Expression(text.strip(), frozenset(names), tree, nodes)


def _check(path: str, node: ast.expr, names: set[str]) -> None:
    name = _name(node)
    if name is not None:
        names.add(name)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str | None):
        return
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
        if not known or node.keywords or not node.args:
            refuse(path, f"{ast.unparse(node)!r} cannot be used: {_HELP}")
        parts: list[ast.expr] = list(node.args)
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        parts = [node.left, node.right]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.UAdd):
        parts = [node.operand]
    elif isinstance(node, ast.BoolOp):
        parts = node.values
    elif isinstance(node, ast.Compare) and all(type(op) in _COMPARISONS for op in node.ops):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.List | ast.Tuple):
        parts = node.elts
    else:
        refuse(path, f"{ast.unparse(node)!r} cannot be used: {_HELP}")
    for part in parts:
        _check(path, part, names)


def _name(node: ast.expr) -> str | None:
    """Return the name of the parameter that a node refers to; None for other nodes."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _name(node.value)
        return f"{owner}.{node.attr}" if owner else None
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "params":
        index = node.slice
        return index.value if isinstance(index, ast.Constant) and isinstance(index.value, str) else None
    return None


def _value(node: ast.expr, values: Mapping[str, object]) -> object:
    name = _name(node)
    if name is not None:
        return values[name]
    match node:
        case ast.Constant():
            return node.value
        case ast.List() | ast.Tuple():
            return [_value(part, values) for part in node.elts]
        case ast.BoolOp(op=ast.And()):
            return all(_value(part, values) for part in node.values)
        case ast.BoolOp():
            return any(_value(part, values) for part in node.values)
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, values)
        case ast.UnaryOp():
            number = _number(_value(node.operand, values))
            return -number if isinstance(node.op, ast.USub) else number
        case ast.Compare():
            return _compare(node, values)
        case ast.BinOp():
            left, right = _number(_value(node.left, values)), _number(_value(node.right, values))
            return _apply(_ARITHMETIC[type(node.op)], left, right)
        case ast.Call(func=ast.Name(id=function)):
            return _apply(_FUNCTIONS[function], *(_number(_value(part, values)) for part in node.args))
    raise AssertionError(f"{ast.dump(node)} passed the check")


def _compare(node: ast.Compare, values: Mapping[str, object]) -> bool:
    left = _value(node.left, values)
    for op, part in zip(node.ops, node.comparators, strict=True):
        right = _value(part, values)
        if not _apply(_COMPARISONS[type(op)], left, right):
            return False
        left = right
    return True


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationError(f"{value!r} is not a number")
    return value


def _apply(function: Callable[..., object], *arguments: object) -> object:
    try:
        result = function(*arguments)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise EvaluationError(str(error)) from error
    if isinstance(result, complex):
        raise EvaluationError("the root of a negative number")
    return result
