"""One document of a finished run: every rule's verdict on it, where it went, why, and what it matched. No Spark.

Rows are found by id, address or key, in ``kept``, ``removed`` and ``quarantine``; their signals by key. Ids need not be
unique: every row is told of.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.dataset as ds

from jobs.core.annotation import ANNOTATED_STEPS
from jobs.core.errors import UsageError
from jobs.core.finished_run import FinishedRun
from jobs.core.profiles import Judgement, judge_plain
from jobs.core.report_texts import Masker
from jobs.core.word_diff import word_diff

MOST_ROWS = 20  # told of, of those that one id or address names
MOST_FINDINGS = 5  # test items shown of a contaminated document
MOST_REPRESENTED = 10  # documents named that a kept one stands for
MOST_LINKS = 10  # of a chain of representatives
MOST_DIFF_CHARS = 100_000  # of each text
_KEY = re.compile(r"^[0-9a-fA-F]{32}$")
_BEFORE_RULES = ("ingest", "extract_text")
_COLUMNS = {
    *("id", "key", "url", "source", "language", "cluster_size", "cuts"),
    *("stage", "reasons", "duplicate_of", "duplicate_of_key", "similarity", "via"),
}


@dataclass(frozen=True)
class Explained:
    """What a run did with one row."""

    outcome: str  # kept, removed, quarantined
    document: Mapping[str, Any]
    stage: str | None = None
    reasons: Sequence[Mapping[str, Any]] = ()
    route: Sequence[Mapping[str, str]] = ()
    rules: Sequence[Judgement] = ()
    twin: Mapping[str, Any] | None = None
    test_items: Sequence[Mapping[str, Any]] = ()
    represented: Mapping[str, Any] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {**asdict(self), "rules": [judged._asdict() for judged in self.rules]}


def explain_document(run: FinishedRun, name: str, masker: Masker) -> list[Explained]:
    """Every row that an id, an address or a key (32 hexadecimal digits) names. Raises ``UsageError`` for none."""
    kept = _rows(run, "kept", _named(run, "kept", name))
    removed = _rows(run, "removed", _named(run, "removed", name))
    quarantined = run.find("quarantine", ds.field("id") == name)[:MOST_ROWS] if run.has("quarantine") else []
    if not kept and not removed and not quarantined:
        raise UsageError(
            f"{run.path}: no document with the id, address or key {name!r}",
            next_step="write it whole, as the source has it; records that were ignored (redirects, images, robots) "
            "leave no row",
        )
    signals = _Signals(run, [row["key"] for row in (*kept, *removed)])
    return [
        *[_explain_kept(run, row, signals, masker) for row in kept],
        *[_explain_removed(run, row, signals, masker) for row in removed],
        *[_explain_quarantined(row) for row in quarantined],
    ]


def _named(run: FinishedRun, table: str, name: str) -> ds.Expression:
    filter_ = ds.field("id") == name
    if "url" in run.columns(table):
        filter_ = filter_ | (ds.field("url") == name)
    if _KEY.match(name):
        filter_ = filter_ | (ds.field("key") == bytes.fromhex(name))
    return filter_


def _rows(run: FinishedRun, table: str, filter_: ds.Expression) -> list[dict[str, Any]]:
    rows = run.find(table, filter_, [name for name in run.columns(table) if name in _COLUMNS])  # no text: it is wide
    return sorted(rows, key=lambda row: (row["id"] or "", row["key"]))[:MOST_ROWS]


class _Signals:
    """The stored signals of some keys. Rows with equal keys are told apart by the stage that removed them."""

    def __init__(self, run: FinishedRun, keys: Collection[bytes]) -> None:
        chosen = ds.field("key").isin(list(dict.fromkeys(keys)))
        self._rows = run.find("signals", chosen) if keys and run.has("signals") else []

    def of(self, key: bytes, stage: str | None) -> Mapping[str, Any] | None:
        """The row of a document that a stage removed, None for one that was kept."""
        return next((row for row in self._rows if row["key"] == key and row["stage"] == stage), None)


# ------------------------------------------------------------------------------------------------------- three outcomes


def _explain_kept(run: FinishedRun, row: Mapping[str, Any], signals: _Signals, masker: Masker) -> Explained:
    measured = signals.of(row["key"], None)
    rules = _judged(run, measured)
    represented: dict[str, Any] = {}
    if row.get("cluster_size", 1) > 1 and "duplicate_of_key" in run.columns("removed"):
        others = run.find("removed", ds.field("duplicate_of_key") == row["key"], ["id", "stage", "similarity", "via"])
        others.sort(key=lambda other: (other["id"] or "", other["stage"]))
        represented = {"count": len(others), "documents": others[:MOST_REPRESENTED]}
    return Explained(
        "kept",
        _document(row, measured),
        route=_route(run, None, rules),
        rules=rules,
        test_items=_test_items(run, row["key"], masker),
        represented=represented,
    )


def _explain_removed(run: FinishedRun, row: Mapping[str, Any], signals: _Signals, masker: Masker) -> Explained:
    stage = row["stage"]
    measured = signals.of(row["key"], stage)
    rules = _judged(run, measured) if stage not in _BEFORE_RULES else []
    return Explained(
        "removed",
        _document(row, measured),
        stage,
        row["reasons"] or (),
        _route(run, stage, rules),
        rules,
        twin=_twin(run, row, masker) if row.get("duplicate_of_key") else None,
        test_items=_test_items(run, row["key"], masker),
    )


def _explain_quarantined(row: Mapping[str, Any]) -> Explained:
    document = {"id": row["id"], "source": row["source_name"], "file": row["source"], "offset": row["offset"]}
    reason = {"rule": row["reason"], "value": None, "bound": row["detail"] or ""}
    return Explained("quarantined", document, row["stage"], [reason])


def _document(row: Mapping[str, Any], measured: Mapping[str, Any] | None) -> dict[str, Any]:
    facts = {"id": row["id"], "key": row["key"].hex(), "url": row.get("url"), "source": row["source"]}
    score = measured.get("language_score") if measured else None
    return {
        **facts,
        "language": row["language"],
        "language_score": score,
        "text_bytes": measured["text_bytes"] if measured else None,
        "cuts": row.get("cuts"),
    }


def _judged(run: FinishedRun, measured: Mapping[str, Any] | None) -> list[Judgement]:
    """Every rule that applies to a document, from its stored signals: also those of steps that it never reached."""
    if measured is None:
        return []
    ran = [stage["stage"] for stage in run.stages if stage["stage"] in ANNOTATED_STEPS]
    signals = {**(measured.get("signals") or {}), "language_score": measured.get("language_score")}
    return judge_plain(run.profiles, signals, language=measured["language"], source=measured["source"], steps=ran)


def _route(run: FinishedRun, stage: str | None, rules: Sequence[Judgement]) -> list[dict[str, str]]:
    """The stages in order, with what each did: passed, removed, or not reached."""
    route, gone = [], False
    for account in run.stages:
        name = account["stage"]
        own = [judged for judged in rules if judged.step == name]
        broken = sum(not judged.passed for judged in own)
        if name == stage:
            what, gone = "removed", True
        elif gone:
            what = f"not reached ({broken} of its {len(own)} rules would break)" if broken else "not reached"
        else:
            what = f"passed ({len(own)} rules)" if own else "passed"
        route.append({"stage": name, "outcome": what})
    return route


# ------------------------------------------------------------------------------------------------------ what it matched


def _twin(run: FinishedRun, row: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    """The kept document that stands for a removed one, how they differ, and through whom they are linked."""
    key = row["duplicate_of_key"]
    found = run.find("kept", ds.field("key") == key, ["id", "url", "source", "language", "text"])
    kept = found[0] if found else {"id": row["duplicate_of"], "text": None}
    own = run.find("removed", _same_row(row), ["text"])
    texts = [own[0]["text"] if own else None, kept["text"]]
    twin = {
        "id": kept["id"],
        "key": key.hex(),
        "url": kept.get("url"),
        "source": kept.get("source"),
        "similarity": row["similarity"],
        "chain": list(_chain(run, row)),
    }
    if None in texts:
        return {**twin, "difference": None, "changes": []}
    diff = word_diff(*(shown_text(masker, text[:MOST_DIFF_CHARS]) for text in texts))
    return {**twin, "difference": diff.summary, "changes": list(diff.lines)}


def _same_row(row: Mapping[str, Any]) -> ds.Expression:
    return (ds.field("key") == row["key"]) & (ds.field("stage") == row["stage"])


def _chain(run: FinishedRun, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The documents through which a removed one is linked to the kept one, each with the stage that removed it."""
    seen: set[str] = set()
    link = row["via"]
    while link is not None and link not in seen and len(seen) < MOST_LINKS:
        seen.add(link)
        same = (ds.field("id") == link) & (ds.field("duplicate_of_key") == row["duplicate_of_key"])
        rows = run.find("removed", same, ["id", "key", "stage", "similarity", "via"])
        if not rows:
            yield {"id": link, "stage": None, "similarity": None}
            return
        yield {"id": link, "stage": rows[0]["stage"], "similarity": rows[0]["similarity"]}
        link = rows[0]["via"]


