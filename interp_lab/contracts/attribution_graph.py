"""attribution_graph as it is asked and answered: what one prompt's tokens, latents and errors hand to each other."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, StringConstraints

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Contract, Probability
from interp_lab.contracts.criterion_graph import EvidenceSummary
from interp_lab.contracts.dictionaries import DictionaryRef
from interp_lab.contracts.inspect import ModelArgument
from interp_lab.contracts.inspect_report import ModelFacts, RunFacts
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.results import Result

GRAPH_KIND: Final = "attribution_graph"

GraphNodeKind = Literal["embedding", "feature", "error", "logit"]
"""A token, a latent, what a dictionary or a whole MLP leaves over, or a likely next token."""

EdgeEvidence = Literal["attribution"]
"""A linear effect under frozen attention, norms and MLPs: an attribution, never a measured effect of the free model."""

Share = Annotated[FiniteFloat, Field(gt=0, le=1)]


class AttributionGraphRequest(JobRequest):
    """Draw what the parts of one prompt hand to each other, down to the next-token logits."""

    dry_run: bool = True
    """Say what would be run and what it costs, and start nothing; false to run it."""
    model: ModelArgument = Field(examples=["builtin:pocket-llama"])
    """Decoder to read."""
    prompt: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    """Text whose next token is explained."""
    dictionaries: Annotated[tuple[DictionaryRef, ...], Field(min_length=1, max_length=200)]
    """Transcoders from mlp_in to mlp_out (exact), or SAEs of one layer each (first-order); one per place."""
    n_logits: Annotated[int, Field(ge=1, le=50)] = 10
    """Likely next tokens to explain, at most."""
    logit_mass: Share = 0.95
    """Probability after which no further one is taken."""
    max_features: Annotated[int, Field(ge=1, le=5000)] = 1024
    """Active latents that become nodes, those that write most; the rest is part of the error nodes."""
    node_share: Share = 0.8
    """Share of the influence that the nodes kept hold."""
    edge_share: Share = 0.98
    """Share of the influence that the edges kept hold."""


class GraphNode(Contract):
    """One node."""

    id: str
    """As in the exchanged graph: LAYER_LATENT_POSITION, E_TOKEN_POSITION, and 0_LAYERe_POSITION for errors."""
    kind: GraphNodeKind
    """What it is."""
    position: NonNegativeInt
    """Token of the prompt."""
    layer: NonNegativeInt | None
    """Layer it writes to; absent for tokens and logits."""
    index: NonNegativeInt | None
    """Latent, or id of the token; absent for errors."""
    dictionary: str | None
    """Dictionary of a latent, as asked for."""
    label: str
    """Token, or the name of the latent (untrusted text)."""
    activation: FiniteFloat | None
    """Of a latent."""
    probability: Probability | None
    """Of a next token."""
    influence: FiniteFloat
    """Share of the logits that runs through it, before pruning."""


class GraphEdge(Contract):
    """One edge."""

    source: str
    """Node that writes."""
    target: str
    """Node that reads."""
    weight: FiniteFloat
    """What the source adds to what the target reads; a logit is read less the mean logit."""
    evidence: EdgeEvidence = "attribution"
    """What the weight is."""


class Supernode(Contract):
    """Nodes that are read as one."""

    label: str
    """What they share."""
    members: tuple[str, ...]
    """Their ids."""


class GraphReport(Contract):
    """The full graph, published as graph.json; every other form shows the same numbers."""

    schema_version: Literal["1"] = "1"
    """Version of this record's schema; within a version, fields are only ever added."""
    headline: str
    """One sentence that can be quoted, caveat included."""
    model: ModelFacts
    """The model."""
    prompt: str
    """As asked (untrusted text)."""
    tokens: tuple[str, ...]
    """Of the prompt (untrusted text)."""
    dictionaries: tuple[str, ...]
    """As asked."""
    exact: bool
    """Whether weights are exact under what is held; false where MLPs are replaced by their slope."""
    replacement_score: Probability
    """Share of what reaches the logits from tokens rather than errors; 1 without errors."""
    completeness_score: Probability
    """Share of every node's input that is not error, weighted by influence."""
    n_active: NonNegativeInt
    """Latents that fire on the prompt, over all tokens."""
    n_considered: NonNegativeInt
    """Nodes before pruning."""
    nodes: tuple[GraphNode, ...]
    """What is left: tokens, latents and errors in the order of the model, then logits."""
    edges: tuple[GraphEdge, ...]
    """Largest first."""
    supernodes: tuple[Supernode, ...]
    """The same latent at several tokens."""
    node_share: FiniteFloat
    """As asked."""
    edge_share: FiniteFloat
    """As asked."""
    caveats: tuple[str, ...]
    """What a careful reader must know."""
    agent_next_actions: tuple[NextAction, ...]
    """Calls that would test what is drawn."""
    run: RunFacts
    """How the numbers came about."""


class GraphPath(Contract):
    """One way through the graph."""

    nodes: tuple[str, ...]
    """From a token to a logit."""
    share: FiniteFloat
    """Product of the shares that each edge has of its target's input."""


class GraphSummary(Contract):
    """What is worth reading first."""

    replacement_score: Probability
    """Share of what reaches the logits from tokens rather than errors."""
    completeness_score: Probability
    """Share of every node's input that is not error."""
    n_nodes: NonNegativeInt
    """After pruning."""
    n_edges: NonNegativeInt
    """After pruning."""
    logits: tuple[str, ...]
    """Likely next tokens with their probability (untrusted text)."""
    nodes: tuple[GraphNode, ...]
    """Latents and errors of most influence."""
    paths: tuple[GraphPath, ...]
    """Strongest ways from a token to the likeliest logit."""


class AttributionGraphResult(Result):
    """The short form of the graph."""

    model: str
    """Id of the model."""
    exact: bool
    """Whether weights are exact under what is held."""
    graph: GraphSummary
    """What is worth reading first."""


class GraphPlan(Contract):
    """What a run would do and cost."""

    n_tokens: NonNegativeInt
    """Tokens of the prompt, upper estimate."""
    n_backward: NonNegativeInt
    """Backward passes, upper estimate: one per latent and logit."""
    exact: bool | None
    """Whether weights will be exact; absent if a dictionary does not say where it reads."""
    seconds: PositiveFloat | None
    """Estimated time; absent if the configuration does not say."""
    seconds_source: str | None
    """What the estimate rests on."""
    advisories: tuple[str, ...]
    """What to consider before running it."""


class SummarizeGraphRequest(Contract):
    """Say the most important things of a graph that was drawn."""

    graph: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Artifact of attribution_graph, or one that criterion_graph published."""
    n_nodes: Annotated[int, Field(ge=1, le=50)] = 10
    """Nodes to list."""
    n_paths: Annotated[int, Field(ge=1, le=20)] = 5
    """Paths to list."""
    node: str | None = None
    """Id of a node; then its inputs and outputs are listed too, or in a fused graph only its edges."""


class SummarizeGraphResult(Result):
    """What is worth reading first."""

    prompt: str | None = None
    """Text (untrusted); absent for a fused graph."""
    graph: GraphSummary | None = None
    """Scores, nodes and paths; absent for a fused graph."""
    evidence: EvidenceSummary | None = None
    """Of a fused graph."""
    inputs: tuple[GraphEdge, ...]
    """Largest edges into the node asked for."""
    outputs: tuple[GraphEdge, ...]
    """Largest edges out of it."""
