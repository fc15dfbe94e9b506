"""Where Winnow and other tools judge a document differently, and why: rule by rule, each difference proven.

    python benchmarks/agreement.py [CORPUS] [--documents 10000] [--peer datatrove] [--peer dolma] [--json FILE]

CORPUS is a folder of ``*.jsonl.gz`` with ``{id, text}`` (default ../shared/data/corpus beside the checkout). The
recipes `gopher` and `fineweb` are compared with datatrove's filters, `gopher` with dolma's tagger under the paper's
bounds. Every document is judged as English. The tools run as they are shipped, in environments of their own (`peers`);
each of their rules runs alone, so that the first broken rule does not hide the others.

A difference is explained by computing the signal again under the other tool's definition, one aspect after another:

- *tokeniser*: what a word (a sentence) is; *lines*: what a line or a paragraph is; *case*: upper and lower case;
- *definition*: another formula; *bound*: another threshold for the same signal;
- *text*: the rule sees another text, because line edits come earlier or edit otherwise;
- *bug*: the other tool does not compute what it says.

The smallest set of aspects that yields the other tool's verdict is the class. With all aspects the verdict must be
theirs, with none it must be ours: otherwise the difference is *unexplained* or *ours*, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import hashlib
import itertools
import json
import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from peers import PeerError, ask  # noqa: E402

from jobs.core.annotation import annotation_plan  # noqa: E402
from jobs.core.profiles import Limits, bounds_for  # noqa: E402
from jobs.core.recipe_file import resolve_recipe  # noqa: E402
from udfs.annotate import annotate  # noqa: E402
from udfs.reference import lines as line_twins  # noqa: E402
from udfs.reference import quality as quality_twins  # noqa: E402
from udfs.reference import repetition as repetition_twins  # noqa: E402
from udfs.reference.tokens import split_words  # noqa: E402

Aspects = frozenset[str]
GOPHER = ("filter_quality", "filter_repetition")
FINEWEB = ("edit_lines", *GOPHER)
UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff]")
# At least every letter that may be a word of its own: a text without any splits as Python splits it.
OWN_WORDS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff"
                       "\uff66-\uff9f\U00020000-\U0003ffff]")  # fmt: skip


# Documents --------------------------------------------------------------------------------------------------------


def read_documents(corpus: Path, count: int) -> list[str]:
    """Return up to `count` texts with at least one word, drawn by the digest of file and id."""
    files = sorted(corpus.rglob("*.jsonl.gz"))
    drawn = []
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row["text"].strip():
                    place = hashlib.blake2b(f"{file.name}\t{row['id']}".encode(), digest_size=8).digest()
                    drawn.append((place, row["text"]))
    drawn.sort()
    return list(dict.fromkeys(text for _, text in drawn))[:count]


@dataclass
class Document:
    """A text as each side sees it."""

    original: str
    ours: str = ""  # after our line edits
    theirs: str = ""  # after theirs
    tokens: dict[str, str] = field(default_factory=dict)  # text → their words, as JSON: small
    sentences: dict[str, int] = field(default_factory=dict)  # text → their number of sentences

    def words(self, text: str, aspects: Aspects) -> Sequence[str]:
        return loaded(self.tokens[text]) if "tokeniser" in aspects else our_words(text)


loaded = functools.lru_cache(maxsize=4)(json.loads)


@functools.lru_cache(maxsize=4)
def our_words(text: str) -> list[str]:
    """Return a text's words as Winnow counts."""
    return split_words(text) if OWN_WORDS.search(text) else text.split()


# Our side ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """What a recipe says of every document: its text after edits, and whether it passes each rule alone."""

    texts: list[str]
    passes: dict[str, list[bool]]
    limits: Mapping[str, Limits]


