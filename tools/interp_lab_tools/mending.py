"""What to call after a refusal: the same call with what was wrong put right, or the call that shows what there is.

Keyed by the stable code, so that remedy and call say the same. Every call is checked like any other that is offered;
one that would be refused too is left out, and the next of its row is tried. Where nothing of the row holds, it is a
call of the tool that works as it stands.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import JobView
from interp_lab.corpus.prompt_registry import list_registry
from interp_lab.errors import LabError, WrongArtifact
from interp_lab.models.reference import known_models
from interp_lab.settings import Settings
from interp_lab_tools.as_reported import as_reported
from interp_lab_tools.catalogue import BY_NAME, find
from interp_lab_tools.evidence_first import same_question_first, steered_first
from interp_lab_tools.examples import filled_example, own_example, plain_example, what_it_names
from interp_lab_tools.handles import Mended, near_column, of_kind, of_other_sort, whole_ids
from interp_lab_tools.lab import Lab
from interp_lab_tools.offers import checked
from interp_lab_tools.other_ways import directions_first, named_after_criterion, one_of_two
from interp_lab_tools.repair import repaired
from interp_lab_tools.views import as_said

_MOST = 2
_MAKER: Final = {
    "inspect_report": "inspect",
    "intervention_report": "intervene",
    "path_trace": "trace_paths",
    "direction": "make_steering_vector",
    "patch_report": "patch_activations",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that was refused, or a job that failed."""

    code: str
    tool: str
    arguments: Mapping[str, Any]
    lab: Lab
    error: LabError | None = None
    """Why, where it is at hand."""

    @property
    def settings(self) -> Settings:
        """How the lab is set up."""
        return self.lab.settings


Calls = Callable[[Refused], Iterable[NextAction]]


def mending(
    code: str, tool: str, arguments: Mapping[str, Any], lab: Lab, *, error: LabError | None = None
) -> tuple[NextAction, ...]:
    """Return at most two calls that would help after a refusal, ready to be made."""
    refused = Refused(code, tool, arguments, lab, error)
    return _first_held(refused, lab)[:_MOST]


def after_failure(view: JobView, request: Mapping[str, Any], lab: Lab) -> JobView:
    """Return the view of a failed job with the calls that would help before those that show its log."""
    assert view.error is not None
    said = as_said(find(view.capability).request.model_validate(request))
    calls = mending(view.error.code, view.capability, said, lab)
    return view.model_copy(update={"agent_next_actions": (*calls, *view.agent_next_actions)})


def _first_held(refused: Refused, lab: Lab) -> tuple[NextAction, ...]:
    rows = (*CALLS.get(refused.code, ()), *_EXAMPLES)
    for row in rows:
        with suppress(LabError):  # what a row looks up may be what the refusal is about
            if held := checked(row(refused), lab, asked=refused.tool if refused.tool in BY_NAME else ""):
                return held
    return checked(_overview()(refused), lab)


def _again(refused: Refused, why: str, changes: Mapping[str, JsonValue], without: tuple[str, ...]) -> NextAction:
    kept = {name: value for name, value in refused.arguments.items() if name not in without}
    return NextAction(tool=refused.tool, arguments={**kept, **changes}, why=why)


def _without(*names: str) -> Calls:
    """The same call without some arguments, where it had them."""

    def made(refused: Refused) -> Iterator[NextAction]:
        if given := [name for name in names if name in refused.arguments]:
            yield _again(refused, f"The same without {', '.join(given)}.", {}, names)

    return made


def _with(**changes: JsonValue) -> Calls:
    """The same call with some arguments set, where the tool has them and they were other."""

    def made(refused: Refused) -> Iterator[NextAction]:
        fields = BY_NAME[refused.tool].request.model_fields if refused.tool in BY_NAME else {}
        new = {name: value for name, value in changes.items() if name in fields}
        if new and any(refused.arguments.get(name) != value for name, value in new.items()):
            said = ", ".join(f"{name} {value!r}" for name, value in new.items())
            yield _again(refused, f"The same with {said}.", new, ())

    return made


def _overview(*sections: str) -> Calls:
    """The list of what can be named."""

    def made(_: Refused) -> Iterator[NextAction]:
        arguments: dict[str, JsonValue] = {"sections": [*sections]} if sections else {}
        yield NextAction(tool="lab_overview", arguments=arguments, why="See what there is.")

    return made


