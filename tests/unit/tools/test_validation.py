"""Wrong arguments come back as one refusal that names every wrong field and never repeats what was sent."""

from __future__ import annotations

from typing import Any

import pytest

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.operations import JobWaitRequest
from interp_lab.errors import InvalidRequest, UnknownCapability
from interp_lab_tools.catalogue import find
from interp_lab_tools.validate import validate

GOOD: dict[str, Any] = {"model": "builtin:pocket-llama", "criterion": "a question", "dataset": "builtin:question"}


def test_good_arguments_become_the_request() -> None:
    request = validate(InspectRequest, {**GOOD, "addresses": ["blocks.1.hook_resid_post"]})
    assert str(request.addresses[0]) == "resid_post.1"


@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        ({**GOOD, "criterium": "x"}, "criterium", "did you mean 'criterion'"),
        ({**GOOD, "addresses": ["resid_pots.1"]}, "addresses.0", "resid_post"),
        ({**GOOD, "addresses": "resid_post.1"}, "addresses", "give a list"),
        ({**GOOD, "pooling": "median"}, "pooling", "'max', 'mean', 'last' or 'span'"),
        ({**GOOD, "threshold": float("nan")}, "threshold", "finite"),
        ({**GOOD, "seed": -1}, "seed", "greater than or equal to 0"),
        ({"model": "m", "dataset": "d"}, "criterion", "required"),
    ],
)
def test_a_wrong_field_is_named_with_what_would_be_right(arguments: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(InspectRequest, arguments)
    assert refused.value.fields[0].field == field
    assert says in refused.value.fields[0].problem


def test_a_record_without_its_kind_is_told_the_kinds_there_are() -> None:
    source = {"method": "probe"}
    with pytest.raises(InvalidRequest, match="source: say its kind: contrast, latent, file, report"):
        validate(find("make_steering_vector").request, {**find("make_steering_vector").example, "source": source})


def test_a_refusal_does_not_echo_what_was_sent() -> None:
    secret = "hunter2" * 50
    with pytest.raises(InvalidRequest) as refused:
        validate(JobWaitRequest, {"job_id": secret})
    assert secret not in str(refused.value)


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    nested: Any = "x"
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(InvalidRequest):
        validate(InspectRequest, {**GOOD, "dataset": {"kind": "inline", "prompts": nested}})


def test_an_unknown_tool_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownCapability, match="job_wait"):
        find("jobs_wait")