def judge(recipe: str, steps: Sequence[str], texts: list[str]) -> Judged:
    """Measure texts by the kernels and apply the recipe's bounds for English."""
    resolved = resolve_recipe(recipe, [])
    plan = annotation_plan(resolved, steps)
    nothing, none = pa.nulls(len(texts), pa.string()), pa.nulls(len(texts), pa.binary())
    measured = annotate(plan, none, nothing, nothing, pa.array(texts), None, pa.array(["en"] * len(texts)))
    profile = bounds_for(resolved.recipe, resolved.packs).profile(None, "en")
    limits = {rule: limit for step in steps for rule, limit in profile.limits(step).items()}
    signals = measured.field("signals")
    passes = {
        rule: [within(value, limit) for value in signals.field(rule).to_pylist()] for rule, limit in limits.items()
    }
    edited = measured.field("text").to_pylist() if plan.edits_text else texts
    return Judged(edited, passes, limits)


def within(value: float, limits: Limits) -> bool:
    """Say whether a value is within the bounds."""
    low, high = limits.minimum, limits.maximum
    return not (low is not None and value < float(low)) and not (high is not None and value > float(high))


# Rules under either definition ------------------------------------------------------------------------------------
# Each takes a document, its text, the aspects taken from the other tool, and gives the signal's value.

Value = Callable[[Document, str, Aspects], float]
PUNCTUATION: set[str] = set()
TERMINAL: tuple[str, ...] = ()


def ratio(numerator: float, divisor: float) -> float:
    return numerator / divisor if divisor else 0.0


def datatrove_words(document: Document, text: str, aspects: Aspects) -> list[str]:
    """The words that count for the number and the length: datatrove leaves out those of punctuation alone."""
    words = document.words(text, aspects)
    return [w for w in words if any(c not in PUNCTUATION for c in w)] if "definition" in aspects else words


def datatrove_mean_word_length(document: Document, text: str, aspects: Aspects) -> float:
    words = datatrove_words(document, text, aspects)
    return ratio(sum(map(len, words)), len(words))


def datatrove_lines(text: str, aspects: Aspects) -> list[str]:
    return text.splitlines() if "lines" in aspects else line_twins.split_lines(text)


def datatrove_bullets(document: Document, text: str, aspects: Aspects) -> float:
    lines = datatrove_lines(text, aspects)
    bullets = ("•", "-") if "definition" in aspects else tuple(line_twins.BULLETS)
    return ratio(sum(line.lstrip().startswith(bullets) for line in lines), len(lines))


def datatrove_ellipsis_lines(document: Document, text: str, aspects: Aspects) -> float:
    lines = datatrove_lines(text, aspects)
    return ratio(sum(line.rstrip().endswith(("...", "…")) for line in lines), len(lines))


def alpha_words(document: Document, text: str, aspects: Aspects) -> float:
    words = document.words(text, aspects)
    return ratio(sum(any(c.isalpha() for c in word) for word in words), len(words))


def stop_words(document: Document, text: str, aspects: Aspects, *, occurrences: bool) -> float:
    """Our stop words are lower-cased, stripped of punctuation, and distinct."""
    english = {"the", "be", "to", "of", "and", "that", "have", "with"}
    words = document.words(text, aspects)
    if "case" not in aspects:
        words = [word.lower() for word in words]
    if "definition" not in aspects:
        words = [stripped(word) for word in words]
    elif occurrences:
        return sum(word in english for word in words)
    return len(english.intersection(words))


def stripped(word: str) -> str:
    """Return a word without outer punctuation, its case as it is."""
    bare = quality_twins.bare(word)
    place = word.lower().find(bare)
    return word[place : place + len(bare)] if bare else ""


def regex_lines(text: str, aspects: Aspects) -> list[str]:
    return re.split("\n+", text) if "lines" in aspects else line_twins.split_lines(text)


def regex_paragraphs(text: str, aspects: Aspects) -> list[str]:
    return re.split(r"\n{2,}", text.strip()) if "lines" in aspects else line_twins.split_paragraphs(text)


