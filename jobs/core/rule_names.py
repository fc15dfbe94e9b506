"""Which signals a recipe can bound in which step.

The text signals come from ``udfs.signals.SIGNALS``; this copy of their names and meanings lets ``winnow validate`` and
editors work without compiling a kernel (a test holds the two together). Signals that depend on the recipe (lexicons,
external scores) are checked against what the recipe names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

NAME_PATTERN = r"^[a-z][a-z0-9_]*$"


@dataclass(frozen=True)
class RuleName:
    """A signal that a rule may bound.

    ``language_specific`` signals mean nothing for a language without a pack: the rule is then left out.
    """

    unit: str
    summary: str
    source: str = "Gopher, arXiv 2112.11446"
    language_specific: bool = False


def _ngram(kind: str, n: int) -> RuleName:
    covered = "the most frequent word" if kind == "top" else "all repeated word"
    return RuleName(
        "fraction",
        f"word characters covered by {covered} {n}-gram{'' if kind == 'top' else 's'} / word characters",
        "Gopher, arXiv 2112.11446, table A1",
    )


_FINEWEB = "FineWeb, arXiv 2406.17557"
_C4 = "C4, arXiv 1910.10683"

FILTER_QUALITY: Mapping[str, RuleName] = {
    "word_count": RuleName("words", "number of words"),
    "mean_word_length": RuleName("characters", "word characters / words", language_specific=True),
    "hash_word_ratio": RuleName("ratio", "number signs / words"),
    "ellipsis_word_ratio": RuleName("ratio", "ellipses / words"),
    "bullet_line_fraction": RuleName("fraction", "lines that begin with a bullet / lines"),
    "ellipsis_line_fraction": RuleName("fraction", "lines that end in an ellipsis / lines"),
    "alpha_word_fraction": RuleName("fraction", "words with at least one letter / words"),
    "stop_word_count": RuleName(
        "words", "distinct stop words of the document's language that occur", language_specific=True
    ),
    "terminal_punct_line_fraction": RuleName(
        "fraction", "lines that end in a terminal mark / lines", _FINEWEB, language_specific=True
    ),
    "short_line_fraction": RuleName(
        "fraction", "lines of at most 30 characters / lines", _FINEWEB, language_specific=True
    ),
    "newline_word_ratio": RuleName("ratio", "newlines / words", _FINEWEB),
}

FILTER_REPETITION: Mapping[str, RuleName] = {
    "duplicate_line_fraction": RuleName("fraction", "repeated lines / lines"),
    "duplicate_paragraph_fraction": RuleName("fraction", "repeated paragraphs / paragraphs"),
    "duplicate_line_char_fraction": RuleName("fraction", "characters in repeated lines / characters in lines"),
    "duplicate_paragraph_char_fraction": RuleName(
        "fraction", "characters in repeated paragraphs / characters in paragraphs"
    ),
    **{f"top_{n}gram_char_fraction": _ngram("top", n) for n in (2, 3, 4)},
    **{f"duplicate_{n}gram_char_fraction": _ngram("duplicate", n) for n in range(5, 11)},
}

EDIT_LINES: Mapping[str, RuleName] = {
    "sentence_count": RuleName("sentences", "sentences left after the line edits", _C4),
    "curly_bracket_count": RuleName("characters", "opening curly brackets in the page", _C4),
    "lorem_ipsum_count": RuleName("occurrences", "occurrences of 'lorem ipsum' in the page", _C4),
    "removed_word_fraction": RuleName(
        "fraction", "words in removed lines / words before the edits", "RefinedWeb, arXiv 2306.01116"
    ),
}

FILTER_CONTENT: Mapping[str, RuleName] = {
    "language_score": RuleName("probability", "how sure the language identifier is", "langdetect"),
    "url_strict_hits": RuleName(
        "occurrences", "strict words found anywhere in the URL", "RefinedWeb, arXiv 2306.01116, G.1"
    ),
    "url_hard_hits": RuleName("words", "hard words among the words of the URL", "RefinedWeb, arXiv 2306.01116, G.1"),
    "url_soft_hits": RuleName("words", "soft words among the words of the URL", "RefinedWeb, arXiv 2306.01116, G.1"),
}

RULES: Mapping[str, Mapping[str, RuleName]] = {
    "filter_content": FILTER_CONTENT,
    "edit_lines": EDIT_LINES,
    "filter_quality": FILTER_QUALITY,
    "filter_repetition": FILTER_REPETITION,
}

_LEXICON_RULE = re.compile(r"^lexicon_(?:hits|fraction)_([a-z][a-z0-9_]*)$")


def lexicon_of(rule: str) -> str | None:
    """The lexicon that a rule ``lexicon_hits_NAME`` or ``lexicon_fraction_NAME`` reads; None for other rules."""
    match = _LEXICON_RULE.match(rule)
    return match.group(1) if match else None
