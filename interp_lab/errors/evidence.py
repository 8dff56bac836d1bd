"""What can be wrong with prompts, numbers, splits and worlds."""

from __future__ import annotations

from interp_lab.errors.base import OperationError, RequestError


class InvalidPrompts(RequestError):
    """The prompt set cannot be used as it is."""

    code = "invalid_prompts"
    default_remedy = "Correct the rows that are named; each row needs at least text and score."


class OneSidedPrompts(InvalidPrompts):
    """The prompt set has no positives, or no negatives."""

    code = "one_sided_prompts"
    default_remedy = "Give prompts on both sides of the threshold, hard negatives included, or move the threshold."


class DuplicatePromptIds(InvalidPrompts):
    """Two prompts have the same id."""

    code = "duplicate_prompt_ids"
    default_remedy = "Give every prompt an id of its own, or leave ids out."


class EmptyPrompt(InvalidPrompts):
    """A prompt has no visible text."""

    code = "empty_prompt"
    default_remedy = "Drop the prompts that are named, or give them text."


class InvalidDocuments(RequestError):
    """The corpus cannot be read as it is."""

    code = "invalid_documents"
    default_remedy = "Correct the rows that are named, or say which fields hold the text and the labels."


class UnknownDataset(RequestError):
    """There is no dataset of that name in the box."""

    code = "unknown_dataset"
    default_remedy = "Call lab_overview for the datasets in the box, or name a JSON Lines file of the workspace."


class UnknownGenerationRequest(RequestError):
    """No texts were asked for under that id in this workspace."""

    code = "unknown_generation_request"
    default_remedy = "Call build_prompts with a source of kind 'ask' first, and give back the request_id it returns."


class PromptSetExists(RequestError):
    """The workspace has a prompt set of that name with other prompts."""

    code = "prompt_set_exists"
    default_remedy = "Choose another name, or set replace; the old set is then kept under prompts/replaced/."


class NonFiniteInput(RequestError):
    """A number is NaN or infinite."""

    code = "non_finite_input"
    default_remedy = "Find what produced that value, or drop the row and say so; it is never silently replaced."


class ShapeMismatch(RequestError):
    """Arrays that belong together differ in length or dimension."""

    code = "shape_mismatch"
    default_remedy = "Give one label, one group and one row of values per prompt, in the same order."


class LabelsUnusable(RequestError):
    """The labels do not split the rows into positives and negatives."""

    code = "labels_unusable"
    default_remedy = (
        "Give at least two positive and two negative prompts from different groups, with explicit thresholds."
    )


class TooFewGroups(RequestError):
    """There are too few independent prompt groups for this statistic."""

    code = "too_few_groups"
    default_remedy = "Add prompts from new templates or pairs: rows inside one group do not add independent evidence."


class GroupsLeak(RequestError):
    """The same text stands in two groups that would count as independent."""

    code = "groups_leak"
    default_remedy = "Group the prompts by near-duplicate text first; identical texts must share one group."


class SplitImpossible(RequestError):
    """The groups cannot be split so that each part has positives and negatives."""

    code = "split_impossible"
    default_remedy = "Add independent groups of the label that is short, at least two for each part of the split."


class DiscoveryRowsReused(RequestError):
    """A claim would be graded on rows that were used to discover it."""

    code = "discovery_rows_reused"
    default_remedy = "Grade it on the confirm rows of the same split, or on new prompts."


class ImpossibleWorld(RequestError):
    """A world cannot be built with these dials."""

    code = "impossible_world"
    default_remedy = "Use a wider model, fewer decoys, or dials inside the ranges that the message names."


class InvalidWorld(RequestError):
    """The folder does not hold a world with known truth."""

    code = "invalid_world"
    default_remedy = "Make one with: python -m interp_lab.worlds KIND --seed N --out DIR."


class WorldNotVerified(OperationError):
    """An intervention on the finished world did not show what its construction implies."""

    code = "world_not_verified"
    default_remedy = "Use less noise, a larger effect or another seed; nothing was written."


class SealBroken(OperationError):
    """The sealed truth of a world is not what was sealed, or a file of the world is not what was written."""

    code = "seal_broken"
    default_remedy = "Make the world again from its kind, seed and dials."
