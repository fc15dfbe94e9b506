"""``--paranoid``: at the end of a run, decide a sample of its documents again by the plain definitions.

The sample is chosen by key, so the same documents are checked whoever runs it. Signals are measured by the plain-Python
twins (``udfs.reference``) and judged by the plain decision; both are written apart from the kernels and the column
expressions they check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.core.console import say
from jobs.core.documents import KEPT, REMOVED
from jobs.core.profiles import decide_plain, primary_language
from udfs.reference import measure_plain

if TYPE_CHECKING:
    from jobs.core.rowwise import RowSteps

SAMPLE_DOCUMENTS = 1000
MAX_CHARS = 200_000  # the twins are slow: longer documents are left to the tests
# Steps whose signals have a twin that needs the text alone.
CHECKED_STEPS = ("filter_quality", "filter_repetition")


def re_decide(steps: RowSteps, rows: DataFrame) -> dict[str, Any]:
    """Compare stage and reasons of up to 1 000 documents with the plain decision: how many were checked, how many
    agree.
    """
    checked_steps = [name for name in CHECKED_STEPS if name in steps.names]
    if steps.plan.edits_text:
        return {"checked": 0, "agree": 0, "note": "the recipe edits text before it is measured; nothing was checked"}
    judged = rows.where(F.col("outcome").isin(KEPT, REMOVED) & (F.char_length("text") <= MAX_CHARS))
    reachable = F.col("stage").isNull() | F.col("stage").isin(checked_steps)
    sample = (
        judged.where(reachable)
        .orderBy(F.xxhash64("key", F.lit("paranoid")), "key")
        .limit(SAMPLE_DOCUMENTS)
        .select("id", "text", "language", "source", "stage", F.col("reasons.rule").alias("rules"))
    )
    checked = agree = 0
    differing: list[str] = []
    for row in sample.collect():  # at most 1 000 documents of at most 200 000 characters
        expected = _plain_decision(steps, checked_steps, row["text"], row["language"], row["source"])
        found = (row["stage"], sorted(row["rules"] or []))
        checked += 1
        if found == expected:
            agree += 1
        else:
            differing.append(row["id"])
            say(f"paranoid: {row['id']}: the run says {found}, the plain definitions say {expected}")
    return {"checked": checked, "agree": agree, "differing": differing[:100]}


def _plain_decision(
    steps: RowSteps, checked_steps: list[str], text: str, language: str | None, source: str
) -> tuple[str | None, list[str]]:
    profiles = steps.rules.profiles
    signals = measure_plain(text, _stop_words(steps, language))
    reasons = decide_plain(profiles, signals, language=language, source=source, steps=checked_steps)
    for name in steps.names:
        if name in reasons:
            return name, sorted(reason.rule for reason in reasons[name])
    return None, []


def _stop_words(steps: RowSteps, language: str | None) -> tuple[str, ...] | None:
    lists = steps.plan.stop_words
    if language is None or language == "und":
        return lists.get(steps.plan.default_language or "")
    return lists.get(primary_language(language))
