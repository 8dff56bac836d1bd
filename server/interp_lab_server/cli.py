"""The command line: every capability as a subcommand, and serve, doctor, install. The only place that prints."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.jobs import JobState, JobView
from interp_lab.contracts.results import Result
from interp_lab.errors import LabError
from interp_lab.settings import LAUNCHERS, Settings
from interp_lab_server.install import CLIENTS, client_configuration
from interp_lab_server.options import add_options, arguments_of
from interp_lab_server.terminal import ProgressLine, offered, printable, render
from interp_lab_tools.capability import InlineCapability, JobCapability
from interp_lab_tools.catalogue import CAPABILITIES, DEFAULT_TOOLSETS, find
from interp_lab_tools.versions import release

TOOLSETS = tuple(dict.fromkeys(capability.toolset for capability in CAPABILITIES))


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 done, 1 the work failed, 2 the request was refused."""
    parsed = build_parser().parse_args(argv)
    try:
        status = parsed.run(parsed)
        sys.stdout.flush()
        return status
    except LabError as error:
        _report(error, parsed=parsed)
        return error.exit_code
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped waiting. A job that was started goes on: interp-lab job_list\n")
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="interp-lab", description="The interpretability lab that agents drive, by hand.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"interp-lab {release()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for capability in CAPABILITIES:
        _add_capability(commands, capability)
    _add_serve(commands)
    _add_doctor(commands)
    _add_install(commands)
    return parser


def _add_capability(commands: Any, capability: InlineCapability | JobCapability) -> None:
    parser = commands.add_parser(
        capability.name,
        aliases=[capability.name.replace("_", "-")] if "_" in capability.name else [],
        help=capability.title,
        description=capability.guidance,
        allow_abbrev=False,
    )
    _add_shared(parser)
    add_options(parser, capability.request)
    parser.set_defaults(run=_run_capability, capability=capability.name)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workspace", type=Path, help="folder of the project [default: the current one]")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    parser.add_argument(
        "--launcher", choices=LAUNCHERS, help="where jobs run [default: INTERP_LAB_LAUNCHER, else local]"
    )


def _add_serve(commands: Any) -> None:
    parser = commands.add_parser("serve", help="Serve MCP over stdio, or over HTTP with --http", allow_abbrev=False)
    _add_shared(parser)
    default = ",".join(sorted(DEFAULT_TOOLSETS))
    parser.add_argument("--toolsets", default=default, help=f"of {', '.join(TOOLSETS)}; or all")
    parser.add_argument("--read-only", action="store_true", help="offer only tools that change nothing")
    parser.add_argument("--http", metavar="PORT", type=int, help="Streamable HTTP on this loopback port")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind with --http")
    parser.add_argument("--token-file", type=Path, help="file with the bearer token; made with mode 0600 if missing")
    parser.add_argument("--allow-origin", action="append", default=[], help="exact Origin that a browser may come from")
    parser.set_defaults(run=_run_serve)


def _add_doctor(commands: Any) -> None:
    parser = commands.add_parser("doctor", help="Check this installation and say what is missing", allow_abbrev=False)
    _add_shared(parser)
    parser.set_defaults(run=_run_doctor)


def _add_install(commands: Any) -> None:
    parser = commands.add_parser("install", help="Print the configuration that connects a client", allow_abbrev=False)
    _add_shared(parser)
    parser.add_argument("--client", required=True, choices=sorted(CLIENTS))
    parser.add_argument("--dry-run", action="store_true", help="print it and change nothing")
    parser.set_defaults(run=_run_install)


def _run_capability(parsed: argparse.Namespace) -> int:
    from interp_lab_tools.call import call  # lazy: --help need not open the engine
    from interp_lab_tools.lab import Lab  # lazy: --help need not open the engine
    from interp_lab_tools.mending import mending  # lazy: as the call

    capability = find(parsed.capability)
    arguments = arguments_of(parsed, capability.request)
    settings = _settings(parsed)
    progress = ProgressLine()
    with Lab.open(settings, frozenset(TOOLSETS)) as lab:
        try:
            answer = call(lab, capability.name, arguments, watch=progress)
        except LabError as error:
            progress.clear()
            _report(error, mending(error.code, capability.name, arguments, lab, error=error), parsed, settings)
            return error.exit_code
        while _goes_on(answer, arguments):
            answer = call(lab, "job_wait", {"job_id": _job_id(answer), "wait_s": 45}, watch=progress)
    progress.clear()
    _show(answer, parsed, settings)
    return _status(answer, wanted="cancelled" if capability.name == "job_cancel" else "succeeded")


