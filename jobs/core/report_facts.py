"""What a report shows of a finished run: counts, histograms, examples; collected in bounded memory, without Spark.

Tables are streamed. Of one with more than ``MOST_ROWS`` rows only a part is read (``FinishedRun.bounded``), and the
report says so; the counts of the funnel are the ledger's and always whole. What is held is bounded by the recipe: bins
and a few examples for each rule, one record for each source and language, the ``MOST_NAMES`` most frequent domains.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from jobs.core.corpus_tokens import UNKNOWN, CorpusTokens, Group, Tallies, text_columns
from jobs.core.drift import Refreshes, refreshes_of
from jobs.core.finished_run import TEXT_BATCH_ROWS, FinishedRun, stream
from jobs.core.rule_names import RULES
from udfs.token_counts import CharacterRatios

MOST_ROWS = 2_000_000  # of a table without texts
TEXT_ROWS = 5_000  # of a table whose texts are counted for the token estimate, out of the row groups that hold so many
MOST_URLS = 300_000
MOST_NAMES = 100_000  # domains held while counting
EXAMPLES = 3  # removed documents shown for each rule
NEAR_EXAMPLES = 2  # kept documents shown for each rule
MOST_CLUSTERS = 6
MOST_ITEMS = 24
MOST_FILES = 30

FRACTION_EDGES = np.linspace(0.0, 1.0, 101)
LINEAR_TO = 20  # counts and lengths: quarters up to here, then twelve bins a decade
COUNT_EDGES = np.concatenate([np.arange(0, LINEAR_TO, 0.25), LINEAR_TO * 10 ** (np.arange(0, 12 * 9) / 12)])


_SHOWN_COLUMNS = ("id", "key", "url", "source", "language", "text", "stage", "similarity", "duplicate_of")


class Shown(NamedTuple):
    """An example: the document, and what is said of it."""

    key: bytes
    stage: str | None
    value: float | None
    bound: str


@dataclass
class SignalFacts:
    """One signal over all measured documents, and how its rule divides them."""

    name: str
    step: str
    unit: str
    summary: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]  # one a bin, and one for values beyond the last edge
    minimum: float | None = None  # the recipe's bounds; languages and sources may have others
    maximum: float | None = None
    varies: list[str] = field(default_factory=list)
    judged: int = 0
    below: int = 0
    above: int = 0
    without_value: int = 0
    not_judged: int = 0
    lowest: float = math.inf
    highest: float = -math.inf

    @property
    def bounded(self) -> bool:
        """Whether the recipe has a rule on this signal."""
        return self.minimum is not None or self.maximum is not None or bool(self.varies)

    @property
    def measured(self) -> int:
        """Documents with a value."""
        return int(self.counts.sum())


@dataclass
class Facts:
    """All that the report shows."""

    run: FinishedRun
    signals: dict[str, SignalFacts]
    sources: dict[str, Counter[str]]  # name → documents and bytes by outcome
    languages: dict[str, Counter[str]]
    domains: list[tuple[str, int, int]]  # domain, kept, removed
    rules: dict[tuple[str, str], Counter[str]]  # (stage, rule) → documents, alone
    removed: dict[tuple[str, str], list[Shown]]
    nearly: dict[str, list[Shown]]
    texts: dict[tuple[bytes, str | None], dict[str, Any]]
    cluster_sizes: Counter[int]
    clusters: list[dict[str, Any]]
    testsets: list[dict[str, Any]]
    items: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    quarantine_reasons: Counter[tuple[str, str]]
    quarantine_files: list[tuple[str, str, int, str]]
    tokens: CorpusTokens | None
    shares: dict[str, float]  # table → share of its rows that was read
    refreshes: Refreshes | None  # of a refresh: it and those before it


def collect(run: FinishedRun) -> Facts:
    """Everything that the report of a run shows."""
    shares: dict[str, float] = {}
    scan = _SignalScan(run)
    if run.has("signals"):
        data, shares["signals"] = run.bounded("signals", MOST_ROWS)
        scan.read(data)
    rules, removed = _removed_by_rule(run, shares)
    clusters, findings = _clusters(run), _findings(run)
    wanted = {(shown.key, shown.stage) for group in (*removed.values(), *scan.nearly().values()) for shown in group}
    for cluster in clusters:
        wanted |= {(cluster["key"], None), *((member["key"], "dedup_near") for member in cluster["members"][:1])}
    wanted |= {(found["key"], "decontaminate" if found["removed"] else None) for found in findings}
    texts = _texts(run, wanted)
    quarantine_reasons, quarantine_files = _quarantine(run)
    return Facts(
        run=run,
        signals=scan.facts,
        sources=scan.sources,
        languages=scan.languages,
        domains=_domains(run, shares),
        rules=rules,
        removed=removed,
        nearly=scan.nearly(),
        texts=texts,
        cluster_sizes=_cluster_sizes(run),
        clusters=[cluster for cluster in clusters if (cluster["key"], None) in texts],
        testsets=_small(run, "testsets"),
        items=_items(run),
        findings=findings,
        quarantine_reasons=quarantine_reasons,
        quarantine_files=quarantine_files,
        tokens=_tokens(run, scan.totals),
        shares={table: share for table, share in shares.items() if share < 1},
        refreshes=refreshes_of(run),
    )


class Groups(NamedTuple):
    """Documents and bytes by outcome for each source and language, and the tokens of all."""

    sources: dict[str, Counter[str]]
    languages: dict[str, Counter[str]]
    tokens: CorpusTokens | None


def groups_of(run: FinishedRun) -> Groups:
    """Counts by source and language, without examples; from a part of the rows for a run of many."""
    scan = _SignalScan(run)
    if run.has("signals"):
        scan.read(run.bounded("signals", MOST_ROWS)[0])
    return Groups(scan.sources, scan.languages, _tokens(run, scan.totals))


# -------------------------------------------------------------------------------------------------------------- signals


@dataclass(frozen=True)
class _RuleTable:
    """A rule's bounds by the number of the profile, as arrays."""

    applies: NDArray[np.bool_]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class _SignalScan:
    """One pass over ``signals``: histograms, shares beyond each bound, kept documents nearest to it, totals."""

    def __init__(self, run: FinishedRun) -> None:
        self.run = run
        self.facts: dict[str, SignalFacts] = {}
        self.sources: dict[str, Counter[str]] = {}
        self.languages: dict[str, Counter[str]] = {}
        self.totals: Counter[tuple[Group, str]] = Counter()
        self._near: dict[str, list[tuple[float, bytes, float, str]]] = {}
        self._rules = _rule_tables(run)
        self._profiles: dict[tuple[str | None, str | None], int] = {}
        self._names = [
            name
            for name, type_ in run.signal_types.items()
            if pa.types.is_integer(type_) or pa.types.is_floating(type_)
        ]
        if "language_score" in run.columns("signals"):
            self._names.append("language_score")
        for name in self._names:
            self.facts[name] = _empty_facts(run, name)

    def read(self, data: ds.Dataset) -> None:
        names = set(data.schema.names)
        columns: dict[str, ds.Expression] = {
            name: ds.field(name) for name in ("key", "stage", "source", "language", "text_bytes")
        }
        for name in self._names:
            columns[f"signal {name}"] = ds.field(name) if name in names else ds.field("signals", name)
        for batch in stream(data, columns):
            self._add(batch)

    def _add(self, batch: pa.RecordBatch) -> None:
        places, groups = _encoded(batch, ("stage", "source", "language"))
        self._add_totals(batch, places, groups)
        number_of_group = np.array([self._profile(source, language) for _, source, language in groups])
        profile = number_of_group[places]
        kept = np.array([stage is None for stage, _, _ in groups])[places]
        has_language = np.array([language is not None for _, _, language in groups])[places]
        has_text = pc.fill_null(batch.column("text_bytes"), 0).to_numpy(zero_copy_only=False) > 0
        keys = batch.column("key")
        for name in self._names:
            column = batch.column(f"signal {name}").cast(pa.float64())
            values = column.fill_null(np.nan).to_numpy(zero_copy_only=False)
            facts = self.facts[name]
            _add_values(facts, values)
            if name in self._rules:
                given = has_language if name == "language_score" else None
                self._judge(name, facts, values, profile, (kept, has_text, given), keys)

    def _add_totals(self, batch: pa.RecordBatch, places: NDArray[np.int64], groups: Sequence[Any]) -> None:
        size = pc.fill_null(batch.column("text_bytes"), 0).to_numpy(zero_copy_only=False)
        documents = np.bincount(places, minlength=len(groups))
        text_bytes = np.bincount(places, weights=size, minlength=len(groups))
        for place, (stage, source, language) in enumerate(groups):
            group = Group(stage, source or UNKNOWN, language or UNKNOWN)
            self.totals[group, "documents"] += int(documents[place])
            self.totals[group, "text_bytes"] += int(text_bytes[place])
            outcome = "kept" if stage is None else "removed"
            for table, name in ((self.sources, group.source), (self.languages, group.language)):
                counts = table.setdefault(name, Counter())
                counts[outcome] += int(documents[place])
                counts[f"{outcome}_bytes"] += int(text_bytes[place])
                if stage is not None:
                    counts[f"stage {stage}"] += int(documents[place])

    def _profile(self, source: str | None, language: str | None) -> int:
        at = (source, language)
        if at not in self._profiles:
            self._profiles[at] = self.run.profiles.number(source, language)
        return self._profiles[at]

    def _judge(
        self,
        name: str,
        facts: SignalFacts,
        values: NDArray[np.float64],
        profile: NDArray[np.int64],
        is_: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_] | None],
        keys: pa.Array,
    ) -> None:
        kept, has_text, given = is_
        table = self._rules[name]
        low, high, applies = table.low[profile], table.high[profile], table.applies[profile]
        absent = np.isnan(values)
        applies = applies & (has_text | ~absent)  # a page without a text never came to this rule
        if given is not None:  # a language that the source states has no score, and nothing to doubt
            applies = applies & ~(absent & given)
        facts.judged += int(applies.sum())
        facts.not_judged += int((~applies & ~absent).sum())
        facts.without_value += int((applies & absent).sum())
        with np.errstate(invalid="ignore"):
            facts.below += int((applies & (values < low)).sum())
            facts.above += int((applies & (values > high)).sum())
            distance = np.minimum(values - low, high - values)
            candidates = np.flatnonzero(applies & kept & ~absent & (distance >= 0))
        if not len(candidates):
            return
        nearest = candidates[np.argsort(distance[candidates], kind="stable")[: NEAR_EXAMPLES * 4]]
        texts = self.bound_texts(name, profile)
        found = [(float(distance[row]), keys[row].as_py() or b"", float(values[row]), texts(row)) for row in nearest]
        self._near[name] = heapq.nsmallest(NEAR_EXAMPLES, [*self._near.get(name, []), *found])

    def bound_texts(self, name: str, profile: NDArray[np.int64]) -> Any:
        def text(row: int) -> str:
            each = self.run.profiles.profiles[profile[row]]
            limits = next((dict(rules)[name] for _, rules in each.steps if name in dict(rules)), None)
            return " and ".join(part for part in limits.texts() if part) if limits else ""

        return text

    def nearly(self) -> dict[str, list[Shown]]:
        """The kept documents nearest to each bound; none where nothing measured comes near (the signal is 0)."""
        return {
            name: [Shown(key, None, value, bound) for _, key, value, bound in found if value]
            for name, found in self._near.items()
        }