def datatrove_repeats(split: Callable[[str, Aspects], list[str]], chars: bool) -> Value:
    def value(document: Document, text: str, aspects: Aspects) -> float:
        parts = split(text, aspects)
        fraction, char_fraction = repetition_twins.repeats(parts)
        if not chars:
            return fraction
        if "definition" in aspects:
            return char_fraction * sum(map(len, parts)) / len(text)
        return char_fraction

    return value


def datatrove_top(n: int) -> Value:
    def value(document: Document, text: str, aspects: Aspects) -> float:
        words = document.words(text, aspects)
        if "definition" not in aspects:
            return ratio(repetition_twins.top_ngram_chars(words, n), sum(map(len, words)))
        grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        if not grams:
            return 0.0
        gram, count = grams.most_common(1)[0]
        return len(gram) * count / len(text)

    return value


def datatrove_duplicate(n: int) -> Value:
    def value(document: Document, text: str, aspects: Aspects) -> float:
        words = document.words(text, aspects)
        if "definition" not in aspects:
            return ratio(repetition_twins.duplicate_ngram_chars(words, n), sum(map(len, words)))
        seen: set[Any] = set()
        chars = place = 0
        while place <= len(words) - n:
            gram = words[place : place + n]
            # Joined without a space, "ab c" and "a bc" are one n-gram.
            key = "".join(gram) if "bug" in aspects else tuple(gram)
            if key in seen:
                chars += sum(map(len, gram))
                place += n
            else:
                seen.add(key)
                place += 1
        return chars / len(text)

    return value


def by_words(count: Callable[[str], int]) -> Value:
    return lambda document, text, aspects: ratio(count(text), len(document.words(text, aspects)))


def fineweb_lines(text: str, aspects: Aspects) -> list[str]:
    return [line for line in text.split("\n") if line.strip()] if "lines" in aspects else line_twins.split_lines(text)


def fineweb_terminal(document: Document, text: str, aspects: Aspects) -> float:
    lines = fineweb_lines(text, aspects)
    ends = (lambda line: line.endswith(TERMINAL)) if "definition" in aspects else line_twins.ends_in_terminal_mark
    return ratio(sum(map(ends, lines)), len(lines))


def fineweb_short(document: Document, text: str, aspects: Aspects) -> float:
    lines = fineweb_lines(text, aspects)
    if "definition" in aspects and not lines:
        return 1.0  # an empty text is removed before the rule is reached
    return ratio(sum(len(line) <= 30 for line in lines), len(lines))


def fineweb_repeats(document: Document, text: str, aspects: Aspects) -> float:
    lines = fineweb_lines(text, aspects)
    if "definition" in aspects and not lines:
        return 1.0
    _, char_fraction = repetition_twins.repeats(lines)
    if "definition" in aspects:
        return char_fraction * sum(map(len, lines)) / len(text.replace("\n", ""))
    return char_fraction


def fineweb_newlines(document: Document, text: str, aspects: Aspects) -> float:
    if "definition" in aspects and not text.strip():
        return 1.0
    feeds = text if "lines" in aspects else line_twins.with_line_feeds(text)
    return ratio(feeds.count("\n"), len(document.words(text, aspects)))


# C4's edits as FineWeb uses them.
_ASCII_LOWER = {upper: upper + 32 for upper in range(65, 91)}
_DIGITS_OF_ANY_SCRIPT = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_ASCII_DIGITS = re.compile(r"\[[0-9]*\]|\[edit\]|\[citation needed\]")


def c4_lines(text: str, aspects: Aspects) -> Iterator[tuple[str, str]]:
    """Lines that are long enough and have no endless word, with their lower-cased form.

    datatrove counts the words before it removes citation marks, and does not strip what the marks leave.
    """
    lines = text.splitlines() if "lines" in aspects else line_twins.with_line_feeds(text).split("\n")
    split = str.split if "tokeniser" in aspects or not OWN_WORDS.search(text) else split_words
    for line in lines:
        line = line.strip()
        if "definition" in aspects:
            words, line = split(line), _DIGITS_OF_ANY_SCRIPT.sub("", line)
        else:
            line = _ASCII_DIGITS.sub("", line).strip()
            words = split(line)
        if len(words) >= 3 and max(map(len, words)) <= 1000:
            yield line, line.lower() if "case" in aspects else line.translate(_ASCII_LOWER)


