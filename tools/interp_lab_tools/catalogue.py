"""Every capability of the lab, in the order an investigation meets them.

Explicit on purpose: no decorators, no import side effects.
"""

from __future__ import annotations

import difflib
from typing import Final

from interp_lab.errors import UnknownCapability
from interp_lab_tools.artifact_list import ARTIFACT_LIST
from interp_lab_tools.artifact_read import ARTIFACT_READ
from interp_lab_tools.attribution_graph import ATTRIBUTION_GRAPH
from interp_lab_tools.audit_prompts import AUDIT_PROMPTS
from interp_lab_tools.build_prompts import BUILD_PROMPTS
from interp_lab_tools.calibrate import CALIBRATE
from interp_lab_tools.capability import InlineCapability, JobCapability
from interp_lab_tools.compare import COMPARE
from interp_lab_tools.compare_runs import COMPARE_RUNS
from interp_lab_tools.criterion_graph import CRITERION_GRAPH
from interp_lab_tools.diff_models import DIFF_MODELS
from interp_lab_tools.dossier import DOSSIER
from interp_lab_tools.embed_explanations import EMBED_EXPLANATIONS
from interp_lab_tools.encode_store import ENCODE_STORE
from interp_lab_tools.evaluate_sae import EVALUATE_SAE
from interp_lab_tools.explain_latent import EXPLAIN_LATENT
from interp_lab_tools.export_report import EXPORT_REPORT
from interp_lab_tools.feature_families import FEATURE_FAMILIES
from interp_lab_tools.find_circuit import FIND_CIRCUIT
from interp_lab_tools.gallery import GALLERY
from interp_lab_tools.harvest import HARVEST
from interp_lab_tools.harvest_policy import HARVEST_POLICY
from interp_lab_tools.import_dictionary import IMPORT_DICTIONARY
from interp_lab_tools.inspect import INSPECT
from interp_lab_tools.intervene import INTERVENE
from interp_lab_tools.job_cancel import JOB_CANCEL
from interp_lab_tools.job_list import JOB_LIST
from interp_lab_tools.job_logs import JOB_LOGS
from interp_lab_tools.job_wait import JOB_WAIT
from interp_lab_tools.lab_overview import lab_overview
from interp_lab_tools.make_steering_vector import MAKE_STEERING_VECTOR
from interp_lab_tools.patch_activations import PATCH_ACTIVATIONS
from interp_lab_tools.plan_evidence import PLAN_EVIDENCE
from interp_lab_tools.plan_scale import PLAN_SCALE
from interp_lab_tools.profile_env import PROFILE_ENV
from interp_lab_tools.query_activations import QUERY_ACTIVATIONS
from interp_lab_tools.read_peer_file import READ_PEER_FILE
from interp_lab_tools.register_hypothesis import REGISTER_HYPOTHESIS
from interp_lab_tools.score_prompts import SCORE_PROMPTS
from interp_lab_tools.search_features import SEARCH_FEATURES
from interp_lab_tools.show_feature import SHOW_FEATURE
from interp_lab_tools.showing import shown
from interp_lab_tools.steer import STEER
from interp_lab_tools.store_export import STORE_EXPORT
from interp_lab_tools.store_import import STORE_IMPORT
from interp_lab_tools.summarize_graph import SUMMARIZE_GRAPH
from interp_lab_tools.trace_paths import TRACE_PATHS
from interp_lab_tools.train_probe import TRAIN_PROBE
from interp_lab_tools.train_sae import TRAIN_SAE
from interp_lab_tools.validate_paths import VALIDATE_PATHS

_INVESTIGATION: Final[tuple[InlineCapability | JobCapability, ...]] = (
    PROFILE_ENV,
    PLAN_SCALE,
    BUILD_PROMPTS,
    AUDIT_PROMPTS,
    SCORE_PROMPTS,
    QUERY_ACTIVATIONS,
    HARVEST,
    HARVEST_POLICY,
    TRAIN_PROBE,
    TRAIN_SAE,
    IMPORT_DICTIONARY,
    EVALUATE_SAE,
    ENCODE_STORE,
    SEARCH_FEATURES,
    SHOW_FEATURE,
    EXPLAIN_LATENT,
    EMBED_EXPLANATIONS,
    INSPECT,
    REGISTER_HYPOTHESIS,
    INTERVENE,
    COMPARE,
    DIFF_MODELS,
    DOSSIER,
    PLAN_EVIDENCE,
    MAKE_STEERING_VECTOR,
    STEER,
    CALIBRATE,
    COMPARE_RUNS,
    FEATURE_FAMILIES,
    PATCH_ACTIVATIONS,
    TRACE_PATHS,
    VALIDATE_PATHS,
    FIND_CIRCUIT,
    ATTRIBUTION_GRAPH,
    SUMMARIZE_GRAPH,
    CRITERION_GRAPH,
    JOB_WAIT,
    JOB_CANCEL,
    JOB_LIST,
    JOB_LOGS,
    ARTIFACT_READ,
    ARTIFACT_LIST,
    GALLERY,
    STORE_IMPORT,
    STORE_EXPORT,
    READ_PEER_FILE,
    EXPORT_REPORT,
)
CAPABILITIES: Final[tuple[InlineCapability | JobCapability, ...]] = (lab_overview(_INVESTIGATION), *_INVESTIGATION)

BY_NAME: Final = {capability.name: capability for capability in CAPABILITIES}
DEFAULT_TOOLSETS: Final = frozenset({"core"})
MAX_DEFAULT_TOOLS: Final = 20


def find(name: str) -> InlineCapability | JobCapability:
    """Return the capability of that name.

    Raises:
        UnknownCapability: with the nearest name there is.
    """
    capability = BY_NAME.get(name)
    if capability is None:
        close = difflib.get_close_matches(name, BY_NAME, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise UnknownCapability(f"There is no capability '{name[:80]}'.{hint}")
    return capability


def offered(toolsets: frozenset[str], *, read_only: bool = False) -> tuple[InlineCapability | JobCapability, ...]:
    """Return the capabilities that a server with these toolsets offers, in catalogue order."""
    return shown(CAPABILITIES, toolsets, read_only=read_only)
