"""A harvest beside plain Hugging Face: the same activations, metrics and labels at every token, and the same bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interp_lab.contracts.harvest import HarvestRequest, HarvestResult
from interp_lab.corpus import spool
from interp_lab.engine.token_metrics import TokenMetric
from interp_lab.errors import DoesNotFit, InvalidRequest, PromptTooLong
from interp_lab.jobs.run import LocalRun
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.resolve import ModelSource
from interp_lab.settings import Settings
from interp_lab.store.reader import ActivationStore, open_store
from interp_lab.workflows.harvest import harvest
from interp_lab.workflows.harvesting import record, stretches

TEXTS = [
    "the cat sat on the mat",
    "dog",
    "the other house because it was raining there and the dog ran to the cat",
    "it was",
    "the mat and the mat and the mat",
]
MOODS = ["glad", "sad", "glad", "odd", "sad"]


class Stopped(Exception):
    pass


class StoppingRun(LocalRun):
    """A run that is stopped after so many reports of progress on tokens."""

    left: int = 10**9

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        self.left -= unit == "tokens"
        if self.left < 0:
            raise Stopped


class Bench:
    """A workspace with a corpus and a tiny model."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        shutil.copytree(model, folder / "tiny")
        self.rows(
            [{"text": text, "mood": mood, "n": i} for i, (text, mood) in enumerate(zip(TEXTS, MOODS, strict=True))]
        )
        self.loaded: LoadedModel = load_model(ModelSource("local", "tiny", folder / "tiny"))

    def rows(self, rows: list[dict[str, Any]]) -> None:
        (self.folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def request(self, **changes: Any) -> HarvestRequest:
        given = {"model": "tiny", "dataset": "corpus.jsonl", "addresses": ["resid_post.1"], "dtype": "float32"}
        return HarvestRequest.model_validate(given | changes)

    def run(
        self, name: str = "out", *, stop_after: int = 10**9, **changes: Any
    ) -> tuple[HarvestResult, ActivationStore]:
        metrics = changes.pop("own_metrics", ())
        with StoppingRun(self.folder / name, workspace=self.folder) as run:
            run.left = stop_after
            settings = Settings(workspace=self.folder)
            result = harvest(self.request(**changes), run, settings=settings, metrics=metrics)
            return result, open_store(run.written[-1])

    def plain(self, ids: list[int]) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """What transformers itself gives for one text alone."""
        with torch.no_grad():
            output = self.loaded.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        return tuple(state[0] for state in output.hidden_states), output.logits[0]


@pytest.fixture
def bench(tmp_path: Path, tiny_models: Callable[[str], Path]) -> Bench:
    return Bench(tmp_path, tiny_models("gpt2"))


def ids_by_prompt(store: ActivationStore) -> list[list[int]]:
    rows = store.rows(["prompt", "token_id"])
    prompts, ids = rows.column("prompt").to_numpy(), rows.column("token_id").to_numpy()
    return [ids[prompts == p].tolist() for p in range(store.manifest.n_prompts)]


@pytest.mark.parametrize(
    ("name", "packing"),
    [("gpt2", "auto"), ("gpt2", "never"), ("llama", "auto"), ("gemma2", "auto"), ("opt", "auto"), ("bert", "auto")],
)
def test_stored_activations_equal_the_hidden_states_of_each_text_alone(
    tmp_path: Path, tiny_models, name: str, packing: str
) -> None:
    bench = Bench(tmp_path, tiny_models(name))
    result, store = bench.run(
        addresses=["resid_post.1", "resid_pre.1", "resid_pre.2"], packing=packing, token_budget=64
    )
    ids = ids_by_prompt(store)
    expected = [bench.plain(own)[0] for own in ids]
    for key, state in (("resid_post.1", 2), ("resid_pre.1", 1), ("resid_pre.2", 2)):
        plain = torch.cat([states[state] for states in expected]).numpy()
        np.testing.assert_allclose(
            store.dense(key).slice(0, store.n_rows), plain, rtol=1e-4, atol=1e-5 * abs(plain).max()
        )
    assert result.layout.startswith("packed" if packing == "auto" and name not in ("opt", "bert") else "padded")


def test_bfloat16_is_the_float32_value_rounded_once(bench: Bench) -> None:
    exact = bench.run("exact")[1].dense("resid_post.1").slice(0, 20)
    rounded = bench.run("rounded", dtype="bfloat16")[1].dense("resid_post.1").slice(0, 20)
    assert np.array_equal(torch.from_numpy(exact.copy()).bfloat16().float().numpy(), rounded)
    assert not np.array_equal(exact, rounded)


def test_several_metrics_at_once_equal_a_plain_computation(bench: Bench) -> None:
    names = ["loss", "surprisal", "entropy", "target_logit", "target_logprob", "target_rank", "position", "repetition"]
    _, store = bench.run(metrics=[*names, "token_class"], targets=[" cat", " dog"])
    table = store.rows().to_pydict()
    found = {
        name: np.asarray(table[f"metric:{name}"], dtype=float) for name in [m.name for m in store.manifest.metrics]
    }
    targets = [bench.loaded.tokenizer.encode(text)[0] for text in (" cat", " dog")]
    begin = 0
    for ids in ids_by_prompt(store):
        logits = bench.plain(ids)[1].double()
        log_probs = logits.log_softmax(-1)
        own = slice(begin, begin + len(ids))
        loss = [-float(log_probs[i, ids[i + 1]]) for i in range(len(ids) - 1)]
        expected = {
            "loss": [*loss, np.nan],
            "surprisal": [np.nan, *loss],
            "entropy": (-(log_probs.exp() * log_probs).sum(-1)).tolist(),
            "position": list(range(len(ids))),
            "repetition": [ids[:i].count(ids[i]) for i in range(len(ids))],
        }
        for number, target in enumerate(targets):
            expected[f"target_logit.{number}"] = logits[:, target].tolist()
            expected[f"target_logprob.{number}"] = log_probs[:, target].tolist()
            expected[f"target_rank.{number}"] = ((logits > logits[:, target, None]).sum(-1) + 1).tolist()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][own], values, rtol=1e-3, atol=1e-4, err_msg=name)
        begin += len(ids)
    assert set(table["label:token_class"]) <= {"word", "punctuation", "mixed", "space", "number", "special"}


