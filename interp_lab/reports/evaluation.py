"""The evaluation report as a self-contained HTML page with its plots, and as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from interp_lab.contracts.evaluation_report import Estimate, EvaluationReport, Spread, TrainingOverlap
from interp_lab.reports import bars
from interp_lab.reports.bars import Value, histogram, rows
from interp_lab.reports.markdown import escaped
from interp_lab.reports.numbers import count, fixed, percent, short
from interp_lab.reports.sheet import html_templates
from interp_lab.reports.sheet_tables import Table, table_lines
from interp_lab.reports.visible import visible

_OVERLAP: Final[dict[TrainingOverlap, str]] = {
    "excluded": "no, left out",
    "other_data": "no, by the names of the data",
    "possible": "possibly",
    "unknown": "not known",
}


class Tile(NamedTuple):
    """One main figure."""

    title: str
    value: str
    note: str


def render_evaluation(report: EvaluationReport) -> str:
    """Return a complete HTML document."""
    codes, *others = report.sparsity
    own = codes.density_counts
    highest = max((count for each in report.sparsity for count in each.density_counts), default=0)
    beside = [histogram(each.density_edges, each.density_counts, highest=highest).columns for each in others]
    return (
        html_templates()
        .get_template("evaluation.html.j2")
        .render(
            bars=bars,
            report=report,
            overlap=_OVERLAP[report.training_overlap],
            tiles=tuple(_tiles(report)),
            tables=tables(report),
            density=histogram(codes.density_edges, own, highest=highest),
            twin=beside[0] if beside else (),
            shares=rows(_shares(report)),
            n_unfired=codes.n_unfired,
        )
    )


def _tiles(report: EvaluationReport) -> Iterator[Tile]:
    """Yield the main figures, each beside its control where it has one."""
    made, *made_beside = report.reconstruction
    codes = report.sparsity[0]
    yield Tile("FVU", fixed(made.fvu.value), _beside([each.fvu for each in made_beside]))
    yield Tile("L0", short(codes.l0.value), f"of {count(report.n_latents)} latents")
    yield Tile("Dead", percent(codes.unfired_share), f"in {count(codes.window_tokens)} tokens")
    yield Tile("Dense", count(codes.n_dense), f"fired on over {percent(codes.dense_above)} of tokens")
    if report.spliced is not None:
        shares = {row.subject: row.loss_recovered for row in report.spliced.recovered if row.ablation == "mean"}
        if (own := shares.get("dictionary")) is not None:
            yield Tile("Loss recovered", fixed(own.value), f"mean ablation; {_beside([shares.get('random')])}")
        divergence = {row.replacement: row.divergence for row in report.spliced.rows}
        yield Tile("KL", f"{fixed(divergence['dictionary'].value)}", f"nats; {_beside([divergence.get('random')])}")
    for each in report.recovery[:1]:
        yield Tile("True features found", percent(each.recovered), f"MCC {fixed(each.mcc)}, F1 {fixed(each.f1)}")


def _beside(control: Sequence[Estimate | None]) -> str:
    found = [each for each in control if each is not None]
    return f"random {fixed(found[0].value)}" if found else "no control"


def render_evaluation_markdown(report: EvaluationReport) -> str:
    """Return the report as GitHub-flavoured Markdown that ends in one newline."""
    lines: list[str] = ["# Evaluation of a dictionary", "", escaped(report.headline), ""]
    lines += [f"- {escaped(caveat)}" for caveat in report.caveats]
    lines += table_lines(tables(report))
    return "\n".join(lines) + "\n"


def tables(report: EvaluationReport) -> tuple[Table, ...]:
    """Return every table of the report; a section that is absent has none."""
    return tuple(table for table in _tables(report) if table.rows)


def _tables(report: EvaluationReport) -> Iterator[Table]:
    yield _about(report)
    yield _reconstruction(report)
    yield _addresses(report)
    yield _owners(report)
    yield _sparsity(report)
    yield _spliced(report)
    yield _recovery(report)
    yield _geometry(report)
    yield _probing(report)
    yield _perturbation(report)
    yield _spurious(report)
    yield _monosemanticity(report)


def _about(report: EvaluationReport) -> Table:
    sample = f"{count(report.n_tokens)} tokens, {count(report.n_prompts)} prompts, {count(report.n_groups)} groups"
    kind = f"{report.kind}, {report.architecture}, {count(report.n_latents)} latents"
    cells = (("dictionary", report.dictionary), ("what it is", kind), ("place", report.place), ("data", report.data))
    return Table("about", "What was measured", "", ("", ""), (*cells, ("sample", sample)))


def _reconstruction(report: EvaluationReport) -> Table:
    found = [
        (
            each.subject,
            _est(each.fvu),
            _est(each.cosine),
            _est(each.norm_ratio),
            _opt(each.bias),
            short(each.squared_error),
        )
        for each in report.reconstruction
    ]
    note = "FVU: share of variance unexplained; length: reconstruction over activation; 95 % intervals count groups."
    head = ("of", "FVU", "cosine", "length", "bias", "squared error")
    return Table("reconstruction", "Reconstruction", note, head, tuple(found))


def _addresses(report: EvaluationReport) -> Table:
    found = [(each.place, each.subject, _est(each.fvu), _est(each.cosine)) for each in report.addresses]
    note = "The same at every address by itself: the figures of all together follow the address of the largest values."
    return Table("addresses", "Every address", note, ("address", "of", "FVU", "cosine"), tuple(found))


def _owners(report: EvaluationReport) -> Table:
    head, title = ("latents that look to be", "how many"), "Whose the latents look"
    if (found := report.owners) is None:
        return Table("owners", title, "", head, ())
    note = (
        "By the lengths of their two decoder rows, each in units of its model's activations: one model's alone from "
        "0.9 of the length on, shared between 0.3 and 0.7. An L1 penalty makes latents look exclusive that are not: "
        "diff_models checks each."
    )
    cells = (
        (f"{found.first} alone", found.n_first),
        ("shared", found.n_shared),
        ("between", found.n_between),
        (f"{found.second} alone", found.n_second),
    )
    return Table("owners", title, note, head, tuple((name, count(n)) for name, n in cells))


def _sparsity(report: EvaluationReport) -> Table:
    found = [
        (
            each.subject,
            _est(each.l0),
            ", ".join(f"{q:g}" for q in each.l0_quantiles),
            short(each.l1),
            f"{count(each.n_unfired)} in {count(each.window_tokens)} tokens",
            f"{count(each.n_dense)} over {each.dense_above:g}",
        )
        for each in report.sparsity
    ]
    note = "Quantiles of L0 over tokens: 0.05, 0.25, 0.5, 0.75, 0.95. Dead means: fired on none of these tokens."
    head = ("of", "L0", "quantiles", "L1", "dead", "dense")
    return Table("sparsity", "Sparsity", note, head, tuple(found))


def _spliced(report: EvaluationReport) -> Table:
    head = ("in its place", "loss", "change", "KL", "recovered (zero)", "recovered (mean)")
    title = "In the model"
    if report.spliced is None:
        return Table("spliced", title, "", head, ())
    spliced = report.spliced
    shares = {(row.subject, row.ablation): row.loss_recovered for row in spliced.recovered}
    found = [
        (
            row.replacement,
            _est(row.loss),
            _est(row.change),
            _est(row.divergence),
            *(_maybe(shares.get((row.replacement, ablation))) for ablation in ("zero", "mean")),  # pyright: ignore[reportArgumentType, reportCallIssue]
        )
        for row in spliced.rows
    ]
    exact = "bit-identical" if spliced.error_term_exact else "NOT bit-identical"
    note = (
        f"Next-token loss in nats; as it is {_est(spliced.clean_loss)}. Recovered: share of what the named ablation "
        f"costs. With the error of the reconstruction in place the logits were {exact}."
    )
    return Table("spliced", title, note, head, tuple(found))


def _recovery(report: EvaluationReport) -> Table:
    found = [
        (
            each.subject,
            *(fixed(getattr(each, name)) for name in ("mcc", "uniqueness", "recovered", "precision", "recall", "f1")),
            f"{fixed(each.split)} ({each.latents_per_feature:.2f})",
            _maybe(each.absorption),
        )
        for each in report.recovery
    ]
    note = (
        "MCC: mean cosine of the best one-to-one matching; recovered: true features with a latent at cosine 0.9; "
        "split: recovered features with several latents, and latents per feature."
    )
    head = ("of", "MCC", "uniqueness", "recovered", "precision", "recall", "F1", "split", "absorption")
    return Table("recovery", "Known truth", note, head, tuple(found))


def _geometry(report: EvaluationReport) -> Table:
    lies = report.geometry
    named = (
        ("nearest decoder row, cosine", lies.decoder_neighbour),
        ("nearest encoder column, cosine", lies.encoder_neighbour),
        ("encoder with own decoder, cosine", lies.encoder_decoder),
        ("length of decoder rows", lies.decoder_norm),
    )
    found = [
        (name, fixed(each.mean), ", ".join(map(fixed, each.quantiles))) for name, each in named if each is not None
    ]
    note = (
        f"Over latents; quantiles 0.05 to 0.95. Decoder rows spread over {lies.effective_dimensions:.1f} of "
        f"{lies.width} dimensions; {lies.near_copies} latents have a near copy (cosine 0.9)."
    )
    return Table("geometry", "Geometry", note, ("what", "mean", "quantiles"), tuple(found))


def _probing(report: EvaluationReport) -> Table:
    words = {"latents": "latents", "coordinates": "coordinates", "random_latents": "random latents"}
    found: list[tuple[str, ...]] = []
    for section in report.probing:
        for row in (section.dense, *section.rows):
            named = words[row.of] if row.k > 1 else words[row.of].removesuffix("s")
            what = "all coordinates" if row.k == 0 else f"{row.k} {named}"
            shown = ", ".join(map(str, row.columns)) or "–"
            found.append((section.criterion, what, shown, _est(row.auroc), _est(row.accuracy)))
    note = (
        "Columns chosen and probes trained on explore prompts, scored on confirm prompts; random: middle 95 % of draws."
    )
    return Table(
        "probing", "Sparse probing", note, ("criterion", "probe on", "which", "AUROC", "accuracy"), tuple(found)
    )


def _perturbation(report: EvaluationReport) -> Table:
    found = [
        (str(row.k), row.of, _est(row.total), fixed(row.intended), fixed(row.unintended)) for row in report.perturbation
    ]
    note = "Fall of balanced accuracy when the latents of one criterion are taken away: its own probe, and the others."
    head = ("latents", "which", "own less others", "own", "others")
    return Table("perturbation", "Targeted probe perturbation", note, head, tuple(found))


def _spurious(report: EvaluationReport) -> Table:
    found: list[tuple[str, ...]] = []
    for each in report.spurious:
        pair = f"{each.criterion} / {each.label}"
        ends = f"{fixed(each.biased_on_criterion)} of {fixed(each.own_on_criterion)}"
        other = f"{fixed(each.biased_on_label)} of {fixed(each.own_on_label)}"
        for row in each.rows:
            told = "criterion" if row.removes == "label" else "label"
            before = ends if told == "criterion" else other
            mark = " (counts)" if row.removes == each.stronger else ""
            cells = (f"{row.removes}{mark}", str(row.k), row.of, _maybe(row.score), fixed(row.accuracy), before)
            found.append((pair, *cells))
    note = (
        "A probe trained where criterion and label went together, scored where they are independent, after latents of "
        "one are taken away. Score: share of the accuracy lost to the bias that comes back. Before: biased of unbiased "
        "probe. 'Counts' marks the attribute that the biased probe told better; random: middle 95 % of draws."
    )
    head = ("criterion / label", "taken away", "latents", "which", "score", "accuracy on the other", "before")
    return Table("spurious", "Spurious-correlation removal", note, head, tuple(found))


def _monosemanticity(report: EvaluationReport) -> Table:
    found = [
        (
            each.subject,
            count(each.n_latents),
            _between(each.selectivity),
            _between(each.tokens),
            f"{_between(each.similarity)}; any tokens {fixed(each.similarity_of_all)}",
        )
        for each in report.monosemanticity
    ]
    note = (
        "Proxies that need no explanation, over latents that fired on 20 tokens of 5 groups or more: mean and "
        "quantiles 0.05 to 0.95. Selectivity: class selectivity over token identities. Tokens: how many a latent's "
        "activation is spread over. Contexts: weighted mean cosine of the contexts of two firings in different groups."
    )
    head = ("of", "latents", "selectivity", "tokens", "contexts")
    return Table("monosemanticity", "Monosemanticity proxies", note, head, tuple(found))


def _between(found: Spread | None) -> str:
    return "–" if found is None else f"{fixed(found.mean)} [{fixed(found.quantiles[0])}, {fixed(found.quantiles[-1])}]"


def _shares(report: EvaluationReport) -> list[tuple[str, Sequence[Value]]]:
    """Return the figures that lie between 0 and 1 and have a control."""
    named: list[tuple[str, list[tuple[bool, Estimate | None]]]] = []
    control = [each.subject == "random" for each in report.reconstruction]
    named.append(("FVU", list(zip(control, [each.fvu for each in report.reconstruction], strict=True))))
    named.append(("cosine", list(zip(control, [each.cosine for each in report.reconstruction], strict=True))))
    for ablation in ("zero", "mean"):
        own = [r for r in (report.spliced.recovered if report.spliced else ()) if r.ablation == ablation]
        named.append((f"loss recovered ({ablation})", [(r.subject == "random", r.loss_recovered) for r in own]))
    for section in report.probing:
        pairs = [
            (row.of == "random_latents", row.accuracy) for row in section.rows if row.k == 1 and row.of != "coordinates"
        ]
        named.append((f"1 latent: {section.criterion.removeprefix('builtin:')}", list(pairs)))
    for each in report.spurious:
        rows = [r for r in each.rows if (r.removes, r.k) == (each.stronger, 10)]
        named.append((f"bias of 10: {each.label}", [(r.of == "random", r.score) for r in rows]))
    kept = [(name, [(c, e) for c, e in values if e is not None]) for name, values in named]
    return [(visible(name), [_value(c, e) for c, e in values]) for name, values in kept if values]


def _value(control: bool, found: Estimate) -> Value:
    who = "random" if control else "dictionary"
    return Value(found.value, found.low, found.high, control, f"{who}: {_est(found)}")


def _est(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return fixed(found.value)
    return f"{fixed(found.value)} [{fixed(found.low)}, {fixed(found.high)}]"


def _maybe(found: Estimate | None) -> str:
    return "–" if found is None else _est(found)


def _opt(value: float | None) -> str:
    return "–" if value is None else fixed(value)
