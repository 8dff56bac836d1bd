# pyright: standard
"""One side of a comparison: pooled activations on the anchor prompts, read from a model or from disk, and its units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.compare import Side
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.engine.harvest import gather, harvest
from interp_lab.engine.lens import Lens, Site
from interp_lab.engine.precision import matmul_precision
from interp_lab.errors import LabError
from interp_lab.jobs.run import Run
from interp_lab.methods.association import Association, associate
from interp_lab.methods.pattern_match import Cells, cells
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.features.logits import IN_THE_STREAM
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.inspection.recorded import Recorded, open_recorded
from interp_lab.workflows.inspection.tables import Pooled, Sparse
from interp_lab.workflows.named_folders import dictionary_folder

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ReadSide:
    """One model on the anchor prompts."""

    side: Side
    inputs: Inputs | Recorded
    plan: Design
    table: Pooled
    """One row per anchor prompt; sites, or columns of a store, side by side."""
    settings: Settings
    prompts_sha256: str
    """Hash of the anchor prompts."""
    named: tuple[tuple[str, int], ...] = ()
    """Units to compare, by address and index; empty means those that follow the criterion best."""
    order: tuple[int, ...] | None = None
    """Where each anchor prompt stands in what was read from disk; None for a model that was run."""

    @property
    def values(self) -> Floats32:
        """Responses `(n_prompts, n_units)`."""
        return self.table.values

    @property
    def id(self) -> str:
        """Model, as asked."""
        return self.side.model.id

    @property
    def identity(self) -> str:
        """What tells whether two sides are one: weights or revision, else what was read from disk."""
        facts = self.inputs.facts
        read = "" if self.side.evidence is None else self.side.evidence.model_dump_json()
        return facts.weights_sha256 or f"{self.id}@{facts.revision or read}"

    @property
    def directory(self) -> Path | None:
        """Where the model's files are; None for values on disk, of which files here may be another version."""
        return self.inputs.loaded.source.directory if isinstance(self.inputs, Inputs) else None

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
        """Return the columns of the named units, or of those that follow the criterion best on explore prompts."""
        if not self.named:
            return tuple(int(column) for column in self.explore.strongest(n))
        found = (self.column(address, index) for address, index in self.named)
        return tuple(column for column in found if column is not None)[:n]

    def patterns(self, part: str) -> Cells:
        """Return residual responses of all units over the prompts of a part."""
        rows = self.plan.rows("explore" if part == "explore" else "confirm")
        surface = {name: feature[rows] for name, feature in self.plan.surface.items()}
        return cells(self.values[rows], self.plan.sample.take(rows), surface)

    def locate(self, column: int) -> tuple[Site | str, int]:
        """Return the site and the index within it of a column."""
        return self.table.locate(column)

    def column(self, address: str, index: int) -> int | None:
        """Return the column of a unit, by the address that `locate` gives as text; None if it is not read."""
        columns = self._by_key.get(address)
        if columns is None:
            return None
        if self.table.units is None:
            return columns.start + index if index < columns.stop - columns.start else None
        own = np.flatnonzero(self.table.units[columns] == index)
        return columns.start + int(own[0]) if own.size else None

    @cached_property
    def _by_key(self) -> Mapping[str, slice]:
        return {str(site): columns for site, columns in self.table.columns.items()}

    def stream_address(self, column: int) -> Address | None:
        """Return where in the residual stream a unit is, or None for one that is not in it."""
        site, _ = self.locate(column)
        address = _address(site)
        return address if address is not None and address.point in IN_THE_STREAM else None

    def direction(self, column: int) -> Floats32 | None:
        """Return the direction `(d_model,)` that a unit stands for, or None for one that has none in the stream."""
        site, index = self.locate(column)
        if self.stream_address(column) is None:
            return None
        if isinstance(site, Lens):
            return self._decoders[site][index]
        columns = self._by_key[str(site)]
        if "/" in str(site) or self.table.units is not None:
            return None  # latents of a store have no decoder beside them, and records hold some coordinates only
        basis = np.zeros(columns.stop - columns.start, dtype=np.float32)
        basis[index] = 1.0
        return basis

    @cached_property
    def dictionaries(self) -> Mapping[str, str]:
        """Name of the dictionary behind each set of latents, by the text of its site."""
        lenses = [site for site in self.table.columns if isinstance(site, Lens)]
        return {str(lens): name for lens, name in zip(lenses, dict.fromkeys(self.side.dictionaries), strict=True)}

    @cached_property
    def _decoders(self) -> dict[Site, Floats32]:
        found: dict[Site, Floats32] = {}
        for lens in (site for site in self.table.columns if isinstance(site, Lens)):
            dictionary = load_dictionary(dictionary_folder(self.dictionaries[str(lens)], self.settings))
            found[lens] = dictionary.W_dec.float().cpu().numpy()
        return found

    def mean_rows(self, addresses: Sequence[Address], run: Run) -> dict[Address, Floats32]:
        """Return one row per anchor prompt at addresses, the mean over its tokens; those not on disk are absent."""
        if isinstance(self.inputs, Inputs):
            found = pooled_rows(self.inputs, tuple(addresses), run, mean=True)
            return {address: found[address] for address in addresses}
        again = self.inputs.request.model_copy(update={"pooling": "mean"})
        table = open_recorded(again, self.settings).table
        rows = np.asarray(self.order, dtype=np.intp)
        whole = {_address(key): columns for key, columns in table.columns.items() if "/" not in str(key)}
        if table.units is not None:
            return {}
        return {
            address: table.chosen(range(whole[address].start, whole[address].stop))[rows]
            for address in addresses
            if address in whole
        }


def _address(site: Site | str) -> Address | None:
    if isinstance(site, Lens):
        return site.addresses[0] if len(site.addresses) == 1 else None
    if isinstance(site, Address):
        return site
    try:
        return Address.parse(site.partition("/")[0])
    except LabError:
        return None


def table_of(inputs: Inputs | Recorded, order: Sequence[int] | None, run: Run) -> Pooled:
    """Return the responses of a side, one row per anchor prompt."""
    if isinstance(inputs, Recorded):
        table: Pooled | Sparse = inputs.table
        n = max(columns.stop for columns in table.columns.values())
        rows = np.asarray(order, dtype=np.intp)
        return Pooled(table.chosen(range(n))[rows], table.density, table.columns, table.units)
    pooled = pooled_rows(inputs, inputs.sites, run)
    columns: dict[Site, slice] = {}
    start = 0
    for site in inputs.sites:
        columns[site] = slice(start, start := start + pooled[site].shape[1])
    values = np.concatenate([pooled[site] for site in inputs.sites], axis=1)
    return Pooled(values, np.zeros(values.shape[1]), columns)


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