def test_logits_are_computed_only_where_a_metric_needs_them(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    forward = torch.nn.Linear.forward

    def counting(self: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        passes.append(self.out_features)
        return forward(self, x)

    monkeypatch.setattr(torch.nn.Linear, "forward", counting)
    n_vocab = bench.loaded.facts.n_vocab
    bench.run("plain", metrics=["position", "repetition", "token_class"])
    assert n_vocab not in passes
    bench.run("loss", metrics=["loss"])
    assert n_vocab in passes


def test_labels_keep_names_types_and_text(bench: Bench) -> None:
    result, store = bench.run()
    assert store.prompts().column("label:mood").to_pylist() == MOODS
    assert store.prompts().column("label:n").to_pylist() == [0, 1, 2, 3, 4]
    assert result.labels == ("mood", "n")
    assert store.prompts().column("text").to_pylist() == TEXTS


def test_a_metric_of_ones_own_is_kept_by_its_name_beside_the_others(bench: Bench) -> None:
    norm = TokenMetric(
        name="norm", compute=lambda scene: scene.values[next(iter(scene.values))][scene.piece.own].norm(dim=-1).numpy()
    )
    _, store = bench.run(own_metrics=[norm], metrics=["loss"])
    values = store.dense("resid_post.1").slice(0, store.n_rows)
    found = store.rows(["metric:norm"]).column("metric:norm").to_numpy()
    np.testing.assert_allclose(found, np.linalg.norm(values, axis=1), rtol=1e-4)
    with pytest.raises(InvalidRequest, match="values for"):
        bench.run(
            "wrong", own_metrics=[TokenMetric(name="short", compute=lambda _: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])]
        )
    with pytest.raises(InvalidRequest, match="name 'loss'"):
        bench.run("twice", own_metrics=[TokenMetric(name="loss", compute=lambda _: [])], metrics=["loss"])


def files(store_folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store_folder.iterdir() if path.name != "manifest.json"}


def test_the_same_request_gives_the_same_bytes_also_after_interruptions(bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr(record, "SHARD_BYTES", 32 * 4 * 8)
    monkeypatch.setattr(stretches, "MAX_TOKENS", 24)
    bench.rows([{"text": f"{text} {i}"} for i in range(3) for text in TEXTS])
    changes = {"metrics": ["loss"], "token_budget": 16, "generate": {"max_new_tokens": 4, "temperature": 1.0}}
    bench.run("whole", **changes)
    bench.run("again", **changes)
    n_stops = 0
    for stop in (3, 4, 5, 10**9):
        try:
            bench.run("broken", stop_after=stop, **changes)
        except Stopped:
            n_stops += 1
    assert n_stops >= 2
    stores = [next((bench.folder / name).glob("activation_store-*")) for name in ("whole", "again", "broken")]
    whole, again, broken = (files(folder) for folder in stores)
    assert len(whole) > 6
    assert whole == again == broken
    other = bench.run("other", **changes | {"seed": 1})[1]
    assert ids_by_prompt(other) != ids_by_prompt(open_store(stores[0]))


def test_a_corpus_that_lies_on_the_disk_gives_the_same_store(bench: Bench, monkeypatch) -> None:
    options = {"metrics": ["loss", "token_class"], "generate": {"max_new_tokens": 3}}
    _, plain = bench.run("plain", **options)
    monkeypatch.setattr(spool, "MEMORY_BYTES", 50)
    monkeypatch.setattr(record, "PROMPTS_AT_ONCE", 2)
    _, spooled = bench.run("spooled", **options)
    assert spooled.prompts().equals(plain.prompts())
    assert spooled.manifest.n_groups == plain.manifest.n_groups
    assert [shard.rows for shard in spooled.manifest.shards] == [shard.rows for shard in plain.manifest.shards]
    assert [shard.columns for shard in spooled.manifest.shards] == [shard.columns for shard in plain.manifest.shards]


def test_an_interrupted_harvest_does_not_read_finished_shards_again(bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr(record, "SHARD_BYTES", 32 * 4 * 4)
    monkeypatch.setattr(stretches, "MAX_TOKENS", 12)
    bench.rows([{"text": f"{text} {i}"} for i in range(3) for text in TEXTS])
    full, _ = bench.run("full", token_budget=8)
    seen: list[float] = []

    class Watching(StoppingRun):
        def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
            super().progress(done, total, message, unit)
            seen.extend([done] if unit == "tokens" else [])

    for left in (6, 10**9):
        with Watching(bench.folder / "part", workspace=bench.folder) as run:
            run.left = left
            try:
                harvest(bench.request(token_budget=8), run, settings=Settings(workspace=bench.folder))
            except Stopped:
                first, seen = seen, []
    assert min(seen) > max(first) / 2 > min(first)
    assert max(seen) == full.n_rows


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_the_model_wrote_is_marked_and_read_as_one_text(bench: Bench, temperature: float) -> None:
    _, store = bench.run(generate={"max_new_tokens": 5, "temperature": temperature})
    rows = store.rows(["prompt", "generated", "position"]).to_pydict()
    written = store.prompts().column("label:generated_text").to_pylist()
    values = store.dense("resid_post.1").slice(0, store.n_rows)
    begin = 0
    for prompt, ids in enumerate(ids_by_prompt(store)):
        own = slice(begin, begin + len(ids))
        n_given = len(bench.loaded.tokenizer.encode(TEXTS[prompt]))
        assert rows["generated"][own] == [i >= n_given for i in range(len(ids))]
        assert rows["position"][own] == list(range(len(ids)))
        assert written[prompt] == bench.loaded.tokenizer.decode(ids[n_given:])
        plain = bench.plain(ids)
        np.testing.assert_allclose(values[own], plain[0][2].numpy(), rtol=1e-4, atol=1e-4)
        if temperature == 0:
            assert ids[n_given:] == plain[1].argmax(-1)[n_given - 1 : -1].tolist()
        begin += len(ids)


def test_a_continuation_that_does_not_fit_the_context_is_refused(bench: Bench) -> None:
    with pytest.raises(PromptTooLong, match="No room for 60 more tokens"):
        bench.run(generate={"max_new_tokens": 60})


def test_a_long_document_is_read_in_windows_and_every_token_stored_once(bench: Bench) -> None:
    text = " ".join(TEXTS * 5)
    bench.rows([{"text": text}, {"text": "dog"}])
    ids = bench.loaded.tokenizer.encode(text)
    result, store = bench.run(context=20, overlap=5, metrics=["surprisal", "repetition"])
    assert (result.n_cut, ids_by_prompt(store)[0]) == (1, ids)
    assert len(ids) > bench.loaded.facts.context_length
    assert "windows of 20" in result.warnings[0]
    assert store.rows(["position"]).column("position").to_pylist() == [
        *range(len(ids)),
        *range(store.n_rows - len(ids)),
    ]
    values = store.dense("resid_post.1").slice(0, len(ids))
    np.testing.assert_allclose(values[:20], bench.plain(ids[:20])[0][2].numpy(), rtol=1e-4, atol=1e-4)
    second = bench.plain(ids[15:35])
    np.testing.assert_allclose(values[20:35], second[0][2][5:].numpy(), rtol=1e-4, atol=1e-4)
    surprisal = store.rows(["metric:surprisal"]).column("metric:surprisal").to_numpy()
    assert surprisal[20] == pytest.approx(-float(second[1][4].log_softmax(-1)[ids[20]]), rel=1e-3)
    repeated = store.rows(["metric:repetition"]).column("metric:repetition").to_numpy()
    assert repeated[40] == ids[:40].count(ids[40])


def test_spans_mark_the_tokens_that_they_touch(bench: Bench) -> None:
    prompt = {"text": "the cat sat on the mat", "score": 1, "spans": [{"start": 4, "end": 7}]}
    bench.rows([prompt, {"text": "dog", "score": 0}])
    _, store = bench.run()
    rows = store.rows(["token", "span"]).to_pylist()
    assert "".join(row["token"] for row in rows if row["span"]).strip() == "cat"
    assert store.prompts().column("label:spans").to_pylist() == [[[4, 7]], []]


def test_chats_are_read_through_the_template_and_tokens_know_whose_turn_it_is(bench: Bench) -> None:
    template = "{% for m in messages %}<bos>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    config = bench.folder / "tiny" / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": template}))
    chat = [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "the dog ran"}]
    bench.rows([{"messages": chat, "ok": True}])
    _, store = bench.run(dataset={"kind": "chat", "path": "corpus.jsonl"})
    rows = store.rows(["token", "special", "label:role"]).to_pylist()
    by_role = {
        role: "".join(r["token"] for r in rows if r["label:role"] == role).strip() for role in ("user", "assistant")
    }
    assert by_role == {"user": "the cat", "assistant": "the dog ran"}
    assert [row["token"] for row in rows if row["special"]] == ["<bos>", "<bos>"]
    assert store.prompts().column("text").to_pylist()[0].startswith("<bos>user: the cat")


