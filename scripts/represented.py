# pyright: standard
"""Measures which criteria the models in the box represent, and where, for docs/datasets.md and the presets.

For every dataset and model: the coordinate that ranks first on explore groups, as `inspect` reports it, the direction
of the difference of means, and a linear probe, both fitted on explore groups at the address that explore groups choose.
All are measured on the confirm groups. An untrained network of the same architecture is the control: what it reaches is
in the words alone.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.contracts.inspect import InspectRequest, InspectResult
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.presets import CriterionDescription
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.corpus.criteria.registry import CRITERIA
from interp_lab.corpus.criteria.table import BEGIN, with_measured
from interp_lab.engine.lens import Site
from interp_lab.jobs.run import LocalRun
from interp_lab.methods.association import associate
from interp_lab.methods.probe.fit import Prepared, train
from interp_lab.methods.probe.target import Target
from interp_lab.models.resolve import builtin_models, locate_model
from interp_lab.pocket.architecture import build
from interp_lab.pocket.recipe import RECIPES
from interp_lab.settings import Settings
from interp_lab.statistics.sample import Sample
from interp_lab.workflows.inspect import inspect
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.measure import design
from interp_lab.workflows.inspection.passes import Pooled, pool_prompts

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "datasets.md"
ADDRESSES = ROOT / "interp_lab" / "corpus" / "data" / "represented.json"
COMMAND = "python scripts/represented.py"
SEED = 0

_INTRODUCTION = f"""## What the models in the box represent

