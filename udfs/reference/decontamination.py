"""Plain twin of `udfs.ngram_index` and `udfs.decontamination`: the definitions, word for word, on Python strings.

Grams are tuples of words, not hashes; coverage is counted word by word over sets; cuts are made on sets of characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from udfs.decontamination import (
    LONG_ITEM_WORDS,
    PIECE_SEPARATOR,
    SEPARATOR,
    SHOWN_CHARS,
    Policy,
)
from udfs.ngram_index import NAMED_REFERENCES, REFERENCE_PASSES, Parameters
from udfs.unicode import BLOCK_BITS, BLOCK_MASK, FOLDS, MARK, OWN_WORD, PUNCTUATION, SPACE, load_tables

Gram = tuple[str, ...]

_REFERENCE = re.compile(r"&(?:#[xX]([0-9a-fA-F]{1,8})|#([0-9]{1,8})|([a-z]{1,6}));")


@dataclass(frozen=True)
class Word:
    """A normalised word, where it stands in the text (code points, half-open), and whether it is a character word."""

    text: str
    begin: int
    end: int
    is_character: bool


def without_references(text: str) -> tuple[str, list[int]]:
    """The text with character references resolved, and the place in `text` of each of its characters and of its end."""
    characters = list(text)
    places = list(range(len(text)))
    for _ in range(REFERENCE_PASSES):
        joined = "".join(characters)
        resolved: list[str] = []
        origins: list[int] = []
        at = 0
        while at < len(joined):
            match = _REFERENCE.match(joined, at)
            character = _resolved(match) if match else None
            resolved.append(joined[at] if character is None else character)
            origins.append(places[at])
            at = match.end() if match and character is not None else at + 1
        if len(resolved) == len(characters):
            break
        characters, places = resolved, origins
    return "".join(characters), [*places, len(text)]


def _resolved(match: re.Match[str]) -> str | None:
    hexadecimal, decimal, name = match.groups()
    if name is not None:
        return chr(NAMED_REFERENCES[name]) if name in NAMED_REFERENCES else None
    code = int(hexadecimal, 16) if hexadecimal is not None else int(decimal)
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else None


def words(text: str) -> list[Word]:
    """The normalised words of a text, character references resolved."""
    tables = load_tables()
    resolved, places = without_references(text)
    found: list[Word] = []
    open_word: list[Any] | None = None  # [folded characters, begin, is_character]

    def close(end: int) -> None:
        if open_word is not None and open_word[0]:
            found.append(Word("".join(open_word[0]), places[open_word[1]], places[end], open_word[2]))

    for at, character in enumerate(resolved):
        code = ord(character)
        slot = (int(tables.blocks[code >> BLOCK_BITS]) << BLOCK_BITS) + (code & BLOCK_MASK)
        bits = int(tables.classes[slot])
        own = bool(bits & OWN_WORD)
        if bits & SPACE or own or (open_word is not None and open_word[2] and not bits & MARK):
            close(at)
            open_word = None
        if bits & SPACE:
            continue
        if open_word is None:
            open_word = [[], at, own]
        if not bits & PUNCTUATION:
            row = int(tables.case_rows[slot]) if bits & FOLDS else 0
            folded = "".join(chr(c) for c in tables.folds[row] if c) if row else character
            open_word[0].append(folded)
    close(len(resolved))
    return found


@dataclass(frozen=True)
class Item:
    """A test item with the gram at each of its word positions (None where it is not indexed)."""

    dataset: str
    split: str
    id: str
    question: str
    answer: str
    words: tuple[str, ...]
    question_words: int
    gram_words: int
    is_character: bool
    grams: tuple[Gram | None, ...]

    @property
    def text(self) -> str:
        """The text whose words these are."""
        return f"{self.question}\n{self.answer}" if self.answer else self.question

    @property
    def distinct(self) -> set[Gram]:
        """The item's set of grams."""
        return {gram for gram in self.grams if gram is not None}


@dataclass(frozen=True)
class Items:
    """All items, which grams are shared within which data set, and which are idioms."""

    items: tuple[Item, ...]
    shared: Mapping[str, frozenset[Gram]]
    idioms: frozenset[Gram]
    parameters: Parameters