def _encoded(batch: pa.RecordBatch, names: Sequence[str]) -> tuple[NDArray[np.int64], list[tuple[Any, ...]]]:
    """The distinct combinations of some columns, and the place of each row's among them."""
    codes = np.zeros(batch.num_rows, dtype=np.int64)
    dictionaries = []
    for name in names:
        encoded = batch.column(name).cast(pa.string()).dictionary_encode()
        values = [*encoded.dictionary.to_pylist(), None]
        own = encoded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
        codes = codes * len(values) + own
        dictionaries.append(values)
    distinct, places = np.unique(codes, return_inverse=True)
    groups = []
    for code in distinct.tolist():
        group: list[Any] = []
        for values in reversed(dictionaries):
            code, own_code = divmod(code, len(values))
            group.append(values[own_code])
        groups.append(tuple(reversed(group)))
    return places.astype(np.int64), groups


def _rule_tables(run: FinishedRun) -> dict[str, _RuleTable]:
    """Every rule of the recipe with its bounds by profile. Quantiles that the run looked up are not bounds here."""
    profiles = run.profiles
    found = {}
    for step in profiles.step_order:
        for rule in profiles.rules_of(step):
            limits = [profile.limits(step).get(rule) for profile in profiles.profiles]
            low = [each.minimum if each and isinstance(each.minimum, int | float) else -math.inf for each in limits]
            high = [each.maximum if each and isinstance(each.maximum, int | float) else math.inf for each in limits]
            found[rule] = _RuleTable(
                np.array([each is not None for each in limits]), np.array(low, float), np.array(high, float)
            )
    return found


