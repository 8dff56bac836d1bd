from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.contracts.inspect_report import InspectReport, MapCell
from interp_lab.reports.html import render_html

MANY = tuple(f"{point}.{layer}" for point in ("resid_post", "attn_out", "mlp_out", "z", "q") for layer in range(40))
VARIANTS: dict[str, dict[str, Any]] = {
    "usual": {},
    "nothing significant": {"significant": False, "n": 3},
    "solved by a confound": {"solved": True},
    "never confirmed": {"confirmed": False, "n": 4},
    "one coordinate": {"n": 1, "addresses": ("resid_post.5",)},
    "no coordinate": {"n": 0},
    "two hundred addresses": {"addresses": MANY, "n": 2},
    "no contexts": {"n_contexts": 0, "n": 2},
    "edited": {"edited": True, "n": 2},
}
VOID = {"meta", "input", "br", "wbr"}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request, make_report) -> InspectReport:
    return make_report(**VARIANTS[request.param])


def tree(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page)


def with_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


def text_of(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def numbers(element: ElementTree.Element, scope: str = "") -> Iterator[tuple[str, str, bool]]:
    """Yield pointer, shown text and whether it is turned, for every number that the page shows."""
    scope = absolute(scope, element.get("data-in"))
    if (at := element.get("data-at")) is not None:
        yield absolute(scope, at), text_of(element), "data-flip" in element.attrib
    if (field := element.get("data-both")) is not None:
        for split, cell in zip(("explore", "confirm"), element.findall("td"), strict=True):
            if text_of(cell) != "–":
                yield f"{scope}/{split}/{field}", text_of(cell), False
    for place, child in enumerate(element):
        inner = absolute(scope, f"{element.get('data-list')}/{place}") if "data-list" in element.attrib else scope
        yield from numbers(child, inner)


def absolute(scope: str, relative: str | None) -> str:
    return scope if relative is None else relative if relative.startswith("/") else f"{scope}/{relative}"


def looked_up(document: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        document = document[int(step) if isinstance(document, list) else step]
    return document


def agrees(shown: str, value: float) -> bool:
    """Return whether `shown` is `value` to the digits that are shown."""
    plain = shown.replace("−", "-").replace(",", "")
    unit = 0.01 if plain.endswith("%") else 1.0
    mantissa, _, exponent = plain.removesuffix("%").strip().partition("e")
    digits = len(mantissa.partition(".")[2])
    step = 10.0 ** (int(exponent or 0) - digits) * unit
    return abs(float(mantissa) * 10.0 ** int(exponent or 0) * unit - value) <= 0.5001 * step


def leaves(document: Any, pointer: str) -> Iterator[str]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield from leaves(value, f"{pointer}/{name}")
    elif isinstance(document, list):
        for place, value in enumerate(document):
            yield from leaves(value, f"{pointer}/{place}")
    elif isinstance(document, (int, float)) and not isinstance(document, bool):
        yield pointer


def test_every_number_shown_is_the_number_of_the_report(variant: InspectReport) -> None:
    document = variant.model_dump(mode="json")
    shown = list(numbers(tree(render_html(variant))))
    assert len(shown) > 20
    for pointer, text, turned in shown:
        value = looked_up(document, pointer)
        assert agrees(text, 1 - value if turned else value), (pointer, text, value)


def test_the_comparison_of_numbers_would_notice_a_wrong_digit() -> None:
    assert agrees("0.931", 0.9312)
    assert not agrees("0.932", 0.9312)
    assert not agrees("4.3e-5", 4.21e-5)
    assert agrees("−12.3", -12.34)
    assert not agrees("12.3 %", 0.1241)


def test_every_number_of_a_coordinate_is_shown_somewhere(variant: InspectReport) -> None:
    document = variant.model_dump(mode="json")
    shown = {pointer for pointer, _, _ in numbers(tree(render_html(variant)))}
    drawn = re.compile(r"/(sign|level|peak|tokens/.*|truncated_(before|after))$")
    for place, card in enumerate(document["coordinates"]):
        wanted = {pointer for pointer in leaves(card, f"/coordinates/{place}") if not drawn.search(pointer)}
        assert not wanted - shown


def test_the_page_is_well_formed_as_html_and_as_xml(variant: InspectReport) -> None:
    page = render_html(variant)
    assert tree(page).tag == "html"
    open_tags: list[str] = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag not in VOID:
                open_tags.append(tag)

        def handle_startendtag(self, tag: str, attrs: Any) -> None:
            assert tag in VOID | {"path", "circle", "rect", "use", "polyline", "polygon"}

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Balanced().feed(page)
    assert open_tags == []


def test_every_coordinate_has_a_row_and_a_card_and_every_link_a_target(variant: InspectReport) -> None:
    root = tree(render_html(variant))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert [card.get("id") for card in with_class(root, "card")] == [f"c{n}" for n in range(len(variant.coordinates))]
    rows = [element for element in root.iter("tr") if element.get("data-card")]
    assert len(rows) == len(variant.coordinates)
    links = [link for element in root.iter() if (link := element.get("href")) is not None]
    reports = re.compile(r"\.\./\.\./[0-9a-f]{64}/files/report\.html")
    assert all((link.startswith("#") and link[1:] in ids) or reports.fullmatch(link) for link in links)
    labels = [element.get("aria-labelledby") for element in root.iter() if element.get("aria-labelledby")]
    assert set(labels) <= set(ids)


def test_the_page_asks_nothing_of_the_network(variant: InspectReport) -> None:
    page = render_html(variant)
    assert not re.search(r"https?:|url\(|@import|\bsrc\s*=|//[a-z0-9]+\.", page)
    policy = next(meta for meta in tree(page).iter("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert (policy.get("content") or "").startswith("default-src 'none'; ")
    assert not [name for element in tree(page).iter() for name in element.attrib if name.startswith("on")]


def test_a_dataset_solved_by_a_confound_is_announced_loudly_and_a_sound_one_is_not(make_report) -> None:
    solved, sound = tree(render_html(make_report(solved=True))), tree(render_html(make_report(solved=False)))
    (banner,) = with_class(solved, "bad")
    assert banner.get("role") == "alert"
    assert "A confound alone solves this dataset" in text_of(banner)
    assert "number of tokens" in text_of(banner)
    assert "0.991" in text_of(banner)
    assert with_class(sound, "bad") == []
    assert "A confound alone" not in text_of(with_class(sound, "banner")[0])


def test_one_flagged_confound_that_does_not_solve_the_dataset_gives_a_milder_warning(make_json) -> None:
    document = make_json(n=1)
    document["audit"]["confounds"][2]["flagged"] = True
    root = tree(render_html(InspectReport.model_validate(document)))
    (banner,) = with_class(root, "watch")
    assert "single words" in text_of(banner)


def test_a_confirmation_that_turned_round_is_marked_and_one_that_held_is_not(make_json) -> None:
    document = make_json(n=2)
    document["coordinates"][0]["sign"] = 1
    document["coordinates"][0]["confirm"]["auroc"] |= {"value": 0.41, "interval": None}
    root = tree(render_html(InspectReport.model_validate(document)))
    marks = [
        any("against" in element.get("class", "") for element in row.iter())
        for row in root.iter("tr")
        if row.get("data-card")
    ]
    assert marks == [True, False]


def test_every_drawing_says_in_words_what_it_shows(variant: InspectReport) -> None:
    drawings = list(tree(render_html(variant)).iter("svg"))
    assert drawings
    assert all(
        svg.get("aria-hidden") == "true" or (svg.get("role") == "img" and svg.get("aria-label")) for svg in drawings
    )


def test_the_largest_report_stays_under_half_a_mebibyte(make_report) -> None:
    cells = tuple(MapCell(auroc=n % 100 / 100, log_q=n // 100 / 5, n=n + 1) for n in range(600))
    largest = make_report(n=50, n_contexts=20, n_tokens=40).model_copy(update={"association_map": cells})
    page = render_html(largest)
    assert len(page.encode()) <= 2**19
    assert len(list(tree(page).iter("q"))) == 50 * 20


def test_a_report_of_usual_size_shows_its_contexts_in_full_and_a_huge_one_says_that_it_does_not(make_report) -> None:
    def tokens_shown(report: InspectReport) -> int:
        return sum(len(q.get("data-h", "")) // 3 for q in tree(render_html(report)).iter("q"))

    usual, huge = make_report(n=10, n_contexts=6, n_tokens=24), make_report(n=50, n_contexts=20, n_tokens=40)
    assert tokens_shown(usual) == 10 * 6 * 24
    assert "around the token in bold" not in render_html(usual)
    assert tokens_shown(huge) < 50 * 20 * 40
    assert "around the token in bold" in render_html(huge)


def test_equal_reports_give_equal_pages(make_report) -> None:
    assert render_html(make_report(seed=3)) == render_html(make_report(seed=3))
    assert render_html(make_report(seed=3)) != render_html(make_report(seed=4))


def poisoned(document: Any, text: str) -> Any:
    """Return the report with `text` in every place that holds words of a user, a prompt or a file."""
    document["headline"] = document["dataset"]["name"] = document["model"]["id"] = text
    document["criterion"] = document["model"]["revision"] = document["run"]["job_id"] = text
    document["caveats"] = [text]
    document["run"] |= {"packages": {text: text}, "checks": {text: text}}
    document["audit"]["confounds"][0] |= {"name": text, "text": text, "flagged": True}
    document["layers"][0]["address"] = text
    document["agent_next_actions"][0] |= {"tool": text, "why": text, "arguments": {text: text}}
    for card in document["coordinates"]:
        card["address"] = text
        card["reasons"] = [{"code": text, "text": text}]
        card["specificity"][0]["label"] = text
        card["contexts"][0]["prompt_id"] = text
        for token in card["contexts"][0]["tokens"]:
            token["text"] = text
    return document


def skeleton(root: ElementTree.Element) -> Counter[tuple[str, tuple[str, ...]]]:
    return Counter((element.tag, tuple(sorted(element.attrib))) for element in root.iter())


NASTY = st.one_of(
    st.sampled_from(
        (
            "<script>alert(1)</script>",
            "</script><img src=x onerror=alert(1)>",
            '" onmouseover="alert(1)" x=\'',
            "' autofocus onfocus='alert(1)",
            "]]><!--",
            "{{ 7 * 7 }}{% for %}",
            "javascript:alert(1)",
            "&lt;b&gt; &amp; &#x202e;",
            "\u202e\u2066\u200b\x00\x1b[2J\x7f\ufffe\ud800",
            "<svg/onload=alert(1)>",
            "`|a|b|`\n\n# x",
        )
    ),
    st.text(st.characters(), min_size=1, max_size=30),
)


@settings(max_examples=60, deadline=None)
@given(NASTY)
def test_no_text_can_become_an_element_or_an_attribute(make_json, text: str) -> None:
    def page(words: str) -> ElementTree.Element:
        document = make_json(n=2, n_contexts=2, n_tokens=4)
        return tree(render_html(InspectReport.model_validate(poisoned(document, words))))

    assert skeleton(page(text.encode("utf-8", "replace").decode())) == skeleton(page("harmless"))


def test_hostile_text_is_shown_and_not_obeyed(make_json) -> None:
    text = "</script><script>alert(1)</script>\u202e{{ 7 * 7 }}"
    page = render_html(InspectReport.model_validate(poisoned(make_json(n=1), text)))
    root = tree(page)
    assert len(list(root.iter("script"))) == 1
    assert "\u202e" not in page
    heading = text_of(next(root.iter("h1")))
    assert heading == "</script><script>alert(1)</script>\\u202e{{ 7 * 7 }}"
