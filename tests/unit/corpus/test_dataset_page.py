from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interp_lab.corpus.criteria.table import BEGIN, END, measured_part, with_measured

EMPTY = f"# Page\n\n{BEGIN}\n\n{END}\n\n## section\n"
PARTS = st.text().filter(lambda text: BEGIN not in text and END not in text)


@given(PARTS, PARTS)
def test_what_was_measured_is_kept_and_replaced_whole(first: str, second: str) -> None:
    page = with_measured(EMPTY, first)
    assert measured_part(page) == first
    assert with_measured(page, second) == with_measured(EMPTY, second)
    assert with_measured(page, "") == EMPTY


def test_a_page_without_a_place_for_it_stays_as_it_is() -> None:
    assert measured_part("# Page\n") == ""
    assert with_measured("# Page\n", "table") == "# Page\n"