def c4_edited(document: Document, text: str, aspects: Aspects) -> str:
    kept = [
        line
        for line, lower in c4_lines(text, aspects)
        if "javascript" not in lower and not any(policy in lower for policy in line_twins.POLICIES)
    ]
    edited = "\n".join(kept)
    return edited.strip() if "definition" in aspects else edited


def c4_curly(document: Document, text: str, aspects: Aspects) -> float:
    """datatrove looks for ``{`` in lines that its earlier line rules have kept."""
    if "definition" not in aspects:
        return text.count("{")
    return sum(line.count("{") for line, lower in c4_lines(text, aspects) if "javascript" not in lower)


def c4_lorem(document: Document, text: str, aspects: Aspects) -> float:
    if "definition" not in aspects:
        return (text.lower() if "case" in aspects else text.translate(_ASCII_LOWER)).count("lorem ipsum")
    return sum(lower.count("lorem ipsum") for _, lower in c4_lines(text, aspects))


def c4_sentences(document: Document, text: str, aspects: Aspects) -> float:
    """The text is the edited one; *tokeniser* is spaCy's sentencizer."""
    if "tokeniser" in aspects:
        return document.sentences[text]
    return sum(map(line_twins.count_sentences, line_twins.split_lines(text)))


# dolma. Its attributes are numbers: the paper's bounds are applied to them.


def dolma_words(document: Document, text: str, aspects: Aspects) -> list[str]:
    return text.split() if "tokeniser" in aspects else our_words(text)


def dolma_length(document: Document, text: str, aspects: Aspects) -> float:
    lengths = [len(word) for word in dolma_words(document, text, aspects)]
    middle = statistics.median if "definition" in aspects else statistics.fmean
    return middle(lengths) if lengths else 0.0


def dolma_symbols(document: Document, text: str, aspects: Aspects) -> float:
    words = dolma_words(document, text, aspects)
    if "definition" in aspects:
        return ratio(sum("#" in word or "…" in word for word in words), len(words))
    return max(ratio(text.count("#"), len(words)), ratio(text.count("...") + text.count("…"), len(words)))


def dolma_lines(text: str, aspects: Aspects) -> list[str]:
    return text.split("\n") if "lines" in aspects else line_twins.split_lines(text)


def dolma_bullets(document: Document, text: str, aspects: Aspects) -> float:
    lines = dolma_lines(text, aspects)
    bullets = ("*", "-") if "definition" in aspects else tuple(line_twins.BULLETS)
    return ratio(sum(line.startswith(bullets) for line in lines), len(lines))


def dolma_ellipses(document: Document, text: str, aspects: Aspects) -> float:
    lines = dolma_lines(text, aspects)
    ends = ("…",) if "definition" in aspects else ("...", "…")
    return ratio(sum(line.endswith(ends) for line in lines), len(lines))


def dolma_repeats(chars: bool) -> Value:
    def value(document: Document, text: str, aspects: Aspects) -> float:
        lines = dolma_lines(text, aspects)
        if "definition" not in aspects:
            return repetition_twins.repeats(lines)[1 if chars else 0]
        again = {line: count for line, count in Counter(lines).items() if count > 1}
        if not chars:
            return ratio(sum(again.values()), len(lines))
        word_chars = sum(map(len, dolma_words(document, text, aspects)))
        return ratio(sum(len(line) * count for line, count in again.items()), word_chars)

    return value


