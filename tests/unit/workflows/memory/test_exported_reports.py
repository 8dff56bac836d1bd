"""An exported report can be looked at by the call that comes with it, though it lies in the lab's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_lab import errors
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import CAPABILITIES
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory.past_runs import card, inspect_report, publish, workspace

ALL = frozenset(capability.toolset for capability in CAPABILITIES)


def test_what_was_exported_is_read_by_the_call_that_comes_with_it(tmp_path: Path) -> None:
    settings = workspace(tmp_path)
    report = publish(settings, inspect_report([card(1, 5, "plausible")]))
    with Lab.open(settings, ALL) as lab:
        exported = call(lab, "export_report", {"report": report})
        (action,) = exported.agent_next_actions
        found = call(lab, action.tool, action.arguments)
        assert found.n_rows == exported.n_cards == 1
        assert [action.tool for action in found.agent_next_actions] == ["lab_overview"], "nothing is left to call on it"
        artifact = str(action.arguments["path"]).partition("/")[0]
        for wrong, error in (
            (f"{artifact}/other.json", errors.UnknownArtifact),
            (f"{artifact}/../x", errors.UnknownArtifact),
            (f"{'0' * 64}/report.json", errors.UnknownArtifact),
            (".interp-lab/catalog.sqlite", errors.InvalidPath),
        ):
            with pytest.raises(error):
                call(lab, "read_peer_file", {"path": wrong})
