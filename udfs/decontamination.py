"""Find test items in documents: a scan of the text for indexed n-grams, and a verdict for each (document, item) pair.

Words, items, grams, *own* and *shared* grams and *idioms* are defined in `udfs.ngram_index`. *Matched* grams of an item
are those that occur anywhere in the document. Own grams weigh 1, shared ones `shared_weight` (0.02); idioms weigh
nothing, unless the matched ones cover half of the item's words (a leaked item is frequent too). A word weighs as much
as the heaviest gram it lies in.

    coverage   words in a matched gram / words
    evidence   weight of the words, by matched grams / weight of the words, by all grams
    required   1 up to full_coverage_words (20), falling in a straight line to min_coverage (0.5) at 50 words
    run        longest stretch of item words of which every gram is matched; words of it outside own grams do not count

Policy *coverage* (and *flag*, which only reports) finds an item when both coverage and evidence reach what is required
of W words; or do so over the question alone, when it has min_question_words (20) or more; or the run has min_run_words
(25; times han_ngram / ngram for character words) or more. *gopher* (arXiv 2112.11446, A.1.1) finds it when the Jaccard
similarity of the two sets of grams exceeds min_jaccard (0.8). *gpt3* (arXiv 2005.14165, appendix C) finds it when any
gram that is no idiom is matched, and cuts the text: see `window_removal`.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.ngram_index import (
    NO_GRAM,
    Index,
    Lookup,
    Parameters,
    Windows,
    document_words,
    find_gram,
    gram_hash,
    item_text,
    item_words,
    longest_text,
    running_hashes,
)
from udfs.tokens import string_buffers, tables_for_kernels

LONG_ITEM_WORDS = 50
SHOWN_CHARS = 2000
SEPARATOR = " … "
PIECE_SEPARATOR = "\n\n"

POLICIES = ("coverage", "gopher", "gpt3", "flag")
EVIDENCE = ("coverage", "question", "run", "whole", "jaccard", "ngram")
_BY_COVERAGE, _BY_QUESTION, _BY_RUN, _BY_WHOLE, _BY_JACCARD, _BY_GRAM = range(6)


@dataclass(frozen=True)
class Policy:
    """What is asked of a match, and of which kind. Fields as in the module's definitions."""

    name: str = "coverage"
    min_coverage: float = 0.5
    full_coverage_words: int = 20
    min_question_words: int = 20
    min_run_words: int = 25
    shared_weight: float = 0.02
    min_jaccard: float = 0.8
    window_chars: int = 200
    min_piece_chars: int = 200
    max_pieces: int = 10


class _Rule(NamedTuple):
    """A policy as the kernel takes it."""

    kind: int
    min_coverage: float
    full_coverage_words: int
    min_question_words: int
    min_run_words: int
    min_run_characters: int
    shared_weight: float
    min_jaccard: float


class Hits(NamedTuple):
    """Grams of a batch that are in the index, by document and word position."""

    documents: NDArray[np.int64]
    positions: NDArray[np.int64]  # first word
    windows: NDArray[np.int64]  # number of the gram length in `Windows`
    grams: NDArray[np.int64]
    word_counts: NDArray[np.int64]  # [documents of the batch]


class Findings(NamedTuple):
    """(document, item) pairs that a policy finds, by document and item."""

    documents: NDArray[np.int64]
    items: NDArray[np.int64]
    matched: NDArray[np.int64]  # distinct matched grams
    covered: NDArray[np.int64]  # item words in matched grams
    evidence: NDArray[np.float64]  # weighted coverage of what decided
    runs: NDArray[np.int64]  # longest run in words, whatever its weight
    reasons: NDArray[np.int64]  # position in EVIDENCE
    jaccard: NDArray[np.float64]


# -------------------------------------------------------------------------------------------------------------- scan


@njit(allocates=True, cache=True, nogil=True)
def _grown(array):
    larger = np.empty(2 * len(array), dtype=array.dtype)
    larger[: len(array)] = array
    return larger


