"""Draw docs/s_curve.svg: how likely a pair is to be compared, by its similarity, for the settings of dedup_near.

    python benchmarks/near_dedup.py quality > quality.json
    python benchmarks/s_curve.py [quality.json]

With the figures of `near_dedup.py quality`, the shares of pairs that were compared are drawn as points on the curve of
the defaults, bins of 20 pairs and more.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from jobs.core.recipe import DedupNear  # noqa: E402
from udfs.minhash import candidate_probability  # noqa: E402

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 430, 60, 24, 190, 56
LEAST = 0.3  # similarities below are left out: nothing happens there
FEWEST_PAIRS = 20
SATURATED = 0.9  # from here on the curve is 1 and does not tell where a bin's pairs lie
COLOURS = {"default": "#0b5fa5", "fineweb": "#d1495b", "lee": "#3c8d53", "olmo3": "#8a5fbf"}
DASHES = {"default": "", "fineweb": "7 4", "lee": "2 3", "olmo3": "9 3 2 3"}


def x(similarity: float) -> float:
    return LEFT + (similarity - LEAST) / (1 - LEAST) * (WIDTH - LEFT - RIGHT)


def y(probability: float) -> float:
    return TOP + (1 - probability) * (HEIGHT - TOP - BOTTOM)


def curve(bands: int, rows: int) -> str:
    steps = [LEAST + place / 200 * (1 - LEAST) for place in range(201)]
    return " ".join(f"{x(s):.1f},{y(candidate_probability(s, bands, rows)):.1f}" for s in steps)


def text(left: float, top: float, said: str, extra: str = "") -> str:
    return f'<text x="{left:.1f}" y="{top:.1f}" {extra}>{said}</text>'


def frame() -> list[str]:
    parts = []
    for tenth in range(11):
        share = tenth / 10
        parts.append(f'<line x1="{LEFT}" x2="{x(1):.1f}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="#e3e6ea"/>')
        if tenth % 2 == 0:
            parts.append(text(LEFT - 8, y(share) + 4, f"{share:.1f}", 'text-anchor="end"'))
        if share >= LEAST:
            parts.append(text(x(share), y(0) + 18, f"{share:.1f}", 'text-anchor="middle"'))
    parts.append(f'<line x1="{x(0.8):.1f}" x2="{x(0.8):.1f}" y1="{y(1):.1f}" y2="{y(0):.1f}" stroke="#9aa3ad"/>')
    parts.append(text(x(0.8) - 5, y(0) - 6, "threshold .8", 'text-anchor="end" fill="#5b6570"'))
    parts.append(
        text((x(LEAST) + x(1)) / 2, HEIGHT - 14, "Jaccard similarity of two documents", 'text-anchor="middle"')
    )
    middle = (y(0) + y(1)) / 2
    turned = f'text-anchor="middle" transform="rotate(-90 16 {middle:.1f})"'
    parts.append(text(16, middle, "share of pairs that are compared", turned))
    return parts


def curves() -> list[str]:
    parts = []
    for place, name in enumerate(COLOURS):
        step = DedupNear.model_validate({} if name == "default" else {"preset": name})
        stroke = f'stroke="{COLOURS[name]}" stroke-dasharray="{DASHES[name]}" fill="none" stroke-width="2.2"'
        parts.append(f'<polyline points="{curve(step.bands, step.rows)}" {stroke}/>')
        top = TOP + 16 + 24 * place
        parts.append(f'<line x1="{x(1) + 16:.1f}" x2="{x(1) + 44:.1f}" y1="{top}" y2="{top}" {stroke}/>')
        parts.append(text(x(1) + 52, top + 4, f"{name}, {step.bands} × {step.rows}"))
    return parts


def measured(report: dict[str, dict]) -> list[str]:
    """Points of all sets of texts together."""
    pairs: dict[float, int] = defaultdict(int)
    proposed: dict[float, float] = defaultdict(float)
    expected: dict[float, float] = defaultdict(float)
    for one in report.values():
        for group in one["bins"]:
            pairs[group["from"]] += group["pairs"]
            proposed[group["from"]] += group["pairs"] * group["proposed"]
            expected[group["from"]] += group["pairs"] * group["s_curve"]
    default = DedupNear()
    parts = []
    for low, count in sorted(pairs.items()):
        if count < FEWEST_PAIRS or low >= SATURATED:
            continue
        # A point stands where the curve has the mean of its pairs: the place of a bin of unevenly spread pairs.
        mean = expected[low] / count
        place = (1 - (1 - min(mean, 1 - 1e-12)) ** (1 / default.bands)) ** (1 / default.rows)
        share = proposed[low] / count
        error = 2 * math.sqrt(max(mean * (1 - mean), 1e-9) / count)
        top, bottom = y(min(1, share + error)), y(max(0, share - error))
        line = f'stroke="{COLOURS["default"]}"'
        parts.append(f'<line x1="{x(place):.1f}" x2="{x(place):.1f}" y1="{top:.1f}" y2="{bottom:.1f}" {line}/>')
        parts.append(f'<circle cx="{x(place):.1f}" cy="{y(share):.1f}" r="3.6" fill="{COLOURS["default"]}"/>')
    top = TOP + 16 + 24 * len(COLOURS)
    parts.append(f'<circle cx="{x(1) + 30:.1f}" cy="{top}" r="3.6" fill="{COLOURS["default"]}"/>')
    parts.append(text(x(1) + 52, top + 4, "measured, ± 2 s.e."))
    return parts


def main() -> None:
    drawn = [*frame(), *curves()]
    if len(sys.argv) > 1:
        drawn += measured(json.loads(Path(sys.argv[1]).read_text()))
    style = 'font-family="Helvetica, Arial, sans-serif" font-size="12.5" fill="#20262d"'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" {style}>\n'
        "<title>Share of pairs that are compared, by similarity</title>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )
    (ROOT / "docs" / "s_curve.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
