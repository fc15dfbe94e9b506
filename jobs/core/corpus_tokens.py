"""How many tokens a corpus has: by source, language and the step that removed them.

Text bytes are counted for every document; tokens for every document too, or for a sample drawn by key hash. A sampled
group's tokens are its bytes times the sample's tokens a byte (ratio estimate), with its standard error: for group h of
N documents and B bytes, n sampled with t tokens and b bytes each, r = Σt / Σb, the variance of r·B is
(B / b̄)² · (1 - n/N) · Σ(t - r·b)² / (n · (n - 1)). A group with few sampled texts borrows the ratio of a larger one:
the same source and language among kept documents, the language, the whole corpus.

Text is read once, in bounded batches; nothing grows with the corpus but one record a (step, source, language).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from jobs.core.finished_run import TEXT_BATCH_ROWS, FinishedRun
from udfs.token_counts import TokenCounter

UNKNOWN = "unknown"
CONFIDENCE_SIGMAS = 1.96  # two-sided, 95 %
FEWEST_SAMPLED = 10  # a ratio of fewer documents is borrowed
KEY_SPACE = 1 << 64


class Group(NamedTuple):
    """What is counted together; ``step`` is None for kept documents."""

    step: str | None
    source: str
    language: str


@dataclass
class Tally:
    """Sums over the documents of a group, and over those of them whose tokens were counted."""

    documents: int = 0
    text_bytes: int = 0
    sampled: int = 0
    sampled_bytes: float = 0.0
    tokens: float = 0.0
    tokens_squared: float = 0.0
    bytes_squared: float = 0.0
    tokens_times_bytes: float = 0.0

    def add(self, other: Tally) -> None:
        """Add another group's sums."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def complete(self) -> bool:
        """Whether the tokens of every document that has text were counted."""
        return self.sampled == self.documents or not self.text_bytes


@dataclass(frozen=True)
class Tokens:
    """Tokens of some documents; ``margin`` is half the width of the 95 % interval that sampling leaves."""

    documents: int
    text_bytes: int
    tokens: float
    margin: float

    def plus(self, other: Tokens) -> Tokens:
        """Both together; their errors are independent."""
        return Tokens(
            self.documents + other.documents,
            self.text_bytes + other.text_bytes,
            self.tokens + other.tokens,
            math.hypot(self.margin, other.margin),
        )


NOTHING = Tokens(0, 0, 0.0, 0.0)


@dataclass(frozen=True)
class CorpusTokens:
    """The tokens of a corpus and how they were found out."""

    method: str
    counted: bool  # by a tokenizer, not estimated from characters
    complete: bool  # on all texts, not on a sample
    sampled: int
    documents: int
    groups: Mapping[Group, Tokens]

    def where(self, chosen: Callable[[Group], bool]) -> Tokens:
        """The tokens of the groups that a condition picks."""
        total = NOTHING
        for group, tokens in self.groups.items():
            if chosen(group):
                total = total.plus(tokens)
        return total

    @property
    def kept(self) -> Tokens:
        """The tokens of the corpus itself."""
        return self.where(lambda group: group.step is None)

    def by(self, part: str) -> dict[str, Tokens]:
        """Kept tokens by ``source`` or ``language``, removed ones by ``step``; the most first."""
        found: dict[str, Tokens] = {}
        for group, tokens in self.groups.items():
            name = getattr(group, part)
            if name is not None and (part == "step" or group.step is None):
                found[name] = found.get(name, NOTHING).plus(tokens)
        return dict(sorted(found.items(), key=lambda item: (-item[1].tokens, item[0])))