@njit(cache=True, nogil=True)
def _find_grams(
    position, count, length, power, guarded, own, running, lookup, found_positions, found_grams, found_hashes, found
):
    """Look up the grams of one length from a position on, until all are or the room is used up.

    Returns:
        (position after the last one looked up, number found)
    """
    while position <= count - length and found < len(found_grams):
        if not guarded or own[position + length] != own[position]:
            gram = gram_hash(running, position, length, power)
            at = find_gram(gram, lookup)
            if at >= 0:
                found_positions[found] = position
                found_grams[found] = at
                found_hashes[found] = gram
                found += 1
        position += 1
    return position, found


@njit(allocates=True, cache=True, nogil=True)
def _scan(data, offsets, tables, windows, lookup, word_counts):
    """Look up every gram of every document; see `Hits`. Fourth result: the grams' hashes."""
    longest = longest_text(offsets)
    hashes = np.empty(longest // 2 + 1, dtype=np.uint64)
    starts = np.empty(longest // 2 + 1, dtype=np.int64)
    ends = np.empty(longest // 2 + 1, dtype=np.int64)
    own = np.empty(longest // 2 + 2, dtype=np.int64)
    running = np.empty(longest // 2 + 2, dtype=np.uint64)
    found_documents = np.empty(256, dtype=np.int64)
    found_positions = np.empty(256, dtype=np.int64)
    found_windows = np.empty(256, dtype=np.int64)
    found_grams = np.empty(256, dtype=np.int64)
    found_hashes = np.empty(256, dtype=np.uint64)
    found = 0
    for document in range(len(offsets) - 1):
        count = document_words(data, offsets[document], offsets[document + 1], tables, hashes, starts, ends, own)
        word_counts[document] = count
        running_hashes(hashes, count, running)
        for window in range(len(windows.lengths)):
            length = windows.lengths[window]
            power = windows.powers[window]
            guarded = windows.character_words_only[window] != 0
            if guarded and own[count] == 0:
                continue
            position = 0
            while position <= count - length:
                first = found
                position, found = _find_grams(
                    position, count, length, power, guarded, own, running, lookup,
                    found_positions, found_grams, found_hashes, found,
                )  # fmt: skip
                found_documents[first:found] = document
                found_windows[first:found] = window
                if found == len(found_grams):
                    found_documents = _grown(found_documents)
                    found_positions = _grown(found_positions)
                    found_windows = _grown(found_windows)
                    found_grams = _grown(found_grams)
                    found_hashes = _grown(found_hashes)
    return (
        found_documents[:found],
        found_positions[:found],
        found_windows[:found],
        found_grams[:found],
        found_hashes[:found],
    )


def scan(text: pa.Array, index: Index) -> Hits:
    """Return the grams of each document that are in the index. A null has no words."""
    data, offsets = string_buffers(text)
    word_counts = np.zeros(len(text), dtype=np.int64)
    documents, positions, windows, grams, _ = _scan(
        data, offsets, tables_for_kernels(), index.windows, index.lookup, word_counts
    )
    return Hits(documents, positions, windows, grams, word_counts)


def matched_grams(text: pa.Array, index: Index) -> pa.ListArray:
    """Return, for each document, its distinct grams that are in the index (list<int64>, ascending): what idioms are
    counted on."""
    hits = scan(text, index)
    return _distinct_lists(hits.documents, hits.grams, len(text))


def filtered_hashes(text: pa.Array, windows: Windows, filter_bits: NDArray[np.uint64]) -> pa.ListArray:
    """Return, for each document, the distinct hashes of its grams that pass the filter (list<int64>, the same 64 bits,
    ascending): what the join by hash shuffles when the index is too large to ship."""
    data, offsets = string_buffers(text)
    nothing = Lookup(filter_bits, np.zeros(2, dtype=np.uint32), 63, np.empty(0, dtype=np.uint64))
    word_counts = np.zeros(len(text), dtype=np.int64)
    documents, _, _, _, hashes = _scan(data, offsets, tables_for_kernels(), windows, nothing, word_counts)
    return _distinct_lists(documents, hashes.view(np.int64), len(text))


def _distinct_lists(documents: NDArray[np.int64], values: NDArray[np.int64], count: int) -> pa.ListArray:
    order = np.lexsort((values, documents))
    documents, values = documents[order], values[order]
    first = np.ones(len(values), dtype=bool)
    first[1:] = (documents[1:] != documents[:-1]) | (values[1:] != values[:-1])
    sizes = np.bincount(documents[first], minlength=count) if count else np.empty(0, dtype=np.int64)
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values[first]))


# ----------------------------------------------------------------------------------------------------------- verdict


@njit(cache=True, nogil=True)
def required_coverage(words, rule):
    """Return the coverage asked of an item of so many words."""
    if words <= rule.full_coverage_words:
        return 1.0
    if words >= LONG_ITEM_WORDS:
        return rule.min_coverage
    share = (words - rule.full_coverage_words) / (LONG_ITEM_WORDS - rule.full_coverage_words)
    return 1.0 - (1.0 - rule.min_coverage) * share


@njit(cache=True, nogil=True)
def _reaches(part, whole, required):
    # The tolerance is for the division alone: 35 of 50 words reach 0.7.
    return whole > 0 and part / whole >= required - 1e-12


@njit(cache=True, nogil=True)
def _is_matched(grams, gram):
    at = np.searchsorted(grams, gram)
    return at < len(grams) and grams[at] == gram


@njit(cache=True, nogil=True)
def _weigh(first, words, length, postings, matched, idioms_count, shared_weight):
    """Return (words in matched grams, words in matched idioms, weight matched, weight of all) of the first `words`
    words of the item whose grams begin at `first` in `item_grams`."""
    far = -(1 << 40)
    any_matched = far
    idiom_matched = far
    own = far
    own_matched = far
    shared = far
    shared_matched = far
    covered = 0
    covered_by_idioms = 0
    own_words = 0
    own_matched_words = 0
    shared_words = 0
    shared_matched_words = 0
    for word in range(words):
        if word + length <= words:
            gram = postings.item_grams[first + word]
            if gram != NO_GRAM:
                is_matched = matched[word]
                is_idiom = len(postings.idioms) > 0 and postings.idioms[gram] != 0
                is_own = postings.item_shares[first + word] == 1
                if is_matched:
                    any_matched = word
                    if is_idiom:
                        idiom_matched = word
                if not is_idiom or idioms_count:
                    if is_own:
                        own = word
                        if is_matched:
                            own_matched = word
                    else:
                        shared = word
                        if is_matched:
                            shared_matched = word
        covered += word - any_matched < length
        covered_by_idioms += word - idiom_matched < length
        if word - own < length:
            own_words += 1
        elif word - shared < length:
            shared_words += 1
        if word - own_matched < length:
            own_matched_words += 1
        elif word - shared_matched < length:
            shared_matched_words += 1
    return (
        covered,
        covered_by_idioms,
        own_matched_words + shared_weight * shared_matched_words,
        own_words + shared_weight * shared_words,
    )


@njit(cache=True, nogil=True)
def _longest_runs(first, words, length, postings, matched, idioms_count):
    """Return (longest run, most words of one run that lie in own matched grams that count)."""
    longest = 0
    heaviest = 0
    begin = -1
    weight = 0
    own_end = np.int64(0)
    for position in range(words - length + 2):
        if position <= words - length and matched[position]:
            if begin < 0:
                begin = position
                weight = 0
                own_end = np.int64(position)
            gram = postings.item_grams[first + position]
            is_idiom = len(postings.idioms) > 0 and postings.idioms[gram] != 0
            if postings.item_shares[first + position] == 1 and (idioms_count or not is_idiom):
                weight += position + length - max(own_end, position)
                own_end = np.int64(position + length)
        elif begin >= 0:
            longest = max(longest, position - 1 - begin + length)
            heaviest = max(heaviest, weight)
            begin = -1
    return longest, heaviest


@njit(allocates=True, cache=True, nogil=True)
def _distinct_gram_count(data, begin, end, tables, length, power):
    """Return the number of distinct grams of one length in a text; of a shorter text, 0."""
    size = (end - begin) // 2 + 2
    hashes = np.empty(size, dtype=np.uint64)
    starts = np.empty(size, dtype=np.int64)
    ends = np.empty(size, dtype=np.int64)
    own = np.empty(size, dtype=np.int64)
    running = np.empty(size, dtype=np.uint64)
    count = document_words(data, begin, end, tables, hashes, starts, ends, own)
    if count < length:
        return np.int64(0)
    running_hashes(hashes, count, running)
    grams = np.empty(count - length + 1, dtype=np.uint64)
    for position in range(count - length + 1):
        grams[position] = gram_hash(running, position, length, power)
    grams.sort()
    distinct = np.int64(1)
    for i in range(1, len(grams)):
        distinct += grams[i] != grams[i - 1]
    return distinct


@njit(allocates=True, cache=True, nogil=True)
def _candidates(grams, postings):
    """Return the items that have any of the grams, ascending, and how many of the grams each has."""
    total = np.int64(0)
    for gram in grams:
        total += np.int64(postings.offsets[gram + 1]) - np.int64(postings.offsets[gram])
    items = np.empty(total, dtype=np.int64)
    at = 0
    for gram in grams:
        for posting in range(np.int64(postings.offsets[gram]), np.int64(postings.offsets[gram + 1])):
            items[at] = postings.items[posting]
            at += 1
    items.sort()
    counts = np.empty(total, dtype=np.int64)
    distinct = 0
    for i in range(total):
        if i and items[i] == items[distinct - 1]:
            counts[distinct - 1] += 1
        else:
            items[distinct] = items[i]
            counts[distinct] = 1
            distinct += 1
    return items[:distinct], counts[:distinct]


@njit(cache=True, nogil=True)
def _decide(first, words, question, length, is_character, postings, matched, rule):
    """Return (evidence number or -1, item words covered, weighted coverage of what decided, longest run)."""
    covered, by_idioms, _, _ = _weigh(first, words, length, postings, matched, False, rule.shared_weight)
    idioms_count = 2 * by_idioms >= words and by_idioms > 0
    _, _, weight, of_weight = _weigh(first, words, length, postings, matched, idioms_count, rule.shared_weight)
    longest, heaviest = _longest_runs(first, words, length, postings, matched, idioms_count)
    evidence = weight / of_weight if of_weight > 0 else 0.0
    required = required_coverage(words, rule)
    if _reaches(covered, words, required) and _reaches(weight, of_weight, required):
        return (_BY_WHOLE if length == words else _BY_COVERAGE), covered, evidence, longest
    if rule.min_question_words <= question < words and question >= length:
        part, _, part_weight, part_of_weight = _weigh(
            first, question, length, postings, matched, idioms_count, rule.shared_weight
        )
        required = required_coverage(question, rule)
        if _reaches(part, question, required) and _reaches(part_weight, part_of_weight, required):
            return _BY_QUESTION, covered, part_weight / part_of_weight, longest
    if heaviest >= (rule.min_run_characters if is_character else rule.min_run_words):
        return _BY_RUN, covered, evidence, longest
    return -1, covered, evidence, longest


@njit(allocates=True, cache=True, nogil=True)
def _judge(data, offsets, tables, windows, hit_documents, hit_grams, postings, rule):
    """Judge every (document, item) pair that shares a gram; see `Findings`."""
    size = 64
    out_documents = np.empty(size, dtype=np.int64)
    out_items = np.empty(size, dtype=np.int64)
    out_matched = np.empty(size, dtype=np.int64)
    out_covered = np.empty(size, dtype=np.int64)
    out_evidence = np.empty(size, dtype=np.float64)
    out_runs = np.empty(size, dtype=np.int64)
    out_reasons = np.empty(size, dtype=np.int64)
    out_jaccard = np.empty(size, dtype=np.float64)
    found = 0
    sizes = np.empty(len(windows.lengths), dtype=np.int64)
    begin = 0
    while begin < len(hit_documents):
        document = hit_documents[begin]
        end = begin
        while end < len(hit_documents) and hit_documents[end] == document:
            end += 1
        grams = np.unique(hit_grams[begin:end])
        begin = end
        items, counts = _candidates(grams, postings)
        sizes[:] = -1  # distinct grams of the document, by length, counted when they are first needed
        for candidate in range(len(items)):
            item = items[candidate]
            count = counts[candidate]
            first = postings.item_offsets[item]
            positions = postings.item_offsets[item + 1] - first
            words = np.int64(postings.item_words[item])
            question = np.int64(postings.question_words[item])
            length = np.int64(postings.gram_words[item])
            distinct = np.int64(postings.item_distinct[item])
            is_character = postings.character_words[item] != 0
            if rule.kind == 1 and count <= rule.min_jaccard * distinct:
                continue
            if rule.kind == 0:
                # At most this many words are covered: most pairs share a phrase or two and end here.
                most = min(words, (count + positions - distinct) * length)
                least = required_coverage(words, rule) * words
                if rule.min_question_words <= question < words:
                    least = min(least, required_coverage(question, rule) * question)
                least = min(least, float(rule.min_run_characters if is_character else rule.min_run_words))
                if most < least - 1e-6:
                    continue
            matched = np.zeros(positions, dtype=np.bool_)
            idioms = 0
            for position in range(positions):
                gram = postings.item_grams[first + position]
                if gram != NO_GRAM:
                    matched[position] = _is_matched(grams, np.int64(gram))
                    if matched[position] and len(postings.idioms) > 0 and postings.idioms[gram] != 0:
                        idioms += 1
            reason, covered, evidence, run = _decide(
                first, words, question, length, is_character, postings, matched, rule
            )
            if rule.kind == 0 and reason < 0:
                continue
            if rule.kind == 2:
                if idioms == np.sum(matched):
                    continue
                reason = _BY_GRAM
            window = 0
            while windows.lengths[window] != length:
                window += 1
            if sizes[window] < 0:
                sizes[window] = _distinct_gram_count(
                    data, offsets[document], offsets[document + 1], tables, length, windows.powers[window]
                )
            jaccard = count / (sizes[window] + distinct - count)
            if rule.kind == 1:
                if jaccard <= rule.min_jaccard:
                    continue
                reason = _BY_JACCARD
            if found == len(out_items):
                out_documents = _grown(out_documents)
                out_items = _grown(out_items)
                out_matched = _grown(out_matched)
                out_covered = _grown(out_covered)
                out_evidence = _grown(out_evidence)
                out_runs = _grown(out_runs)
                out_reasons = _grown(out_reasons)
                out_jaccard = _grown(out_jaccard)
            out_documents[found] = document
            out_items[found] = item
            out_matched[found] = count
            out_covered[found] = covered
            out_evidence[found] = evidence
            out_runs[found] = run
            out_reasons[found] = reason
            out_jaccard[found] = jaccard
            found += 1
    return (
        out_documents[:found],
        out_items[:found],
        out_matched[:found],
        out_covered[:found],
        out_evidence[:found],
        out_runs[:found],
        out_reasons[:found],
        out_jaccard[:found],
    )


# ------------------------------------------------------------------------------------------------------------ results


def window_removal(
    characters: int, hits: list[tuple[int, int]], *, window: int = 200, min_piece: int = 200, max_pieces: int = 10
) -> tuple[list[tuple[int, int]], str]:
    """Cut hits and their surroundings from a text (GPT-3, arXiv 2005.14165, appendix C).

    Args:
        characters: Length of the text in code points.
        hits: Half-open ranges that matched, in any order.
        window: Code points cut on each side of a hit.
        min_piece: Pieces shorter than this go too.
        max_pieces: A text that the cuts split into more pieces, short ones included, goes as a whole.

    Returns:
        The pieces that stay, and "kept", "gone" (nothing stays) or "dropped" (too many pieces).
    """
    pieces = []
    at = 0
    for begin, end in sorted(hits):
        if begin - window > at:
            pieces.append((at, begin - window))
        at = max(at, end + window)
    if at < characters:
        pieces.append((at, characters))
    if len(pieces) > max_pieces:
        return [], "dropped"
    pieces = [piece for piece in pieces if piece[1] - piece[0] >= min_piece] if hits else pieces
    return pieces, "kept" if pieces or not hits else "gone"


SPAN_TYPE = pa.struct([("begin", pa.int64()), ("end", pa.int64())])
MATCH_TYPE = pa.struct(
    [
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("item_id", pa.string()),
        ("evidence", pa.string()),
        ("matched_ngrams", pa.int64()),
        ("item_ngrams", pa.int64()),
        ("item_coverage", pa.float64()),
        ("weighted_coverage", pa.float64()),
        ("document_coverage", pa.float64()),
        ("jaccard", pa.float64()),
        ("longest_run", pa.int64()),
        ("spans", pa.list_(SPAN_TYPE)),
        ("matched_text", pa.string()),
        ("item_text", pa.string()),
    ]
)
REASON_TYPE = pa.struct([("rule", pa.string()), ("value", pa.float64()), ("bound", pa.string())])
CUT_TYPE = pa.struct([("begin", pa.int64()), ("end", pa.int64()), ("text", pa.string())])
CONTAMINATION_TYPE = pa.struct(
    [
        ("contaminated", pa.bool_()),
        ("removed", pa.bool_()),
        ("reasons", pa.list_(REASON_TYPE)),
        ("matches", pa.list_(MATCH_TYPE)),
        ("edited", pa.string()),
        ("cuts", pa.list_(CUT_TYPE)),
    ]
)
"""What `contamination` says of a document. Spans and cuts are half-open ranges of code points; `edited` is what the
policy leaves of a text it cuts."""

_CLEAN: Mapping[str, Any] = {
    "contaminated": False,
    "removed": False,
    "reasons": [],
    "matches": [],
    "edited": None,
    "cuts": [],
}


def _rule_of(policy: Policy, parameters: Parameters) -> _Rule:
    kind = {"coverage": 0, "flag": 0, "gopher": 1, "gpt3": 2}[policy.name]
    return _Rule(
        kind,
        float(policy.min_coverage),
        int(policy.full_coverage_words),
        int(policy.min_question_words),
        int(policy.min_run_words),
        max(1, round(policy.min_run_words * parameters.han_ngram / parameters.ngram)),
        float(policy.shared_weight),
        float(policy.min_jaccard),
    )


def judge(text: pa.Array, hits: Hits, index: Index, policy: Policy) -> Findings:
    """Return the (document, item) pairs that the policy finds among the hits of a batch."""
    data, offsets = string_buffers(text)
    return Findings(
        *_judge(
            data,
            offsets,
            tables_for_kernels(),
            index.windows,
            hits.documents,
            hits.grams,
            index.postings,
            _rule_of(policy, index.parameters),
        )
    )


def contamination(text: pa.Array, index: Index, policy: Policy) -> pa.StructArray:
    """Return what is found in each document, of `CONTAMINATION_TYPE`. A null text holds nothing.

    `removed` is the policy's verdict: for coverage and gopher that an item was found, for gpt3 that too little is left
    or the text fell into too many pieces, for flag never. `contaminated` says whether anything was found at all.
    """
    if policy.name not in POLICIES:
        raise ValueError(f"unknown policy {policy.name!r}: one of {', '.join(POLICIES)}")
    hits = scan(text, index)
    findings = judge(text, hits, index, policy) if len(hits.documents) else None
    rows: list[Mapping[str, Any] | None] = [None] * len(text)
    if findings is not None and len(findings.documents):
        for document, pairs in _groups(findings.documents):
            first, last = np.searchsorted(hits.documents, [document, document + 1])
            found = _FoundDocument(text[document].as_py(), hits, slice(first, last), index)
            rows[document] = found.described(findings, pairs, policy)
    return pa.array([row or _CLEAN for row in rows], CONTAMINATION_TYPE)


def nothing_found(count: int) -> pa.StructArray:
    """What `contamination` returns for so many clean documents."""
    return pa.array([_CLEAN] * count, CONTAMINATION_TYPE)


def _groups(documents: NDArray[np.int64]) -> list[tuple[int, range]]:
    firsts = np.flatnonzero(np.diff(documents, prepend=-1))
    lasts = [*firsts[1:].tolist(), len(documents)]
    return [(int(documents[a]), range(a, b)) for a, b in zip(firsts.tolist(), lasts, strict=True)]


class _FoundDocument:
    """One document in which something was found: from grams back to characters and text."""

    def __init__(self, text: str, hits: Hits, own: slice, index: Index) -> None:
        self.text = text
        self.index = index
        words = item_words(pa.array([text], pa.large_string()))
        lead = (np.frombuffer(text.encode(), dtype=np.uint8) & 0xC0) != 0x80
        characters = np.concatenate([[0], np.cumsum(lead)])
        self.word_begins = characters[words.starts]
        self.word_ends = characters[words.ends]
        self.grams = hits.grams[own]
        self.positions = hits.positions[own]
        self.lengths = index.windows.lengths[hits.windows[own]]

    def described(self, findings: Findings, pairs: range, policy: Policy) -> dict[str, Any]:
        matches = [self._match(findings, pair) for pair in pairs]
        reasons = self._reasons(findings, pairs, policy)
        described = {
            "contaminated": True,
            "removed": policy.name in ("coverage", "gopher"),
            "reasons": reasons if policy.name in ("coverage", "gopher") else [],
            "matches": matches,
            "edited": None,
            "cuts": [],
        }
        return {**described, **self._cut(policy)} if policy.name == "gpt3" else described

    def _spans(self, chosen: NDArray[np.bool_]) -> tuple[list[tuple[int, int]], int]:
        """Character ranges of runs of words in the chosen hits, and the number of these words."""
        covered = np.zeros(len(self.word_begins) + 1, dtype=np.int64)
        np.add.at(covered, self.positions[chosen], 1)
        np.add.at(covered, self.positions[chosen] + self.lengths[chosen], -1)
        inside = np.cumsum(covered[:-1]) > 0
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.view(np.int8), [0]])))
        spans = [
            (int(self.word_begins[a]), int(self.word_ends[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
        return spans, int(inside.sum())

    def _match(self, findings: Findings, pair: int) -> dict[str, Any]:
        item = int(findings.items[pair])
        postings = self.index.postings
        own = postings.item_grams[postings.item_offsets[item] : postings.item_offsets[item + 1]].astype(np.int64)
        spans, words = self._spans(np.isin(self.grams, own))
        row = self.index.items.slice(item, 1).to_pylist()[0]
        return {
            "dataset": row["dataset"],
            "split": row["split"],
            "item_id": row["id"],
            "evidence": EVIDENCE[findings.reasons[pair]],
            "matched_ngrams": int(findings.matched[pair]),
            "item_ngrams": int(postings.item_distinct[item]),
            "item_coverage": float(findings.covered[pair] / postings.item_words[item]),
            "weighted_coverage": float(findings.evidence[pair]),
            "document_coverage": float(words / max(1, len(self.word_begins))),
            "jaccard": float(findings.jaccard[pair]),
            "longest_run": int(findings.runs[pair]),
            "spans": [{"begin": begin, "end": end} for begin, end in spans],
            "matched_text": _shown(SEPARATOR.join(self.text[begin:end] for begin, end in spans)),
            "item_text": _shown(self._matched_part(row, own)),
        }

    def _matched_part(self, row: Mapping[str, str], own: NDArray[np.int64]) -> str:
        """The item's side of the match."""
        text = item_text(row["question"], row["answer"])
        words = item_words(pa.array([text], pa.large_string()))
        length = len(words.starts) - len(own) + 1
        inside = np.zeros(len(words.starts), dtype=bool)
        for position in np.flatnonzero(np.isin(own, self.grams)):
            inside[position : position + length] = True
        edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.view(np.int8), [0]])))
        data = text.encode()
        parts = [
            data[words.starts[a] : words.ends[b - 1]].decode() for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
        return SEPARATOR.join(parts)

    def _reasons(self, findings: Findings, pairs: range, policy: Policy) -> list[dict[str, Any]]:
        """For each kind of evidence, the strongest value found and the bound it broke."""
        postings = self.index.postings
        rule = _rule_of(policy, self.index.parameters)
        best: dict[str, tuple[float, str]] = {}
        for pair in pairs:
            item = findings.items[pair]
            kind = findings.reasons[pair]
            if kind == _BY_RUN:
                characters = postings.character_words[item] != 0
                bound = rule.min_run_characters if characters else rule.min_run_words
                name, value, shown = "matched_run_words", float(findings.runs[pair]), f"< {bound}"
            elif kind == _BY_JACCARD:
                name, value, shown = "ngram_jaccard", float(findings.jaccard[pair]), f"<= {rule.min_jaccard:g}"
            else:
                by_question = kind == _BY_QUESTION
                words = int(postings.question_words[item] if by_question else postings.item_words[item])
                value = float(findings.evidence[pair])
                name = "question_coverage" if by_question else "item_coverage"
                shown = f"< {required_coverage(words, rule):.3g}"
            if name not in best or value > best[name][0]:
                best[name] = (value, shown)
        return [{"rule": name, "value": value, "bound": bound} for name, (value, bound) in sorted(best.items())]

    def _cut(self, policy: Policy) -> dict[str, Any]:
        idioms = self.index.postings.idioms
        chosen = idioms[self.grams] == 0 if len(idioms) else np.ones(len(self.grams), dtype=bool)
        hits = [
            (int(self.word_begins[at]), int(self.word_ends[at + length - 1]))
            for at, length in zip(self.positions[chosen], self.lengths[chosen], strict=True)
        ]
        pieces, fate = window_removal(
            len(self.text),
            hits,
            window=policy.window_chars,
            min_piece=policy.min_piece_chars,
            max_pieces=policy.max_pieces,
        )
        cuts = []
        for begin, end in _complement(pieces, len(self.text)):
            cuts.append({"begin": begin, "end": end, "text": _shown(self.text[begin:end])})
        if fate != "kept":
            rule = "pieces" if fate == "dropped" else "text_left_chars"
            bound = f"<= {policy.max_pieces}" if fate == "dropped" else f">= {policy.min_piece_chars}"
            uncut, _ = window_removal(
                len(self.text), hits, window=policy.window_chars, min_piece=0, max_pieces=len(self.text)
            )
            value = float(len(uncut)) if fate == "dropped" else float(max([b - a for a, b in uncut], default=0))
            return {"removed": True, "reasons": [{"rule": rule, "value": value, "bound": bound}], "cuts": cuts}
        return {"edited": PIECE_SEPARATOR.join(self.text[begin:end] for begin, end in pieces), "cuts": cuts}


def _complement(pieces: list[tuple[int, int]], characters: int) -> list[tuple[int, int]]:
    edges = [0, *[edge for piece in pieces for edge in piece], characters]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
