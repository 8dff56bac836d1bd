"""The report of an evaluation: well-formed pages, whole tables, untrusted names as text, marks inside the plot."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from interp_lab.contracts.evaluation_report import (
    Estimate,
    EvaluationReport,
    GeometrySection,
    ReconstructionSection,
    SparsitySection,
    Spread,
)
from interp_lab.reports import bars
from interp_lab.reports.evaluation import render_evaluation, render_evaluation_markdown

HOSTILE = "<script>alert(1)</script>|`x`"


def _estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.1, high=value + 0.1, unit="share", n=100, n_groups=10)


def _report(**changes: object) -> EvaluationReport:
    spread = Spread(mean=0.4, quantiles=(0.1, 0.2, 0.3, 0.4, 0.5))
    made = [
        ReconstructionSection(
            subject=subject, fvu=_estimate(fvu), cosine=_estimate(0.9), norm_ratio=_estimate(0.95), bias=None,
            squared_error=3.0,
        )
        for subject, fvu in (("dictionary", 0.2), ("random", 1.4))
    ]  # fmt: skip
    codes = SparsitySection(
        subject="dictionary", l0=_estimate(8), l0_quantiles=(1, 2, 3, 4, 5), l1=9.0, window_tokens=100, n_unfired=3,
        unfired_share=0.1, unfired_density_below=0.3, n_dense=1, dense_above=0.1, density_edges=(0.01, 0.0316, 0.1),
        density_counts=(4, 12),
    )  # fmt: skip
    lies = GeometrySection(
        decoder_neighbour=spread, encoder_neighbour=spread, encoder_decoder=None, decoder_norm=spread,
        effective_dimensions=5.5, width=8, near_copies=2,
    )  # fmt: skip
    report = EvaluationReport(
        headline="Headline.", caveats=("A caveat.",), request={}, dictionary=HOSTILE, kind="sae", architecture="topk",
        n_latents=30, place="resid_post.1", data=HOSTILE, n_tokens=100, n_prompts=20, n_groups=10,
        training_overlap="unknown", reconstruction=tuple(made), sparsity=(codes,), geometry=lies,
    )  # fmt: skip
    return report.model_copy(update=changes)


def test_the_page_is_well_formed_and_runs_nothing() -> None:
    page = render_evaluation(_report())
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert "alert(1)" in page
    assert HOSTILE not in page
    assert "src=" not in page
    assert page.count('class="big"') >= 4  # the main figures stand at the top, each with its control
    assert "random 1.400" in page
    assert page == render_evaluation(_report())


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head() -> None:
    text = render_evaluation_markdown(_report())
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1
    assert "<script>" not in text
    assert "## Reconstruction" in text
    assert "In the model" not in text


def test_the_scale_widens_to_the_figures_and_what_is_still_beyond_it_is_marked() -> None:
    below = bars.Value(-0.152, -0.606, 0.303, False, "own")
    drawn = bars.rows([("bias", [below]), ("FVU", [bars.Value(1.4, 1.2, 9.0, True, "random")])])
    (own,), (control,) = drawn.rows[0].marks, drawn.rows[1].marks
    assert own.low < own.x < drawn.zero < own.high < drawn.one
    assert drawn.one < control.low < control.x < control.high
    assert (own.cut, control.cut) == ("", "▸")
    assert [label for _, label in bars.rows([("FVU", [])]).grid] == ["0", "0.25", "0.5", "0.75", "1"]


def test_columns_of_a_histogram_keep_their_counts_in_proportion() -> None:
    found = bars.histogram((0.01, 0.0316, 0.1), (4, 12))
    assert found.highest == 12
    assert found.columns[0].height * 3 == found.columns[1].height
    assert bars.histogram((0.1, 1.0), (0,)).columns[0].height == 0