@dataclass
class Tallies:
    """Sums by group while texts are read."""

    counter: TokenCounter
    fraction: float
    groups: dict[Group, Tally] = field(default_factory=dict)

    def add_texts(self, batch: pa.RecordBatch, *, total: bool) -> None:
        """Count a batch with ``text``, ``key`` or ``id``, ``source``, ``language`` and ``step``.

        With ``total``, documents and bytes are added up here; otherwise only samples are (the totals come from
        elsewhere).
        """
        text = batch.column("text")
        size = pc.fill_null(pc.binary_length(text), 0).to_numpy(zero_copy_only=False).astype(np.float64)
        present = text.is_valid().to_numpy(zero_copy_only=False)
        chosen = present & in_token_sample(batch, self.fraction)
        tokens = np.zeros(len(size))
        if chosen.any():
            mask = pa.array(chosen)
            language = batch.column("language").filter(mask)
            tokens[chosen] = self.counter.count(text.filter(mask), language)
        groups, places = _groups_of(batch)
        sums = [
            np.bincount(places, weights=values, minlength=len(groups))
            for values in (
                np.ones(len(size)), size, chosen.astype(float), size * chosen, tokens, tokens**2,
                (size * chosen) ** 2, tokens * size,
            )
        ]  # fmt: skip
        for place, group in enumerate(groups):
            values = [float(column[place]) for column in sums]
            documents, text_bytes = (int(values[0]), int(values[1])) if total else (0, 0)
            self.groups.setdefault(group, Tally()).add(Tally(documents, text_bytes, int(values[2]), *values[3:]))

    def add_totals(self, group: Group, documents: int, text_bytes: int) -> None:
        """Add documents and their bytes to a group."""
        self.groups.setdefault(group, Tally()).add(Tally(documents, text_bytes))

    def result(self) -> CorpusTokens:
        """The tokens of every group."""
        pools: dict[tuple[str | None, str | None], Tally] = {}
        for group, tally in self.groups.items():
            for pool in ((group.source, group.language), (None, group.language), (None, None)):
                pools.setdefault(pool, Tally()).add(tally)
        found = {}
        for group, tally in self.groups.items():
            if tally.documents:
                found[group] = _estimate(tally, [tally, *_lenders(group, self.groups, pools)])
        return CorpusTokens(
            method=self.counter.method,
            counted=self.counter.exact,
            complete=all(tally.complete for tally in self.groups.values()),
            sampled=sum(tally.sampled for tally in self.groups.values()),
            documents=sum(tally.documents for tally in self.groups.values()),
            groups=dict(sorted(found.items(), key=lambda item: (item[0].step or "", *item[0][1:]))),
        )


def _lenders(
    group: Group, groups: Mapping[Group, Tally], pools: Mapping[tuple[str | None, str | None], Tally]
) -> Iterator[Tally]:
    """The groups whose ratio may stand in, the nearest first."""
    kept = groups.get(Group(None, group.source, group.language))
    if kept is not None:
        yield kept
    for pool in ((group.source, group.language), (None, group.language), (None, None)):
        yield pools[pool]


def _estimate(tally: Tally, lenders: Iterable[Tally]) -> Tokens:
    if tally.complete:
        return Tokens(tally.documents, tally.text_bytes, tally.tokens, 0.0)
    lenders = [lender for lender in lenders if lender.sampled_bytes]
    if not lenders:
        return Tokens(tally.documents, tally.text_bytes, 0.0, math.inf)
    lender = next((each for each in lenders if each.sampled >= FEWEST_SAMPLED), lenders[-1])
    n = lender.sampled
    ratio = lender.tokens / lender.sampled_bytes
    squares = lender.tokens_squared - 2 * ratio * lender.tokens_times_bytes + ratio**2 * lender.bytes_squared
    own = lender is tally
    unseen = 1 - n / tally.documents if own else 1.0
    scale = tally.text_bytes / (lender.sampled_bytes / n)
    variance = scale**2 * unseen * max(squares, 0.0) / (n * (n - 1)) if n > 1 else math.inf
    return Tokens(tally.documents, tally.text_bytes, tally.text_bytes * ratio, CONFIDENCE_SIGMAS * math.sqrt(variance))


def _groups_of(batch: pa.RecordBatch) -> tuple[list[Group], np.ndarray]:
    """The distinct groups of a batch and the place of each row's group among them."""
    columns = [
        pc.fill_null(batch.column(name), missing)
        for name, missing in (("step", ""), ("source", UNKNOWN), ("language", UNKNOWN))
    ]
    rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
    places: dict[tuple[str, str, str], int] = {}
    numbers = np.array([places.setdefault(row, len(places)) for row in rows], dtype=np.int64)
    return [Group(step or None, source, language) for step, source, language in places], numbers


