"""How many annotations of a package say `Any`: `python -m tests.support.annotations FOLDER...`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path


def annotations(tree: ast.AST) -> Iterator[ast.expr]:
    """Those of parameters, results and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            yield node.returns


def says_any(annotation: ast.expr) -> bool:
    """Whether it contains `Any`, also within a text."""
    for node in ast.walk(annotation):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name == "Any" or (isinstance(node, ast.Constant) and "Any" in str(node.value)):
            return True
    return False


def count(folder: Path) -> tuple[int, int]:
    """The annotations with `Any`, and all."""
    found = [
        annotation
        for path in folder.rglob("*.py")
        for annotation in annotations(ast.parse(path.read_text(encoding="utf-8")))
    ]
    return sum(map(says_any, found)), len(found)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        vague, total = count(Path(name))
        print(f"{name}: {vague} of {total} annotations say Any, {100 * vague / max(total, 1):.1f} %")