def dolma_ngrams(n: int, *, top: bool) -> Value:
    ours = repetition_twins.top_ngram_chars if top else repetition_twins.duplicate_ngram_chars

    def value(document: Document, text: str, aspects: Aspects) -> float:
        words = dolma_words(document, text, aspects)
        if "definition" not in aspects:
            return ratio(ours(words, n), sum(map(len, words)))
        grams = Counter(zip(*(words[i:] for i in range(n)), strict=False))
        if not grams:
            return 0.0
        if top:
            gram, count = grams.most_common(1)[0]
            return ratio(count * sum(map(len, gram)), sum(map(len, words)))
        chars = {gram: count * sum(map(len, gram)) for gram, count in grams.items()}
        return ratio(sum(chars[gram] for gram, count in grams.items() if count > 1), sum(chars.values()))

    return value


@dataclass(frozen=True)
class Rule:
    """A rule of both tools: the value under either definition, the aspects in which they differ, their own bound."""

    name: str
    value: Value
    aspects: tuple[str, ...]
    bound: Limits | None = None  # where it is not ours
    ours: tuple[str, ...] = ()  # our rules that it stands for, if not the one of the same name

    @property
    def rules(self) -> tuple[str, ...]:
        return self.ours or (self.name,)


def datatrove_gopher_rules() -> list[Rule]:
    words, lines = ("tokeniser",), ("lines",)
    return [
        Rule("word_count", lambda d, t, a: len(datatrove_words(d, t, a)), (*words, "definition")),
        Rule("mean_word_length", datatrove_mean_word_length, (*words, "definition")),
        Rule("hash_word_ratio", by_words(lambda t: t.count("#")), words),
        Rule("ellipsis_word_ratio", by_words(lambda t: t.count("...") + t.count("…")), words),
        Rule("bullet_line_fraction", datatrove_bullets, (*lines, "definition")),
        Rule("ellipsis_line_fraction", datatrove_ellipsis_lines, lines),
        Rule("alpha_word_fraction", alpha_words, words),
        Rule("stop_word_count", functools.partial(stop_words, occurrences=False), (*words, "case", "definition")),
        Rule("duplicate_line_fraction", datatrove_repeats(regex_lines, False), lines),
        Rule("duplicate_paragraph_fraction", datatrove_repeats(regex_paragraphs, False), lines),
        Rule("duplicate_line_char_fraction", datatrove_repeats(regex_lines, True), (*lines, "definition")),
        Rule("duplicate_paragraph_char_fraction", datatrove_repeats(regex_paragraphs, True), (*lines, "definition")),
        *(Rule(f"top_{n}gram_char_fraction", datatrove_top(n), (*words, "definition")) for n in (2, 3, 4)),
        *(
            Rule(f"duplicate_{n}gram_char_fraction", datatrove_duplicate(n), (*words, "definition", "bug"))
            for n in range(5, 11)
        ),
    ]


def datatrove_fineweb_rules() -> list[Rule]:
    return [
        Rule("terminal_punct_line_fraction", fineweb_terminal, ("text", "lines", "definition")),
        Rule("short_line_fraction", fineweb_short, ("text", "lines", "definition")),
        Rule(
            "duplicate_line_char_fraction",
            fineweb_repeats,
            ("bound", "text", "lines", "definition"),
            bound=Limits(None, 0.01),
        ),
        Rule("newline_word_ratio", fineweb_newlines, ("text", "lines", "tokeniser", "definition")),
    ]


def datatrove_c4_rules() -> list[Rule]:
    aspects = ("lines", "tokeniser", "case", "definition")
    return [
        Rule("curly_bracket_count", c4_curly, aspects),
        Rule("lorem_ipsum_count", c4_lorem, aspects),
        Rule("sentence_count", c4_sentences, ("text", "tokeniser")),
    ]


