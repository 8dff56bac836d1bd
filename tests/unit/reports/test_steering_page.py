"""The page of a steering run: every number is the report's, and what a model wrote stays text."""

from __future__ import annotations

from typing import Any

from interp_lab.contracts.steer import SteerReport
from interp_lab.reports.steering import render_steering, render_steering_markdown
from tests.unit.reports.test_html_report import agrees, looked_up, tree
from tests.unit.workflows.memory.past_runs import intervene_report

HOSTILE = '</script><img src=x onerror=alert(1)> | "'


def report() -> SteerReport:
    base = intervene_report([])
    held = {"low": -0.08, "high": 0.14, "method": "t"}
    arm = {"strength": 1.5, "score": 0.25, "gain": 0.125, "gain_interval": held, "perplexity_ratio": 6080.0,
           "kl": 1.96, "repetition": 0.554}  # fmt: skip
    names = ("plain", "steered", "opposite", "random_direction", "instruction")
    doses = [{**arm, "name": name, "strength": s, "gain": s / 4} for s in (1.0, 2.0) for name in (names[1], names[3])]
    beyond = {"gain": 0.125, "control": 0.02, "difference": 0.105, "difference_interval": held, "p_value": 0.03,
              "over_instruction": 0.2, "over_instruction_interval": held}  # fmt: skip
    sample = dict.fromkeys(("prompt", "plain", "steered", "instruction"), HOSTILE)
    values: dict[str, Any] = {
        "criterion": HOSTILE, "headline": HOSTILE, "model": base.model, "dataset": base.dataset, "vector": "v" * 64,
        "direction_sha256": "d" * 64, "address": "resid_post.2", "residual_norm": 23.5, "scorer": "target_share",
        "targets": [HOSTILE], "alternatives": ["b"], "instruction": HOSTILE, "doses": doses, "strength": 1.5,
        "within_bound": True, "saturates_at": None, "breaks_at": 2.0, "arms": [{**arm, "name": n} for n in names],
        "beyond": beyond, "n_prompts": [8, 9], "n_groups": 7, "grade": "plausible", "reasons": ["confirm_too_small"],
        "samples": [sample], "caveats": [HOSTILE], "agent_next_actions": [], "run": base.run,
    }  # fmt: skip
    return SteerReport.model_validate(values)


def test_every_number_of_the_page_is_the_reports_and_texts_stay_text() -> None:
    made = report()
    html = render_steering(made)
    page, values = tree(html), made.model_dump(mode="json")
    marked = [e for e in page.iter() if e.get("data-at") and e.tag.rpartition("}")[2] == "span"]
    assert len(marked) > 60
    assert all(agrees("".join(e.itertext()), looked_up(values, e.get("data-at") or "")) for e in marked)
    assert "onerror=alert(1)>" not in html
    assert "opposite" in html


def test_page_and_text_have_the_same_arms_controls_and_instruction() -> None:
    html, text = render_steering(report()), render_steering_markdown(report())
    for shown in ("0.125", "6.08e3", "55.4 %", "random direction", "instruction"):
        assert shown in html
        assert shown in text
