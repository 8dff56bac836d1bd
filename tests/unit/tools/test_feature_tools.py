"""show_feature and search_features as they are called: bounds, pages, the published card, next actions that work."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from safetensors.numpy import save_file

from interp_lab.artifacts.mapped_matrix import map_matrices
from interp_lab.artifacts.writer import Origin
from interp_lab.contracts.features import SearchFeaturesResult, ShowFeatureRequest, ShowFeatureResult
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.store import STORE_KIND
from interp_lab.contracts.train_sae import DICTIONARY_KIND
from interp_lab.corpus.catalogue import list_builtin_datasets, load_preset
from interp_lab.errors import InvalidCursor, LabError, ReadOnlyLab
from interp_lab.settings import Settings
from interp_lab.store.locate import publish_store
from interp_lab.workflows.features.saved_direction import DIRECTION_KIND
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from interp_lab_tools.limits import ANSWER_CHARS
from interp_lab_tools.show_feature import SHOW_FEATURE
from interp_lab_tools.views import as_json
from tests.truth.feature_stores import ADDRESS, DEAD, DENSE, KILO, N_LATENTS, PLANTED, make_planted

CARDS: list[dict[str, Any]] = [
    {"store": "store", "dictionary": "sae", "unit": PLANTED},
    {"store": "store", "dictionary": "sae", "unit": DENSE},
    {"store": "store", "dictionary": "sae", "unit": DEAD},
    {"store": "store", "unit": PLANTED},
    {"store": "store", "column": ADDRESS, "unit": 2},
    {"dictionary": "sae", "unit": PLANTED},
]
SEARCHES: list[dict[str, Any]] = [
    {"stores": ["store"], "by": {"kind": "tokens", "one_of": [KILO]}},
    {"stores": ["store"], "dictionaries": ["sae"], "by": {"kind": "text", "phrase": "kilo w1"}},
    {"stores": ["store"], "by": {"kind": "label", "label": "label:sports"}},
    {"stores": ["store"], "by": {"kind": "density"}},
    {"dictionaries": ["sae"], "by": {"kind": "latent", "unit": 3}},
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Any:
    workspace = tmp_path_factory.mktemp("workspace")
    make_planted(workspace)
    with Lab.open(Settings(workspace=workspace, cpu_slots=1, gpu_slots=0, ballast_bytes=0, min_free_bytes=0)) as opened:
        yield opened


def show(lab: Lab, **arguments: Any) -> ShowFeatureResult:
    answer = call(lab, "show_feature", arguments)
    assert isinstance(answer, ShowFeatureResult)
    return answer


def search(lab: Lab, **arguments: Any) -> SearchFeaturesResult:
    answer = call(lab, "search_features", arguments)
    assert isinstance(answer, SearchFeaturesResult)
    return answer


def _chars(result: Any) -> int:
    return len(json.dumps(as_json(result), separators=(",", ":")))


@pytest.mark.parametrize("arguments", CARDS, ids=json.dumps)
def test_a_card_is_short_says_its_caveat_and_leads_on(lab: Lab, arguments: dict[str, Any]) -> None:
    result = show(lab, **arguments)
    assert _chars(result) <= 4300
    assert result.summary.endswith("not what it causes." if "store" in arguments else "nor what it causes.")
    for action in result.agent_next_actions:
        call(lab, action.tool, action.arguments)


def test_a_card_without_a_store_says_that_only_weights_were_read(lab: Lab) -> None:
    alone = show(lab, dictionary="sae", unit=PLANTED)
    assert "Only weights were read" in alone.summary
    assert "encode_store" in alone.warnings[0]
    beside = show(lab, dictionary="sae", unit=PLANTED, store="store")
    assert "Only weights" not in beside.summary
    assert not any("encode_store" in warning for warning in beside.warnings)


@pytest.mark.parametrize("arguments", SEARCHES, ids=json.dumps)
def test_a_search_is_short_says_its_caveat_and_leads_on(lab: Lab, arguments: dict[str, Any]) -> None:
    result = search(lab, **arguments)
    assert _chars(result) <= 4300
    assert result.summary.endswith("it shows no cause.")
    assert result.agent_next_actions[0].tool == "show_feature"
    assert all(len(row) == len(result.table.headers) for row in result.table.rows)
    for action in result.agent_next_actions:
        call(lab, action.tool, action.arguments)


def test_the_longest_lists_stay_within_the_lab_limit(lab: Lab) -> None:
    lists = {"n_contexts": 20, "n_bands": 10, "n_tokens": 50, "n_nearest": 50, "n_associations": 50}
    assert _chars(show(lab, store="store", dictionary="sae", unit=DENSE, **lists)) <= ANSWER_CHARS
    assert all(_chars(search(lab, **arguments, limit=100)) <= ANSWER_CHARS for arguments in SEARCHES)


@pytest.mark.parametrize("arguments", SEARCHES, ids=json.dumps)
def test_pages_join_to_the_whole(lab: Lab, arguments: dict[str, Any]) -> None:
    whole = search(lab, **arguments, limit=100)
    pages: list[Any] = []
    cursor = None
    while True:
        page = search(lab, **arguments, limit=4, **({"cursor": cursor} if cursor else {}))
        pages += page.table.rows
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages == list(whole.table.rows)
    assert len(pages) == whole.total


def test_a_cursor_of_another_search_is_refused(lab: Lab) -> None:
    cursor = search(lab, **SEARCHES[3], limit=2).next_cursor
    assert cursor
    with pytest.raises(InvalidCursor):
        search(lab, **SEARCHES[2], cursor=cursor)


def test_the_published_card_is_one_file_that_asks_for_nothing(lab: Lab) -> None:
    result = show(lab, store="store", dictionary="sae", unit=PLANTED, html=True)
    (card,) = result.artifacts
    assert (card.kind, card.job_id, [file.name for file in card.files]) == (
        "feature_card",
        None,
        ["card.html", "card.json"],
    )
    page = lab.engine.artifacts.read_file(card.id, "card.html").decode()
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert result.summary.split(";", maxsplit=1)[0] in page
    record = json.loads(lab.engine.artifacts.read_file(card.id, "card.json", limit=2**22))
    assert record["feature"] == result.feature
    assert len(record["contexts"]) > len(result.contexts)


def test_text_of_prompts_cannot_become_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.truth import feature_stores

    monkeypatch.setattr(feature_stores, "KILO", "<script>alert(1)</script>\u202e")
    monkeypatch.setattr(feature_stores, "WORDS", [feature_stores.BOS, "<script>alert(1)</script>\u202e", " a", " b"])
    feature_stores.make_planted(tmp_path)
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0, ballast_bytes=0, min_free_bytes=0)) as lab:
        result = show(lab, store="store", dictionary="sae", unit=PLANTED, html=True)
        page = lab.engine.artifacts.read_file(result.artifacts[0].id, "card.html").decode()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "\u202e" not in page


def _published(lab: Lab) -> tuple[str, str, str]:
    """Publish the dictionary, the store and a direction as jobs do, and return their ids."""
    workspace = lab.settings.workspace
    origin = Origin(
        job=None,
        attempt=0,
        started=datetime.now(UTC),
        spec={},
        inputs={},
        code_version="0",
        package_versions={},
        seeds={},
    )
    with lab.engine.inline.artifact(DICTIONARY_KIND, "sae", origin) as dictionary:
        for name in ("cfg.json", "sae_weights.safetensors"):
            dictionary.write_bytes(name, (workspace / "sae" / name).read_bytes())
    with lab.engine.inline.artifact(STORE_KIND, "store", origin) as store:
        publish_store(workspace / "store", store)
    row = map_matrices(workspace / "sae" / "sae_weights.safetensors")["W_dec"].read(PLANTED)
    with lab.engine.inline.artifact(DIRECTION_KIND, "direction", origin) as direction:
        save_file({"directions": row[None]}, direction.path("direction.safetensors"))
        direction.write_json("direction.json", {"address": "resid_post.3"})
    return dictionary.manifest.id, store.manifest.id, direction.manifest.id


def test_artifacts_serve_like_folders_and_the_codes_are_known_by_the_hash_of_the_dictionary(lab: Lab) -> None:
    dictionary, store, direction = _published(lab)
    by_folder = show(lab, store="store", dictionary="sae", unit=PLANTED)
    by_id = show(lab, store=store, dictionary=dictionary, unit=PLANTED)
    parts = {"agent_next_actions", "summary"}
    assert by_id.model_dump(exclude=parts) == by_folder.model_dump(exclude=parts)
    found = search(lab, stores=[store], dictionaries=[dictionary], by={"kind": "tokens", "one_of": [KILO]})
    assert found.table.rows[0][0] == by_id.feature
    aligned = search(lab, dictionaries=[dictionary], by={"kind": "direction", "direction": direction})
    assert aligned.table.rows[0][:3] == (0, PLANTED, 1)
    assert "resid_post.3" in aligned.warnings[0]
    for action in (*by_id.agent_next_actions, *found.agent_next_actions, *aligned.agent_next_actions):
        call(lab, action.tool, action.arguments)
    with pytest.raises(LabError):
        search(lab, dictionaries=[dictionary], by={"kind": "direction", "direction": dictionary})
    with pytest.raises(LabError):
        show(lab, dictionary=store, unit=1)


def test_the_test_on_prompts_of_its_own_is_suggested_where_everything_for_it_is_known(tmp_path: Path) -> None:
    make_planted(tmp_path)
    manifest = tmp_path / "store" / "store.json"
    told = json.loads(manifest.read_text())
    told |= {"model": {"id": "builtin:pocket-gpt2"}, "dataset": {"name": "builtin:person-name"}}
    manifest.write_text(json.dumps(told))
    with Lab.open(Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0, ballast_bytes=0, min_free_bytes=0)) as lab:
        asked = {"store": "store", "dictionary": "sae", "unit": PLANTED}
        result = SHOW_FEATURE.handler(ShowFeatureRequest.model_validate(asked), lab)
        handed_out = show(lab, **asked)
    (inspect,) = [action for action in result.agent_next_actions if action.tool == "inspect"]
    assert "inspect" not in {action.tool for action in handed_out.agent_next_actions}, "the dictionary does not fit"
    request = InspectRequest.model_validate(inspect.arguments)
    assert request.dictionaries == ("sae",)
    preset = load_preset("person-name")
    assert (request.criterion, request.pooling) == (preset.criterion, preset.pooling)
    assert "person-name" in list_builtin_datasets()
    assert "Promoted tokens are left out" in result.warnings[-1]


def test_a_read_only_lab_shows_cards_and_publishes_none(lab: Lab) -> None:
    closed = Lab(settings=lab.settings, engine=lab.engine, read_only=True)
    assert show(closed, store="store", unit=1).density
    with pytest.raises(ReadOnlyLab):
        show(closed, store="store", unit=1, html=True)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("show_feature", {"unit": 1}),
        ("show_feature", {"unit": -1, "store": "store"}),
        ("show_feature", {"unit": N_LATENTS, "store": "store"}),
        ("show_feature", {"unit": 1, "store": "nowhere"}),
        ("show_feature", {"unit": 1, "dictionary": "store"}),
        ("show_feature", {"unit": 1, "store": "../elsewhere"}),
        ("search_features", {"by": {"kind": "tokens", "matches": "(?=a)"}, "stores": ["store"]}),
        ("search_features", {"by": {"kind": "explanation", "text": "kilos"}, "stores": ["store"]}),
        ("search_features", {"by": {"kind": "direction", "direction": "store"}, "dictionaries": ["sae"]}),
    ],
    ids=str,
)
def test_a_wrong_request_is_refused_with_a_remedy(lab: Lab, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(LabError) as caught:
        call(lab, name, arguments)
    assert caught.value.remedy


def test_neither_tool_imports_torch(tmp_path: Path) -> None:
    make_planted(tmp_path)
    code = (
        "import sys; from pathlib import Path; from interp_lab.settings import Settings\n"
        "from interp_lab_tools.lab import Lab; from interp_lab_tools.call import call\n"
        f"with Lab.open(Settings(workspace=Path({str(tmp_path)!r}), ballast_bytes=0, min_free_bytes=0)) as lab:\n"
        "    call(lab, 'show_feature', {'store': 'store', 'dictionary': 'sae', 'unit': 0})\n"
        "    call(lab, 'search_features', {'stores': ['store'], 'by': {'kind': 'density'}})\n"
        "assert not {'torch', 'transformers', 'scipy', 'matplotlib'} & set(sys.modules)\n"
    )
    root = Path(__file__).parents[3]
    path = ":".join(str(root / each) for each in ("", "server", "tools"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
