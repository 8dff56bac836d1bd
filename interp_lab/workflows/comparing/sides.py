# pyright: standard
"""One side of a comparison: a model, its pooled activations on the anchor prompts, and the units to be matched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.compare import CompareRequest, Side
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.harvest import gather, harvest
from interp_lab.engine.lens import Lens, Site
from interp_lab.engine.precision import matmul_precision
from interp_lab.jobs.run import Run
from interp_lab.methods.association import Association, associate
from interp_lab.methods.pattern_match import Cells, cells
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.features.logits import IN_THE_STREAM
from interp_lab.workflows.inspection.inputs import Inputs, open_inputs
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.named_folders import dictionary_folder

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ReadSide:
    """One model on the anchor prompts."""

    side: Side
    inputs: Inputs
    plan: Design
    values: Floats32
    """`(n_prompts, n_units)`, sites side by side."""
    columns: dict[Site, slice]
    settings: Settings

    @cached_property
    def explore(self) -> Association:
        """Association of every unit on explore prompts."""
        rows = self.plan.rows("explore")
        return associate(self.values[rows], self.plan.sample.take(rows))

    @cached_property
    def confirm(self) -> Association | None:
        """The same on confirm prompts, if there are any."""
        rows = self.plan.rows("confirm")
        return associate(self.values[rows], self.plan.sample.take(rows)) if rows.size else None

    def chosen(self, n: int) -> tuple[int, ...]:
        """Return the columns of the units that follow the criterion best on explore prompts."""
        return tuple(int(column) for column in self.explore.strongest(n))

    def patterns(self, part: str) -> Cells:
        """Return residual responses of all units over the prompts of a part."""
        rows = self.plan.rows("explore" if part == "explore" else "confirm")
        surface = {name: feature[rows] for name, feature in self.plan.surface.items()}
        return cells(self.values[rows], self.plan.sample.take(rows), surface)

    def locate(self, column: int) -> tuple[Site, int]:
        """Return the site and the index within it of a column."""
        site = next(s for s, columns in self.columns.items() if columns.start <= column < columns.stop)
        return site, column - self.columns[site].start

    def stream_address(self, column: int) -> Address | None:
        """Return where in the residual stream a unit is, or None for one that is not in it."""
        site, _ = self.locate(column)
        address = site if isinstance(site, Address) else site.addresses[0] if len(site.addresses) == 1 else None
        return address if address is not None and address.point in IN_THE_STREAM else None

    def direction(self, column: int) -> Floats32 | None:
        """Return the direction `(d_model,)` that a unit stands for, or None for one that has none in the stream."""
        site, index = self.locate(column)
        if self.stream_address(column) is None:
            return None
        if isinstance(site, Lens):
            return self._decoders[site][index]
        basis = np.zeros(self.inputs.loaded.facts.d_model, dtype=np.float32)
        basis[index] = 1.0
        return basis

    @cached_property
    def _decoders(self) -> dict[Site, Floats32]:
        names = dict.fromkeys(self.side.dictionaries)
        lenses = [site for site in self.columns if isinstance(site, Lens)]
        found: dict[Site, Floats32] = {}
        for lens, name in zip(lenses, names, strict=True):
            dictionary = load_dictionary(dictionary_folder(name, self.settings))
            found[lens] = dictionary.W_dec.float().cpu().numpy()
        return found


def read_side(side: Side, request: CompareRequest, run: Run, settings: Settings) -> ReadSide:
    """Return one side, read.

    Raises:
        LabError: as `open_inputs`, `design` and `harvest`.
    """
    asked = InspectRequest(
        model=side.model,
        criterion=request.criterion,
        dataset=request.dataset,
        addresses=side.addresses,
        dictionaries=side.dictionaries,
        pooling=request.pooling,
        threshold=request.threshold,
        seed=request.seed,
    )
    inputs = open_inputs(asked, settings)
    pooled = pooled_rows(inputs, inputs.sites, run)
    columns: dict[Site, slice] = {}
    start = 0
    for site in inputs.sites:
        columns[site] = slice(start, start := start + pooled[site].shape[1])
    values = np.concatenate([pooled[site] for site in inputs.sites], axis=1)
    return ReadSide(side, inputs, design(inputs), values, columns, settings)


def pooled_rows(inputs: Inputs, sites: tuple[Site, ...], run: Run, *, mean: bool = False) -> dict[Site, Floats32]:
    """Return one row per prompt at every site; pooled as asked, or by the mean."""
    prompts = inputs.prompts.prompts
    pooling = "mean" if mean else inputs.request.pooling
    spans = [[(span.start, span.end) for span in prompt.spans] for prompt in prompts] if pooling == "span" else None

    def told():
        done = 0
        for batch in harvest(inputs.loaded, inputs.tokens, sites, pooling=pooling, spans=spans):
            done += len(batch.indices)
            run.progress(done, len(prompts), f"reading {inputs.loaded.source.id}", "prompts")
            yield batch

    with matmul_precision():
        return gather(told(), len(prompts))