def _call(tool: str, why: str, **arguments: JsonValue) -> Calls:
    def made(_: Refused) -> Iterator[NextAction]:
        yield NextAction(tool=tool, arguments=arguments, why=why)

    return made


def _of(tool: str, why: str, *names: str) -> Calls:
    """Another tool, asked about what the refused call named."""

    def made(refused: Refused) -> Iterator[NextAction]:
        given = {name: refused.arguments[name] for name in names if refused.arguments.get(name) is not None}
        if len(given) == len(names) and refused.tool != tool:
            yield NextAction(tool=tool, arguments=given, why=why)

    return made


def _filled_example(refused: Refused) -> Iterator[NextAction]:
    yield from filled_example(refused.tool, refused.arguments, refused.lab.engine)


def _own_example(refused: Refused) -> Iterator[NextAction]:
    yield from own_example(refused.tool, refused.arguments, refused.lab.engine)


def _example(refused: Refused) -> Iterator[NextAction]:
    yield from plain_example(refused.tool, refused.arguments, refused.lab.engine)


def _what_it_names(refused: Refused) -> Iterator[NextAction]:
    yield from what_it_names(refused.tool)


def _other_way(made: Callable[[str, Mapping[str, Any]], Iterable[NextAction]]) -> Calls:
    return lambda refused: made(refused.tool, refused.arguments)


_OTHER_WAYS = (_other_way(named_after_criterion), _other_way(directions_first), _other_way(one_of_two))
_EXAMPLES = (_filled_example, _own_example, _example, _what_it_names)


def _mended_fields(refused: Refused) -> Iterator[NextAction]:
    capability = BY_NAME.get(refused.tool)
    found = None if capability is None else repaired(capability.request, refused.arguments)
    if found is not None:
        yield NextAction(tool=refused.tool, arguments=found.arguments, why=f"The same with {found.said}.")


def _nearest_tool(refused: Refused) -> Iterator[NextAction]:
    for name in difflib.get_close_matches(refused.tool, BY_NAME, n=1):
        yield NextAction(tool=name, arguments=dict(refused.arguments), why=f"The same as {name}.")


def _nearest(*fields: str) -> Calls:
    """The same call with the nearest names there are, told with or without prefix, folder and ending."""

    def made(refused: Refused) -> Iterator[NextAction]:
        new = {field: near for field in fields if (near := _near(refused, field)) is not None}
        if new:
            said = ", ".join(f"{field} {near!r}" for field, near in new.items())
            yield _again(refused, f"The same with {said}.", new, ())

    return made


def _near(refused: Refused, field: str) -> str | None:
    """Return the name nearest to the one that a field has; None where it has none or just that one."""
    said = refused.arguments.get(field)
    record = _record(said)
    word = record.get("id") or record.get("name") or record.get("path") or said
    if not isinstance(word, str):
        return None
    known = {_bare(name): name for name in reversed([*_NAMES[field](refused.settings)])}  # of two the first stays
    near = difflib.get_close_matches(_bare(word), known, n=1, cutoff=0.6)
    return known[near[0]] if near and known[near[0]] != word else None


def _bare(name: str) -> str:
    return name.rpartition(":")[2].rpartition("/")[2].removesuffix(".jsonl").removesuffix(".json")


def _record(value: object) -> dict[str, JsonValue]:
    """Return the value if it is a record, else an empty one."""
    return cast("dict[str, JsonValue]", value) if isinstance(value, dict) else {}


def _handles(mend: Callable[[Refused], Iterable[Mended]]) -> Calls:
    """The same call with another id."""

    def made(refused: Refused) -> Iterator[NextAction]:
        for mended in mend(refused):
            yield NextAction(tool=refused.tool, arguments=mended.arguments, why=f"The same with {mended.said}.")

    return made


def _other_kinds(refused: Refused) -> Iterator[Mended]:
    """One of the kind that is wanted, in its own terms where the call has others."""
    if isinstance(refused.error, WrongArtifact):
        for mended in of_kind(refused.arguments, refused.error, refused.lab.engine):
            termed = [*as_reported(refused.tool, mended.arguments, refused.settings)]
            yield from (Mended(each.arguments, f"{mended.said}, {each.said}") for each in termed or [mended])


_near_ids = _handles(lambda refused: whole_ids(refused.arguments, refused.lab.engine))
_other_sort = _handles(lambda refused: of_other_sort(refused.arguments, refused.lab.engine))
_right_kind = _handles(_other_kinds)
_near_column = _handles(lambda refused: near_column(refused.arguments, refused.settings))
_as_reported = _handles(lambda refused: as_reported(refused.tool, refused.arguments, refused.settings))