Written by `{COMMAND}`, with the suggested pooling and seed {SEED}. Every cell is an AUROC on the confirm
groups ({{groups}} of them) with its 95 % interval, bold where chance is outside of it. **coordinate**: the one
of all `resid_post` coordinates that ranks first on the explore groups, as `inspect` reports it. **direction**: the
difference of means of the explore groups, at the layer where such a direction carries over best from one half of them
to the other. **probe**: a logistic probe of the explore groups, as `train_probe` fits it, at the layer and with the
penalty of the least loss in cross-validation that keeps groups whole. **untrained**: coordinate, direction and probe in
the same network before training, which is what the words alone give away. All are associations: that a model carries
the property, never that it uses it. Where there is nothing, about one cell in forty is bold all the same. On the two
datasets that are wrong on purpose a high number is the confound.
"""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """What one coordinate or direction reaches on confirm groups, folded by the sign that explore groups gave it."""

    address: str
    place: str
    auroc: float
    low: float
    high: float
    groups: int

    @property
    def there(self) -> bool:
        """Whether chance is outside the interval."""
        return self.low > 0.5

    def cell(self) -> str:
        """The cell of the table."""
        value = f"**{self.auroc:.2f}**" if self.there else f"{self.auroc:.2f}"
        return f"{value} [{self.low:.2f}, {self.high:.2f}] `{self.address}`{self.place}"


KINDS = ("coordinate", "direction", "probe")
Looked = tuple[Found, Found, Found]
"""What was found of each kind."""


@dataclass(frozen=True)
class Row:
    """One dataset in one model, and in the same network before training."""

    trained: Looked
    untrained: Looked

    @property
    def there(self) -> bool:
        """Whether coordinate, direction or probe is above chance."""
        return any(found.there for found in self.trained)

    @property
    def gains(self) -> bool:
        """Whether training shows: the interval of one kind lies above what the same kind reaches without training."""
        pairs = zip(self.trained, self.untrained, strict=True)
        return any(found.low > max(0.5, control.auroc) for found, control in pairs)

    def cells(self) -> Iterator[str]:
        """The cells of the table."""
        yield from (found.cell() for found in self.trained)
        yield " · ".join(f"{control.auroc:.2f}" for control in self.untrained)


def main() -> int:
    """Measure every dataset in every model and rewrite the page."""
    torch.set_num_threads(1)
    models = builtin_models()
    rows: dict[str, dict[str, Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            _write_untrained(model, Path(folder) / f"untrained-{model}")
        for criterion in CRITERIA:
            name = criterion.description.name
            rows[name] = {model: _row(criterion.description, model, Path(folder)) for model in models}
            print(name, *(" | ".join(row.cells()) for row in rows[name].values()), sep="\n  ", flush=True)
    ADDRESSES.write_text(_addresses(rows), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    if BEGIN not in page:
        raise SystemExit(f"{PAGE} has no place for the table: write it anew first")
    PAGE.write_text(with_measured(page, _section(models, rows)), encoding="utf-8")
    return 0


def _row(description: CriterionDescription, model: str, folder: Path) -> Row:
    return Row(_looked(description, f"builtin:{model}", folder), _looked(description, f"untrained-{model}", folder))


def _looked(description: CriterionDescription, model: str, folder: Path) -> Looked:
    request = InspectRequest(
        model=ModelRef(id=model),
        criterion=description.criterion,
        dataset=BuiltinDataset(name=description.name),
        pooling=description.pooling,
        top_k=1,
        n_contexts=1,
        seed=SEED,
    )
    settings = Settings(workspace=folder)
    with tempfile.TemporaryDirectory() as output, LocalRun(Path(output), seed=SEED, workspace=folder) as run:
        result = inspect(request, run, settings=settings, suggest=lambda _: ())
        inputs = open_inputs(request, settings)
        pooled = pool_prompts(inputs, run)  # read back from the checkpoint of the inspection
    plan = design(inputs)
    halves = Halves(pooled, plan.sample, plan.rows("explore"), plan.rows("confirm"))
    return _coordinate(result), halves.direction(), halves.probe()


@dataclass(frozen=True, eq=False)
class Halves:
    """Pooled activations and labels: the groups that choose and fit, and the groups that measure."""

    pooled: Pooled
    sample: Sample
    explore: NDArray[np.intp]
    confirm: NDArray[np.intp]

    def direction(self) -> Found:
        """The difference of means, at the address where it carries over best within the explore groups."""
        address = max(self.pooled.columns, key=lambda a: _carries_over(self._at(a), self.sample, self.explore))
        values = self._at(address)
        along = _difference(values[self.explore], self.sample.labels[self.explore])
        return self._measured(str(address), values[self.confirm] @ along)

    def probe(self) -> Found:
        """The probe at the address where its penalty has the least loss within the explore groups."""
        own = self.sample.take(self.explore)
        target = Target("binary", own.labels.astype(np.float64), ("without", "with"))
        fitted = {
            address: train(Prepared.of(self._at(address)[self.explore]), target, own.groups, seed=SEED)
            for address in self.pooled.columns
        }
        address = min(fitted, key=lambda a: fitted[a].losses[fitted[a].penalty])
        return self._measured(str(address), fitted[address].linear.scores(self._at(address)[self.confirm])[:, 0])

    def _at(self, address: Site) -> Values:
        return self.pooled.values[:, self.pooled.columns[address]]

    def _measured(self, address: str, scores: NDArray[np.floating]) -> Found:
        held = self.sample.take(self.confirm)
        found = associate(scores[:, None], held)
        return Found(address, "", float(found.auroc[0]), float(found.low[0]), float(found.high[0]), held.n_groups)


def _coordinate(result: InspectResult) -> Found:
    best = result.ranking[0]
    if best.confirm_auroc is None or best.confirm_interval is None:
        raise SystemExit(f"{result.criterion}: nothing could be confirmed")
    low, high = best.confirm_interval
    return Found(best.address, f" {best.index}", best.confirm_auroc, low, high, best.n_confirm_groups)


def _carries_over(values: Values, sample: Sample, rows: NDArray[np.intp]) -> float:
    """Mean AUROC of a difference of means on the half of the groups that it was not fitted to."""
    odd = np.isin(sample.groups[rows], np.unique(sample.groups[rows])[1::2])
    reached: list[float] = []
    for fit, test in ((rows[odd], rows[~odd]), (rows[~odd], rows[odd])):
        along = values[test] @ _difference(values[fit], sample.labels[fit])
        reached.append(float(associate(along[:, None], sample.take(test)).auroc[0]))
    return float(np.mean(reached))


def _difference(values: Values, labels: NDArray[np.bool_]) -> Values:
    return values[labels].mean(axis=0) - values[~labels].mean(axis=0)


def _write_untrained(model: str, folder: Path) -> None:
    build(RECIPES[model]).save_pretrained(folder)
    source = locate_model(f"builtin:{model}")
    if source is None:
        raise SystemExit(f"{model} is not here")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source.directory / name, folder / name)


def _section(models: Sequence[str], rows: Mapping[str, Mapping[str, Row]]) -> str:
    heads = ["dataset", *(f"{model}: {what}" for model in models for what in (*KINDS, "untrained"))]
    lines = [f"| {' | '.join(heads)} |", f"|---{'|---' * (len(heads) - 1)}|"]
    for name, found in rows.items():
        cells = [cell for row in found.values() for cell in row.cells()]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    groups = sorted({row.trained[0].groups for found in rows.values() for row in found.values()})
    introduction = _INTRODUCTION.format(groups=" to ".join(map(str, dict.fromkeys((groups[0], groups[-1])))))
    return "\n".join([introduction, *lines, "", *_plainly(models, rows)])


def _plainly(models: Sequence[str], rows: Mapping[str, Mapping[str, Row]]) -> Iterator[str]:
    for model in models:
        named = {name: found[model] for name, found in rows.items() if not name.startswith("wrong-")}
        nothing = [name for name, row in named.items() if not row.there]
        words = [name for name, row in named.items() if row.there and not row.gains]
        above = "coordinate, direction or probe is above chance"
        yield f"- `builtin:{model}`: {_of(nothing, f'no {above}') if nothing else f'for every criterion {above}'};"
        yield f"  {_of(words, 'no interval lies above the untrained network, so it may be in the words alone')}."


def _addresses(rows: Mapping[str, Mapping[str, Row]]) -> str:
    """The address of the probe, as explore groups chose it, of every criterion in every model: what presets suggest."""
    chosen = {
        name: {f"builtin:{model}": row.trained[KINDS.index("probe")].address for model, row in found.items()}
        for name, found in rows.items()
    }
    return f"{json.dumps(chosen, indent=2)}\n"


def _of(names: Sequence[str], what: str) -> str:
    return f"for {', '.join(f'`{name}`' for name in names) or 'no criterion'} {what}"


if __name__ == "__main__":
    sys.exit(main())
