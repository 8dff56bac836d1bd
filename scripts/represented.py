# pyright: standard
"""Measures which criteria the models in the box represent, and puts the table into docs/datasets.md.

For every dataset and model: the coordinate that ranks first on explore groups, as `inspect` reports it, and the
direction of the difference of means, fitted on explore groups at the address where it carries over best from one half
of them to the other. Both are measured on the confirm groups. An untrained network of the same architecture is the
control: what it reaches is in the words alone.
"""

from __future__ import annotations

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
from interp_lab.jobs.run import LocalRun
from interp_lab.methods.association import associate
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
COMMAND = "python scripts/represented.py"
SEED = 0

_INTRODUCTION = f"""## What the models in the box represent

Written by `{COMMAND}`, with the suggested pooling and seed {SEED}. Every cell is an AUROC on the confirm
groups ({{groups}} of them) with its 95 % interval, bold where chance is outside of it. **coordinate**: the one
of all `resid_post` coordinates that ranks first on the explore groups, as `inspect` reports it. **direction**: the
difference of means of the explore groups, at the layer where such a direction carries over best from one half of them
to the other. **untrained**: such a direction in the same network before training, which is what the words alone give
away. All are associations: that a model carries the property, never that it uses it. Where there is nothing, about one
cell in forty is bold all the same. On the two datasets that are wrong on purpose a high number is the confound.
"""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """What one coordinate or direction reaches on confirm groups, folded by the sign that explore groups gave it."""

    where: str
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
        return f"{value} [{self.low:.2f}, {self.high:.2f}] {self.where}"


@dataclass(frozen=True)
class Row:
    """One dataset in one model."""

    coordinate: Found
    direction: Found
    untrained: Found
    """The direction in an untrained network."""

    @property
    def gains(self) -> bool:
        """Whether training shows: the interval of coordinate or direction lies above what the untrained one reaches."""
        return max(self.coordinate.low, self.direction.low) > self.untrained.auroc


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
            print(
                name, *(f"{model}: {row.direction.cell()}" for model, row in rows[name].items()), sep=" | ", flush=True
            )
    page = PAGE.read_text(encoding="utf-8")
    if BEGIN not in page:
        raise SystemExit(f"{PAGE} has no place for the table: write it anew first")
    PAGE.write_text(with_measured(page, _section(models, rows)), encoding="utf-8")
    return 0


def _row(description: CriterionDescription, model: str, folder: Path) -> Row:
    coordinate, direction = _looked(description, f"builtin:{model}", folder)
    _, untrained = _looked(description, f"untrained-{model}", folder)
    return Row(coordinate, direction, untrained)


def _looked(description: CriterionDescription, model: str, folder: Path) -> tuple[Found, Found]:
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
    return _coordinate(result), _direction(pooled, plan.sample, (plan.rows("explore"), plan.rows("confirm")))


def _coordinate(result: InspectResult) -> Found:
    best = result.ranking[0]
    if best.confirm_auroc is None or best.confirm_interval is None:
        raise SystemExit(f"{result.criterion}: nothing could be confirmed")
    place = f"`{best.address}` {best.index}"
    return _folded(place, (best.confirm_auroc, *best.confirm_interval), best.sign, best.n_confirm_groups)


def _direction(pooled: Pooled, sample: Sample, parts: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Found:
    explore, confirm = parts
    address = max(pooled.columns, key=lambda a: _carries_over(pooled.values[:, pooled.columns[a]], sample, explore))
    values = pooled.values[:, pooled.columns[address]]
    along = values[confirm] @ _difference(values[explore], sample.labels[explore])
    held = sample.take(confirm)
    found = associate(along[:, None], held)
    return _folded(f"`{address}`", (float(found.auroc[0]), float(found.low[0]), float(found.high[0])), 1, held.n_groups)


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


def _folded(where: str, found: tuple[float, float, float], sign: int, groups: int) -> Found:
    auroc, low, high = found if sign > 0 else (1 - found[0], 1 - found[2], 1 - found[1])
    return Found(where, auroc, low, high, groups)


def _write_untrained(model: str, folder: Path) -> None:
    build(RECIPES[model]).save_pretrained(folder)
    source = locate_model(f"builtin:{model}")
    if source is None:
        raise SystemExit(f"{model} is not here")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source.directory / name, folder / name)


def _section(models: Sequence[str], rows: Mapping[str, Mapping[str, Row]]) -> str:
    heads = ["dataset", *(f"{model}: {what}" for model in models for what in ("coordinate", "direction", "untrained"))]
    lines = [f"| {' | '.join(heads)} |", f"|---{'|---' * (len(heads) - 1)}|"]
    for name, found in rows.items():
        cells = [c.cell() for row in found.values() for c in (row.coordinate, row.direction, row.untrained)]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    groups = sorted({row.coordinate.groups for found in rows.values() for row in found.values()})
    introduction = _INTRODUCTION.format(groups=" to ".join(map(str, dict.fromkeys((groups[0], groups[-1])))))
    return "\n".join([introduction, *lines, "", *_plainly(models, rows)])


def _plainly(models: Sequence[str], rows: Mapping[str, Mapping[str, Row]]) -> Iterator[str]:
    for model in models:
        named = {name: found[model] for name, found in rows.items() if not name.startswith("wrong-")}
        nothing = [name for name, row in named.items() if not (row.coordinate.there or row.direction.there)]
        words = [name for name, row in named.items() if name not in nothing and not row.gains]
        yield f"- `builtin:{model}`: {_of(nothing, 'neither coordinate nor direction is above chance')};"
        yield f"  {_of(words, 'the interval reaches down to the untrained network, so it may be in the words alone')}."


def _of(names: Sequence[str], what: str) -> str:
    return f"for {', '.join(f'`{name}`' for name in names) or 'no criterion'} {what}"


if __name__ == "__main__":
    sys.exit(main())
