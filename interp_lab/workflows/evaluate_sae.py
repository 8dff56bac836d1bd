# pyright: standard
"""evaluate_sae: one dictionary measured on tokens, in its model, on a world or on criteria, and a published report."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from interp_lab.artifacts.paths import resolve_input
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.evaluate_sae import EvaluateSaeRequest, EvaluateSaeResult
from interp_lab.contracts.evaluation_report import EvaluationReport
from interp_lab.contracts.train_sae import StoreSource, StoresSource
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import fold_scale, load_dictionary
from interp_lab.jobs.run import Run
from interp_lab.models.load import pick_device
from interp_lab.settings import Settings
from interp_lab.workflows.evaluation import sections
from interp_lab.workflows.evaluation.attributes import Labelled, open_attributes, removable
from interp_lab.workflows.evaluation.criteria import decoder_of, open_criteria, read_criteria
from interp_lab.workflows.evaluation.crosscoders import address_rows, owners
from interp_lab.workflows.evaluation.measure import Subjects, measure, recover, weights_geometry, with_twin
from interp_lab.workflows.evaluation.places import training_of
from interp_lab.workflows.evaluation.probing import probe, remove
from interp_lab.workflows.evaluation.report import answer, caveats, headline, publish, request_record
from interp_lab.workflows.evaluation.sae_bench import Evaluated
from interp_lab.workflows.evaluation.spliced import splice_all
from interp_lab.workflows.evaluation.spurious import remove_spurious
from interp_lab.workflows.evaluation.texts import TextTokens
from interp_lab.workflows.evaluation.tokens import StoreTokens, Tokens, WorldTokens
from interp_lab.workflows.named_folders import dictionary_folder
from interp_lab.workflows.training.columns import open_stored

Suggest = Callable[[EvaluationReport], tuple[NextAction, ...]]


def evaluate_sae(request: EvaluateSaeRequest, run: Run, *, settings: Settings, suggest: Suggest) -> EvaluateSaeResult:
    """Return the main figures; the report is published as an artifact.

    Raises:
        LabError: whatever is wrong with the dictionary, the activations or the criteria.
    """
    run.progress(0, None, "opening the dictionary and the activations")
    loaded = fold_scale(load_dictionary(dictionary_folder(request.dictionary, settings)))
    config = loaded.config.model_copy(update={"source": request.dictionary})
    tokens = open_tokens(request, config, settings, run)
    device = tokens.loaded.device if isinstance(tokens, TextTokens) else pick_device("auto")
    run.seed, run.device = request.seed, str(device)
    run.inputs |= {"dictionary": request.dictionary, **tokens.inputs}
    asked = _open_asked(request, config, settings, run)
    subjects = with_twin(loaded.to(device), tokens, request.seed)
    found = _evaluate(request, subjects, tokens, asked=asked, run=run)
    publish(found, run)
    return answer(found.report).model_copy(update={"agent_next_actions": suggest(found.report)})


def open_tokens(request: EvaluateSaeRequest, config: DictionaryConfig, settings: Settings, run: Run) -> Tokens:
    """Return the tokens that the request names; see the classes for errors."""
    training = training_of(request.dictionary, config, settings)
    source = request.source
    if isinstance(source, StoreSource | StoresSource):
        return StoreTokens(open_stored(source, settings), config, training, request)
    if source.kind == "world":
        folder = resolve_input(settings.workspace, source.world, read_roots=settings.read_roots, kind="folder")
        return WorldTokens(folder, config, request)
    return TextTokens(source, config, training, request=request, settings=settings, check=run.check)


class _Asked(NamedTuple):
    """The prompts of every criterion, and the labels of them that are asked for."""

    prompts: tuple[PromptSet, ...]
    labelled: tuple[Labelled, ...]


def _open_asked(request: EvaluateSaeRequest, config: DictionaryConfig, settings: Settings, run: Run) -> _Asked:
    prompts = open_criteria(request, settings)
    run.inputs.update({f"criterion {i} {each.name}": each.sha256 for i, each in enumerate(prompts)})
    return _Asked(prompts, open_attributes(prompts, request, config))


def _evaluate(request: EvaluateSaeRequest, subjects: Subjects, tokens: Tokens, *, asked: _Asked, run: Run) -> Evaluated:
    dictionary = subjects["dictionary"]
    measured = measure(subjects, tokens, run)
    lies = weights_geometry(dictionary)
    report = EvaluationReport(
        headline="",
        caveats=(),
        request=request_record(request),
        dictionary=request.dictionary,
        kind=dictionary.config.kind,
        architecture=dictionary.config.architecture,
        n_latents=dictionary.n_latents,
        place=str(tokens.places),
        data=tokens.data,
        n_tokens=tokens.n_tokens,
        n_prompts=tokens.n_prompts,
        n_groups=tokens.n_groups,
        training_overlap=tokens.overlap,
        reconstruction=tuple(sections.reconstruction(name, each) for name, each in measured.items()),
        addresses=address_rows(dictionary.config, measured),
        owners=owners(dictionary, measured["dictionary"]),
        sparsity=tuple(sections.sparsity(name, each) for name, each in measured.items()),
        geometry=sections.geometry(lies, dictionary.config.d_out),
        monosemanticity=tuple(
            found for name, each in measured.items() if (found := sections.monosemanticity(name, each)) is not None
        ),
    )
    if isinstance(tokens, WorldTokens):
        rows = (sections.recovery(name, recover(each, tokens, tokens.truth)) for name, each in subjects.items())
        report = report.model_copy(update={"recovery": tuple(rows)})
    if isinstance(tokens, TextTokens):
        if request.splice:
            spliced = splice_all(subjects, tokens, measured["dictionary"].mean, run)
            report = report.model_copy(update={"spliced": sections.spliced(spliced)})
        report = _with_criteria(report, request, dictionary, tokens=tokens, asked=asked, run=run)
    report = report.model_copy(update={"headline": headline(report), "caveats": caveats(report)})
    return Evaluated(report, dictionary, measured["dictionary"], lies, run.started)


def _with_criteria(
    report: EvaluationReport,
    request: EvaluateSaeRequest,
    dictionary: Dictionary,
    *,
    tokens: TextTokens,
    asked: _Asked,
    run: Run,
) -> EvaluationReport:
    """Return the report with probes of the criteria, and with what becomes of them if there are several."""
    read = read_criteria(asked.prompts, dictionary, tokens.loaded, request=request, run=run)
    found = [probe(each, request.seed) for each in read]
    report = report.model_copy(update={"probing": tuple(sections.probing(each) for each in found)})
    if not removable(dictionary.config):
        return report
    decoder = decoder_of(dictionary)
    freed = [
        remove_spurious(read[each.criterion], each.label, each.attributes, decoder=decoder, seed=request.seed)
        for each in asked.labelled
    ]
    report = report.model_copy(update={"spurious": tuple(sections.spurious(each) for each in freed)})
    if len(found) < 2:
        return report
    removed = remove(found, decoder, request.seed)
    return report.model_copy(update={"perturbation": tuple(sections.perturbation(each) for each in removed)})
