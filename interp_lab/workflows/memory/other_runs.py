"""Runs whose reports grade no unit by itself: patching, circuits, paths, graphs, diffs, steering, comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import JsonValue

from interp_lab.artifacts.manifest import Manifest
from interp_lab.artifacts.reading import parse_json
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.attribution_graph import GRAPH_KIND
from interp_lab.contracts.dossier import DOSSIER_KIND, DossierRun, NegativeResult
from interp_lab.contracts.explain import EXPLANATION_KIND
from interp_lab.contracts.gallery import GALLERY_KIND
from interp_lab.contracts.machine import PROFILE_KIND
from interp_lab.contracts.store import STORE_KIND
from interp_lab.errors import LabError
from interp_lab.settings import Settings
from interp_lab.workflows.memory.asked import Asked, Question, asked_in

_NO_RUNS = frozenset({DOSSIER_KIND, GALLERY_KIND, PROFILE_KIND, EXPLANATION_KIND, STORE_KIND})
"""Artifacts that look at a question no further: views of runs, and what runs start from."""
_REPORTS = ("report.json", "graph.json")
_MAX_BYTES = 32 * 2**20
_KNOWN = 5_000
_NOTHING_FOUND = frozenset({"weak", "contradicted"})

Object = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class OtherRun:
    """One run, with what its report says of itself."""

    manifest: Manifest
    asked: Asked
    headline: str
    dataset: str
    seed: int | None
    negatives: tuple[tuple[str, str], ...]
    """(reason code, in words) of what it looked for and did not find."""

    def listed(self, *, same_criterion: bool) -> DossierRun:
        """Return it as a dossier lists it."""
        return DossierRun(
            run=self.manifest.id,
            job_id=self.manifest.job,
            kind=self.manifest.kind,
            at=self.manifest.ended,
            investigator=str(self.manifest.spec.get("investigator", ""))[:60],
            state="succeeded",
            headline=self.headline or self.manifest.title,
            dataset=self.dataset,
            seed=self.seed,
            n_claims=0,
            about="question" if same_criterion else "model",
        )

    def not_found(self) -> Iterator[NegativeResult]:
        """Yield what it looked for and did not find."""
        for code, text in self.negatives:
            yield NegativeResult(run=self.manifest.id, unit=None, code=code, text=text)


def read_others(manifests: Sequence[Manifest], settings: Settings) -> tuple[OtherRun, ...]:
    """Return the runs among artifacts that are no reports of inspect or intervene, in their order."""
    root = WorkspacePaths.of(settings)
    return tuple(_read(root, manifest.id) for manifest in manifests if manifest.kind not in _NO_RUNS)


def others_about(
    question: Question, others: Sequence[OtherRun], runs: Sequence[str]
) -> tuple[list[OtherRun], list[OtherRun]]:
    """Return the runs of a question, and graphs of single prompts of its model that name no criterion.

    `others` are oldest first, and a run belongs to what it starts from; `runs` are the reports that are known to.
    """
    known = set(runs)
    found: list[OtherRun] = []
    same_model: list[OtherRun] = []
    for other in others:
        if other.asked.is_about(question, known):
            known.add(other.manifest.id)
            found.append(other)
        elif other.manifest.kind == GRAPH_KIND and other.asked.reads(question):
            same_model.append(other)
    return found, same_model


@lru_cache(maxsize=_KNOWN)
def _read(paths: WorkspacePaths, artifact_id: str) -> OtherRun:
    """An artifact never changes under its id, so one that was read once need not be read again."""
    store = ArtifactStore(paths)
    manifest = store.open(artifact_id)
    report = _report(store, manifest)
    request = manifest.spec.get("request")
    dataset, run = report.get("dataset"), report.get("run")
    if isinstance(dataset, dict):
        dataset = dataset.get("name")
    seed = run.get("seed") if isinstance(run, dict) else None
    headline = report.get("headline")
    return OtherRun(
        manifest=manifest,
        asked=asked_in(request if isinstance(request, dict) else {}, report),
        headline=headline if isinstance(headline, str) else "",
        dataset=dataset if isinstance(dataset, str) else "",
        seed=seed if isinstance(seed, int) and seed >= 0 else None,
        negatives=tuple(_negatives(report)),
    )


def _report(store: ArtifactStore, manifest: Manifest) -> Object:
    """Return what the report says; nothing for an artifact without one, or one that is damaged or very large."""
    empty: Object = {}
    name = next((entry.name for entry in manifest.files if entry.name in _REPORTS), None)
    if name is None:
        return empty
    try:
        value = parse_json(store.read_file(manifest.id, name, limit=_MAX_BYTES), where=name)
    except LabError:
        return empty
    return value if isinstance(value, dict) else empty


def _negatives(report: Object) -> Iterator[tuple[str, str]]:
    """Yield a grade of the whole that found nothing, and how many paths of several did."""
    grade, headline = report.get("grade"), report.get("headline")
    if grade in _NOTHING_FOUND and isinstance(headline, str):
        yield _code(report, str(grade)), headline
    paths = report.get("paths")
    graded = [path for path in paths if isinstance(path, dict)] if isinstance(paths, list) else []
    lost = [path for path in graded if path.get("grade") in _NOTHING_FOUND]
    if lost:
        yield _code(lost[0], str(lost[0]["grade"])), f"{len(lost)} of {len(graded)} paths were not found to carry."


def _code(graded: Object, grade: str) -> str:
    reasons = graded.get("reasons")
    first = reasons[0] if isinstance(reasons, list) and reasons else None
    if isinstance(first, dict):
        first = first.get("code")
    return first if isinstance(first, str) else grade
