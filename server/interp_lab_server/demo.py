"""The main job, driven as an agent would: a real MCP client asks the server about a model in the box."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from interp_lab_server.terminal import printable

MODEL = "builtin:pocket-llama"
DATASET = "person-name"
_WAIT_S = 5


async def run(workspace: Path) -> int:
    """Return the exit status after overview, dry run, inspection with live progress, and a look at the report."""
    arguments = ["-m", "interp_lab_server", "serve", "--workspace", str(workspace)]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
    async with Client(server) as client:
        overview = await _call(client, "lab_overview", {"sections": ["models", "datasets"]})
        dataset = next(d for d in overview["datasets"] if d["name"] == DATASET)
        request = {
            "model": MODEL,
            "criterion": dataset["criterion"],
            "dataset": f"builtin:{DATASET}",
            "pooling": dataset["pooling"],
        }
        await _call(client, "inspect", {**request, "dry_run": True})
        view = await _call(client, "inspect", {**request, "wait_s": _WAIT_S})
        while view["state"] in {"queued", "starting", "running", "interrupted"}:
            view = await _call(client, "job_wait", {"job_id": view["job_id"], "wait_s": _WAIT_S})
        if view["state"] != "succeeded":
            return 1
        await _read(client, view)
    _conclude(view, workspace)
    return 0


async def _call(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the structured answer of a tool, telling the reader what is asked and what comes back."""
    print(f"\n→ {tool} {json.dumps(arguments, ensure_ascii=False)[:160]}")
    result = await client.call_tool(tool, arguments, progress_callback=_progress)
    answer: dict[str, Any] = result.structured_content or {}
    if result.is_error:
        raise SystemExit(f"{tool} failed: {printable(json.dumps(answer))}")
    print("← " + printable(answer["summary"]).replace("\n", "\n  "))
    return answer


async def _progress(progress: float, total: float | None, message: str | None) -> None:
    share = f"{progress / total:4.0%}" if total else "    "
    print(f"  … {share} {printable(message or '')}", flush=True)


async def _read(client: Client, view: dict[str, Any]) -> None:
    """Read the report the way an agent does: as a resource, by the URI in the answer."""
    artifact = next(a for a in view["artifacts"] if any(f["name"] == "report.md" for f in a["files"]))
    uri = f"{artifact['uri']}/report.md"
    resource = await client.read_resource(uri)
    text = getattr(resource.contents[0], "text", "")
    print(f"\n→ resources/read {uri[:60]}…\n← {len(text)} characters of Markdown")


def _conclude(view: dict[str, Any], workspace: Path) -> None:
    print("\nrank  address        index  AUROC confirm [95 % interval]   groups  q        grade")
    for row in view["result"]["ranking"]:
        interval = row.get("confirm_interval") or ("–", "–")
        low, high = (f"{bound:.2f}" if isinstance(bound, float) else bound for bound in interval)
        confirm = f"{row['confirm_auroc']:.2f}" if "confirm_auroc" in row else "–"
        print(
            f"{row['rank']:>4}  {row['address']:<13} {row['index']:>6}  {confirm:>5} [{low}, {high}]"
            f"{row['n_confirm_groups']:>21}  {row['q_value']:<8.1e} {row['grade']} ({', '.join(row['reasons'])})"
        )
    report = next(a for a in view["artifacts"] if any(f["name"] == "report.html" for f in a["files"]))
    print(f"\nreport: {workspace / report['path'] / 'report.html'}")
    print("next:   interp-lab install --client claude-code (or another) connects an agent; see README.md")


def main() -> int:
    """Return the exit status of the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, default=Path("demo-workspace"))
    workspace: Path = parser.parse_args().workspace.absolute()
    workspace.mkdir(parents=True, exist_ok=True)
    return anyio.run(run, workspace)


if __name__ == "__main__":
    sys.exit(main())
