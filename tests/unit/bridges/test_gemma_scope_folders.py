"""Whether Gemma Scope weights transcode is told by the published names, not by where a user keeps the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from interp_lab.bridges import gemma_scope


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("my-transcoder-project/saes/layer_3", "sae"),
        ("models--google--gemma-scope-2b-pt-transcoders/snapshots/abc/layer_3/width_16k", "transcoder"),
        ("gemma-scope-2-1b-pt/transcoder_all/layer_3", "transcoder"),
        ("models--google--gemma-scope-2b-pt-res/snapshots/abc/layer_3/width_16k", "sae"),
    ],
)
def test_a_folder_is_what_the_publisher_called_it(tmp_path: Path, folder: str, kind: str) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True)
    wide, narrow = np.zeros(8, np.float32), np.zeros(4, np.float32)
    encoder = np.zeros((4, 8), np.float32)
    np.savez(place / "params.npz", W_enc=encoder, W_dec=encoder.T, b_enc=wide, b_dec=narrow, threshold=wide)
    assert gemma_scope.read(place).config.kind == kind
