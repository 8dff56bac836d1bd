from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.contracts.inspect_report import Context, ContextToken, InspectReport
from interp_lab.reports.markdown import DESCRIBED, code_span, emphasised, escaped, render_markdown
from interp_lab.reports.visible import visible

NASTY = st.one_of(
    st.sampled_from(
        ("|", "\\|", "`", "``|``", "a|b`c", "**", "[x](javascript:alert(1))", "<b>", "![](x)", "\n\n# x", "_")
    ),
    st.text("`|\\*_[]()<>#!&~$-+=. \nab1", min_size=1, max_size=12),
    st.text(min_size=1, max_size=20),
)


def cells(line: str) -> list[str]:
    """Return the cells of a table row as GitHub-flavoured Markdown splits it: a backslash guards what follows."""
    return re.findall(r"((?:\\.|[^|\\])*)\|", line.strip().removeprefix("|"))


def tables(text: str) -> list[list[list[str]]]:
    """Return every table as rows of cells."""
    found: list[list[list[str]]] = []
    open_table = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not open_table:
                found.append([])
            found[-1].append(cells(line))
        open_table = line.startswith("|")
    return found


def calls(text: str) -> list[Any]:
    return [json.loads(block) for block in re.findall(r"^```json\n(.*?)\n```$", text, flags=re.DOTALL | re.MULTILINE)]


def spoiled(document: dict[str, Any], text: str) -> InspectReport:
    """Return the report with `text` wherever words of a user, a prompt or a file stand."""
    document["criterion"] = document["headline"] = document["model"]["id"] = document["dataset"]["name"] = text
    document["caveats"] = [text, text]
    document["run"]["checks"] = {text: text}
    document["audit"]["confounds"][0] |= {"name": text, "text": text, "flagged": True}
    document["layers"][0]["address"] = text
    document["agent_next_actions"][0] |= {"tool": text, "why": text, "arguments": {text: text}}
    for card in document["coordinates"]:
        card["address"] = text
        card["reasons"] = [{"code": text, "text": text}]
        for token in card["contexts"][0]["tokens"]:
            token["text"] = text
    return InspectReport.model_validate(document)


def outline(text: str) -> tuple[list[str], list[list[int]], int]:
    """Return heading levels in order, the width of every table row, and the number of fences."""
    headings = [line.split(" ")[0] for line in text.splitlines() if re.match(r"#+ ", line)]
    fences = sum(line.startswith("```") for line in text.splitlines())
    return headings, [[len(row) for row in table] for table in tables(text)], fences


def test_the_headline_comes_first_and_the_dataset_audit_next(make_report) -> None:
    report = make_report()
    lines = [line for line in render_markdown(report).splitlines() if line]
    assert lines[0] == f"# Inspect: {report.criterion}"
    assert lines[1] == f"> {report.headline}"
    assert lines[2].startswith("Dataset audit: no confound alone solves this dataset; the strongest is single words")


def test_a_dataset_solved_by_a_confound_is_announced_before_any_number(make_report) -> None:
    text = render_markdown(make_report(solved=True))
    assert text.index("**WARNING: a confound alone solves this dataset.**") < text.index("prompts (")
    assert "- number of tokens, AUROC 0.991 [0.951, 1.000]. Positives are longer" in text
    assert "WARNING" not in render_markdown(make_report(solved=False))


def test_the_ranking_has_the_numbers_of_the_report_in_the_direction_found(make_report) -> None:
    report = make_report(n=12)
    ranking = tables(render_markdown(report))[0][2:]
    assert len(ranking) == 12
    assert {card.sign for card in report.coordinates} == {-1, 1}
    for row, card in zip(ranking, report.coordinates, strict=True):
        assert card.confirm is not None
        explore, confirm = card.explore.auroc.value, card.confirm.auroc.value
        assert row[0].strip() == str(card.rank)
        assert f"`{card.address}` #{card.index}" in row[1]
        assert ("↓" in row[1]) == (card.sign == -1)
        assert float(row[3]) == pytest.approx(explore if card.sign == 1 else 1 - explore, abs=6e-4)
        assert float(row[4].split("[")[0]) == pytest.approx(confirm if card.sign == 1 else 1 - confirm, abs=6e-4)
        assert float(row[5]) == pytest.approx(card.explore.q_value, rel=0.06, abs=6e-4)


