"""The report of activation patching as a self-contained HTML page and as Markdown; both show report.json."""

from __future__ import annotations

from interp_lab.contracts.patch_report import PatchCellFigures, PatchMapFigures, PatchReport
from interp_lab.reports.figure_view import GridView, figure_view
from interp_lab.reports.figures import Grid
from interp_lab.reports.markdown import code_span, escaped
from interp_lab.reports.numbers import chance, percent, short
from interp_lab.reports.sheet import html_templates

TITLES = {
    "resid_pre": "Residual stream entering a layer",
    "attn_out": "What attention adds",
    "mlp_out": "What the MLP adds",
    "heads": "Heads, at all tokens",
}
_HEAD = (
    "| place | way | explore | held out (95 %) | random | beyond random (95 %) | q | same way | status |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def render_patching(report: PatchReport) -> str:
    """Return a complete HTML document; equal reports give equal pages."""
    grids = [(f"/maps/{i}", *_drawn(report, one)) for i, one in enumerate(report.maps)]
    template = html_templates().get_template("patching.html.j2")
    return template.render(report=report, grids=grids, cell_name=cell_name)


def render_patching_markdown(report: PatchReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    lines = ["# Activation patching", "", escaped(report.headline), ""]
    lines += [f"- {escaped(flag.text)}" for flag in report.flags]
    lines += [f"- {escaped(caveat)}" for caveat in report.caveats]
    lines += [
        "",
        f"Model {code_span(report.model.id)}; {report.n_explore} pairs made the maps, {report.n_confirm} in "
        f"{report.n_groups} groups tested the strongest places; {report.n_runs} patched runs. Logit difference "
        f"{short(report.clean)} clean, {short(report.corrupt)} corrupt.",
        "",
        f"Targets {_words(report.targets)} against {_words(report.alternatives)} ({report.target_tokens}).",
        "",
        "## Strongest places on held-out pairs",
        "",
        _HEAD,
        *(_row(cell) for cell in report.cells),
    ]
    for one in report.maps:
        lines += ["", f"## {TITLES[one.component]}, {one.way}", "", *_table(one)]
    return "\n".join(lines) + "\n"


def cell_name(cell: PatchCellFigures) -> str:
    """Return a place in words."""
    if cell.component == "heads":
        return f"head {cell.column} of layer {cell.layer}"
    return f"{cell.component}.{cell.layer} at {cell.column}"


def _drawn(report: PatchReport, one: PatchMapFigures) -> tuple[Grid, GridView]:
    column = "head" if one.component == "heads" else report.column_kind.removesuffix("s")
    grid = Grid(
        title=f"{TITLES[one.component]}, {one.way}",
        note="",
        row_title="layer",
        column_title=column,
        row_names=tuple(map(str, one.layers)),
        column_names=one.columns,
        values=one.share,
        scale="diverging",
    )
    view = figure_view(grid)
    assert isinstance(view, GridView)
    return grid, view


def _row(cell: PatchCellFigures) -> str:
    start = f"| {escaped(cell_name(cell))} | {cell.way} | {percent(cell.explore_share)} |"
    if cell.share is None or cell.share_interval is None or cell.beyond_control is None:
        return f"{start} – | – | – | – | – | {cell.status} |"
    held, beyond = cell.share_interval, cell.beyond_control
    q = "–" if cell.q_value is None else chance(cell.q_value)
    return (
        f"{start} {percent(cell.share)} [{percent(held.low)}, {percent(held.high)}] | {percent(cell.control or 0.0)} "
        f"| [{percent(beyond.low)}, {percent(beyond.high)}] | {q} | {percent(cell.sign_consistency or 0.0)} "
        f"| {cell.status} |"
    )


def _table(one: PatchMapFigures) -> list[str]:
    head = "| layer | " + " | ".join(escaped(name) for name in one.columns) + " |"
    rows = [
        f"| {layer} | " + " | ".join(short(value) for value in values) + " |"
        for layer, values in zip(one.layers, one.share, strict=True)
    ]
    return [head, "|" + "---|" * (1 + len(one.columns)), *rows]


def _words(texts: tuple[str, ...]) -> str:
    return ", ".join(code_span(text) for text in texts)
