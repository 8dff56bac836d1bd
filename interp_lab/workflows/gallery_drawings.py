"""What a tile of the gallery draws of each kind of report: some of its own numbers, by where they lie in its record."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from pydantic import JsonValue

from interp_lab.contracts.attribution_graph import GRAPH_KIND
from interp_lab.contracts.circuit_report import CIRCUIT_KIND
from interp_lab.contracts.compare import COMPARISON_KIND
from interp_lab.contracts.criterion_graph import CRITERION_GRAPH_KIND
from interp_lab.contracts.diff_models import DIFF_KIND
from interp_lab.contracts.dossier import DOSSIER_KIND
from interp_lab.contracts.evaluation_report import EVALUATION_KIND
from interp_lab.contracts.feature_families import FAMILIES_KIND
from interp_lab.contracts.gallery import Drawing
from interp_lab.contracts.patch_report import PATCH_KIND
from interp_lab.contracts.path_report import TRACE_KIND, VALIDATION_KIND
from interp_lab.contracts.steer import STEER_KIND
from interp_lab.contracts.train_sae import REPORT_KIND as TRAINING_KIND

RECORDS = ("report.json", "graph.json", "dossier.json", "card.json", "figure.json")
"""Files of which the first that an artifact has is its record."""
_LARGEST = sys.float_info.max
"""A whole number of a record can be larger than any that is drawn."""


class Drawn(NamedTuple):
    """Values to be drawn small."""

    drawing: Drawing
    values: tuple[float, ...]
    words: str
    """What they are."""


class Source(NamedTuple):
    """Where the values of a kind are in its record."""

    drawing: Drawing | Literal["counts"]
    """counts: amounts, of each word that is found."""
    path: str
    """Names of fields; '*' is every item of a list."""
    words: str


SOURCES: Mapping[str, Source] = {
    STEER_KIND: Source("effects", "doses.*.gain", "gain by strength"),
    PATCH_KIND: Source("effects", "cells.*.share", "held-out share by place"),
    TRACE_KIND: Source("effects", "paths.*.confirm.mediated", "mediated effect by path"),
    VALIDATION_KIND: Source("effects", "paths.*.confirm.mediated", "mediated effect by path"),
    CIRCUIT_KIND: Source("shares", "curve.*.faithfulness", "faithfulness by edges kept, 0 to 1"),
    COMPARISON_KIND: Source("effects", "matches.*.similarity", "similarity by match"),
    DIFF_KIND: Source("amounts", "shifts.*.relative", "shift by address"),
    EVALUATION_KIND: Source("amounts", "sparsity.*.density_counts.*", "latents by density"),
    TRAINING_KIND: Source("shares", "dictionaries.*.fvu", "variance unexplained by dictionary, 0 to 1"),
    "calibration_report": Source("shares", "curve.*.recall.share", "recall by setting, 0 to 1"),
    FAMILIES_KIND: Source("amounts", "families.*.n_models", "models by family"),
    GRAPH_KIND: Source("amounts", "nodes.*.influence", "influence by node"),
    "feature_card": Source("shares", "triggers.*.share", "share of its rows by token, 0 to 1"),
    DOSSIER_KIND: Source("amounts", "parts.claims.*.n_runs", "runs by claim"),
    CRITERION_GRAPH_KIND: Source("counts", "edges.*.kind", "edges by kind of evidence"),
}
"""By kind of artifact."""


def drawn_of(kind: str, record: JsonValue) -> Drawn | None:
    """Return what is drawn of a record of some kind; None where nothing of it is."""
    source = SOURCES.get(kind)
    if source is None:
        return None
    found = list(_at(record, source.path.split(".")))
    if source.drawing == "counts":
        names = Counter(value for value in found if isinstance(value, str))
        return Drawn("amounts", tuple(map(float, names.values())), source.words) if names else None
    numbers = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    values = tuple(float(value) for value in numbers if -_LARGEST < value < _LARGEST)
    return Drawn(source.drawing, values, source.words) if values else None


def _at(value: JsonValue, path: list[str]) -> Iterator[JsonValue]:
    if not path:
        yield value
    elif path[0] == "*":
        for item in value if isinstance(value, list) else ():
            yield from _at(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])