def test_a_tokenizer_without_a_template_is_refused(bench: Bench) -> None:
    bench.rows([{"messages": [{"role": "user", "content": "hi"}]}])
    with pytest.raises(InvalidRequest, match="no chat template"):
        bench.run(dataset={"kind": "chat", "path": "corpus.jsonl"})


def test_what_a_model_cannot_answer_is_refused_by_name(tmp_path: Path, tiny_models, bench: Bench) -> None:
    with pytest.raises(InvalidRequest, match="tokens for this model"):
        bench.run(metrics=["target_rank"], targets=["zebra crossing"])
    (tmp_path / "b").mkdir()
    with pytest.raises(InvalidRequest, match="both directions"):
        Bench(tmp_path / "b", tiny_models("bert")).run(metrics=["loss"])


def test_a_store_that_the_disk_cannot_hold_is_refused_with_what_would_fit(bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr("interp_lab.workflows.harvesting.cost.free_bytes", lambda _: 2000)
    with pytest.raises(DoesNotFit, match="GiB") as refused:
        bench.run()
    assert "tokens would fit" in refused.value.remedy


def test_any_module_can_be_harvested_by_its_path(bench: Bench) -> None:
    _, store = bench.run(addresses=["module:transformer.h.0.mlp@in", "mlp_in.0", "mlp_out.0"])
    assert np.array_equal(store.dense("module:transformer.h.0.mlp@in").slice(0, 9), store.dense("mlp_in.0").slice(0, 9))
    assert not np.array_equal(store.dense("mlp_out.0").slice(0, 9), store.dense("mlp_in.0").slice(0, 9))


def test_how_it_was_computed_is_on_record_and_nothing_that_changes_by_itself(bench: Bench) -> None:
    manifest = bench.run()[1].manifest
    assert manifest.precision["matmul"] in ("onednn", "default")
    assert manifest.precision["fused_activations"] == 3
    assert manifest.settings["layout"].startswith("packed rows")
    assert manifest.model is not None
    assert manifest.model.weights_hash
    assert not any(word in manifest.model_dump_json() for word in ("seconds", "speedup", "created"))