def items_of(rows: Iterable[Mapping[str, str | None]], parameters: Parameters, idioms: Iterable[Gram] = ()) -> Items:
    """Items from rows with the fields of `udfs.ngram_index.ITEM_SCHEMA`, sorted by them, equal rows once."""
    names = ("dataset", "split", "id", "question", "answer", "context")
    keys = sorted({tuple(r.get(name) or "" for name in names) for r in rows})
    items = tuple(_item(key, parameters) for key in keys)
    shared: dict[str, frozenset[Gram]] = {}
    for dataset in {item.dataset for item in items}:
        having: dict[Gram, set[tuple[str, ...]]] = {}
        for item in items:
            if item.dataset == dataset:
                for gram in item.distinct:
                    having.setdefault(gram, set()).add(item.words)
        in_contexts = {
            tuple(word.text for word in own[at : at + length])
            for own in [words(key[5]) for key in keys if key[0] == dataset]
            for length in (parameters.ngram, parameters.han_ngram)
            for at in range(len(own) - length + 1)
        }
        shared[dataset] = frozenset(gram for gram, texts in having.items() if len(texts) > 1 or gram in in_contexts)
    return Items(items, shared, frozenset(idioms), parameters)


def _item(key: tuple[str, ...], parameters: Parameters) -> Item:
    dataset, split, id, question, answer, _ = key
    own = words(f"{question}\n{answer}" if answer else question)
    count = len(own)
    is_character = count > 0 and 2 * sum(word.is_character for word in own) >= count
    full = parameters.han_ngram if is_character else parameters.ngram
    length = full if count >= full else count if count >= parameters.min_words else 0
    grams: list[Gram | None] = []
    for at in range(count - length + 1 if length else 0):
        window = own[at : at + length]
        indexed = not is_character or any(word.is_character for word in window)
        grams.append(tuple(word.text for word in window) if indexed else None)
    texts = tuple(word.text for word in own)
    return Item(dataset, split, id, question, answer, texts, len(words(question)), length, is_character, tuple(grams))


def required_coverage(count: int, policy: Policy) -> float:
    """The coverage asked of so many words."""
    if count <= policy.full_coverage_words:
        return 1.0
    if count >= LONG_ITEM_WORDS:
        return policy.min_coverage
    share = (count - policy.full_coverage_words) / (LONG_ITEM_WORDS - policy.full_coverage_words)
    return 1.0 - (1.0 - policy.min_coverage) * share


def contamination(text: str | None, items: Items, policy: Policy) -> dict[str, Any]:
    """What `udfs.decontamination.contamination` says of one document, but for its `reasons`."""
    document = words(text or "")
    matches = []
    for item in items.items:
        if item.gram_words:
            match = _match(text or "", document, item, items, policy)
            if match:
                matches.append(match)
    result: dict[str, Any] = {
        "contaminated": bool(matches),
        "removed": bool(matches) and policy.name in ("coverage", "gopher"),
        "matches": matches,
        "edited": None,
        "cuts": [],
    }
    if matches and policy.name == "gpt3":
        result.update(_cut(text or "", document, items, policy))
    return result


def _match(text: str, document: list[Word], item: Item, items: Items, policy: Policy) -> dict[str, Any] | None:
    length = item.gram_words
    document_grams = [tuple(w.text for w in document[at : at + length]) for at in range(len(document) - length + 1)]
    in_document = set(document_grams)
    matched = item.distinct & in_document
    if not matched:
        return None
    positions = [at for at, gram in enumerate(item.grams) if gram in matched]
    covered = {at + k for at in positions for k in range(length)}
    by_idioms = {at + k for at in positions if item.grams[at] in items.idioms for k in range(length)}
    idioms_count = bool(by_idioms) and 2 * len(by_idioms) >= len(item.words)
    evidence, weighted = _evidence(item, positions, items, policy, idioms_count)
    longest, heaviest = _runs(item, positions, items, idioms_count)
    jaccard = len(matched) / len(in_document | item.distinct)
    if policy.name in ("coverage", "flag"):
        scale = items.parameters.han_ngram / items.parameters.ngram if item.is_character else 1
        if evidence is None and heaviest >= max(1, round(policy.min_run_words * scale)):
            evidence = "run"
    elif policy.name == "gopher":
        evidence = "jaccard" if jaccard > policy.min_jaccard else None
    else:
        evidence = "ngram" if matched - items.idioms else None
    if evidence is None:
        return None
    touched = {at + k for at, gram in enumerate(document_grams) if gram in matched for k in range(length)}
    spans = _ranges(touched)
    own = words(item.text)
    return {
        "dataset": item.dataset,
        "split": item.split,
        "item_id": item.id,
        "evidence": evidence,
        "matched_ngrams": len(matched),
        "item_ngrams": len(item.distinct),
        "item_coverage": len(covered) / len(item.words),
        "weighted_coverage": weighted,
        "document_coverage": len(touched) / len(document),
        "jaccard": jaccard,
        "longest_run": longest,
        "spans": [{"begin": document[a].begin, "end": document[b].end} for a, b in spans],
        "matched_text": _shown(SEPARATOR.join(text[document[a].begin : document[b].end] for a, b in spans)),
        "item_text": _shown(SEPARATOR.join(item.text[own[a].begin : own[b].end] for a, b in _ranges(covered))),
    }


