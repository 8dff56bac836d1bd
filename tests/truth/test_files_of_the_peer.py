"""Every file that interp-lab 3.1.0 writes can be read, and it can read the report that is written for it.

The files are its own: `make peer-files` let it write them. That its own commands read our export is shown by the same
target; here stands what its loader does with every field.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.errors import MalformedFile
from interp_lab.settings import Settings
from interp_lab.store.interchange.peer_files import PeerFile, read_peer_file
from interp_lab.store.interchange.peer_kinds import DOCUMENTS, LINES
from interp_lab.store.interchange.peer_report import peer_report
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import CAPABILITIES
from interp_lab_tools.lab import Lab
from tests.unit.reports.conftest import report_json

PACKED = Path(__file__).parent / "data/interp-lab-3.1.0.zip"
KINDS = {
    "a-report.json": "inspection report",
    "asked-generation-request.json": "request for prompts",
    "assay.json": "validation of an assay",
    "built_prompts.jsonl": "scored prompts",
    "calibration.json": "calibration report",
    "capabilities.json": "list of capabilities",
    "causal-report.json": "inspection report",
    "compiled-compile-report.json": "report of a compiled criterion",
    "compiled-preset.json": "preset of a criterion",
    "compiled-prompts.jsonl": "scored prompts",
    "consistency.json": "consistency of explanations",
    "contrast.jsonl": "activation records",
    "contrast_edits.jsonl": "intervention records",
    "converted.jsonl": "activation records",
    "criterion_lab.json": "configuration of a run",
    "doctor.json": "check of an installation",
    "dossier.json": "dossier",
    "edits.jsonl": "intervention records",
    "env.json": "profile of a machine",
    "evidence_plan.json": "evidence plan",
    "f-report.json": "inspection report",
    "families.json": "comparison of model families",
    "feature_search.json": "feature search",
    "features.jsonl": "feature dump",
    "graph.json": "attribution graph",
    "graph_summary.json": "summary of an attribution graph",
    "graph_validation.json": "validation of an attribution graph",
    "hf_records.jsonl": "activation records",
    "hf_steering.json": "steering vector",
    "hidden.jsonl": "hidden states",
    "intervention_plan.json": "intervention plan",
    "interventions.jsonl": "intervention records",
    "match_validation.json": "match validation",
    "matches.json": "match report",
    "pack-causal.jsonl": "scored prompts",
    "pack-manifest.json": "manifest of a prompt pack",
    "pack-train.jsonl": "scored prompts",
    "pack-validation.jsonl": "scored prompts",
    "paths.jsonl": "path records",
    "prompts.jsonl": "scored prompts",
    "quant_diff.json": "comparison with a quantised model",
    "records.jsonl": "activation records",
    "run-manifest.json": "manifest of a run",
    "run.json": "configuration of a run",
    "run_diff.json": "difference of two runs",
    "sae.json": "sparse autoencoder",
    "sae1.json": "sparse autoencoder",
    "sae_records.jsonl": "activation records",
    "scale_plan.json": "scale plan",
    "scored.jsonl": "scored prompts",
    "steered.jsonl": "steered texts",
    "text_pivot.json": "text pivot match",
}


def packed(name: str) -> bytes:
    with zipfile.ZipFile(PACKED) as files:
        return files.read(name)


def read(data: bytes, limit: int = 10) -> PeerFile:
    return read_peer_file(io.BytesIO(data), where="file", limit=limit)


def test_every_file_that_it_wrote_is_expected_here() -> None:
    with zipfile.ZipFile(PACKED) as files:
        assert set(files.namelist()) == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_is_told_and_read(name: str) -> None:
    found = read(packed(name))
    assert found.kind.name == KINDS[name]
    wanted = _n_rows(name, found)
    assert found.n_rows == wanted
    assert len(found.rows) == min(10, wanted)


def _n_rows(name: str, found: PeerFile) -> int:
    text = packed(name).decode()
    if name.endswith(".jsonl"):
        return len(text.splitlines())
    value: Any = json.loads(text)
    for step in found.kind.rows.split("/") if found.kind.rows else ():
        value = value[step]
    return len(value) if found.kind.rows else 0


@pytest.mark.parametrize("name", [n for n in KINDS if n.endswith(".json") and KINDS[n] != "list of capabilities"])
def test_numbers_of_rows_are_those_of_the_file(name: str) -> None:
    """Every number shown stands in the row of its place; a number of the file is never made up or moved."""
    found = read(packed(name), limit=100)
    value: Any = json.loads(packed(name))
    for step in found.kind.rows.split("/") if found.kind.rows else ():
        value = value[step]
    rows = list(value.values() if isinstance(value, dict) else value) if found.kind.rows else []
    for shown, row in zip(found.rows, rows, strict=True):
        text = json.dumps(row)
        for number in shown.says.values():
            if isinstance(number, float):
                assert any(json.dumps(form) in text for form in (number, int(number))), (number, text)


def test_the_report_that_it_cannot_read_itself_is_read_and_the_place_named() -> None:
    """Its loader makes a float of every value of causal_effects, and its own writer puts a word there."""
    data = json.loads(packed("causal-report.json"))
    with pytest.raises(ValueError, match="could not convert"):
        [float(value) for card in data["cards"] for value in card["causal_effects"].values()]
    found = read(packed("causal-report.json"))
    assert found.n_odd == 1
    assert found.odd[0].endswith("/causal_effects/criterion_ci_method")
    edited = next(row for row in found.rows if row.name.startswith("L2:D3"))
    assert edited.says["signed_causal_effect"] == pytest.approx(0.24, abs=0.05)
    assert read(packed("a-report.json")).odd == ()


@pytest.mark.parametrize(
    "data",
    [
        b'{"schema_version": "interp-lab.inspection_report.v2", "model": "m", "criterion": "c", "cards": []}',
        b'{"schema_version": "interp-lab.inspection_report.v1", "model": "m", "criterion": "c"}',
        b'{"schema_version": "interp-lab.inspection_report.v1", "model": "m", "criterion": "c", "cards": [1]}',
        b'{"schema_version": "interp-lab.match_report.v1", "left_model": "m", "right_model": "n", "matches": NaN}',
        b'{"text": "a", "criterion_score": 1}\n{"text": "b"}\n',
        b'{"hello": 1}',
        b"[]",
        b"",
        b"not json",
    ],
)
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedFile):
        read(data)


def test_every_kind_with_a_schema_has_one_of_its_own() -> None:
    schemas = [kind.schema for kind in (*DOCUMENTS, *LINES) if kind.schema is not None]
    assert len(schemas) == len(set(schemas))
    assert len(schemas) >= 37


def test_the_answer_names_the_call_that_takes_the_file(tmp_path: Path) -> None:
    for name in KINDS:
        (tmp_path / name).write_bytes(packed(name))
    allowed = frozenset(capability.toolset for capability in CAPABILITIES)
    with Lab.open(Settings(workspace=tmp_path, ballast_bytes=0, min_free_bytes=0), allowed) as lab:
        called = {name: call(lab, "read_peer_file", {"path": name}) for name in KINDS}
        for result in called.values():
            assert len(result.summary) < 1000
        (action,) = called["dossier.json"].agent_next_actions
        assert action.tool == "dossier"
        (audited,) = called["prompts.jsonl"].agent_next_actions
        assert audited.tool == "audit_prompts"
        assert call(lab, audited.tool, audited.arguments).summary
    assert called["interventions.jsonl"].provenance == "imported"
    assert called["causal-report.json"].provenance == "asserted"
    assert "no grade rests on them" in called["causal-report.json"].proves
    assert called["causal-report.json"].unreadable_there


# What its `InspectionReport.from_dict` does with a report: every field that it reads, and how it turns it.
CARD_TEXT = ("feature_id", "model", "label", "explanation", "source")
CARD_NUMBERS = ("importance", "association", "specificity", "causal_effect", "stability")
PRINT_NUMBERS = ("text_vector", "activation_signature", "decoder_signature", "causal_vector")


def loaded_as_the_peer_does(data: dict[str, Any]) -> None:
    assert data["schema_version"] == "interp-lab.inspection_report.v1"
    assert isinstance(data["model"], str)
    assert isinstance(data["criterion"]["text"], str)
    dict(data["metadata"])
    for card in data["cards"]:
        assert all(isinstance(card[name], str) for name in CARD_TEXT)
        assert all(0 <= float(card[name]) <= 1 for name in CARD_NUMBERS)
        assert card["layer"] is None or int(card["layer"]) == card["layer"]
        assert all(isinstance(each, str) for each in card["examples"])
        assert all(math.isfinite(float(value)) for value in card["causal_effects"].values())
        mark = card["fingerprint"]
        assert (mark["feature_id"], mark["model"], mark["layer"]) == (card["feature_id"], card["model"], card["layer"])
        for name in PRINT_NUMBERS:
            assert all(math.isfinite(float(value)) for value in mark[name])
        assert mark["causal_provenance"] in {"intervention", "association"}
        dict(card["metadata"])


@pytest.mark.parametrize("options", [{}, {"edited": True}, {"confirmed": False}, {"n": 0}, {"n_contexts": 0}])
def test_our_report_loads_in_its_form(options: dict[str, Any]) -> None:
    report = InspectReport.model_validate(report_json(**options))
    data = json.loads(json.dumps(peer_report(report), allow_nan=False))
    loaded_as_the_peer_does(data)
    assert len(data["cards"]) == len(report.coordinates)
    assert read(json.dumps(data).encode()).odd == ()
    for card, ours in zip(data["cards"], report.coordinates, strict=True):
        graded = ours.confirm or ours.explore
        assert card["causal_effects"]["signed_association"] == graded.point_biserial_r
        assert card["metadata"]["grade"] == ours.grade


def test_only_interventions_that_count_stand_in_it_as_interventions() -> None:
    report = InspectReport.model_validate(report_json(edited=True))
    first, second = peer_report(report)["cards"][:2]
    counted = report.coordinates[0].causal[0].figures[1]
    assert first["causal_effects"]["signed_causal_effect"] == counted.effect
    assert first["causal_effects"]["control_record_count"] == 2 * counted.n_prompts
    assert first["fingerprint"]["causal_provenance"] == "intervention"
    assert [each["edit"] for each in first["metadata"]["edits_that_do_not_count"]] == ["ablate", "clamp"]
    assert "signed_causal_effect" not in second["causal_effects"]
    assert second["fingerprint"]["causal_provenance"] == "association"
    card = report.coordinates[0]
    bare = card.model_copy(update={"causal": card.causal[1:]})
    (alone,) = peer_report(report.model_copy(update={"coordinates": (bare,)}))["cards"]
    assert "signed_causal_effect" not in alone["causal_effects"]
    assert "interventions" not in alone["metadata"]
