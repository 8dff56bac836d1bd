"""What can be wrong with a model, or with a place in it."""

from __future__ import annotations

from interp_lab.errors.base import OperationError, RequestError


class UnknownHookPoint(RequestError):
    """There is no hook point of that name."""

    code = "unknown_hook_point"
    default_remedy = "Use a name of the hook-point table, for example resid_post.0, or module:PATH for any module."


class InvalidAddress(RequestError):
    """The text does not name a place in a model."""

    code = "invalid_address"
    default_remedy = "Write POINT.LAYER (resid_post.10), embed, logits, or module:PATH with an optional @in or @out."


class HookPointUnavailable(RequestError):
    """The model has no such place, or this software does not know where it is in this architecture."""

    code = "hook_point_unavailable"
    default_remedy = "Choose one of the available hook points, or name the module itself with module:PATH."


class LayerOutOfRange(RequestError):
    """The model has no layer of that number."""

    code = "layer_out_of_range"
    default_remedy = "Choose a layer inside the valid range; layers count from 0."


class UnknownModel(RequestError):
    """There is no model of that name here."""

    code = "unknown_model"
    default_remedy = "Use builtin:NAME, a model directory inside the workspace, or a hub id such as owner/name."


class UnknownModelSize(RequestError):
    """The size of the model is not known: its files are not here."""

    code = "unknown_model_size"
    default_remedy = "Give parameters, such as '70B', and n_layers and d_model if you know them."


class InvalidModel(RequestError):
    """The directory does not hold a model that can be loaded."""

    code = "invalid_model"
    default_remedy = "Use a directory in Hugging Face format: config.json, tokenizer files and *.safetensors."


class UnsafeWeights(RequestError):
    """The model has its weights only in a format that can run code when it is read."""

    code = "unsafe_weights"
    default_remedy = "Convert the weights to safetensors on a machine that trusts their source, then use that copy."


class CorruptWeights(RequestError):
    """A weight file is not what its header says."""

    code = "corrupt_weights"
    default_remedy = "Fetch the file again from its source; it cannot be read safely as it is."


class RemoteCodeNotAllowed(RequestError):
    """The model needs its own code to be run, which the operator of this server has not allowed."""

    code = "remote_code_not_allowed"
    default_remedy = "Use a model that transformers supports itself, or ask the operator to allow remote code."


class UnsupportedModel(RequestError):
    """The architecture has no block list that can be found, so no layer can be named."""

    code = "unsupported_model"
    default_remedy = "Use a language model whose blocks stand in one list, or read modules by their path."


class PromptTooLong(RequestError):
    """A prompt has more tokens than the model can read."""

    code = "prompt_too_long"
    default_remedy = "Shorten or drop the prompts named above; nothing is cut silently."


class PromptNotPoolable(RequestError):
    """A prompt has no token that the pooling may read."""

    code = "prompt_not_poolable"
    default_remedy = "Give every prompt text of its own and, for span pooling, a span that covers at least one token."


class DeviceUnavailable(RequestError):
    """There is no such device on this machine."""

    code = "device_unavailable"
    default_remedy = "Use device 'auto' or 'cpu', or call profile_env to see what there is."


class HubUnreachable(OperationError):
    """The model is not on this machine and could not be fetched from the hub."""

    code = "hub_unreachable"
    default_remedy = "Check the id and the network, or put the model directory into the workspace and name that."


class IncompleteWeights(OperationError):
    """The checkpoint lacks weights that the architecture needs, so some would be random."""

    code = "incomplete_weights"
    default_remedy = "Use a complete checkpoint; results from random weights would look real."


class NonFiniteActivations(OperationError):
    """The model produced NaN or infinite activations."""

    code = "non_finite_activations"
    default_remedy = "Load the model in float32 or bfloat16, or drop the prompt named above."


class NgramOrderUnfit(RequestError):
    """An n-gram model of this order cannot be counted here."""

    code = "ngram_order_unfit"
    default_remedy = "Lower the order or the vocabulary, or give more tokens."


class CheckpointMismatch(RequestError):
    """The checkpoint in this folder belongs to another recipe or another text."""

    code = "checkpoint_mismatch"
    default_remedy = "Remove the folder, or give another work folder."


class NoUnembedding(RequestError):
    """The checkpoint does not show which tokens a direction promotes."""

    code = "no_unembedding"
    default_remedy = "Leave model out, or name a decoder of a known family (GPT-2, NeoX, Llama, Qwen, Gemma, Phi, OPT)."


class NotOnThisMachine(RequestError):
    """The text model was not downloaded before, and one is never fetched by itself."""

    code = "not_on_this_machine"
    default_remedy = "Download it first (hf download OWNER/NAME), or name a model directory of the workspace."


class NoEntailmentLabel(RequestError):
    """It is not clear which label of the classifier says entailment."""

    code = "no_entailment_label"
    default_remedy = "Name one that was trained for natural language inference, or give its label as entailment_label."


class EncoderUnfit(RequestError):
    """The text encoder was made to be read in another way."""

    code = "encoder_unfit"
    default_remedy = "Name an encoder with mean pooling, or leave the encoder out and compare words."