def dolma_gopher_rules() -> list[Rule]:
    words, lines, formula = ("tokeniser",), ("lines",), ("definition",)
    return [
        Rule("word_count", lambda d, t, a: len(dolma_words(d, t, a)), words),
        Rule("mean_word_length", dolma_length, words + formula),
        Rule("symbols", dolma_symbols, words + formula, ours=("hash_word_ratio", "ellipsis_word_ratio")),
        Rule("bullet_line_fraction", dolma_bullets, lines + formula),
        Rule("ellipsis_line_fraction", dolma_ellipses, lines + formula),
        Rule("alpha_word_fraction", alpha_words, words),
        Rule("stop_word_count", functools.partial(stop_words, occurrences=True), (*words, "case", "definition")),
        Rule("duplicate_line_fraction", dolma_repeats(False), lines + formula),
        Rule("duplicate_line_char_fraction", dolma_repeats(True), (*lines, *words, *formula)),
        *(Rule(f"top_{n}gram_char_fraction", dolma_ngrams(n, top=True), words + formula) for n in (2, 3, 4)),
        *(Rule(f"duplicate_{n}gram_char_fraction", dolma_ngrams(n, top=False), words + formula) for n in range(5, 11)),
    ]


DOLMA_ATTRIBUTES = {
    "word_count": "word_count",
    "mean_word_length": "median_word_length",
    "symbols": "symbol_to_word_ratio",
    "bullet_line_fraction": "fraction_of_lines_starting_with_bullet_point",
    "ellipsis_line_fraction": "fraction_of_lines_ending_with_ellipsis",
    "alpha_word_fraction": "fraction_of_words_with_alpha_character",
    "stop_word_count": "required_word_count",
    "duplicate_line_fraction": "fraction_of_duplicate_lines",
    "duplicate_line_char_fraction": "fraction_of_characters_in_duplicate_lines",
    **{f"top_{n}gram_char_fraction": f"fraction_of_characters_in_most_common_{n}grams" for n in (2, 3, 4)},
    **{f"duplicate_{n}gram_char_fraction": f"fraction_of_characters_in_duplicate_{n}grams" for n in range(5, 11)},
}


# Comparison -------------------------------------------------------------------------------------------------------


@dataclass
class Comparison:
    """One rule on all documents."""

    rule: Rule
    limits: Limits  # ours
    ours: list[bool]
    theirs: list[bool | None]  # None: the tool does not say
    texts: Callable[[Document], tuple[str, str]]  # the text that our rule sees, and theirs
    classes: Counter[str] = field(default_factory=Counter)

    @property
    def differing(self) -> list[int]:
        return [i for i, (a, b) in enumerate(zip(self.ours, self.theirs, strict=True)) if b is not None and a != b]

    def explain(self, number: int, document: Document) -> None:
        """Count a document under its class if the two sides differ on it."""
        if self.theirs[number] not in (None, self.ours[number]):
            self.classes[self.class_of(document, self.ours[number])] += 1

    def class_of(self, document: Document, ours: bool) -> str:
        """Return the smallest set of aspects that turns our verdict into theirs."""

        def passes(aspects: Aspects) -> bool:
            before, after = self.texts(document)
            value = self.rule.value(document, after if "text" in aspects else before, aspects)
            limits = self.rule.bound if self.rule.bound and "bound" in aspects else self.limits
            return within(value, limits)

        if passes(frozenset()) != ours:
            return "ours"
        if passes(frozenset(self.rule.aspects)) == ours:
            return "unexplained"
        for size in range(1, len(self.rule.aspects) + 1):
            for chosen in itertools.combinations(self.rule.aspects, size):
                if passes(frozenset(chosen)) != ours:
                    return " + ".join(chosen)
        raise AssertionError("the set of all aspects was tried")


def same_text(document: Document) -> tuple[str, str]:
    return document.original, document.original


def ours_edited(document: Document) -> tuple[str, str]:
    return document.ours, document.original


def both_edited(document: Document) -> tuple[str, str]:
    return document.ours, document.theirs


def add_tokens(documents: Sequence[Document], comparisons: Sequence[Comparison]) -> None:
    """Have datatrove cut up the texts that rules look at anew: words where they are not known, sentences."""
    for known, task, by_sentences in (
        ([document.tokens for document in documents], "words", False),
        ([document.sentences for document in documents], "sentences", True),
    ):
        wanted = {
            (number, text)
            for each in comparisons
            if "tokeniser" in each.rule.aspects and (each.rule.name == "sentence_count") == by_sentences
            for number in each.differing
            for text in each.texts(documents[number])
            if text not in known[number]
        }
        texts = sorted({text for _, text in wanted})
        answers = dict(zip(texts, ask("datatrove", task, texts, parsed=False), strict=True))
        for number, text in wanted:
            known[number][text] = answers[text] if task == "words" else int(answers[text])


