"""docs/signals.md documents every signal that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.core.rule_names import RULES
from udfs.signals import SIGNALS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "signals.md"


def documented() -> dict[str, str]:
    """Signal to formula: the rows of the page's tables."""
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: formula.strip() for name, formula in rows}


def test_every_signal_is_documented_with_its_formula_and_no_other() -> None:
    rows = documented()
    assert rows.keys() == SIGNALS.keys() | RULES["edit_lines"].keys()
    assert all(rows.values())


def test_every_source_of_a_signal_is_named_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    numbers = {number for signal in SIGNALS.values() for number in re.findall(r"\d{4}\.\d{5}", signal.source)}
    assert numbers
    assert {number for number in numbers if number not in page} == set()