def _makers(refused: Refused) -> Iterator[NextAction]:
    """What makes an artifact of the kind that is wanted, asked about what the refused call named."""
    for kind in refused.error.kinds if isinstance(refused.error, WrongArtifact) else ():
        if kind in _MAKER:
            tool, why = _MAKER[kind], f"Nothing of kind {kind} here is of this question: {_MAKER[kind]} makes it."
            yield from _of(tool, why, "model", "criterion", "dataset")(refused)


def _not_spans(refused: Refused) -> Iterator[NextAction]:
    """The same call on whole prompts, where they do not say where the property sits."""
    if refused.arguments.get("pooling") == "span":
        yield from _without("pooling")(refused)


def _near_file(refused: Refused) -> Iterator[NextAction]:
    artifact, name = refused.arguments.get("artifact_id"), refused.arguments.get("name")
    if isinstance(artifact, str) and isinstance(name, str):
        names = [file.name for file in refused.lab.engine.artifacts.open(artifact).files]
        for near in difflib.get_close_matches(name, names, n=1):
            yield _again(refused, f"The same with name {near!r}.", {"name": near}, ())


_SECTIONS: Final = {
    "dictionary": "dictionaries",
    "dictionaries": "dictionaries",
    "store": "stores",
    "stores": "stores",
    "vector": "artifacts",
    "report": "artifacts",
}


def _where_it_lies(refused: Refused) -> Iterator[NextAction]:
    """The list of what the call names by path: dictionaries, stores, artifacts, or datasets."""
    given = [name for name in _SECTIONS if name in refused.arguments]
    yield from _overview(_SECTIONS[given[0]] if given else "datasets")(refused)


def _sets(settings: Settings) -> Iterator[str]:
    return (entry.argument for entry in list_registry(settings) if entry.argument and not entry.problem)


_NAMES: Final[Mapping[str, Callable[[Settings], Iterable[str]]]] = {"dataset": _sets, "model": known_models}


def _store_overview(refused: Refused) -> Iterator[NextAction]:
    named = refused.arguments.get("store") or next(iter(refused.arguments.get("stores") or ()), None)
    if isinstance(named, str):
        asked: dict[str, JsonValue] = {"store": named, "query": "overview"}
        yield NextAction(tool="query_activations", arguments=asked, why="See its columns, fields and widths.")


def _on_cpu(refused: Refused) -> Iterator[NextAction]:
    model = refused.arguments.get("model")
    if model is not None:
        named = _record(model) or {"id": model}
        yield _again(refused, "The same on the CPU.", {"model": {**named, "device": "cpu"}}, ())


def _slower(refused: Refused) -> Iterator[NextAction]:
    training = _record(refused.arguments.get("training"))
    rate = training.get("learning_rate")
    if isinstance(rate, int | float):
        gentler: dict[str, JsonValue] = {**training, "learning_rate": rate / 10}
        yield _again(refused, f"The same with learning_rate {rate / 10:g}.", {"training": gentler}, ())


def _ask_again(refused: Refused) -> Iterator[NextAction]:
    asked = {name: refused.arguments[name] for name in ("name", "criterion") if name in refused.arguments}
    if len(asked) == 2:
        asked["source"] = {"kind": "ask"}
        yield NextAction(tool="build_prompts", arguments=asked, why="Ask for texts; the answer has the request_id.")


_AUDIT = _of("audit_prompts", "See what is wrong with the prompts and which rows to add.", "dataset")
_KNOWN = _of("dossier", "See what is known of the question, hypotheses among it.", "model", "criterion")
_LOGS = _call("lab_overview", "See the limits and what else runs.", sections=["limits", "jobs"])
_NEAR_SETS = (_nearest("dataset"), _nearest("dataset", "model"))
_DATASETS, _MODELS = (_overview("datasets"),), (_overview("models"),)
_STORES, _DICTIONARIES = (_overview("stores"),), (_overview("dictionaries"),)
_PROMPTS = (_AUDIT, *_DATASETS)
_PLACES = (_without("addresses"), *_MODELS)
_FIELDS = (_store_overview, *_STORES)
_ROOM = (_with(dry_run=True), _LOGS)


def _rows(row: tuple[Calls, ...], *codes: str) -> dict[str, tuple[Calls, ...]]:
    return dict.fromkeys(codes, row)


