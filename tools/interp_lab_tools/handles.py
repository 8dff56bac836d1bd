"""Ids that name the wrong thing, put right from what the workspace holds: cut off, of a job, of another kind."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from interp_lab.artifacts.manifest import Manifest
from interp_lab.errors import LabError, WrongArtifact
from interp_lab.jobs.engine import JobEngine
from interp_lab.settings import Settings

_HEX = re.compile(r"[0-9a-f]{6,64}")
_LOOKED_AT = 100
_MOST = 2
_TITLE = 80


class Mended(NamedTuple):
    """Arguments with another id, and what it names."""

    arguments: dict[str, Any]
    said: str


def whole_ids(arguments: Mapping[str, Any], engine: JobEngine) -> Iterator[Mended]:
    """Yield the arguments with whole ids for those that were cut off or have a slip."""
    known = [each.id for each in (*engine.list_artifacts(limit=100).items, *engine.list_jobs(limit=100).items)]
    new: dict[str, str] = {}
    for name, value in arguments.items():
        if isinstance(value, str) and _HEX.fullmatch(value) and value not in known:
            begin = [each for each in known if each.startswith(value)]
            near = begin or difflib.get_close_matches(value, known, n=2, cutoff=0.95)
            new |= {name: near[0]} if len(near) == 1 else {}
    if new:
        yield Mended({**arguments, **new}, f"the whole id for {', '.join(new)}")


def of_other_sort(arguments: Mapping[str, Any], engine: JobEngine) -> Iterator[Mended]:
    """Yield the arguments with the artifact of a job where its job was named, and with the job of an artifact."""
    jobs = {job.id for job in engine.list_jobs(limit=_LOOKED_AT).items}
    for name, value in arguments.items():
        if name == "job_id":
            yield from _job_of(arguments, engine)
        elif isinstance(value, str) and value in jobs:
            for made in engine.list_artifacts(job_id=value, limit=_MOST).items:
                yield Mended({**arguments, name: made.id}, f"the {made.kind} of that job, {_shown(made.title)}")


def near_column(arguments: Mapping[str, Any], settings: Settings) -> Iterator[Mended]:
    """Yield the arguments with the column of the store that is most like the one they name.

    Raises:
        LabError: The store cannot be read.
    """
    from interp_lab.store.locate import open_named_store  # lazy: pyarrow, only after such a refusal

    store, query = arguments.get("store"), arguments.get("query")
    place = cast("dict[str, Any]", query) if isinstance(query, dict) else dict(arguments)
    said = place.get("column")
    if not isinstance(store, str) or not isinstance(said, str):
        return
    keys = [column.key for column in open_named_store(store, settings).manifest.columns]
    near = [key for key in keys if key.startswith(f"{said}/")] or difflib.get_close_matches(said, keys, n=1)
    if near:
        changed = {**place, "column": near[0]}
        yield Mended(changed if query is None else {**arguments, "query": changed}, f"column {near[0]!r}")


def of_kind(arguments: Mapping[str, Any], wrong: WrongArtifact, engine: JobEngine) -> Iterator[Mended]:
    """Yield the arguments with the latest artifacts of a kind that would do in the place of the one that does not.

    Only those of the model and the criterion that the arguments name, and none that they name already.
    """
    named = json.dumps(arguments, default=str)
    latest = [made for kind in wrong.kinds for made in engine.list_artifacts(kind=kind, limit=_LOOKED_AT).items]
    fitting = [made for made in latest if made.id not in named and of_question(made, arguments)]
    for made in fitting[:_MOST]:
        changed = _replaced(dict(arguments), wrong.artifact, made.id)
        if changed != arguments:
            yield Mended(changed, f"{made.kind} {_shown(made.title)}")


def of_question(made: Manifest, arguments: Mapping[str, Any]) -> bool:
    """Return whether an artifact was made for the model and the criterion that arguments name, as far as both say."""
    asked = request_of(made)
    both = [(asked[name], arguments[name]) for name in ("model", "criterion") if name in asked and name in arguments]
    return all(_name(one) == _name(other) for one, other in both)


def request_of(made: Manifest) -> dict[str, Any]:
    """Return what a job was asked that made an artifact; empty where none did."""
    asked = made.spec.get("request")
    return cast("dict[str, Any]", asked) if isinstance(asked, dict) else {}


def _name(value: Any) -> Any:
    return cast("dict[str, Any]", value).get("id") if isinstance(value, dict) else value


def _job_of(arguments: Mapping[str, Any], engine: JobEngine) -> Iterator[Mended]:
    try:
        job = engine.artifacts.open(str(arguments["job_id"])).job
    except LabError:
        return
    if job is not None:
        yield Mended({**arguments, "job_id": job}, "the job that published that artifact")


def _shown(title: str) -> str:
    return repr(title[:_TITLE])


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, old, new) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_replaced(each, old, new) for each in cast("list[Any]", value)]
    return new if value == old else value