def _goes_on(answer: Result, arguments: dict[str, Any]) -> bool:
    """A person at a terminal waits for the end unless they said how long."""
    patient = "wait_s" not in arguments
    waiting = {"queued", "starting", "running", "interrupted"}
    return patient and isinstance(answer, JobView) and answer.state in waiting


def _job_id(answer: Result) -> str:
    assert isinstance(answer, JobView)
    assert answer.job_id is not None
    return answer.job_id


def _status(answer: Result, *, wanted: JobState) -> int:
    return 1 if isinstance(answer, JobView) and answer.state in {"failed", "cancelled"} - {wanted} else 0


def _run_serve(parsed: argparse.Namespace) -> int:
    from interp_lab_server.http import serve_http  # lazy: the SDK costs most of a second
    from interp_lab_server.stdio import serve_stdio  # lazy: the SDK costs most of a second

    names = TOOLSETS if parsed.toolsets == "all" else tuple(parsed.toolsets.split(","))
    settings, toolsets = _settings(parsed), frozenset(names)
    if parsed.http is None:
        return serve_stdio(settings, toolsets=toolsets, read_only=parsed.read_only)
    return serve_http(
        settings,
        toolsets=toolsets,
        read_only=parsed.read_only,
        host=parsed.host,
        port=parsed.http,
        token_file=parsed.token_file,
        origins=tuple(parsed.allow_origin),
    )


def _run_doctor(parsed: argparse.Namespace) -> int:
    from interp_lab_server.doctor import examine  # lazy: looks at the machine

    findings = examine(_settings(parsed))
    if parsed.json:
        print(json.dumps([finding._asdict() for finding in findings]))
    else:
        for finding in findings:
            print(printable(f"{'ok  ' if finding.ok else 'FAIL'} {finding.check}: {finding.found}"))
            if not finding.ok:
                print(f"     {finding.remedy}")
    return 0 if all(finding.ok for finding in findings) else 1


def _run_install(parsed: argparse.Namespace) -> int:
    configuration = client_configuration(parsed.client, _settings(parsed).workspace)
    if parsed.json:
        print(json.dumps(configuration._asdict()))
    else:
        instead = f"\n\nOr run:\n{configuration.instead}" if configuration.instead else ""
        print(f"{configuration.where}\n\n{configuration.text}{instead}")
    return 0


def _settings(parsed: argparse.Namespace) -> Settings:
    return Settings.from_env(workspace=parsed.workspace, launcher=parsed.launcher)


def _show(answer: Result, parsed: argparse.Namespace, settings: Settings) -> None:
    if parsed.json:
        from interp_lab_tools.views import as_json  # lazy: only with --json

        print(json.dumps(as_json(answer), ensure_ascii=True))
    else:
        print(render(answer, str(settings.workspace)))


def _report(
    error: LabError,
    calls: Sequence[NextAction] = (),
    parsed: argparse.Namespace | None = None,
    settings: Settings | None = None,
) -> None:
    """Say what was wrong and what would work, and how that is asked for."""
    if getattr(parsed, "json", False):
        from interp_lab_tools.views import as_json  # lazy: only with --json

        fields = [field._asdict() for field in error.fields]
        offers = [as_json(call) for call in calls]
        told = {"code": error.code, "what": error.what, "remedy": error.remedy, "fields": fields}
        print(json.dumps({**told, "agent_next_actions": offers}))
    sys.stderr.write(printable(str(error)) + "\n")
    if calls and settings is not None:
        sys.stderr.write(f"\ntry\n{offered(calls, str(settings.workspace))}\n")


if __name__ == "__main__":
    sys.exit(main())
