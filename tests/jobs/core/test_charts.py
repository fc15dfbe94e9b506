"""The report's pictures: every document is in a bar, bars outside a bound are hatched, labels stay inside."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core import charts
from jobs.core.report_facts import COUNT_EDGES, FRACTION_EDGES

VALUES = st.lists(
    st.floats(0, 3) | st.integers(0, 40).map(float) | st.floats(0, 2e6) | st.just(0.1), min_size=1, max_size=60
)
BOUNDS = st.none() | st.floats(0, 2) | st.integers(1, 100_000).map(float)


def binned(values: list[float], edges: np.ndarray) -> np.ndarray:
    places = np.searchsorted(edges, np.array(values), side="right") - 1
    if edges is FRACTION_EDGES:
        places[np.array(values) == 1.0] -= 1
    return np.bincount(places, minlength=len(edges))


def draw(values: list[float], edges: np.ndarray, minimum: float | None, maximum: float | None, whole: bool) -> str:
    return str(
        charts.histogram(
            edges, binned(values, edges), lowest=min(values), highest=max(values), minimum=minimum, maximum=maximum,
            whole=whole, label="a & b",
        )
    )  # fmt: skip


@given(VALUES, BOUNDS, BOUNDS, st.booleans(), st.booleans())
def test_every_value_is_in_a_bar_and_every_label_in_the_picture(
    values: list[float], minimum: float | None, maximum: float | None, whole: bool, fraction: bool
) -> None:
    if whole:
        values = [float(round(value)) for value in values]
    picture = draw(values, FRACTION_EDGES if fraction else COUNT_EDGES, minimum, maximum, whole and not fraction)
    root = ElementTree.fromstring(picture)
    counts = [int(title.rpartition(": ")[2].replace(",", "")) for title in re.findall("<title>(.*?)</title>", picture)]
    assert sum(counts) == len(values)
    assert len(counts) <= charts.MOST_BINS + 4
    for text in root.iter("text"):
        wide = 6.2 * len(text.text or "")
        left = (
            float(text.get("x", "0")) - {"start": 0, "middle": wide / 2, "end": wide}[text.get("text-anchor", "start")]
        )
        assert left > -12
        assert left + wide < charts.WIDTH + 12
    for bar in root.iter("rect"):
        assert charts.LEFT - 1 <= float(bar.get("x", "0")) <= charts.WIDTH
        assert float(bar.get("height", "0")) <= charts.HEIGHT - charts.TOP - charts.BOTTOM + 0.1


def test_bars_outside_the_bounds_are_hatched_and_far_bounds_are_an_arrow() -> None:
    picture = draw([10.0, 12.0, 60.0, 70.0, 400.0], COUNT_EDGES, 50.0, 100_000.0, True)
    outside = re.findall(r'class="out".*?<title>(.*?)</title>', picture)
    assert sum(int(title.rpartition(": ")[2]) for title in outside) == 2
    assert "≤ 100k →" in picture
    assert picture.count('<line class="bound"') == 1


def test_bars_and_ranges_are_as_wide_as_what_they_show() -> None:
    bar = str(charts.bar([(1, "kept"), (3, "removed")], 4, "one <of> four"))
    assert re.findall(r'x="([\d.]+)" y="0" width="([\d.]+)"', bar) == [("0.00", "250.00"), ("250.00", "750.00")]
    assert 'aria-label="one &lt;of&gt; four"' in bar
    assert "<rect" not in charts.bar([(0, "kept")], 0)
    spread = str(charts.log_range(1e8, 1e10, 1e6, 1e12))
    assert 'class="more" x="333.33" y="7" width="333.33"' in spread


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1200, "1.2k"), (100_000, "100k"), (3.5e6, "3.5M"), (2e9, "2B")]
)
def test_counts_are_short(value: float, text: str) -> None:
    assert charts.short_count(value) == text