def _empty_facts(run: FinishedRun, name: str) -> SignalFacts:
    step, rule = next(((step, rules[name]) for step, rules in RULES.items() if name in rules), ("filter_quality", None))
    unit = rule.unit if rule else ("fraction" if "fraction" in name else "value")
    summary = rule.summary if rule else _summary_of(name)
    edges = FRACTION_EDGES if unit in ("fraction", "ratio", "probability") else COUNT_EDGES
    facts = SignalFacts(name, _step_of(name, step), unit, summary, edges, np.zeros(len(edges), dtype=np.int64))
    default = run.profiles.profile(None, "en") if "en" in run.profiles.language_classes else run.profiles.profiles[0]
    for own_step, rules in default.steps:
        limits = dict(rules).get(name)
        if limits is not None:
            facts.step = own_step
            facts.minimum = float(limits.minimum) if isinstance(limits.minimum, int | float) else None
            facts.maximum = float(limits.maximum) if isinstance(limits.maximum, int | float) else None
    facts.varies = _variants(run, name, facts)
    return facts


def _step_of(name: str, step: str) -> str:
    return "filter_content" if name.startswith("lexicon_") else step


def _summary_of(name: str) -> str:
    if name.startswith("lexicon_hits_"):
        return "occurrences of phrases of the lexicon"
    if name.startswith("lexicon_fraction_"):
        return "words in phrases of the lexicon / words"
    return "a signal of the recipe"