def test_the_layer_table_has_the_numbers_of_the_report(make_report) -> None:
    report = make_report(n=1)
    for row, layer in zip(tables(render_markdown(report))[1][2:], report.layers, strict=True):
        assert row[0].strip() == f"`{layer.address}`"
        assert int(row[1]) == layer.best_index
        assert float(row[2]) == pytest.approx(layer.best_auroc, abs=6e-4)
        assert row[4].strip() == f"{layer.n_significant} of {layer.n_coordinates}"


def test_next_actions_can_be_copied_as_they_stand(make_report) -> None:
    report = make_report()
    wanted = [{"tool": action.tool, "arguments": action.arguments} for action in report.agent_next_actions]
    assert calls(render_markdown(report)) == wanted


def test_a_report_of_ten_coordinates_can_be_read_whole_and_of_fifty_says_what_it_leaves_out(make_report) -> None:
    ten, fifty = render_markdown(make_report(n=10)), render_markdown(make_report(n=50, n_contexts=20, n_tokens=40))
    assert len(ten) <= 12_500
    assert len(fifty) <= 18_000
    assert ten.count("\n### ") == 10
    assert fifty.count("\n### ") == DESCRIBED
    assert "The other 40 coordinates are described in report.json" in fifty
    assert "The other" not in ten


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "No coordinate was ranked."),
        ({"confirmed": False}, "- confirm: not measured"),
        ({"significant": False}, "9,216 coordinates tested, 0 with q ≤ 0.05"),
        ({"n": 1, "addresses": ("embed",)}, "| `embed` |"),
        ({"addresses": tuple(f"z.{layer}" for layer in range(200))}, "The 16 strongest of 200 addresses."),
    ],
)
def test_awkward_reports_are_told_plainly(make_report, options: dict[str, Any], said: str) -> None:
    assert said in render_markdown(make_report(**options))


def test_a_reason_is_told_in_words_once_and_by_its_code_afterwards(make_report) -> None:
    text = render_markdown(make_report(n=3))
    words = "Nothing was edited, so nothing is known about effects."
    assert text.count(words) == 1
    assert text.count("`no_intervention`") == 3
    assert text.count("`confirmed_association`") == 3
    assert text.count("On confirm prompts the AUROC is") == 3


def test_equal_reports_give_equal_text(make_report) -> None:
    assert render_markdown(make_report(seed=3)) == render_markdown(make_report(seed=3))
    assert render_markdown(make_report(seed=3)) != render_markdown(make_report(seed=4))


@settings(max_examples=80, deadline=None)
@given(NASTY)
def test_no_text_changes_headings_tables_or_fences(make_json, text: str) -> None:
    hostile = render_markdown(spoiled(make_json(n=2, n_contexts=2, n_tokens=3), text))
    harmless = render_markdown(spoiled(make_json(n=2, n_contexts=2, n_tokens=3), "harmless"))
    assert outline(hostile) == outline(harmless)
    assert calls(hostile)[0] == {"tool": text, "arguments": {text: text}}


@given(st.text())
def test_escaped_text_reads_as_itself(text: str) -> None:
    shown = escaped(text)
    assert "\n" not in shown
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", shown) == visible(text).strip(" ")
    unguarded = re.sub(r"\\.", "", shown)
    assert not re.search(r"[`*\[\]<>|~$&]|://|www\.", unguarded)
    assert not re.match(r"#|[+=-]|\d+[.)]\s", shown)


@given(st.text("` |ab\\", max_size=12) | st.text(max_size=20))
def test_a_code_span_is_closed_only_by_its_own_fence(text: str) -> None:
    span = code_span(text)
    if not text:
        assert span == ""
        return
    fence = re.match("`+", span)
    assert fence is not None
    inner = span[fence.end() : -fence.end()]
    assert span.endswith(fence[0])
    assert fence[0] not in re.findall("`+", inner)
    stripped = inner[1:-1] if inner.strip(" ") and inner[0] == inner[-1] == " " else inner
    assert stripped == visible(text)


def test_the_peak_is_bold_and_what_is_left_out_is_counted() -> None:
    tokens = tuple(ContextToken(text=f" w{place}", value=float(place == 7)) for place in range(40))
    context = Context(prompt_id="p", positive=True, pooled=1.0, truncated_before=3, tokens=tokens, peak=20)
    shown = emphasised(context)
    assert "**` w20`**" in shown
    assert shown.count("**") == 2
    assert shown.startswith("18… ` w15")
    assert shown.endswith(" w25` …14")


def test_text_that_looks_like_a_link_is_no_link() -> None:
    shown = escaped("see https://evil.example, www.evil.example and [here](x)")
    assert "://" not in shown
    assert "www." not in shown
    assert "\\[here\\]" in shown
