"""What fits is judged by the memory of the container, where there is one: beyond it, a process is killed unheard."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.errors import DoesNotFit
from interp_lab.machine import hardware
from interp_lab.workflows.harvesting.cost import refuse_unfit_memory
from interp_lab.workflows.training.cost import refuse_unfit
from interp_lab.workflows.training.plan import planned

MEMORY = psutil.virtual_memory().total


def small_training() -> None:
    request = TrainSaeRequest.model_validate({"source": "store", "widths": [64]})
    refuse_unfit(planned(request, {"resid_post.0": 16}, n_train=4096))


@pytest.mark.parametrize("work", [lambda: refuse_unfit_memory(MEMORY // 2), small_training])
def test_what_fits_the_machine_but_not_the_container_is_refused(
    work: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "memory_limit", lambda: None)
    work()
    monkeypatch.setattr(hardware, "memory_limit", lambda: 2**26)
    with pytest.raises(DoesNotFit):
        work()
