from __future__ import annotations

import pytest
import torch

from interp_lab.engine import precision
from interp_lab.engine.pass_sizes import WIDE
from interp_lab.engine.precision import MatmulPrecision, matmul_of_runs, matmul_precision, probe_matmul


def setting() -> str:
    return torch.backends.mkldnn.matmul.fp32_precision


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch):
    def force(mode: str) -> None:
        monkeypatch.setattr(precision, "probe_matmul", lambda: MatmulPrecision(mode, 1e-7, 2.0))

    return force


def test_the_faster_path_is_on_inside_the_block_only(forced) -> None:
    forced("onednn")
    before = setting()
    with matmul_precision() as chosen:
        assert chosen.mode == "onednn"
        assert setting() == "bf16"
    assert setting() == before


def test_the_setting_comes_back_when_the_block_fails(forced) -> None:
    forced("onednn")
    before = setting()
    with pytest.raises(ZeroDivisionError), matmul_precision():
        raise ZeroDivisionError
    assert setting() == before


def test_nothing_changes_where_the_probe_chose_the_usual_path(forced) -> None:
    forced("default")
    before = setting()
    with matmul_precision() as chosen:
        assert (chosen.mode, setting()) == ("default", before)


def test_the_probe_leaves_the_setting_as_it_was_and_runs_once() -> None:
    before = setting()
    assert probe_matmul() is probe_matmul()
    assert setting() == before


def test_products_inside_the_block_are_true_float32() -> None:
    left, right = torch.randn(128, 64), torch.randn(64, 32)
    exact = left.double() @ right.double()
    with matmul_precision():
        error = ((left @ right).double() - exact).abs().max() / exact.abs().max()
    assert error < 2e-6


def test_a_path_that_rounds_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "MAX_RELATIVE_ERROR", 0.0)
    assert probe_matmul.__wrapped__().mode == "default"


def test_a_path_that_is_not_faster_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda *_: 1.0)
    assert probe_matmul.__wrapped__().mode == "default"


def test_a_path_that_is_exact_and_faster_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([2.0, 1.0])
    monkeypatch.setattr(precision, "_seconds", lambda *_: next(times))
    monkeypatch.setattr(precision, "MAX_RELATIVE_ERROR", 1.0)
    assert probe_matmul.__wrapped__()[::2] == ("onednn", 2.0)


@pytest.mark.parametrize(("width", "used"), [(WIDE, "bf16"), (WIDE - 1, "ieee")])
def test_passes_of_many_shapes_through_a_narrow_model_take_the_usual_path_even_inside_the_faster_one(
    forced, width: int, used: str
) -> None:
    forced("onednn")
    before = setting()
    with matmul_precision():
        with matmul_of_runs(width):
            assert setting() == used
        assert setting() == "bf16"
    assert setting() == before
