"""The report's pictures as inline SVG: no script, no style attribute, colours by class, legible without colour.

Bars are stretched to the place they get and hold no text; numbers stand beside them in HTML. Histograms keep their
proportions and are drawn for cards of about 320 CSS pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 148
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 20, 24
MOST_BINS = 44
TICKS = 4
CLEAR = 7  # between a mark at the lower end of an upright axis and the labels below


def bar(parts: Sequence[tuple[float, str]], total: float, label: str = "") -> Markup:
    """A horizontal bar made of (value, class) parts, as wide as ``total``."""
    pieces = []
    at = 0.0
    for value, kind in parts:
        width = 1000 * value / total if total else 0.0
        if width > 0:
            pieces.append(f'<rect class="{kind}" x="{at:.2f}" y="0" width="{max(width, 1.5):.2f}" height="20"/>')
        at += width
    text = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    return Markup(f'<svg class="bar" viewBox="0 0 1000 20" preserveAspectRatio="none" {text}>{"".join(pieces)}</svg>')


def log_range(low: float, high: float, least: float, most: float) -> Markup:
    """A stroke from ``low`` to ``high`` on a logarithmic axis from ``least`` to ``most``, a dot at either end."""

    def place(value: float) -> float:
        return 1000 * (math.log10(value) - math.log10(least)) / (math.log10(most) - math.log10(least))

    begin, end = place(low), place(high)
    decades = range(math.ceil(math.log10(least)), math.floor(math.log10(most)) + 1)
    lines = "".join(
        f'<rect class="grid" x="{place(10.0**decade) - 0.5:.2f}" y="0" width="1" height="20"/>' for decade in decades
    )
    return Markup(
        f'<svg class="bar tall" viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true">{lines}'
        f'<rect class="more" x="{begin:.2f}" y="7" width="{max(end - begin, 2):.2f}" height="6"/>'
        f'<rect class="once" x="{begin - 4:.2f}" y="2" width="8" height="16"/>'
        f'<rect class="more" x="{end - 4:.2f}" y="2" width="8" height="16"/></svg>'
    )


def short_count(value: float) -> str:
    """1 200 as 1.2k, 3 000 000 as 3M."""
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def histogram(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    *,
    lowest: float,
    highest: float,
    minimum: float | None,
    maximum: float | None,
    whole: bool,
    label: str,
) -> Markup:
    """A histogram with its bounds: bars outside them are hatched, the count axis is logarithmic.

    ``counts`` has one entry for each bin between ``edges`` and a last one for values beyond them. Values from 0 that
    reach far are drawn on a logarithmic axis.
    """
    bins = _visible(edges, counts, lowest, highest, minimum, maximum, whole)
    if not bins:
        return Markup("")
    low, high = bins[0][0], bins[-1][1]
    logarithmic = high > 60
    axis = _Axis(low, high, logarithmic)
    most = max(count for _, _, count in bins)
    ceiling = max(1, math.ceil(math.log10(most + 1)))
    pieces = [_count_axis(ceiling)]
    for begin, end, count in bins:
        if not count:
            continue
        x0, x1 = axis.place(begin), axis.place(end)
        height = (HEIGHT - TOP - BOTTOM) * math.log10(count + 1) / ceiling
        outside = (minimum is not None and end <= minimum) or (maximum is not None and begin >= maximum)
        pieces.append(
            f'<rect class="{"out" if outside else "in"}" x="{x0 + 0.4:.1f}" y="{HEIGHT - BOTTOM - height:.1f}" '
            f'width="{max(x1 - x0 - 0.8, 0.8):.1f}" height="{height:.1f}">'
            f"<title>{_interval(begin, end, whole)}: {count:,}</title></rect>"
        )
    pieces += _value_axis(axis)
    for bound, sign in ((minimum, "≥"), (maximum, "≤")):
        if bound is not None:
            pieces.append(_bound_line(axis, bound, sign))
    return _chart(pieces, label)


def _chart(pieces: Sequence[str], label: str) -> Markup:
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
    return Markup(f"{head}{''.join(pieces)}</svg>")


class _Axis:
    """Places of values on the horizontal axis."""

    def __init__(self, low: float, high: float, logarithmic: bool) -> None:
        self.low, self.high, self.logarithmic = low, high, logarithmic

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 0) + 1) if self.logarithmic else value

    def place(self, value: float) -> float:
        share = (self._scaled(value) - self._scaled(self.low)) / (self._scaled(self.high) - self._scaled(self.low))
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, share))

    def ticks(self) -> list[float]:
        """Round values, from three to six."""
        if self.logarithmic:
            decades = [10.0**power for power in range(0, 13) if self.low <= 10.0**power <= self.high]
            if len(decades) >= 3:
                return decades[:: max(1, math.ceil(len(decades) / 6))]
            steps = [factor * 10.0**power for power in range(0, 13) for factor in (1, 2, 5)]
            return [value for value in steps if self.low <= value <= self.high]
        step = _round_step((self.high - self.low) / TICKS)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * 0.999)


def _visible(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    lowest: float,
    highest: float,
    minimum: float | None,
    maximum: float | None,
    whole: bool,
) -> list[tuple[float, float, int]]:
    """(begin, end, count) of the bars: the occupied range and the bounds near it, in at most ``MOST_BINS`` bars."""
    if not counts.sum():
        return []
    width = float(edges[1] - edges[0])
    ends = np.append(edges[1:], edges[-1] + max(width, edges[-1] * 0.2))
    near = max(highest, lowest + width)
    shown_low = min([lowest, *([minimum] if minimum is not None and minimum <= near * 1.5 else [])])
    shown_high = max([highest, *([maximum] if maximum is not None and maximum <= max(near * 4, near + 0.5) else [])])
    first = int(np.searchsorted(edges, shown_low, side="right")) - 1
    last = min(int(np.searchsorted(edges, shown_high, side="right")), len(counts) - 1)
    if edges[-1] == 1.0 and counts[-1] == 0:
        last = min(last, len(counts) - 2)
    first = max(0, min(first, last) - 1)
    if whole and edges[first] < 20:  # whole numbers fill one quarter bin in four
        first -= first % 4
        per = 4
    else:
        per = 1
    places = list(range(first, last + 1))
    merge = max(per, math.ceil(len(places) / MOST_BINS))
    merge = math.ceil(merge / per) * per
    if whole and per == 4:
        return _whole_bins(edges, ends, counts, places)
    groups = [places[at : at + merge] for at in range(0, len(places), merge)]
    return [(float(edges[group[0]]), float(ends[group[-1]]), int(counts[group].sum())) for group in groups]


def _whole_bins(
    edges: NDArray[np.float64], ends: NDArray[np.float64], counts: NDArray[np.int64], places: list[int]
) -> list[tuple[float, float, int]]:
    small = [place for place in places if edges[place] < 20]
    large = [place for place in places if edges[place] >= 20]
    groups = [small[at : at + 4] for at in range(0, len(small), 4)]
    if large:
        groups = [small[at : at + 8] for at in range(0, len(small), 8)]
        merge = max(1, math.ceil(len(large) / (MOST_BINS - len(groups))))
        groups += [large[at : at + merge] for at in range(0, len(large), merge)]
    return [(float(edges[group[0]]), float(ends[group[-1]]), int(counts[group].sum())) for group in groups]


def _interval(begin: float, end: float, whole: bool) -> str:
    if whole and end - begin <= 1:
        return f"{begin:.0f}"
    return f"{number_text(begin)} to {number_text(end)}"


def number_text(value: float) -> str:
    """A value with at most four digits, without an exponent."""
    if value >= 10_000:
        return short_count(value)
    return f"{value:.4g}" if value < 1000 else f"{value:,.0f}"


def _count_axis(ceiling: int) -> str:
    pieces = []
    step = 1 if ceiling <= 4 else 2
    for power in range(0, ceiling + 1, step):
        count = 10**power
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(1.0, math.log10(count + 1) / ceiling)
        if y < TOP - 1:
            continue
        pieces.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{short_count(count)}</text>'
        )
    base = HEIGHT - BOTTOM
    pieces.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    return "".join(pieces)


def _value_axis(axis: _Axis) -> list[str]:
    pieces = []
    last_end = -math.inf
    for value in axis.ticks():
        x = axis.place(value)
        text = number_text(value) if not axis.logarithmic else short_count(value)
        half = 3.2 * len(text)
        anchor, begin = "middle", x - half
        if x + half > WIDTH - 2:
            anchor, begin = "end", x - 2 * half
        if begin < last_end + 4:
            continue
        last_end = begin + 2 * half
        pieces.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 13}" text-anchor="{anchor}">{text}</text>')
    return pieces


def _bound_line(axis: _Axis, bound: float, sign: str) -> str:
    """A dashed line where the bound lies, an arrow at the edge where it lies outside of the picture."""
    x = axis.place(bound)
    text = f"{sign} {number_text(bound)}"
    if not axis.low <= bound <= axis.high:
        beyond = bound > axis.high
        shown, edge = (f"{text} →", WIDTH - RIGHT) if beyond else (f"← {text}", LEFT)
        return f'<text class="bound" x="{edge}" y="11" text-anchor="{"end" if beyond else "start"}">{shown}</text>'
    half = 3.3 * len(text)
    place = min(max(x, LEFT + half), WIDTH - RIGHT - half)
    return (
        f'<line class="bound" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 5}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="bound" x="{place:.1f}" y="11" text-anchor="middle">{text}</text>'
    )


def trend(
    values: Sequence[tuple[str, float | None]],
    label: str,
    band: tuple[float, float] | None = None,
    shown: Sequence[float] = (),
) -> Markup:
    """A value over time, the last one marked by its shape; a gap where it is None. ``band`` is shaded and framed, the
    axis reaches to every value of ``shown``.
    """
    known = [value for _, value in values if value is not None]
    if not known:
        return Markup("")
    low, high = min([*known, *shown, *(band or ())]), max([*known, *shown, *(band or ())])
    up = _Upright(low, high if high > low else low + (abs(low) or 1.0))
    pieces = []
    if band is not None:
        top, bottom = up.place(band[1]), up.place(band[0])
        pieces.append(
            f'<rect class="band" x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - RIGHT}" '
            f'height="{max(bottom - top, 1):.1f}"/>'
        )
    pieces += up.ticks()
    step = (WIDTH - LEFT - RIGHT - 24) / max(1, len(values) - 1)
    places = [LEFT + 12 + place * step for place in range(len(values))]
    pieces += _trend_line(values, places, up)
    every = math.ceil(len(values) / 8)
    pieces += [
        f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 13}" text-anchor="middle">{number}</text>'
        for number, x in enumerate(places, 1)
        if (len(values) - number) % every == 0
    ]
    return _chart(pieces, label)


def _trend_line(values: Sequence[tuple[str, float | None]], places: Sequence[float], up: _Upright) -> list[str]:
    lines, marks = [], []
    before: tuple[float, float] | None = None
    for number, ((name, value), x) in enumerate(zip(values, places, strict=True), 1):
        if value is None:
            before = None
            continue
        y = up.place(value)
        if before is not None:
            lines.append(f'<line class="trend" x1="{before[0]:.1f}" y1="{before[1]:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>')
        last = number == len(values)
        kind, size, turn = ("now", 9, f' transform="rotate(45 {x:.1f} {y:.1f})"') if last else ("in", 5, "")
        marks.append(
            f'<rect class="{kind}" x="{x - size / 2:.1f}" y="{y - size / 2:.1f}" width="{size}" height="{size}"{turn}>'
            f"<title>{escape(name)}: {number_text(value)}</title></rect>"
        )
        before = (x, y)
    return lines + marks


class _Upright:
    """Places of values on a linear vertical axis."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - CLEAR - (HEIGHT - TOP - BOTTOM - CLEAR) * min(1.0, max(0.0, share))

    def ticks(self) -> list[str]:
        """Grid lines at round values, with those values; and the base line."""
        step = _round_step((self.high - self.low) / TICKS)
        numbers = range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
        pieces = []
        for value in (number * step for number in numbers):
            y = self.place(value)
            pieces.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="tick" x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{number_text(value)}</text>'
            )
        base = HEIGHT - BOTTOM
        return [*pieces, f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>']


def columns(values: Sequence[tuple[str, int]], label: str) -> Markup:
    """Columns for a few named counts, the count above each; the count axis is logarithmic."""
    if not values:
        return Markup("")
    most = max(count for _, count in values)
    ceiling = max(1.0, math.log10(most + 1))
    width = (WIDTH - 2 * RIGHT) / len(values)
    pieces = []
    for place, (name, count) in enumerate(values):
        height = (HEIGHT - TOP - BOTTOM) * math.log10(count + 1) / ceiling
        x, y = RIGHT + place * width, HEIGHT - BOTTOM - height
        middle = x + width / 2
        if count:
            pieces.append(
                f'<rect class="in" x="{x + width * 0.12:.1f}" y="{y:.1f}" width="{width * 0.76:.1f}" '
                f'height="{height:.1f}"/>'
                f'<text class="tick" x="{middle:.1f}" y="{y - 4:.1f}" text-anchor="middle">{short_count(count)}</text>'
            )
        pieces.append(
            f'<text class="tick" x="{middle:.1f}" y="{HEIGHT - BOTTOM + 13}" text-anchor="middle">{escape(name)}</text>'
        )
    base = HEIGHT - BOTTOM
    pieces.append(f'<line class="axis" x1="{RIGHT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    return _chart(pieces, label)
