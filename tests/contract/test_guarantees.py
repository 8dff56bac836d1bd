"""Every promise in tests/guarantees.toml has a test, and every claim to prove one names a promise."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

TESTS = Path(__file__).parents[1]
PROMISED = {
    name
    for section in tomllib.loads((TESTS / "guarantees.toml").read_text(encoding="utf-8")).values()
    for name in section
}


def _claimed() -> dict[str, set[str]]:
    claims: dict[str, set[str]] = {}
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.guarantee":
                claims.setdefault(ast.literal_eval(node.args[0]), set()).add(path.name)
    return claims


def test_every_promise_is_proved_by_a_test() -> None:
    assert PROMISED - _claimed().keys() == set()


def test_every_claim_names_a_promise() -> None:
    assert _claimed().keys() - PROMISED == set()