def _evidence(
    item: Item, positions: list[int], items: Items, policy: Policy, idioms_count: bool
) -> tuple[str | None, float]:
    """By what the item is found (None: by neither coverage), and the weighted coverage of what decided."""
    weighted, reached = _coverage(item, len(item.words), positions, items, policy, idioms_count)
    if reached:
        return ("whole" if item.gram_words == len(item.words) else "coverage"), weighted
    question = item.question_words
    if policy.min_question_words <= question < len(item.words) and question >= item.gram_words:
        of_question, question_reached = _coverage(item, question, positions, items, policy, idioms_count)
        if question_reached:
            return "question", of_question
    return None, weighted


def _coverage(
    item: Item, count: int, positions: list[int], items: Items, policy: Policy, idioms_count: bool
) -> tuple[float, bool]:
    """(weighted coverage, whether it and coverage reach what is required) of the first `count` words of the item."""
    length = item.gram_words
    shared = items.shared[item.dataset]

    def weights(chosen: Iterable[int]) -> dict[int, float]:
        heaviest: dict[int, float] = {}
        for at in chosen:
            gram = item.grams[at]
            if at + length > count or gram is None or (gram in items.idioms and not idioms_count):
                continue
            weight = policy.shared_weight if gram in shared else 1.0
            for word in range(at, at + length):
                heaviest[word] = max(heaviest.get(word, 0.0), weight)
        return heaviest

    covered = {at + k for at in positions if at + length <= count for k in range(length)}
    part = weights(positions)
    whole = weights(range(len(item.grams)))

    def total(heaviest: dict[int, float]) -> float:
        own = sum(weight == 1.0 for weight in heaviest.values())
        return own + policy.shared_weight * (len(heaviest) - own)

    weighted = total(part) / total(whole) if whole and total(whole) > 0 else 0.0
    required = required_coverage(count, policy) - 1e-12
    coverage = len(covered) / count
    return weighted, coverage >= required and total(whole) > 0 and weighted >= required


def _runs(item: Item, positions: list[int], items: Items, idioms_count: bool) -> tuple[int, int]:
    """(longest run in words, most words of one run inside own matched grams that count)."""
    longest = heaviest = 0
    for first, last in _ranges(set(positions)):
        inside = {
            at + k
            for at in range(first, last + 1)
            if item.grams[at] not in items.shared[item.dataset] and (idioms_count or item.grams[at] not in items.idioms)
            for k in range(item.gram_words)
        }
        longest = max(longest, last - first + item.gram_words)
        heaviest = max(heaviest, len(inside))
    return longest, heaviest


def _ranges(numbers: set[int]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers, as (first, last)."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _cut(text: str, document: list[Word], items: Items, policy: Policy) -> dict[str, Any]:
    every = {gram for item in items.items for gram in item.distinct} - items.idioms
    hits = []
    for length in {item.gram_words for item in items.items if item.gram_words}:
        for at in range(len(document) - length + 1):
            if tuple(word.text for word in document[at : at + length]) in every:
                hits.append((document[at].begin, document[at + length - 1].end))
    pieces, fate = window_removal(
        len(text),
        hits,
        window=policy.window_chars,
        min_piece=policy.min_piece_chars,
        max_pieces=policy.max_pieces,
    )
    kept = {at for begin, end in pieces for at in range(begin, end)}
    gone = [(a, b + 1) for a, b in _ranges(set(range(len(text))) - kept)]
    cuts = [{"begin": a, "end": b, "text": _shown(text[a:b])} for a, b in gone]
    if fate != "kept":
        return {"removed": True, "cuts": cuts}
    return {"edited": PIECE_SEPARATOR.join(text[a:b] for a, b in pieces), "cuts": cuts}


def window_removal(
    characters: int, hits: list[tuple[int, int]], *, window: int = 200, min_piece: int = 200, max_pieces: int = 10
) -> tuple[list[tuple[int, int]], str]:
    """As `udfs.decontamination.window_removal`, on a set of characters."""
    if not hits:
        return ([(0, characters)] if characters else []), "kept"
    cut = {at for begin, end in hits for at in range(max(0, begin - window), min(characters, end + window))}
    pieces = [(a, b + 1) for a, b in _ranges(set(range(characters)) - cut)]
    if len(pieces) > max_pieces:
        return [], "dropped"
    pieces = [(a, b) for a, b in pieces if b - a >= min_piece]
    return pieces, "kept" if pieces else "gone"


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
