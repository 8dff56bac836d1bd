"""A dictionary's own weights, a row or a product at a time: nothing is loaded whole, and nothing is computed twice."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from interp_lab.artifacts.mapped_matrix import MappedTensor, map_matrices
from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths, is_artifact_id
from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.features import Weights
from interp_lab.dictionaries.formats.layout import check_shapes
from interp_lab.dictionaries.formats.parts import read_object
from interp_lab.dictionaries.formats.saelens_config import Read, read_cfg
from interp_lab.errors import InvalidDictionary, UnknownUnit
from interp_lab.settings import Settings
from interp_lab.statistics.arrays import Floats
from interp_lab.workflows.features.rounding import rounded
from interp_lab.workflows.named_folders import dictionary_folder

CONFIG: Final = "cfg.json"
WEIGHTS: Final = "sae_weights.safetensors"
_OLD_FACTOR = "scaling_factor"
_KEPT_OPEN = 16
_NAME = 64

Float32s = NDArray[np.float32]


class MappedDictionary:
    """One dictionary whose tensors stay on disk."""

    def __init__(self, folder: Path, read: Read, tensors: dict[str, MappedTensor]) -> None:
        self.folder = folder
        self.config: DictionaryConfig = read.config
        self._rescaled = read.rescaled
        self._tensors = tensors

    @property
    def n_latents(self) -> int:
        """Latents."""
        return self.config.n_latents

    @cached_property
    def _stored_norms(self) -> Floats:
        """Length of every decoder row as it is stored `(n_latents,)`."""
        squares = [np.einsum("ij,ij->i", rows, rows) for _, rows in self._tensors["W_dec"].chunks()]
        return np.sqrt(np.concatenate(squares).astype(np.float64))

    @cached_property
    def content_hash(self) -> str:
        """One hash over its two files, the name under which encoded stores know it."""
        return _joined_hash([_hash(self.folder / name) for name in (CONFIG, WEIGHTS)])

    def checked_latent(self, latent: int) -> int:
        """Return the latent if there is one of that number.

        Raises:
            UnknownUnit: There is none.
        """
        if latent >= self.n_latents:
            raise UnknownUnit(f"The dictionary has latents 0 to {self.n_latents - 1}, not {latent}.")
        return latent

    def decoder_row(self, latent: int) -> Float32s:
        """Return what one unit of a latent adds to the output `(d_out,)`."""
        row = self._tensors["W_dec"].read(latent)
        return row / max(float(self._stored_norms[latent]), 1e-8) if self._rescaled else row

    def encoder_column(self, latent: int) -> Float32s:
        """Return what a latent reads `(d_in,)`."""
        column = self._tensors["W_enc"].read(slice(None), latent)
        return column * float(self._stored_norms[latent]) if self._rescaled else column

    def cosines(self, direction: Float32s) -> Floats:
        """Return the cosine of every decoder row with a direction `(n_latents,)`; 0 for a row of length 0."""
        length = float(np.linalg.norm(direction.astype(np.float64)))
        products = self._tensors["W_dec"].times(direction.astype(np.float32)).astype(np.float64)
        lengths = self._stored_norms * length
        return np.clip(np.where(lengths > 0, products / np.where(lengths > 0, lengths, 1.0), 0.0), -1.0, 1.0)

    def weights_of(self, latent: int) -> Weights:
        """Return norms and angles of one latent."""
        row = self.decoder_row(latent).astype(np.float64)
        column = self.encoder_column(latent).astype(np.float64)
        lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
        same_space = self.config.kind != "transcoder"
        cosine = float(row @ column) / (lengths[0] * lengths[1]) if same_space and all(lengths) else None
        return Weights(
            decoder_norm=rounded(lengths[0]),
            encoder_norm=rounded(lengths[1]),
            encoder_bias=self._scalar("b_enc", latent),
            threshold=self._scalar("threshold", latent),
            cosine=None if cosine is None else rounded(cosine),
        )

    def _scalar(self, name: str, latent: int) -> float | None:
        tensor = self._tensors.get(name)
        if tensor is None:
            return None
        factor = float(self._stored_norms[latent]) if self._rescaled and name == "b_enc" else 1.0
        return rounded(float(tensor.read(latent)) * factor)


def encoded_name(config: DictionaryConfig, digest: str) -> str:
    """Return the short name of a dictionary in stores that it encodes: what it is, and the beginning of its hash."""
    k = f"-k{config.k:g}" if config.k is not None else ""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", f"{config.architecture}-{config.n_latents}{k}")
    return f"{plain[: _NAME - 9]}-{digest[:8]}"


def open_dictionary(name: str, settings: Settings) -> MappedDictionary:
    """Return the dictionary of that artifact id or workspace folder; one that is open already is shared.

    Raises:
        InvalidDictionary, UnsupportedDictionary, MalformedFile, CorruptWeights: It is not one that can be read.
        UnknownArtifact, ArtifactCorrupt, InvalidPath, PathOutsideWorkspace: There is nothing to be read.
    """
    folder = dictionary_folder(name, settings)
    try:
        found = [(folder / file).stat() for file in (CONFIG, WEIGHTS)]
    except OSError as error:
        raise InvalidDictionary(f"{name[:80]} lacks {CONFIG} or {WEIGHTS}.") from error
    # two versions may be written within one tick of the clock of files
    opened = _opened(folder, tuple((file.st_ino, file.st_size, file.st_mtime_ns) for file in found))
    if is_artifact_id(name) and "content_hash" not in vars(opened):
        files = {entry.name: entry.sha256 for entry in ArtifactStore(WorkspacePaths.of(settings)).open(name).files}
        vars(opened)["content_hash"] = _joined_hash([bytes.fromhex(files[file]) for file in (CONFIG, WEIGHTS)])
    return opened


@lru_cache(maxsize=_KEPT_OPEN)
def _opened(folder: Path, stamps: tuple[tuple[int, int, int], ...]) -> MappedDictionary:  # noqa: ARG001 - a changed file is another
    read = read_cfg(read_object(folder / CONFIG), source=folder.name)
    tensors = map_matrices(folder / WEIGHTS)
    tensors.pop(_OLD_FACTOR, None)
    check_shapes(read.config, {name: tensor.shape for name, tensor in tensors.items()}, where=folder.name)
    return MappedDictionary(folder, read, tensors)


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _joined_hash(parts: list[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()
