from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab.corpus import stdlib
from interp_lab.corpus.splits import Split

SOURCE = '''"""A module whose documentation is long enough to be kept as a document of its own."""


def first():
    """A function whose documentation is long enough to be kept as a document of its own."""
    return {number}
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for number in range(60):
        (tmp_path / f"module{number}.py").write_text(SOURCE.format(number=number), encoding="utf-8")
    return tmp_path


def test_a_file_is_in_one_split_and_both_splits_have_some(library: Path) -> None:
    train = {piece.module for piece in stdlib.texts(Split.TRAIN, library)}
    heldout = {piece.module for piece in stdlib.texts(Split.HELDOUT, library)}
    assert not train & heldout
    assert len(train | heldout) == 60
    assert heldout


def test_a_text_that_stands_in_two_files_is_used_once(library: Path) -> None:
    texts = [piece.text for split in (Split.TRAIN, Split.HELDOUT) for piece in stdlib.texts(split, library)]
    assert len(texts) == len(set(texts))
    assert sum("documentation is long enough" in text and "return" not in text for text in texts) == 2


def test_criterion_prompts_are_never_taken_from_the_library(library: Path) -> None:
    assert not list(stdlib.texts(Split.CRITERIA, library))


def test_files_that_are_no_python_or_lead_elsewhere_are_left_out(
    library: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.py"
    outside.write_text("x = 1\n", encoding="utf-8")
    (library / "link.py").symlink_to(outside)
    (library / "binary.py").write_bytes(b"\xff\xfe\x00")
    (library / "broken.py").write_text("def (:\n", encoding="utf-8")
    (library / "test").mkdir()
    (library / "test" / "inner.py").write_text("x = 1\n", encoding="utf-8")
    modules = {piece.module for piece in stdlib.texts(Split.TRAIN, library)} | {
        piece.module for piece in stdlib.texts(Split.HELDOUT, library)
    }
    assert not modules & {"link.py", "binary.py", "broken.py", "test/inner.py"}


def test_nothing_of_a_file_is_executed(library: Path) -> None:
    (library / "trap.py").write_text("raise SystemExit\n", encoding="utf-8")
    pieces = [piece for split in (Split.TRAIN, Split.HELDOUT) for piece in stdlib.texts(split, library)]
    assert any(piece.text == "raise SystemExit" for piece in pieces)


def test_the_digest_depends_on_text_and_order() -> None:
    assert stdlib.digest(["a", "b"]) != stdlib.digest(["b", "a"]) != stdlib.digest(["ba"])


def test_the_running_python_has_enough_text() -> None:
    assert len(stdlib.files()) > 300
