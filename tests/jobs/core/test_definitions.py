"""Results change only with the version of their definition: a digest of each step's results on a fixed corpus.

A stage that has a committed result is not run again, so results of two definitions must never share a version. The
corpus: the hand-written pages, their texts, and the texts of the vectors. Set steps are held at what they measure on a
document (digests, shingles, signatures, findings); what follows from it is held by their own tests.
``WINNOW_RECORD_DEFINITIONS=1`` records the digests anew, once the versions of what changed are bumped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.core.annotation import annotation_plan
from jobs.core.definitions import DEFINITION_VERSIONS
from jobs.core.recipe_file import resolve_recipe

FIXTURES = Path(__file__).parents[2] / "fixtures"
RECORDED = FIXTURES / "definitions.json"


def said(value: Any) -> str:
    """A result as text, numbers to nine digits: their last bits are the processor's."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, dict):
        return ",".join(f"{name}={said(value[name])}" for name in sorted(value))
    if isinstance(value, list | tuple):
        return f"[{','.join(map(said, value))}]"
    return value.hex() if isinstance(value, bytes) else str(value)


def digest(results: Iterable[Any]) -> str:
    return hashlib.blake2b("\n".join(map(said, results)).encode(), digest_size=16).hexdigest()


def pages() -> list[bytes]:
    return [path.read_bytes() for path in sorted((FIXTURES / "pages").glob("*.html"))]


def texts() -> pa.Array:
    vectors = Path(__file__).parents[2] / "vectors" / "signals.jsonl"
    written = [path.read_text() for path in sorted((FIXTURES / "pages").glob("*.txt"))]
    pinned = [json.loads(line).get("text") for line in vectors.read_text().splitlines()]
    noted = [
        "Write to jane.doe@mail.example or call +49 30 901820.",
        "Caf\u0065\u0301 \u00c3\u00a9t\u00c3\u00a9 \u200b x",
    ]
    return pa.array([*written, *(text for text in pinned if text is not None), *noted], pa.string())


def of_row_step(name: str, **settings: Any) -> list[Any]:
    """What the annotation kernel says of the corpus when a recipe has this one step."""
    recipe = "fineweb" if name in ("edit_lines", "redact") else "gopher"
    overrides = [f"steps.{name}={json.dumps(settings)}"] if settings or name == "repair_unicode" else []
    resolved = resolve_recipe(recipe, overrides)
    text = texts()
    nothing = pa.nulls(len(text), pa.string())
    urls = pa.array([f"http://site{place}.example/page" for place in range(len(text))], pa.string())
    from udfs.annotate import annotate

    plan = annotation_plan(resolved, (name,))
    # Languages are told by filter_content's definition; the other steps are given one.
    language = nothing if name == "filter_content" else pa.array(["en"] * len(text), pa.string())
    found = annotate(plan, pa.nulls(len(text), pa.binary()), nothing, urls, text, None, language)
    told = (
        ("language", "language_score", "second_language", "signals")
        if name == "filter_content"
        else ("signals", "text")
    )
    return [{part: row.get(part) for part in told} for row in found.to_pylist()]


def of_ingest() -> list[Any]:
    from udfs.document_key import document_keys

    text = texts()
    return list(document_keys(text, text, text.cast(pa.binary())).to_pylist())


def of_extraction() -> list[Any]:
    from udfs.html import ExtractOptions, extract

    content = pa.array(pages(), pa.binary())
    nothing = pa.nulls(len(content), pa.string())
    return list(extract(content, nothing, nothing, ExtractOptions(sandboxed=False)).to_pylist())


def of_decontamination() -> list[Any]:
    from udfs.decontamination import Policy, contamination
    from udfs.ngram_index import ITEM_SCHEMA, Parameters, build_index

    text = texts()
    items = [
        {"dataset": "d", "split": "test", "id": str(place), "question": value, "answer": None, "context": None}
        for place, value in enumerate(text.to_pylist()[:20])
    ]
    known = [{name: item.get(name) for name in ITEM_SCHEMA.names} for item in items]
    index = build_index(pa.Table.from_pylist(known, schema=ITEM_SCHEMA), Parameters())
    return list(contamination(text, index, Policy()).to_pylist())


def of_urls() -> list[Any]:
    from udfs.canonical_url import canonical_urls

    written = ("HTTP://Www.A.example:80/b/../c?utm_source=x&b=1#f", "https://münchen.example/%7euser/?", "no url")
    return list(canonical_urls(pa.array(written)).to_pylist())


def of_exact() -> list[Any]:
    from udfs.digests import text_digests

    return [text_digests(texts(), level).to_pylist() for level in ("none", "full")]


def of_lines() -> list[Any]:
    from udfs.line_units import KINDS, units

    return [part.tolist() for kind in KINDS for part in units(texts(), kind)]


def of_near() -> list[Any]:
    from udfs.minhash import SketchParameters, sketch

    return [part.tolist() for part in sketch(texts(), SketchParameters())]


def of_substrings() -> list[Any]:
    from udfs.substrings import cut, windows  # anchors only spare work: what is cut does not depend on them

    found = windows(texts(), 5, np.full(1, 2**64 - 1, dtype=np.uint64))
    pieces, lost = cut(*(np.array(column) for column in ([0, 9, 13], [1, 2, 1], [0, 9, 0], [-1, -1, 0])), length=5)
    return [*(part.tolist() for part in (*found, *pieces)), lost]


STEPS: dict[str, Callable[[], list[Any]]] = {
    "ingest": of_ingest,
    "extract_text": of_extraction,
    "repair_unicode": lambda: of_row_step("repair_unicode"),
    "filter_content": lambda: of_row_step("filter_content"),
    "edit_lines": lambda: of_row_step("edit_lines"),
    "filter_quality": lambda: of_row_step("filter_quality"),
    "filter_repetition": lambda: of_row_step("filter_repetition"),
    "redact": lambda: of_row_step("redact"),
    "decontaminate": of_decontamination,
    "dedup_url": of_urls,
    "dedup_exact": of_exact,
    "dedup_lines": of_lines,
    "dedup_near": of_near,
    "dedup_substring": of_substrings,
}


@pytest.mark.parametrize("step", STEPS)
def test_results_change_only_with_the_version_of_their_definition(step: str) -> None:
    now = {"version": DEFINITION_VERSIONS[step], "digest": digest(STEPS[step]())}
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if os.environ.get("WINNOW_RECORD_DEFINITIONS"):
        RECORDED.write_text(json.dumps({**recorded, step: now}, indent=2, sort_keys=True) + "\n")
        recorded[step] = now
    assert now == recorded.get(step), f"bump DEFINITION_VERSIONS['{step}'], then record the digest anew"


def test_every_step_of_the_corpus_is_held() -> None:
    assert set(json.loads(RECORDED.read_text())) == set(STEPS)