def _variants(run: FinishedRun, name: str, facts: SignalFacts) -> list[str]:
    """Sources and languages whose bounds on a signal are not the default ones, in words."""
    profiles = run.profiles
    found = []

    def text(source: str | None, language: str | None) -> str:
        for _, rules in profiles.profile(source, language).steps:
            if name in dict(rules):
                return " and ".join(part for part in dict(rules)[name].texts() if part)
        return "off"

    default = text(None, "en" if "en" in profiles.language_classes else None)
    for source in profiles.source_classes:
        if text(source, "en") != default:
            found.append(f"source {source}: {text(source, 'en')}")
    by_bound: dict[str, list[str]] = {}
    for language in sorted(run.resolved.packs):
        if text(None, language) != default:
            by_bound.setdefault(text(None, language), []).append(language)
    found += [f"{', '.join(languages)}: {bound}" for bound, languages in sorted(by_bound.items())]
    return found


def _add_values(facts: SignalFacts, values: NDArray[np.float64]) -> None:
    present = values[~np.isnan(values)]
    if not len(present):
        return
    facts.lowest, facts.highest = min(facts.lowest, float(present.min())), max(facts.highest, float(present.max()))
    bins = np.searchsorted(facts.edges, np.clip(present, 0, None), side="right") - 1
    if facts.edges is FRACTION_EDGES:
        bins[present == 1.0] -= 1  # the last bin is closed: what is beyond it is more than 1
    facts.counts += np.bincount(bins, minlength=len(facts.counts))


# -------------------------------------------------------------------------------------------------- removed, by rule


def _removed_by_rule(
    run: FinishedRun, shares: dict[str, float]
) -> tuple[dict[tuple[str, str], Counter[str]], dict[tuple[str, str], list[Shown]]]:
    rules: dict[tuple[str, str], Counter[str]] = {}
    shown: dict[tuple[str, str], list[tuple[bytes, float | None, str]]] = {}
    if not run.has("removed"):
        return {}, {}
    data, shares["removed"] = run.bounded("removed", MOST_ROWS)
    for batch in stream(data, ["key", "stage", "reasons"]):
        reasons = batch.column("reasons")
        rows = pc.list_parent_indices(reasons).to_numpy(zero_copy_only=False)
        flat = reasons.flatten()
        if not len(flat):
            continue
        stage = batch.column("stage").take(pa.array(rows))
        alone = pc.list_value_length(reasons).take(pa.array(rows)).to_numpy(zero_copy_only=False) == 1
        table = pa.RecordBatch.from_arrays([stage, flat.field("rule")], ["stage", "rule"])
        places, groups = _encoded(table, ("stage", "rule"))
        for place, (stage_name, rule) in enumerate(groups):
            of_group = np.flatnonzero(places == place)
            counts = rules.setdefault((stage_name, rule), Counter())
            counts["documents"] += len(of_group)
            counts["alone"] += int(alone[of_group].sum())
            found = _smallest_keys(batch.column("key"), rows[of_group], of_group)
            picked = [(key, flat[at]["value"].as_py(), flat[at]["bound"].as_py()) for key, at in found]
            shown[stage_name, rule] = heapq.nsmallest(
                EXAMPLES, [*shown.get((stage_name, rule), []), *picked], key=lambda each: each[0]
            )
    return rules, {
        (stage, rule): [Shown(key, stage, value, bound) for key, value, bound in found]
        for (stage, rule), found in shown.items()
    }