def explain_all(documents: Sequence[Document], comparisons: Sequence[Comparison]) -> None:
    """Class every difference, document by document."""
    for number, document in enumerate(documents):
        for each in comparisons:
            each.explain(number, document)


def edits_alike(documents: Sequence[Document]) -> Counter[str]:
    """Count documents by why C4's line edits give another text; ``same`` where they do not."""
    aspects = ("lines", "tokeniser", "case", "definition")
    found: Counter[str] = Counter()
    for document in documents:
        if document.ours == document.theirs:
            found["same"] += 1
        elif c4_edited(document, document.original, frozenset()) != document.ours:
            found["ours"] += 1
        elif c4_edited(document, document.original, frozenset(aspects)) != document.theirs:
            found["unexplained"] += 1
        else:
            sets = (c for size in range(1, 5) for c in itertools.combinations(aspects, size))
            found[
                next(
                    " + ".join(chosen)
                    for chosen in sets
                    if c4_edited(document, document.original, frozenset(chosen)) == document.theirs
                )
            ] += 1
    return found


def compare_with_datatrove(texts: list[str], gopher: Judged, fineweb: Judged) -> dict[str, Any]:
    global PUNCTUATION, TERMINAL
    constants = ask("datatrove", "constants", [])[0]
    PUNCTUATION, TERMINAL = set(constants["punctuation"]), tuple(constants["terminal"])
    answers, documents = [], []
    lines = ask("datatrove", "rules", texts, parsed=False)
    for text, ours, line in zip(texts, fineweb.texts, lines, strict=True):
        answer = json.loads(line)
        document = Document(text, ours, answer.pop("edited"))
        document.tokens[document.theirs] = json.dumps(answer.pop("edited_words"))
        document.tokens[text] = json.dumps(answer.pop("words"))
        answers.append(answer)
        documents.append(document)
    del lines

    def comparisons(rules: list[Rule], judged: Judged, part: str, seen: Any) -> list[Comparison]:
        return [
            Comparison(
                rule, judged.limits[rule.name], judged.passes[rule.name], [a[part][rule.name] for a in answers], seen
            )
            for rule in rules
        ]

    by_gopher = comparisons(datatrove_gopher_rules(), gopher, "gopher", same_text)
    # FineWeb's chain applies Gopher's bound and its own to characters in repeated lines; the recipe has one, its own.
    of_gopher = [
        Rule(rule.name, rule.value, ("text", *rule.aspects))
        for rule in datatrove_gopher_rules()
        if rule.name != "duplicate_line_char_fraction"
    ]
    by_fineweb = [
        *comparisons(datatrove_c4_rules()[:2], fineweb, "c4", same_text),
        *comparisons(datatrove_c4_rules()[2:], fineweb, "c4", both_edited),
        *comparisons(datatrove_fineweb_rules(), fineweb, "fineweb", both_edited),
        *comparisons(of_gopher, fineweb, "gopher", ours_edited),
    ]
    add_tokens(documents, [*by_gopher, *by_fineweb])
    explain_all(documents, [*by_gopher, *by_fineweb])
    return {
        "gopher and datatrove 0.10.1": table_of(by_gopher),
        "fineweb and datatrove 0.10.1": table_of(by_fineweb),
        "texts after line edits": dict(edits_alike(documents)),
    }