def in_token_sample(batch: pa.RecordBatch, fraction: float) -> np.ndarray:
    """Whether each row is in the sample: by the first 64 bits of its key, a digest; of its id or text without one."""
    if fraction >= 1:
        return np.ones(batch.num_rows, dtype=bool)
    limit = int(fraction * KEY_SPACE)
    if "key" in batch.schema.names:
        heads = (key[:8] if key is not None else b"" for key in batch.column("key").to_pylist())
    else:
        name = "id" if "id" in batch.schema.names else "text"
        heads = (
            hashlib.blake2b(str(value).encode("utf-8", "replace"), digest_size=8).digest()
            for value in batch.column(name).to_pylist()
        )
    return np.array([int.from_bytes(head, "big") < limit for head in heads], dtype=bool)


# ---------------------------------------------------------------------------------------------------- runs and folders


def tokens_of_run(run: FinishedRun, counter: TokenCounter, fraction: float) -> CorpusTokens:
    """The tokens of a finished run: of what it kept, and of what every step removed.

    Kept texts are all read. Of removed documents the bytes are in ``signals``, and texts are read where the run stored
    them; where it did not, their tokens a byte are those of kept documents of the same source and language.
    """
    tallies = Tallies(counter, fraction)
    for batch in run.batches("kept", text_columns(run.table("kept")), rows=TEXT_BATCH_ROWS):
        tallies.add_texts(batch, total=True)
    columns = {
        "step": ds.field("stage"),
        **{name: ds.field(name) for name in ("source", "language", "text_bytes")},
    }
    for batch in run.batches("signals", columns, ds.field("stage").is_valid()):
        _add_removed(tallies, batch)
    for batch in run.batches(
        "removed", {**text_columns(run.table("removed")), "step": ds.field("stage")}, rows=TEXT_BATCH_ROWS
    ):
        tallies.add_texts(batch, total=False)
    return tallies.result()


def _add_removed(tallies: Tallies, batch: pa.RecordBatch) -> None:
    groups, places = _groups_of(batch)
    size = pc.fill_null(batch.column("text_bytes"), 0).to_numpy(zero_copy_only=False)
    documents = np.bincount(places, minlength=len(groups))
    text_bytes = np.bincount(places, weights=size, minlength=len(groups))
    for place, group in enumerate(groups):
        tallies.add_totals(group, int(documents[place]), int(text_bytes[place]))


def tokens_of_documents(documents: ds.Dataset, counter: TokenCounter, fraction: float) -> CorpusTokens:
    """The tokens of any Parquet folder with a column ``text``, by ``source`` and ``language`` where it has them."""
    tallies = Tallies(counter, fraction)
    scanner = documents.scanner(
        columns=text_columns(documents), batch_size=TEXT_BATCH_ROWS, batch_readahead=2, fragment_readahead=1
    )
    for batch in scanner.to_batches():
        if batch.num_rows:
            tallies.add_texts(batch, total=True)
    return tallies.result()


def text_columns(documents: ds.Dataset) -> dict[str, ds.Expression]:
    """What ``Tallies.add_texts`` reads, as projections of a table of documents."""
    names = set(documents.schema.names)
    columns = {"text": ds.field("text").cast(pa.large_string()), "step": ds.scalar(None).cast(pa.string())}
    for name in ("source", "language"):
        value = ds.field(name) if name in names else ds.scalar(None)
        columns[name] = value.cast(pa.string())
    for name in ("key", "id"):
        if name in names:
            columns[name] = ds.field(name)
            break
    return columns


def text_bytes_of_folder(documents: ds.Dataset) -> int:
    """About how many bytes of text a Parquet folder holds, from the footers of its files."""
    size = 0
    for fragment in documents.get_fragments():
        metadata = fragment.metadata
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for place in range(row_group.num_columns):
                if row_group.column(place).path_in_schema == "text":
                    size += row_group.column(place).total_uncompressed_size
    return size