def _smallest_keys(keys: pa.Array, rows: NDArray[np.int64], at: NDArray[np.int64]) -> list[tuple[bytes, int]]:
    """The few rows with the smallest keys: keys are digests, so these are a sample that is the same every time."""
    own = keys.take(pa.array(rows))
    order = pc.array_sort_indices(own)[:EXAMPLES].to_pylist()
    return [(own[place].as_py() or b"", int(at[place])) for place in order]


# ---------------------------------------------------------------------------------------------------------- the texts


def _texts(
    run: FinishedRun, wanted: Collection[tuple[bytes, str | None]]
) -> dict[tuple[bytes, str | None], dict[str, Any]]:
    """The documents with the given keys and stages (None: kept), the first of equal ones."""
    found: dict[tuple[bytes, str | None], dict[str, Any]] = {}
    for table, is_kept in (("kept", True), ("removed", False)):
        keys = sorted({key for key, stage in wanted if (stage is None) == is_kept})
        if not keys or not run.has(table):
            continue
        data, _ = run.bounded(table, MOST_ROWS)
        names = [name for name in _SHOWN_COLUMNS if name in data.schema.names]
        chosen = ds.field("key").isin(pa.array(keys, data.schema.field("key").type))
        for piece in _pieces_with(data, chosen):
            for batch in stream(piece, names, chosen, rows=TEXT_BATCH_ROWS):
                for row in batch.to_pylist():
                    found.setdefault((row["key"], row.get("stage")), row)
    return found


def _pieces_with(data: ds.Dataset, chosen: ds.Expression) -> Iterable[ds.Dataset]:
    """The row groups that hold a wanted key: texts of the others are not read."""
    for file in data.get_fragments():
        for piece in file.split_by_row_group():
            if piece.count_rows(filter=chosen):
                yield ds.FileSystemDataset([piece], data.schema, ds.ParquetFileFormat(), file.filesystem)


# ------------------------------------------------------------------------------------------------------------- domains


