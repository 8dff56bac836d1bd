"""Run the official MCP conformance suite and Inspector's command line against this server; exit 1 on any failed check.

The suites come from npm at pinned versions, with the Node they need, into .conformance/ (ignored by git).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SUITES = ROOT / ".conformance"
PACKAGES = {
    "node": "22.23.3",
    "@modelcontextprotocol/conformance": "0.2.0-alpha.12",
    "@modelcontextprotocol/inspector": "2.12.0",
}
REVISIONS = {"2025-11-25": 81, "2026-07-28": 196}
"""Requirement sets, and how many checks of each have passed before: fewer would mean that something was not run."""
TASK_CHECKS = 44
NOT_OFFERED = "server-server-sse-polling"
"""Not scored: resuming a broken event stream. A job outlives its call, so a client asks again instead."""
ERAS = ("legacy", "modern")
_TRIES = 4
"""Times that a call is made which Inspector itself gave up after a minute."""


class Tally(NamedTuple):
    """What one suite found."""

    suite: str
    passed: int
    failures: tuple[str, ...]
    expected: int = 1

    @property
    def ok(self) -> bool:
        """Whether everything passed and nothing was left out."""
        return not self.failures and self.passed >= self.expected


def main() -> int:
    """Return 0 if every check passed."""
    install()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        with served() as url:
            tallies = [t for revision in REVISIONS for t in conformance(url, revision, out / revision)]
        tallies += [inspector(era, out) for era in ERAS]
    for tally in tallies:
        verdict = "ok  " if tally.ok else "FAIL"
        sys.stdout.write(f"{verdict} {tally.suite}: {tally.passed} passed, {len(tally.failures)} failed\n")
        sys.stdout.writelines(f"       {failure}\n" for failure in tally.failures)
    return 0 if all(tally.ok for tally in tallies) else 1


def install() -> None:
    """Put the pinned packages into .conformance/, unless they are there."""
    wanted = json.dumps({"private": True, "dependencies": PACKAGES}, indent=1)
    manifest = SUITES / "package.json"
    if manifest.is_file() and manifest.read_text() == wanted and _node().is_file():
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("The conformance suites come from npm, which was not found on PATH.")
    SUITES.mkdir(exist_ok=True)
    manifest.write_text(wanted)
    subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent"], cwd=SUITES, check=True)


def conformance(url: str, revision: str, out: Path) -> Iterator[Tally]:
    """Yield the tally of one requirement set, and of the tasks scenarios that it reports without scoring."""
    command = [_script("conformance"), "server", "--url", url, "--requirements", revision, "--output-dir", str(out)]
    subprocess.run([_node(), *command], env=_environment(), cwd=SUITES, stdout=subprocess.DEVNULL, check=False)
    scenarios = {path.parent.name: json.loads(path.read_text()) for path in sorted(out.glob("*/checks.json"))}
    tasks = {name: checks for name, checks in scenarios.items() if name.startswith("server-tasks-")}
    others = {name: checks for name, checks in scenarios.items() if name not in tasks}
    yield _tally(f"conformance {revision}", others, REVISIONS[revision] - (TASK_CHECKS if tasks else 0))
    if tasks:
        yield _tally(f"conformance {revision} tasks", tasks, TASK_CHECKS)


def inspector(era: str, out: Path) -> Tally:
    """Return the tally of Inspector's command line over stdio in one era."""
    workspace = out / f"inspector-{era}"
    workspace.mkdir()
    results = {
        "tools/list --strict": _inspect(era, workspace, "tools/list", "--strict"),
        "tools/call lab_overview": _inspect(era, workspace, "tools/call", "--tool-name", "lab_overview"),
        "resources/list": _inspect(era, workspace, "resources/list"),
        "resources/templates/list": _inspect(era, workspace, "resources/templates/list"),
        "resources/read overview": _inspect(era, workspace, "resources/read", "--uri", "interp-lab://overview"),
        "prompts/list": _inspect(era, workspace, "prompts/list"),
    }
    failures = tuple(f"{name}: {problem}" for name, problem in results.items() if problem)
    return Tally(f"Inspector, stdio, {era} era", len(results) - len(failures), failures, len(results))


def _inspect(era: str, workspace: Path, method: str, *options: str) -> str:
    """Return what was wrong with one call of Inspector; empty when nothing was. A busy machine gets more time."""
    found = ""
    for _ in range(_TRIES):
        found = _asked(era, workspace, method, *options)
        if "timed out" not in found:
            break
    return found


def _asked(era: str, workspace: Path, method: str, *options: str) -> str:
    server = shutil.which("interp-lab", path=str(Path(sys.executable).parent))
    assert server is not None
    asked = [
        "--cli",
        "--connect-timeout",
        "240000",
        "--protocol-era",
        era,
        server,
        "serve",
        "--method",
        method,
        *options,
        "--format",
        "json",
        "-q",
    ]
    done = subprocess.run(
        [_node(), _script("mcp-inspector"), *asked],
        env=_environment(HOME=str(workspace), MCP_INSPECTOR_SECRET_STORE="memory"),
        cwd=workspace,
        capture_output=True,
        text=True,
        check=False,
    )
    findings = [line for line in done.stderr.splitlines() if line.startswith(("Error: tool", "Warning: tool"))]
    if done.returncode or findings:
        return f"exit {done.returncode}; {'; '.join(findings) or (done.stderr or done.stdout)[-400:]}"
    json.loads(done.stdout)
    return ""


@contextmanager
def served() -> Iterator[str]:
    """Yield the address of this server with the suite's fixtures."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "server"), str(ROOT / "tools")])
    process = subprocess.Popen(
        [sys.executable, str(HERE / "serve.py")],
        env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url, "the server did not start"
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def _tally(suite: str, scenarios: Mapping[str, Sequence[Mapping[str, Any]]], expected: int) -> Tally:
    scenarios = {name: checks for name, checks in scenarios.items() if not name.startswith(NOT_OFFERED)}
    statuses = Counter(check["status"] for checks in scenarios.values() for check in checks)
    failures = tuple(
        f"{name.removeprefix('server-')[:60]}: {check['id']}: {check.get('errorMessage')}"
        for name, checks in scenarios.items()
        for check in checks
        if check["status"] in {"FAILURE", "WARNING"}
    )
    return Tally(suite, statuses["SUCCESS"], failures, expected)


def _node() -> Path:
    return SUITES / "node_modules" / "node" / "bin" / "node"


def _script(name: str) -> str:
    return str(SUITES / "node_modules" / ".bin" / name)


def _environment(**more: str) -> dict[str, str]:
    path = f"{_node().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, **more}


if __name__ == "__main__":
    sys.exit(main())