CALLS: Final[Mapping[str, tuple[Calls, ...]]] = {
    "invalid_request": (_mended_fields, _near_ids, _other_sort, _as_reported, *_OTHER_WAYS),
    "wrong_artifact": (
        _right_kind,
        _makers,
        _call("artifact_list", "See what was written here."),
        _overview("artifacts"),
    ),
    "invalid_path": (*_NEAR_SETS, _where_it_lies),
    "unknown_capability": (_nearest_tool, _overview("capabilities")),
    "unknown_job": (_near_ids, _other_sort, _call("job_list", "See the jobs of this workspace."), _overview("jobs")),
    "unknown_artifact": (
        _near_ids,
        _other_sort,
        _call("artifact_list", "See what was written here."),
        _overview("artifacts"),
    ),
    "unknown_dataset": (*_NEAR_SETS, *_DATASETS),
    "unknown_model": (_nearest("model"), _nearest("model", "dataset"), *_MODELS),
    "unknown_generation_request": (_ask_again,),
    "prompt_set_exists": (_with(replace=True),),
    "prompt_too_long": _MODELS,
    "no_unembedding": (_without("model"), *_MODELS),
    "device_unavailable": (_on_cpu, _call("profile_env", "See which devices there are.")),
    "no_such_slot": (_on_cpu, _overview("limits")),
    "queue_full": (_call("job_list", "See what waits and runs.", states=["queued", "running"]), _overview("jobs")),
    "request_key_conflict": (_without("request_key"),),
    "invalid_cursor": (_without("cursor"),),
    "not_text": (
        _near_file,
        _without("name", "pointer", "offset"),
    ),
    "pointer_not_found": (_without("pointer"),),
    "plan_changed": (_without("plan_id", "dry_run"),),
    "different_questions": (lambda refused: same_question_first(refused.arguments, refused.lab.engine),),
    "no_dossier": (_call("dossier", "See which questions this workspace knows."),),
    "vector_not_validated": (lambda refused: steered_first(refused.arguments, refused.lab.engine),),
    "no_figure": (_without("plot"),),
    "plots_not_installed": (_with(plot="html"), _without("plot")),
    "read_only_lab": (_without("plot", "html", "publish"),),
    "cannot_be_sharded": (_without("shards"),),
    "target_tokens_unclear": (_without("targets", "alternatives", "target_tokens", "alternative_tokens"),),
    "behaviour_absent": (_with(metric="kl"),),
    "impossible_circuit": (_with(ablation="mean"),),
    "training_diverged": (_slower,),
    "artifact_corrupt": (_overview("artifacts"),),
    **_rows(_PROMPTS, "labels_unusable", "one_sided_prompts", "too_few_groups", "groups_leak", "split_impossible"),
    **_rows((_without("pooling"), *_PROMPTS), "prompt_not_poolable"),
    **_rows((_as_reported, *_PROMPTS), "discovery_rows_reused"),
    **_rows((_not_spans, *_DATASETS), "invalid_prompts"),
    **_rows(_DATASETS, "invalid_documents", "duplicate_prompt_ids", "empty_prompt"),
    **_rows(_DATASETS, "different_anchors", "stores_not_aligned"),
    **_rows(_MODELS, "invalid_model", "unsafe_weights", "corrupt_weights", "remote_code_not_allowed"),
    **_rows(_MODELS, "unsupported_model", "not_on_this_machine", "hub_unreachable", "incomplete_weights"),
    **_rows(_MODELS, "unknown_model_size", "encoder_unfit", "no_entailment_label", "encoder_mismatch"),
    **_rows(_PLACES, "unknown_hook_point", "invalid_address", "hook_point_unavailable", "layer_out_of_range"),
    **_rows(_STORES, "not_a_store", "store_unfinished", "store_conflict", "store_too_new", "store_corrupt"),
    **_rows(_FIELDS, "unknown_field", "unknown_unit", "unknown_prompt", "row_out_of_range"),
    **_rows((_near_column, *_FIELDS), "unknown_column"),
    **_rows(_FIELDS, "invalid_condition", "empty_slice", "query_too_large"),
    **_rows(_DICTIONARIES, "invalid_dictionary", "unsupported_dictionary", "dictionary_mismatch"),
    **_rows((_KNOWN,), "unknown_hypothesis", "hypothesis_mismatch", "registry_broken"),
    **_rows(_ROOM, "does_not_fit", "out_of_memory", "disk_full", "quota_exceeded", "worker_killed"),
}
"""Code → rows of calls: the first row that holds is offered; without one, a call of the tool that works."""
