# pyright: standard
"""From figures to the sections of the report: every number rounded, with unit, sample and interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.crosscoder_figures import AddressRow
from interp_lab.contracts.evaluation_report import (
    Estimate,
    GeometrySection,
    MonosemanticitySection,
    PerturbationRow,
    ProbeRow,
    ProbingSection,
    ReconstructionSection,
    RecoveredRow,
    RecoverySection,
    ReplacementName,
    ReplacementRow,
    SparsitySection,
    SplicedSection,
    Spread,
    SpuriousRow,
    SpuriousSection,
    Subject,
)
from interp_lab.methods.dictionary_evaluation.behaviour import Recovered as RecoveredShares
from interp_lab.methods.dictionary_evaluation.behaviour import effect, recovered
from interp_lab.methods.dictionary_evaluation.geometry import Geometry
from interp_lab.methods.dictionary_evaluation.monosemanticity import LEAST_TOKENS
from interp_lab.methods.dictionary_evaluation.reconstruction import Reconstruction
from interp_lab.methods.dictionary_evaluation.sparsity import DENSE, QUANTILES
from interp_lab.statistics.clustered_mean import MeanEstimate, clustered_mean
from interp_lab.statistics.clustered_ratio import RatioEstimate
from interp_lab.statistics.prediction_score import PredictionScore
from interp_lab.workflows.evaluation.measure import Measured, Recovered
from interp_lab.workflows.evaluation.probing import Probed, Probing, Removal
from interp_lab.workflows.evaluation.spliced import Spliced
from interp_lab.workflows.evaluation.spurious import Removal as SpuriousRemoval
from interp_lab.workflows.evaluation.spurious import Spurious

NEAR_COPY = 0.9
_DIGITS = 6
_RULE = 3.0
"""-ln(0.05): what did not happen in n independent tries has a rate under this over n, at 95 %."""
_REPLACEMENTS: tuple[ReplacementName, ...] = ("dictionary", "random", "zero", "mean")


def reconstruction(subject: Subject, found: Measured) -> ReconstructionSection:
    """Return how much comes back."""
    made = found.reconstruction
    return ReconstructionSection(
        subject=subject,
        fvu=unexplained(made),
        cosine=_mean(made.cosine, "cosine"),
        norm_ratio=_mean(made.norm_ratio, "ratio of lengths"),
        bias=None if made.bias is None else _round(made.bias),
        squared_error=_round(made.squared_error),
    )


def unexplained(made: Reconstruction) -> Estimate:
    """Return the fraction of variance unexplained."""
    return _ratio(made.fvu, "share of variance", made.n_tokens)


def address(place: str, subject: Subject, made: Reconstruction) -> AddressRow:
    """Return how much comes back at one address of a crosscoder."""
    return AddressRow(place=place, subject=subject, fvu=unexplained(made), cosine=_mean(made.cosine, "cosine"))


def sparsity(subject: Subject, found: Measured) -> SparsitySection:
    """Return how many latents fire and how often."""
    codes = found.sparsity
    return SparsitySection(
        subject=subject,
        l0=_mean(codes.l0, "latents per token"),
        l0_quantiles=_five(codes.l0_quantiles),
        l1=_round(codes.l1),
        window_tokens=codes.n_tokens,
        n_unfired=len(codes.unfired),
        unfired_share=_round(len(codes.unfired) / codes.density.size),
        unfired_density_below=_round(min(1.0, _RULE / codes.n_groups)),
        n_dense=len(codes.dense),
        dense_above=DENSE,
        density_edges=tuple(float(f"{edge:.4g}") for edge in codes.histogram.edges),
        density_counts=codes.histogram.counts,
    )


def geometry(found: Geometry, width: int) -> GeometrySection:
    """Return how the latents lie."""
    return GeometrySection(
        decoder_neighbour=_spread(found.decoder_neighbour),
        encoder_neighbour=_spread(found.encoder_neighbour),
        encoder_decoder=None if found.encoder_decoder is None else _spread(found.encoder_decoder),
        decoder_norm=_spread(found.decoder_norm),
        effective_dimensions=_round(found.effective_dimensions),
        width=width,
        near_copies=int((found.decoder_neighbour >= NEAR_COPY).sum()),
    )


def spliced(found: Spliced) -> SplicedSection:
    """Return what becomes of the predictions."""
    predictions, groups = found.predictions, found.groups
    clean = predictions["clean"]
    rows: list[ReplacementRow] = []
    shares: list[RecoveredRow] = []
    for name in _REPLACEMENTS:
        if name not in predictions:
            continue
        own = effect(predictions[name], clean, groups)
        rows.append(
            ReplacementRow(
                replacement=name,
                loss=_mean(own.loss, "nats"),
                change=_mean(own.change, "nats"),
                divergence=_mean(own.divergence, "nats"),
            )
        )
        if name in ("dictionary", "random"):
            for ablation in ("zero", "mean"):
                both = recovered(predictions[name], predictions[ablation], clean, groups)
                shares.append(_shares(name, ablation, both, found))
    return SplicedSection(
        address=str(found.address),
        clean_loss=_mean(effect(clean, clean, groups).loss, "nats"),
        rows=tuple(rows),
        recovered=tuple(shares),
        error_term_exact=found.error_term_exact,
        n_tokens=len(groups),
    )


def _shares(subject: Subject, ablation: str, both: RecoveredShares, found: Spliced) -> RecoveredRow:
    n_loss = int((~np.isnan(found.predictions["clean"].loss)).sum())
    return RecoveredRow(
        subject=subject,
        ablation="zero" if ablation == "zero" else "mean",
        loss_recovered=None if both.loss is None else _ratio(both.loss, "share of the loss gap", n_loss),
        divergence_recovered=None
        if both.divergence is None
        else _ratio(both.divergence, "share of the divergence", len(found.groups)),
    )


def recovery(subject: Subject, found: Recovered) -> RecoverySection:
    """Return what a world shows."""
    rates, missed = found.absorption.rates, found.absorption.missed
    measured = ~np.isnan(rates)
    return RecoverySection(
        subject=subject,
        mcc=_round(found.directions.mcc),
        uniqueness=_round(found.directions.uniqueness),
        recovered=_round(found.directions.recovered),
        n_features=found.directions.n_counted,
        precision=_round(found.detectors.precision),
        recall=_round(found.detectors.recall),
        f1=_round(found.detectors.f1),
        split=_round(found.directions.split),
        latents_per_feature=_round(found.directions.latents_per_feature),
        absorption=_over_items(rates[measured], "share of a child's rows"),
        parent_missed=_round(float(missed[measured].mean())) if measured.any() else None,
        n_children=int(measured.sum()),
    )


def probing(found: Probing) -> ProbingSection:
    """Return the probes of one criterion."""
    criterion = found.criterion
    whole = Probed("coordinates", 0, np.zeros(0, dtype=np.intp), (found.dense,))
    return ProbingSection(
        criterion=criterion.name,
        n_prompts=len(criterion.positive),
        n_groups=int(np.unique(criterion.groups).size),
        dense=_probe_row(whole),
        rows=tuple(_probe_row(each) for each in found.sparse),
    )


def perturbation(found: Removal) -> PerturbationRow:
    """Return the falls of the probes, over criteria."""
    totals = np.asarray([each.total for each in found.per_criterion])
    total = _over_items(totals, "fall of balanced accuracy")
    assert total is not None
    return PerturbationRow(
        k=found.k,
        of=found.of,
        total=total,
        intended=_round(float(np.mean([each.intended for each in found.per_criterion]))),
        unintended=_round(float(np.mean([each.unintended for each in found.per_criterion]))),
    )


def spurious(found: Spurious) -> SpuriousSection:
    """Return what becomes of a probe that learnt a criterion and a label at once."""
    return SpuriousSection(
        criterion=found.criterion,
        label=found.label,
        n_prompts=found.n_prompts,
        n_groups=found.n_groups,
        own_on_criterion=_round(found.own["criterion"]),
        own_on_label=_round(found.own["label"]),
        biased_on_criterion=_round(found.biased["criterion"]),
        biased_on_label=_round(found.biased["label"]),
        stronger=found.stronger,
        rows=tuple(_spurious_row(each, found.n_prompts) for each in found.removals),
    )


def _spurious_row(found: SpuriousRemoval, n: int) -> SpuriousRow:
    unit = "share of the accuracy lost to the bias"
    measured = [each for each in found.scores if each is not None]
    score = None
    if found.of == "chosen" and measured:
        score = _ratio(measured[0], unit, n)
    elif measured:
        values = np.asarray([each.ratio for each in measured])
        low, high = np.quantile(values, (0.025, 0.975))
        score = _estimate((float(values.mean()), float(low), float(high)), unit, n, measured[0].n_groups)
    accuracy = _round(float(np.mean(found.accuracy)))
    return SpuriousRow(removes=found.removes, k=found.k, of=found.of, score=score, accuracy=accuracy)


def monosemanticity(subject: Subject, found: Measured) -> MonosemanticitySection | None:
    """Return the proxies that need no explanation; none where there are no tokens or nothing fired often enough."""
    own = found.monosemanticity
    if own is None:
        return None
    return MonosemanticitySection(
        subject=subject,
        n_latents=own.latents.size,
        least_tokens=LEAST_TOKENS,
        n_tokens=own.n_tokens,
        n_groups=own.n_groups,
        selectivity=_known(own.selectivity),
        tokens=_spread(own.tokens),
        similarity=_known(own.similarity),
        similarity_of_all=_round(own.similarity_of_all),
    )


def _known(values: NDArray[np.float64]) -> Spread | None:
    known = values[~np.isnan(values)]
    return _spread(known) if known.size else None


def _probe_row(found: Probed) -> ProbeRow:
    return ProbeRow(
        k=found.k,
        of=found.of,
        columns=tuple(int(column) for column in found.columns),
        auroc=_scores([each.auroc for each in found.scores], "AUROC"),
        accuracy=_scores([each.accuracy for each in found.scores], "balanced accuracy"),
    )


def _scores(found: Sequence[PredictionScore], unit: str) -> Estimate:
    n, n_groups = found[0].n_rows, found[0].n_groups
    if len(found) == 1:
        one = found[0]
        return _estimate((one.value, one.low, one.high), unit, n, n_groups)
    values = np.asarray([each.value for each in found])
    low, high = np.quantile(values, (0.025, 0.975))
    return _estimate((float(values.mean()), float(low), float(high)), unit, n, n_groups)


def _over_items(values: NDArray[np.float64], unit: str) -> Estimate | None:
    """Return the mean over features or criteria, each a group of its own."""
    if values.size == 0:
        return None
    if values.size == 1:
        return Estimate(value=_round(float(values[0])), unit=unit, n=1, n_groups=1)
    return _mean(clustered_mean(values, np.arange(values.size)), unit)


def _mean(found: MeanEstimate, unit: str) -> Estimate:
    return _estimate((found.mean, found.low, found.high), unit, found.n_rows, found.n_groups)


def _ratio(found: RatioEstimate, unit: str, n: int) -> Estimate:
    return _estimate((found.ratio, found.low, found.high), unit, n, found.n_groups)


def _estimate(values: tuple[float, float, float], unit: str, n: int, n_groups: int) -> Estimate:
    value, low, high = map(_round, values)
    return Estimate(value=value, low=low, high=high, unit=unit, n=n, n_groups=n_groups)


def _spread(values: NDArray[np.floating]) -> Spread:
    return Spread(
        mean=_round(float(values.mean())), quantiles=_five([float(q) for q in np.quantile(values, QUANTILES)])
    )


def _five(values: Sequence[float]) -> tuple[float, float, float, float, float]:
    a, b, c, d, e = (_round(float(value)) for value in values)
    return a, b, c, d, e


def _round(value: float) -> float:
    return round(value, _DIGITS)