def compare_with_dolma(texts: list[str], gopher: Judged) -> dict[str, Any]:
    answers = ask("dolma", "rules", texts)
    documents = [Document(text) for text in texts]
    comparisons = []
    for rule in dolma_gopher_rules():
        limits = gopher.limits[rule.rules[0]]
        ours = [all(verdicts) for verdicts in zip(*(gopher.passes[name] for name in rule.rules), strict=True)]
        attribute = DOLMA_ATTRIBUTES[rule.name]
        # A text with too few words for an n-gram has no such attribute: nothing to judge, which passes.
        theirs = [attribute not in answer or within(answer[attribute], limits) for answer in answers]
        comparisons.append(Comparison(rule, limits, ours, theirs, same_text))
    for document in documents:
        document.tokens[document.original] = json.dumps(document.original.split())
    explain_all(documents, comparisons)
    return {"gopher and dolma 1.2.1": table_of(comparisons)}


# Tables -----------------------------------------------------------------------------------------------------------


def table_of(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    rows = [row_of(each.rule.name, each.ours, each.theirs, each.classes) for each in comparisons]
    documents = range(len(comparisons[0].ours))
    kept = [[all(c.ours[i] for c in comparisons) for i in documents]]
    kept.append([all(c.theirs[i] is not False for c in comparisons) for i in documents])
    return [*rows, row_of("all rules", kept[0], kept[1], Counter())]


def row_of(name: str, ours: Sequence[bool], theirs: Sequence[bool | None], classes: Counter[str]) -> dict[str, Any]:
    pairs = Counter((a, b) for a, b in zip(ours, theirs, strict=True) if b is not None)
    return {
        "rule": name,
        "documents": sum(pairs.values()),
        "both keep": pairs[True, True],
        "both remove": pairs[False, False],
        "only ours removes": pairs[False, True],
        "only theirs removes": pairs[True, False],
        "classes": dict(classes.most_common()),
    }


def agreement(row: Mapping[str, Any]) -> float:
    return ratio(row["both keep"] + row["both remove"], row["documents"])


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    print(f"\n## {title}\n")
    print("| rule | agree | both remove | only Winnow | only the other | why |")
    print("|---|--:|--:|--:|--:|---|")
    for row in rows:
        why = ", ".join(f"{name} {count}" for name, count in row["classes"].items()) or "–"
        print(
            f"| {row['rule']} | {100 * agreement(row):.2f} % | {row['both remove']} | {row['only ours removes']} | "
            f"{row['only theirs removes']} | {why} |"
        )


def unexplained(result: Mapping[str, Any]) -> int:
    """Count what no aspect explains, ours included."""
    classes: Counter[str] = Counter()
    for part in result.values():
        for row in part if isinstance(part, list) else [{"classes": part}]:
            classes.update(row["classes"])
    return classes["unexplained"] + classes["ours"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="?", type=Path, default=ROOT.parent / "shared" / "data" / "corpus")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--peer", action="append", choices=["datatrove", "dolma"], help="default: both")
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    given = parser.parse_args()
    if not given.corpus.is_dir():
        sys.exit(f"no folder {given.corpus}: name a folder of *.jsonl.gz with id and text")
    texts = read_documents(given.corpus, given.documents)
    spaceless = sum(len(UNSPACED.findall(text)) > len(text) / 10 for text in texts)
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts):,} documents, {size / 1e6:.1f} MB, {spaceless} in scripts without spaces")
    gopher, fineweb = judge("gopher", GOPHER, texts), judge("fineweb", FINEWEB, texts)
    result: dict[str, Any] = {}
    for peer in given.peer or ["datatrove", "dolma"]:
        try:
            if peer == "datatrove":
                result |= compare_with_datatrove(texts, gopher, fineweb)
            else:
                result |= compare_with_dolma(texts, gopher)
        except PeerError as error:
            print(f"\nnot compared: {error}")
            return 1
    for title, part in result.items():
        if isinstance(part, list):
            print_table(title, part)
        else:
            print(f"\n{title}: " + ", ".join(f"{name} {count}" for name, count in part.items()))
    if given.json:
        given.json.write_text(json.dumps({"documents": len(texts), "bytes": size, **result}, indent=1))
    left = unexplained(result)
    print(f"\nunexplained: {left}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
