"""One dataset in one model, read once: latents and dimensions side by side, what is best, and what chance gives."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from taught import Taught, taught

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.presets import CriterionPreset
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.jobs.run import LocalRun
from interp_lab.methods.association import associate
from interp_lab.points import Address, every_layer
from interp_lab.settings import Settings
from interp_lab.statistics.sample import Sample
from interp_lab.workflows.inspection.handles import Site, compare_handles
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.inspection.passes import pool_prompts
from interp_lab.workflows.inspection.tables import LEVEL, Pooled

SEED = 0


@dataclass(frozen=True, eq=False)
class Subject:
    """Pooled values of every prompt, and the design that says which prompts choose and which confirm."""

    plan: Design
    latents: Pooled | None
    dimensions: Pooled

    @classmethod
    def read(cls, preset: CriterionPreset, model: str, workspace: Path, dictionaries: Sequence[str] = ()) -> Subject:
        """Read the dataset of a preset with its own pooling, at `resid_post` of every layer and by the dictionaries."""
        request = InspectRequest(
            model=ModelRef(id=model),
            criterion=preset.criterion,
            dataset=BuiltinDataset(name=preset.dataset),
            addresses=tuple(every_layer("resid_post", _layers(model))),
            dictionaries=tuple(dictionaries),
            pooling=preset.pooling,
            seed=SEED,
        )
        inputs = open_inputs(request, Settings(workspace=workspace))
        with tempfile.TemporaryDirectory() as scratch, LocalRun(Path(scratch), seed=SEED) as run:
            pooled = pool_prompts(inputs, run)
        latents = _part(pooled, lambda site: not isinstance(site, Address)) if dictionaries else None
        return cls(design(inputs), latents, _part(pooled, lambda site: isinstance(site, Address)))

    def best(self) -> dict[str, Any]:
        """Return the best dimension, latent, direction and probe, each chosen on explore groups and scored on others.

        With dictionaries also the paired difference between the best latent and the best other way.
        """
        table = self.latents or self.dimensions
        found = compare_handles(table, self.plan, self._explore(table), sites=self._sites())
        ways = {way.kind: way for way in found.ways}
        kinds = ("difference_of_means", "linear_discriminant", "principal_component")
        direction = max((ways[kind] for kind in kinds), key=lambda way: way.explore_auroc)
        rows = {"direction": _way(direction)} | ({"probe": _way(ways["probe"])} if "probe" in ways else {})
        rows |= {"dimension": self._single(self.dimensions)}
        if self.latents is not None:
            rows |= {"latent": _way(ways["coordinate"])}
        return rows | {"comparison": found.comparison.model_dump(mode="json", include={"best", "other", "difference"})}

    def discoveries(self) -> dict[str, Any]:
        """Return how many columns have q and p below 0.05 on explore groups, by kind of column."""
        tables = {"latents": self.latents, "dimensions": self.dimensions}
        return {name: self._counts(table, self.plan.sample) for name, table in tables.items() if table is not None}

    def shuffled(self, rng: np.random.Generator, *, with_directions: bool = False) -> dict[str, Any]:
        """Return the same after labels were shuffled within families, and whether a best column seems confirmed."""
        labels = self.plan.sample.labels.copy()
        for group in range(self.plan.sample.n_groups):
            rows = np.flatnonzero(self.plan.sample.groups == group)
            labels[rows] = rng.permutation(labels[rows])
        sample = Sample(labels, self.plan.sample.groups)
        tables = {"latents": self.latents, "dimensions": self.dimensions}
        found = {name: self._counts(table, sample) for name, table in tables.items() if table is not None}
        return found | ({"directions": self._taught(sample).found} if with_directions else {})

    @cached_property
    def taught(self) -> Taught:
        """The directions that explore groups teach."""
        return self._taught(self.plan.sample)

    def _taught(self, sample: Sample) -> Taught:
        return taught(self.dimensions, self.plan, sample, seed=SEED)

    def _counts(self, table: Pooled, sample: Sample) -> dict[str, Any]:
        rows, held = self.plan.rows("explore"), self.plan.rows("confirm")
        explore = table.associate(rows, sample.take(rows))
        best = int(explore.strongest(1)[0])
        confirm = associate(table.values[held][:, [best]], sample.take(held), level=LEVEL)
        return {
            "n_tested": explore.n_latents,
            "n_q05": int((explore.q <= 0.05).sum()),
            "n_p05": int((explore.p <= 0.05).sum()),
            "best_confirmed": bool(not confirm.low[0] <= 0.5 <= confirm.high[0]),
        }

    def _explore(self, table: Pooled) -> Any:
        rows = self.plan.rows("explore")
        return table.associate(rows, self.plan.sample.take(rows))

    def _single(self, table: Pooled) -> dict[str, Any]:
        explore = self._explore(table)
        column = int(explore.strongest(1)[0])
        held = self.plan.rows("confirm")
        sign = 1.0 if explore.auroc[column] >= 0.5 else -1.0
        found = associate(sign * table.values[held][:, [column]], self.plan.sample.take(held), level=LEVEL)
        site, index = table.locate(column)
        values = (float(each[0]) for each in (found.auroc, found.low, found.high))
        return dict(zip(("auroc", "low", "high"), (round(v, 4) for v in values), strict=True)) | {
            "at": f"{site} #{index}",
            "n_groups": self.plan.sample.take(held).n_groups,
        }

    def _sites(self) -> list[Site]:
        table = self.dimensions
        return [
            Site(str(site), columns.stop - columns.start, _reader(table.values[:, columns]))
            for site, columns in table.columns.items()
        ]


def _reader(values: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
    return lambda: values


def _way(way: Any) -> dict[str, Any]:
    interval = way.confirm_interval
    return {
        "auroc": way.confirm_auroc,
        "low": interval.low,
        "high": interval.high,
        "at": way.members[0] if way.kind == "coordinate" else way.address,
        "kind": way.kind,
    }


def _part(pooled: Pooled, wanted: Callable[[Any], bool]) -> Pooled:
    chosen = {site: columns for site, columns in pooled.columns.items() if wanted(site)}
    order = np.array([n for columns in chosen.values() for n in range(columns.start, columns.stop)], dtype=np.intp)
    places: dict[Any, slice] = {}
    start = 0
    for site, columns in chosen.items():
        places[site] = slice(start, start := start + columns.stop - columns.start)
    return Pooled(pooled.values[:, order], pooled.density[order], places)


def _layers(model: str) -> int:
    return 4 if "gpt2" in model else 6
