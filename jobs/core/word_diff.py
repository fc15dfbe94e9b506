"""Two texts as one: what only one of them has in brackets, what both have cut to the words around it.

``the river [-since 1820-] {+for two centuries+} ran``: the marks of ``wdiff`` and ``git diff --word-diff``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DIFF_WORDS = 2000  # compared of each text
CONTEXT_WORDS = 8
MOST_CHANGES = 20  # shown
MOST_WORDS = 30  # shown of one change


@dataclass(frozen=True)
class WordDiff:
    """How two texts differ: words that both have, words of one only, and the changes as lines of text."""

    common_words: int
    left_words: int
    right_words: int
    lines: tuple[str, ...]
    changes: int
    cut_at_words: int | None  # where the comparison ended, None when it covers both texts

    @property
    def summary(self) -> str:
        """The counts as one line."""
        if not self.changes:
            text = f"the same {self.common_words:,} words"
        else:
            text = (
                f"{self.common_words:,} words alike, {self.left_words:,} only in this document [-…-], "
                f"{self.right_words:,} only in the kept one {{+…+}}"
            )
        return text if self.cut_at_words is None else f"{text} (the first {self.cut_at_words:,} words compared)"


def word_diff(left: str, right: str) -> WordDiff:
    """Compare two texts word by word; at most the first ``DIFF_WORDS`` words of each."""
    words = left.split(), right.split()
    longest = max(map(len, words))
    ours, theirs = words[0][:DIFF_WORDS], words[1][:DIFF_WORDS]
    shortest = min(len(ours), len(theirs))
    # What both begin with needs no comparison: near-duplicates mostly differ at their ends.
    begin = next((place for place, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), shortest)
    # Frequent words anchor no match in a long text ("autojunk"): with them the search is cubic at worst.
    matcher = difflib.SequenceMatcher(None, ours[begin:], theirs[begin:], autojunk=True)
    changes = [
        (left_begin + begin, left_end + begin, right_begin + begin, right_end + begin)
        for tag, left_begin, left_end, right_begin, right_end in matcher.get_opcodes()
        if tag != "equal"
    ]
    removed = sum(left_end - left_begin for left_begin, left_end, _, _ in changes)
    added = sum(right_end - right_begin for _, _, right_begin, right_end in changes)
    return WordDiff(
        common_words=len(ours) - removed,
        left_words=removed,
        right_words=added,
        lines=tuple(_lines(ours, theirs, changes)),
        changes=len(changes),
        cut_at_words=DIFF_WORDS if longest > DIFF_WORDS else None,
    )


def _lines(ours: Sequence[str], theirs: Sequence[str], changes: Sequence[tuple[int, int, int, int]]) -> Iterator[str]:
    """One line for changes that stand near each other."""
    groups: list[list[tuple[int, int, int, int]]] = []
    for change in changes[:MOST_CHANGES]:
        if groups and change[0] - groups[-1][-1][1] <= 2 * CONTEXT_WORDS:
            groups[-1].append(change)
        else:
            groups.append([change])
    for group in groups:
        first, last = group[0][0], group[-1][1]
        parts = ["…"] if first > CONTEXT_WORDS else []
        at = max(0, first - CONTEXT_WORDS)
        for left_begin, left_end, right_begin, right_end in group:
            parts += ours[at:left_begin]
            if left_end > left_begin:
                parts.append(f"[-{_shortened(ours[left_begin:left_end])}-]")
            if right_end > right_begin:
                parts.append(f"{{+{_shortened(theirs[right_begin:right_end])}+}}")
            at = left_end
        parts += ours[at : last + CONTEXT_WORDS]
        if last + CONTEXT_WORDS < len(ours):
            parts.append("…")
        yield " ".join(parts)
    if len(changes) > MOST_CHANGES:
        yield f"… and {len(changes) - MOST_CHANGES} changes more"


def _shortened(words: Sequence[str]) -> str:
    if len(words) <= MOST_WORDS:
        return " ".join(words)
    half = MOST_WORDS // 2
    return " ".join([*words[:half], f"… {len(words) - 2 * half} words …", *words[-half:]])
