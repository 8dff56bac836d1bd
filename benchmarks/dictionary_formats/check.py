"""Dictionaries that sparsify and dictionary_learning write themselves, read here: equal codes, equal reconstructions.

`make dictionary-formats` installs both beside the project; SAELens, the peer and Gemma Scope are checked by the tests.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from dictionary_learning.dictionary import AutoEncoder, GatedAutoEncoder, JumpReluAutoEncoder
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
from dictionary_learning.trainers.top_k import AutoEncoderTopK
from sparsify import SparseCoder, SparseCoderConfig
from torch import Tensor

from interp_lab.bridges.dictionary_formats import format_of, read_foreign
from interp_lab.dictionaries.formats.saelens import from_parts, load_dictionary, save_dictionary

WIDTH, LATENTS, K, TOLERANCE = 16, 64, 4, 1e-5


class Written(NamedTuple):
    """A dictionary as its own library wrote it, and what that library makes of the same activations."""

    name: str
    folder: Path
    codes: Tensor
    made: Tensor


def of_sparsify(x: Tensor, root: Path) -> Iterator[Written]:
    """Yield an SAE and a transcoder with a skip connection."""
    for transcodes in (False, True):
        config = SparseCoderConfig(num_latents=LATENTS, k=K, transcode=transcodes, skip_connection=transcodes)
        coder = SparseCoder(WIDTH, config, dtype=torch.float32)
        for tensor in (coder.b_dec, coder.encoder.bias, *((coder.W_skip,) if transcodes else ())):
            tensor.data.normal_()
        folder = Path(tempfile.mkdtemp(dir=root))
        coder.save_to_disk(folder)
        found = coder.encode(x)
        codes = torch.zeros(len(x), LATENTS).scatter_(1, found.top_indices, found.top_acts)
        made = coder.decode(found.top_acts, found.top_indices) + (x @ coder.W_skip.T if transcodes else 0)
        yield Written("sparsify transcoder" if transcodes else "sparsify", folder, codes, made)


def of_dictionary_learning(x: Tensor, root: Path) -> Iterator[Written]:
    """Yield one of every class."""
    sizes = [WIDTH, WIDTH, LATENTS - 2 * WIDTH]
    made: dict[str, Any] = {
        "AutoEncoder": AutoEncoder(WIDTH, LATENTS),
        "GatedAutoEncoder": GatedAutoEncoder(WIDTH, LATENTS),
        "JumpReluAutoEncoder": JumpReluAutoEncoder(WIDTH, LATENTS),
        "AutoEncoderTopK": AutoEncoderTopK(WIDTH, LATENTS, K),
        "BatchTopKSAE": BatchTopKSAE(WIDTH, LATENTS, K),
        "MatryoshkaBatchTopKSAE": MatryoshkaBatchTopKSAE(WIDTH, LATENTS, K, sizes),
    }
    for name, each in made.items():
        for part, tensor in each.state_dict().items():
            if part == "threshold":
                tensor.fill_(0.5)
            elif tensor.is_floating_point():
                tensor.normal_(std=0.3)
        folder = Path(tempfile.mkdtemp(dir=root))
        torch.save(each.state_dict(), folder / "ae.pt")
        trainer = {"dict_class": name, "activation_dim": WIDTH, "dict_size": LATENTS, "k": K, "group_sizes": sizes}
        (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {}}), encoding="utf-8")
        codes = each.encode(x)
        yield Written(f"dictionary_learning {name}", folder, codes, each.decode(codes))


def compared(written: Written, x: Tensor) -> dict[str, Any]:
    """Return the largest differences, for the dictionary as read and as saved in our layout and read again."""
    ours = from_parts(read_foreign(written.folder, format_of(written.folder)))
    again = written.folder / "saved"
    again.mkdir()
    save_dictionary(ours, again)
    codes = ours.encode(x)
    return {
        "dictionary": written.name,
        "read_as": ours.config.architecture,
        "same_latents_fire": bool(((codes > 0) == (written.codes > 0)).all()),
        "codes": float((codes - written.codes).abs().max()),
        "reconstruction": float((ours.reconstruct(x) - written.made).abs().max()),
        "after_saving": float((load_dictionary(again).encode(x) - codes).abs().max()),
    }


@torch.no_grad()
def main() -> int:
    """Write the table and return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, required=True)
    options = parser.parse_args()
    torch.manual_seed(0)
    x = torch.randn(256, WIDTH)
    with tempfile.TemporaryDirectory() as root:
        all_written = (*of_sparsify(x, Path(root)), *of_dictionary_learning(x, Path(root)))
        rows = [compared(each, x) for each in all_written]
    options.write.write_text(json.dumps({"tolerance": TOLERANCE, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    wrong = [
        row for row in rows
        if not row["same_latents_fire"] or max(row["codes"], row["reconstruction"], row["after_saving"]) > TOLERANCE
    ]  # fmt: skip
    sys.stdout.write(f"{len(rows) - len(wrong)} of {len(rows)} equal\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
