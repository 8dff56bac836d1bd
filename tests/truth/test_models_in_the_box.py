"""The models in the box are what their records say: they load, copy, answer, and beat a five-gram by as much."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.models import ModelRef
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.corpus.catalogue import list_builtin_datasets, load_preset
from interp_lab.corpus.criteria.table import measured_part
from interp_lab.jobs.run import LocalRun
from interp_lab.models.resolve import builtin_models
from interp_lab.pocket import card
from interp_lab.pocket.architecture import build
from interp_lab.pocket.evaluate import sample_windows
from interp_lab.pocket.export import RECORD, WEIGHTS, record_of
from interp_lab.pocket.recipe import BOS_ID, PAD_ID, RECIPES, VOCABULARY
from interp_lab.pocket.scoring import correct, induction, random_repeats, surprise
from interp_lab.pocket.tasks import TASKS, Task, items
from interp_lab.settings import Settings
from interp_lab.workflows.inspect import inspect

NAMES = list(RECIPES)
ITEMS = 80
MARGIN = 0.08
"""Between the share that fresh items get right and the interval of the recorded one."""
LEAST = 0.9
"""The lower end of the interval on every kind of question, of which guessing gets a half or a third."""
DATASETS = Path(__file__).parents[2] / "docs" / "datasets.md"
PAGE = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(WEIGHTS / name).eval()


@pytest.fixture(scope="module")
def untrained(name: str) -> PreTrainedModel:
    return build(RECIPES[name]).eval()


@pytest.fixture(scope="module")
def tokenizer(name: str) -> Tokenizer:
    return Tokenizer.from_file(str(WEIGHTS / name / "tokenizer.json"))


def test_it_loads_by_name_in_float32_with_finite_logits(name: str, model: PreTrainedModel) -> None:
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS / name)
    ids = tokenizer("When Anna and Peter went to the harbor, Anna gave a lamp to", return_tensors="pt").input_ids
    with torch.inference_mode():
        logits = model(input_ids=ids).logits
    assert model.dtype is torch.float32
    assert logits.shape == (1, ids.shape[1], VOCABULARY)
    assert torch.isfinite(logits).all()
    assert model.config.architectures == [type(build(RECIPES[name])).__name__]


def test_the_tokenizer_marks_the_beginning_and_gives_text_back(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS / name)
    text = 'def f(x):\n    return {"é": x}  # "quoted", 12 km\n'
    ids = tokenizer(text).input_ids
    assert ids[0] == BOS_ID
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1, 2)


def test_no_weight_needs_more_than_float16(model: PreTrainedModel) -> None:
    assert all(torch.equal(parameter, parameter.half().float()) for parameter in model.parameters())


def test_the_recorded_loss_is_reproduced_and_an_untrained_model_has_another(
    name: str, model: PreTrainedModel, untrained: PreTrainedModel, tokenizer: Tokenizer
) -> None:
    recorded = record_of(name).evaluation.sample
    windows = sample_windows(tokenizer)
    assert windows[:, 1:].size == recorded.tokens
    assert surprise(model, windows).mean() == pytest.approx(recorded.loss, abs=2e-3)
    assert surprise(untrained, windows).mean() > 2 * recorded.loss


def test_it_beats_the_five_gram_on_every_kind_of_text(name: str) -> None:
    for section in record_of(name).evaluation.sections.values():
        assert section.gain_low > 0.5
        assert section.model < section.fivegram < section.bigram < section.unigram


def test_repetition_helps_it_and_not_an_untrained_model(model: PreTrainedModel, untrained: PreTrainedModel) -> None:
    ids = random_repeats(VOCABULARY, sequences=8, length=48, seed=123)
    found, control = induction(model, ids), induction(untrained, ids)
    assert found.first_half - found.second_half > 7.0
    assert found.heads[0][2] > 0.8
    assert abs(control.first_half - control.second_half) < 0.2
    assert control.heads[0][2] < 0.1


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_it_answers_as_recorded_far_above_chance_and_an_untrained_model_does_not(
    task: Task, name: str, model: PreTrainedModel, untrained: PreTrainedModel, tokenizer: Tokenizer
) -> None:
    recorded = next(found for found in record_of(name).evaluation.tasks if found.name == task.name)
    asked = items(task, ITEMS, seed=4242)
    spread = np.sqrt(task.chance * (1 - task.chance) / len(asked))
    found = correct(model, tokenizer, asked).mean()
    assert found > task.chance + 4 * spread
    assert recorded.low - MARGIN < found < recorded.high + MARGIN
    assert recorded.low > max(LEAST, recorded.fivegram + 0.1)
    assert correct(untrained, tokenizer, asked).mean() < task.chance + 4 * spread


def test_padding_on_the_right_changes_nothing_before_it(model: PreTrainedModel) -> None:
    ids = torch.arange(3, 23)[None]
    padded = torch.cat([ids, torch.full((1, 7), PAD_ID)], dim=1)
    with torch.inference_mode():
        plain, longer = model(input_ids=ids).logits, model(input_ids=padded).logits[:, :20]
    assert torch.allclose(plain, longer, atol=1e-4)


def test_folders_hold_what_is_said_and_stay_small() -> None:
    sizes = {name: sum(path.stat().st_size for path in (WEIGHTS / name).iterdir()) for name in NAMES}
    for name in NAMES:
        files = {path.name for path in (WEIGHTS / name).iterdir()}
        assert files == {
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
            "README.md",
            "LICENSE",
            RECORD,
        }
        assert sizes[name] <= 8 * 2**20
        assert json.loads((WEIGHTS / name / "config.json").read_text())["dtype"] == "float32"
    assert sum(sizes.values()) <= 12 * 2**20


def test_card_and_page_show_the_recorded_figures(name: str) -> None:
    record = record_of(name)
    assert (WEIGHTS / name / "README.md").read_text(encoding="utf-8") == card.card(record)
    assert card.table([record_of(each) for each in NAMES]) in PAGE.read_text(encoding="utf-8")


def test_the_record_belongs_to_the_recipe_in_the_repository(name: str) -> None:
    training = record_of(name).training
    assert (training.recipe, training.steps) == (RECIPES[name].digest(), RECIPES[name].steps)


def test_they_are_all_the_models_in_the_box() -> None:
    assert sorted(NAMES) == sorted(builtin_models())


@pytest.mark.filterwarnings("ignore")  # of the foreign libraries
def test_transformers_transformer_lens_and_nnsight_load_it_with_equal_logits(
    name: str, model: PreTrainedModel, untrained: PreTrainedModel
) -> None:
    from nnsight import TransformersModel
    from transformer_lens.model_bridge import TransformerBridge

    folder = str(WEIGHTS / name)
    ids = AutoTokenizer.from_pretrained(folder)("Anna gave the lamp to Peter because", return_tensors="pt").input_ids
    bridge = TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32)
    traced = TransformersModel(folder, task="text-generation", device_map="cpu", dtype=torch.float32, dispatch=True)
    with torch.no_grad():
        plain, lens = model(input_ids=ids).logits, bridge(ids)
        with traced.trace(ids):
            nn = traced.output.logits.save()
    assert plain.abs().max() > 1
    assert torch.allclose(lens, plain, atol=1e-4)
    assert torch.allclose(nn, plain, atol=1e-4)
    with torch.no_grad():
        assert not torch.allclose(untrained(input_ids=ids).logits, plain, atol=1e-4)


def test_the_datasets_page_says_of_every_dataset_what_every_model_makes_of_it() -> None:
    lines = measured_part(DATASETS.read_text(encoding="utf-8")).split("\n")
    head = next(line for line in lines if line.startswith("| dataset"))
    assert all(head.count(f"{name}: ") == 4 for name in NAMES)
    rows = [line for line in lines if line.startswith("| `")]
    assert sorted(line.split("`")[1] for line in rows) == sorted(list_builtin_datasets())
    assert all(line.count("|") == head.count("|") for line in rows)


def test_a_coordinate_on_the_datasets_page_is_what_inspect_finds(tmp_path: Path) -> None:
    name = NAMES[0]
    preset = load_preset("person-name")
    request = InspectRequest(
        model=ModelRef(id=f"builtin:{name}"),
        criterion=preset.criterion,
        dataset=BuiltinDataset(name=preset.name),
        pooling=preset.pooling,
        top_k=1,
        n_contexts=1,
    )
    found = inspect(request, LocalRun(tmp_path), settings=Settings(workspace=tmp_path), suggest=lambda _: ())
    best = found.ranking[0]
    page = measured_part(DATASETS.read_text(encoding="utf-8"))
    row = next(line for line in page.split("\n") if line.startswith(f"| `{preset.name}`"))
    cell = row.split(" | ")[1 + 4 * NAMES.index(name)]
    assert cell.endswith(f"`{best.address}` {best.index}")
    assert best.confirm_auroc is not None
    assert float(cell.split("**")[1]) == pytest.approx(max(best.confirm_auroc, 1 - best.confirm_auroc), abs=0.02)
