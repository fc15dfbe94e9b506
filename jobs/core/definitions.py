"""The version of each step's definition: bumped when, and only when, its results change.

It is part of a stage's fingerprint, so that a resumed run does not mix results of two definitions; the release number
is not. A test compares each step's results on a fixed corpus with a digest kept beside this number.
"""

from __future__ import annotations

DEFINITION_VERSIONS: dict[str, int] = {
    "ingest": 1,
    "extract_text": 1,
    "repair_unicode": 1,
    "filter_content": 3,
    "edit_lines": 1,
    "filter_quality": 1,
    "filter_repetition": 1,
    "redact": 1,
    "classify": 1,
    "decontaminate": 1,
    "dedup_url": 1,
    "dedup_exact": 1,
    "dedup_lines": 1,
    "dedup_near": 1,
    "dedup_substring": 1,
}