def _test_items(run: FinishedRun, key: bytes, masker: Masker) -> list[dict[str, Any]]:
    """The test items that a document holds, best covered first, with the span where it does."""
    if not run.has("contamination"):
        return []
    columns = [
        "dataset",
        "split",
        "item_id",
        "evidence",
        "item_coverage",
        "longest_run",
        "spans",
        "item_text",
        "removed",
    ]
    found = run.find("contamination", ds.field("key") == key, columns)
    found.sort(key=lambda each: (-(each["item_coverage"] or 0.0), each["dataset"] or "", each["item_id"] or ""))
    text = _text_of(run, key) if found else None
    return [{**each, **_shown_finding(each, text, masker)} for each in found[:MOST_FINDINGS]]


def _text_of(run: FinishedRun, key: bytes) -> str | None:
    rows = [row for table in ("removed", "kept") for row in run.find(table, ds.field("key") == key, ["text"])]
    return next((row["text"] for row in rows if row["text"] is not None), None)


def _shown_finding(found: Mapping[str, Any], text: str | None, masker: Masker) -> dict[str, Any]:
    spans = [(span["begin"], span["end"]) for span in found["spans"] or ()]
    marks = {"mark": "«{}»"}
    pieces = masker.excerpt(text, spans) if text is not None else []
    excerpt = "".join(marks.get(piece.kind, "{}").format(piece.text) for piece in pieces)
    item = "".join(piece.text for piece in masker.excerpt(found["item_text"])) if found["item_text"] else None
    return {"spans": spans, "excerpt": excerpt or None, "item_text": item}


def shown_text(masker: Masker, text: str) -> str:
    """A whole text as it may be shown: personal data masked unless that was asked for, controls made visible."""
    import pyarrow as pa

    from jobs.core.report_texts import safe
    from udfs.personal_data import redact

    shown = redact(pa.array([text], pa.string())).text[0].as_py() if masker.masked and text else text
    return safe(shown)
