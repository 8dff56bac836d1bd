"""The plan on paper in the documentation is what plan_scale says, and each of its numbers has a formula."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_tool_says_and_every_number_has_its_formula() -> None:
    made = runpy.run_path(str(ROOT / "benchmarks" / "plans" / "paper.py"))["page"]()
    assert (ROOT / "docs" / "paper_plan.md").read_text() == made, "run make paper-plan"
    rows = [
        line.split(" | ")
        for line in made.splitlines()
        if re.match(r"\| (model|harvest|dictionary|interventions): ", line)
    ]
    assert len(rows) >= 18
    assert all(len(row) == 5 and row[3].strip() for row in rows)
    for row in rows:
        given = row[2] in {"given", "files", "assumed"}
        assert given or re.search(r"[×+/÷]|\d", row[3]), row
