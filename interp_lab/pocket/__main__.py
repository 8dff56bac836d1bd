"""Make the pocket models: prepare the text, then train, measure and write them."""
# pyright: standard

from __future__ import annotations

import argparse
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch

from interp_lab.engine.precision import matmul_precision
from interp_lab.pocket import card, export
from interp_lab.pocket.evaluate import Baselines, baselines, evaluate
from interp_lab.pocket.recipe import CONTEXT, RECIPES, TEXT, VOCABULARY, Recipe
from interp_lab.pocket.record import Record, Training
from interp_lab.pocket.text import Corpus, prepare, tokenizer_of
from interp_lab.pocket.train import fit

_PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(prog="python -m interp_lab.pocket", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which models of {', '.join(RECIPES)}; all by default"
    )
    parser.add_argument("--work", type=Path, default=Path(".interp-lab/pocket"), help="folder for text and checkpoints")
    parser.add_argument(
        "--into", type=Path, default=export.WEIGHTS, help="folder that the finished models are written to"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads that torch may use")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    corpus = prepare(options.work / "text", TEXT)
    with matmul_precision():
        for name in options.names or RECIPES:
            fit(RECIPES[name], corpus.train, options.work / name, corpus=corpus.digest, report=_progress)
        against = baselines(corpus)
        for name in options.names or RECIPES:
            make(RECIPES[name], corpus, against, work=options.work, into=options.into)
    _update_page(options.into)


def make(recipe: Recipe, corpus: Corpus, against: Baselines, *, work: Path, into: Path) -> Record:
    """Write the trained model's folder, with what was measured of the model as it will be loaded."""
    trained = fit(recipe, corpus.train, work / recipe.name, corpus=corpus.digest)
    model = export.rounded(trained, recipe, (VOCABULARY, CONTEXT))
    training = Training(
        recipe=recipe.digest(),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        steps=recipe.steps,
        cycles=tuple(cycle.end for cycle in recipe.cycles),
        tokens=recipe.steps * recipe.batch * CONTEXT,
        torch=torch.__version__.partition("+")[0],
        transformers=version("transformers"),
    )
    record = Record(name=recipe.name, training=training, evaluation=evaluate(model, corpus, against))
    export.write(model, tokenizer_of(corpus), into / recipe.name)
    (into / recipe.name / export.RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (into / recipe.name / "README.md").write_text(card.card(record), encoding="utf-8")
    return record


def _update_page(into: Path) -> None:
    if _PAGE.is_file() and into == export.WEIGHTS:
        card.put_into(_PAGE, [export.record_of(name) for name in RECIPES if (into / name / export.RECORD).is_file()])


def _progress(step: int, loss: float, seconds: float) -> None:
    if step % 20 == 0:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} step {step} loss {loss:.4f} {seconds:.0f} s\n")


if __name__ == "__main__":
    main()
