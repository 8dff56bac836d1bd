"""The command line: one JSON document on stdout, exit codes to trust, refusals that say what would work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.operations import JobLogsResult
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings
from interp_lab_server.cli import main
from interp_lab_server.terminal import as_command, printable, render
from interp_lab_tools.lab import Lab


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(words)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_json_output_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = run(capsys, "lab_overview", "--json", "--workspace", str(tmp_path), "--sections", "limits")
    assert status == 0
    answer = json.loads(out)
    assert answer["limits"]["trust_remote_code"] is False
    assert "models" not in answer


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--model", "no/such/model/path", "--dataset", "builtin:question"], "unknown_model"),
        (["--model", "builtin:pocket-lama", "--dataset", "builtin:question"], "unknown_model"),
        (["--model", "builtin:pocket-llama", "--dataset", "../outside.jsonl"], "path_outside_workspace"),
        (["--model", "builtin:pocket-llama", "--dataset", "builtin:no-such"], "unknown_dataset"),
        (
            ["--model", "builtin:pocket-llama", "--dataset", "builtin:question", "--addresses", "resid_post.99"],
            "layer_out_of_range",
        ),
        (["--model", "builtin:pocket-llama", "--dataset", "builtin:question", "--top-k", "many"], "invalid_request"),
        (["--model", "builtin:pocket-llama", "--dataset", "builtin:question", "--threshold", "7"], "one_sided_prompts"),
    ],
)
def test_a_bad_request_exits_with_2_and_says_what_would_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], code: str
) -> None:
    status, out, err = run(capsys, "inspect", "--json", "--workspace", str(tmp_path), "--criterion", "a thing", *words)
    assert status == 2
    refusal = json.loads(out)
    assert refusal["code"] == code
    assert refusal["remedy"]
    assert err.startswith(f"{code}: ")
    assert not list((tmp_path / ".interp-lab" / "jobs").iterdir())


def test_a_dry_run_starts_nothing_and_shows_the_command_that_would(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["inspect", "--workspace", str(tmp_path), "--model", "builtin:pocket-llama", "--criterion", "a question"]
    status, out, _ = run(capsys, *words, "--dataset", "builtin:question", "--dry-run")
    assert status == 0
    assert "nothing started" in out
    assert "interp-lab inspect" in out
    assert not list((tmp_path / ".interp-lab" / "jobs").iterdir())


@pytest.mark.parametrize("client", ["claude-code", "claude-desktop", "cursor", "vscode", "codex"])
def test_the_printed_configuration_starts_this_server(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, client: str
) -> None:
    status, out, _ = run(capsys, "install", "--client", client, "--dry-run", "--json", "--workspace", str(tmp_path))
    assert status == 0
    text = json.loads(out)["text"]
    assert json.dumps(sys.executable)[1:-1] in text
    assert "serve" in text
    assert str(tmp_path) in text


def test_the_command_of_a_client_that_has_one_is_printed_after_the_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, out, _ = run(capsys, "install", "--client", "claude-code", "--workspace", str(tmp_path / "my project"))
    command = out.strip().splitlines()[-1]
    assert command.startswith("claude mcp add interp -- ")
    assert f"--workspace '{tmp_path}/my project'" in command
    _, out, _ = run(capsys, "install", "--client", "cursor", "--workspace", str(tmp_path))
    assert out.strip().endswith("}")


def test_help_and_version_import_neither_torch_nor_the_sdk() -> None:
    program = (
        "import sys\nfrom interp_lab_server.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(bool({'torch', 'transformers', 'mcp', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == 0


def test_what_untrusted_text_says_cannot_drive_the_terminal() -> None:
    hostile = "ok \x1b[2J\x07 \u202e right to left"
    answer = JobLogsResult(summary=hostile, job_id="0" * 32, text=hostile, offset=0, next_offset=1, total_bytes=1)
    shown = render(answer, "/workspace")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert printable("a\nb") == "a\nb"


def test_a_next_action_is_shown_as_a_command_that_means_the_same() -> None:
    action = NextAction(
        tool="inspect", arguments={"criterion": "it's a test", "addresses": ["embed", "resid_post.1"]}, why="x"
    )
    expected = "interp-lab inspect --criterion 'it'\"'\"'s a test' --addresses embed resid_post.1"
    assert as_command(action) == expected


@pytest.mark.parametrize(("command", "status"), [("job_cancel", 0), ("job_wait", 1)])
def test_a_cancelled_job_is_what_was_asked_of_cancel_and_a_failure_of_wait(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, status: int
) -> None:
    with Lab.open(Settings(workspace=tmp_path)) as lab:
        job_id = lab.engine.submit(JobSpec(capability="inspect", request={})).id
        if command == "job_wait":
            lab.engine.cancel(job_id)
    code, out, _ = run(capsys, command, "--job-id", job_id, "--workspace", str(tmp_path), "--json")
    assert json.loads(out)["state"] == "cancelled"
    assert code == status


def test_a_result_whose_unknown_numbers_were_left_out_is_shown_and_not_refused() -> None:
    unit = {
        "unit": "resid_post.0 #1",
        "grade": "weak",
        "reasons": [],
        "edit": "ablate_zero",
        "strength": 1.0,
        "n_groups": 0,
    }
    result = {"criterion": "c", "model": "m", "units": [unit]}
    view = JobView(summary="s", capability="intervene", state="succeeded", job_id="a" * 32, result=result)
    shown = render(view, "/workspace")
    assert "resid_post.0 #1" in shown
    assert "criterion: c" in shown


def test_numbers_are_shown_in_their_tables_with_their_intervals() -> None:
    figures = [
        {"dictionary": {"value": 12.5, "unit": "latents", "n": 9}, "name": "l0"},
        {
            "name": "fvu",
            "dictionary": {"value": 0.25, "low": 0.2, "high": 0.3, "unit": "share", "n": 9},
            "random": {"value": 0.61, "unit": "share", "n": 9},
        },
    ]
    view = JobView(
        summary="s", capability="evaluate_sae", state="succeeded", job_id="a" * 32, result={"figures": figures}
    )
    rows = [line.split() for line in render(view, "/workspace").splitlines()]
    assert ["name", "dictionary", "random"] in rows
    assert ["l0", "12.5", "–"] in rows
    assert ["fvu", "0.25", "[0.2,", "0.3]", "0.61"] in rows


def test_a_refusal_prints_the_commands_that_would_work_and_a_call_to_make_next_what_it_costs_and_changes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, out, err = run(capsys, "audit_prompts", "--workspace", str(tmp_path), "--dataset", "question")
    assert (status, out) == (2, "")
    assert f"interp-lab audit_prompts --workspace {tmp_path} --dataset builtin:question" in err
    asked = ("audit_prompts", "--workspace", str(tmp_path), "--dataset", "builtin:person-name")
    status, out, _ = run(capsys, *asked)
    assert status == 0
    assert "Cost: This call only plans. The run: 4" in out
    assert "Changes: Grades of coordinates" in out
    _, out, _ = run(capsys, *asked[:-1], "question", "--json")
    assert [call["tool"] for call in json.loads(out)["agent_next_actions"]] == ["audit_prompts"]