def _domains(run: FinishedRun, shares: dict[str, float]) -> list[tuple[str, int, int]]:
    from udfs.urls import registered_domains

    counts: dict[str, Counter[str]] = {"kept": Counter(), "removed": Counter()}
    for table, counted in counts.items():
        if "url" not in run.columns(table):
            continue
        data, share = run.bounded(table, MOST_URLS)
        shares[f"{table} (domains)"] = share
        for batch in stream(data, ["url"], ds.field("url").is_valid()):
            domains = registered_domains(batch.column("url"))
            for entry in pc.value_counts(domains).to_pylist():
                if entry["values"]:
                    counted[entry["values"]] += entry["counts"]
            if len(counted) > MOST_NAMES:
                counts[table] = counted = Counter(dict(counted.most_common(MOST_NAMES // 2)))
    kept, removed = counts["kept"], counts["removed"]
    names = sorted({*kept, *removed}, key=lambda name: (-kept[name] - removed[name], name))
    return [(name, kept[name], removed[name]) for name in names[:25]]


# ------------------------------------------------------------------------------------- clusters, test sets, quarantine


def _cluster_sizes(run: FinishedRun) -> Counter[int]:
    sizes: Counter[int] = Counter()
    if "cluster_size" in run.columns("kept"):
        for batch in run.batches("kept", ["cluster_size"], ds.field("cluster_size") > 1):
            for entry in pc.value_counts(batch.column("cluster_size")).to_pylist():
                sizes[entry["values"]] += entry["counts"]
    return sizes


def _clusters(run: FinishedRun) -> list[dict[str, Any]]:
    """The largest clusters of near duplicates, and those of the least similar members."""
    if not run.has("clusters"):
        return []
    first = pc.list_slice(ds.field("members"), 0, 3, return_fixed_size_list=False)
    columns = {name: ds.field(name) for name in ("cluster", "id", "key", "size")} | {"members": first}
    largest: list[tuple[int, str, dict[str, Any]]] = []
    loosest: list[tuple[float, str, dict[str, Any]]] = []
    for batch in run.batches("clusters", columns, rows=4096):
        for row in batch.to_pylist():
            if not row["members"]:
                continue
            row["members"].sort(key=lambda member: (member["similarity"] is None, member["similarity"], member["key"]))
            similarity = row["members"][0]["similarity"]
            largest.append((-row["size"], row["cluster"], row))
            loosest.append((1.0 if similarity is None else similarity, row["cluster"], row))
        largest = heapq.nsmallest(MOST_CLUSTERS // 2, largest, key=lambda each: each[:2])
        loosest = heapq.nsmallest(MOST_CLUSTERS, loosest, key=lambda each: each[:2])
    found = {cluster: row for _, cluster, row in [*largest, *loosest]}
    return list(found.values())[:MOST_CLUSTERS]


def _small(run: FinishedRun, table: str) -> list[dict[str, Any]]:
    """All rows of a table that is as small as the recipe."""
    return run.table(table).to_table().to_pylist() if run.has(table) else []


def _items(run: FinishedRun) -> list[dict[str, Any]]:
    """The test items found in most documents."""
    if not run.has("items"):
        return []
    columns = ["dataset", "split", "item_id", "documents", "best_coverage", "longest_run", "words"]
    best: list[dict[str, Any]] = []
    for batch in run.batches("items", columns, ds.field("documents") > 0, rows=8192):
        best = heapq.nsmallest(
            MOST_ITEMS, [*best, *batch.to_pylist()], key=lambda row: (-row["documents"], row["dataset"], row["item_id"])
        )
    return best


def _findings(run: FinishedRun) -> list[dict[str, Any]]:
    """One finding each of the first items of every test set: text and span."""
    if not run.has("contamination"):
        return []
    names = ["document_id", "key", "removed", "dataset", "split", "item_id", "item_coverage", "longest_run", "spans"]
    by_dataset: dict[str, list[dict[str, Any]]] = {}
    for batch in run.batches("contamination", [*names, "matched_text", "item_text"], rows=1024):
        for row in batch.to_pylist():
            found = [*by_dataset.get(row["dataset"], []), row]
            by_dataset[row["dataset"]] = heapq.nsmallest(
                EXAMPLES, found, key=lambda each: (not each["removed"], each["item_id"] or "", each["key"])
            )
    return [row for dataset in sorted(by_dataset) for row in by_dataset[dataset]]


def _quarantine(run: FinishedRun) -> tuple[Counter[tuple[str, str]], list[tuple[str, str, int, str]]]:
    """Documents by (stage, reason), and the files with most of a reason, with one detail each."""
    reasons: Counter[tuple[str, str]] = Counter()
    files: Counter[tuple[str, str]] = Counter()
    details: dict[tuple[str, str], str] = {}
    for batch in run.batches("quarantine", ["source", "reason", "detail", "stage"], rows=8192):
        for row in batch.to_pylist():
            at = (row["source"] or "", row["reason"])
            reasons[row["stage"] or "", row["reason"]] += 1
            files[at] += 1
            details[at] = min(details.get(at, row["detail"] or ""), row["detail"] or "")
        if len(files) > MOST_NAMES:
            files = Counter(dict(files.most_common(MOST_NAMES // 2)))
    worst = sorted(files, key=lambda at: (-files[at], at))[:MOST_FILES]
    reasons = Counter(dict(sorted(reasons.items())))  # equal counts in the order of their names
    return reasons, [(file, reason, files[file, reason], details[file, reason]) for file, reason in worst]


# -------------------------------------------------------------------------------------------------------------- tokens


def _tokens(run: FinishedRun, totals: Mapping[tuple[Group, str], int]) -> CorpusTokens | None:
    """Tokens of the run, estimated from the characters of some texts; bytes are those of all documents."""
    if not totals:
        return None
    tallies = Tallies(CharacterRatios(), 1.0)
    for group in dict.fromkeys(group for group, _ in totals):
        tallies.add_totals(group, totals[group, "documents"], totals[group, "text_bytes"])
    for table in ("kept", "removed"):
        if run.has(table):
            data, share = run.bounded(table, TEXT_ROWS)
            tallies.fraction = min(1.0, TEXT_ROWS / max(1.0, share * run.count(table)))
            columns = text_columns(data)
            if table == "removed":
                columns["step"] = ds.field("stage")
            for batch in stream(data, columns, rows=TEXT_BATCH_ROWS):
                tallies.add_texts(batch, total=False)
    return tallies.result()
