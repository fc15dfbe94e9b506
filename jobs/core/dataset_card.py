"""The card of a published corpus, in the form of the Hugging Face hub: YAML front matter and a page of Markdown.

All of it comes from the ledger, the recipe in it, and counts of the published tables. What nobody stated (a licence, a
purpose) is said to be unstated, never guessed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.core.finished_run import FinishedRun
from jobs.core.report_facts import Groups, groups_of

SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"), (10**12, "100B<n<1T"),
)  # fmt: skip
# Identifiers that the hub knows (huggingface.co/docs/hub/repositories-licenses), of those that texts come under.
LICENCES = frozenset(
    (
        "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "c-uda",
        "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
        "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0",
        "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0",
        "epl-2.0", "eupl-1.1", "eupl-1.2", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0",
        "mit", "mpl-2.0", "odbl", "odc-by", "pddl", "unlicense", "wtfpl", "zlib",
    )
)  # fmt: skip
UNSTATED = "not stated in the recipe"
COLUMNS = {
    "id": "the source's own name of the document",
    "key": "BLAKE2b-128 digest over id, address and content, for joins",
    "text": "the text",
    "url": "address, where the source has one",
    "date": "date of capture or publication, where the source has one",
    "source": "name of the source in the recipe",
    "language": "ISO 639-1 code, as detected or as the source states it",
    "metadata": "what else is known of the document, JSON",
    "cluster_size": "documents that this one stands for, itself included",
    "cuts": "passages that were cut from the text",
    "signals": "numbers that were measured on the text",
}


def dataset_card(run: FinishedRun) -> str:
    """The card of a finished run. The same run gives the same text."""
    groups = groups_of(run)
    return f"---\n{_front_matter(run, groups)}---\n\n" + "\n\n".join(_sections(run, groups)) + "\n"


def _front_matter(run: FinishedRun, groups: Groups) -> str:
    from ruamel.yaml import YAML

    kept = run.ledger["totals"]["kept"]
    languages = sorted(
        name for name, counts in groups.languages.items() if counts["kept"] and name.isalpha() and name != "und"
        and name != "unknown"
    )  # fmt: skip
    facts: dict[str, Any] = {
        **_licence(run.ledger["recipe"].get("sources") or {}),
        "language": languages,
        "multilinguality": ["multilingual" if len(languages) > 1 else "monolingual"],
        "size_categories": [next((name for limit, name in SIZES if kept < limit), "n>1T")],
        "task_categories": ["text-generation"],
        "tags": ["pre-training", "winnow"],
        "pretty_name": str(run.ledger["recipe"]["recipe"]),
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "kept/*.parquet"}]}],
    }
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.dump({name: value for name, value in facts.items() if value}, stream)
    return stream.getvalue()


def _licence(sources: Mapping[str, Any]) -> dict[str, Any]:
    """The hub's licence field: its identifiers where every source states one of them, else ``other``."""
    stated = [source.get("license") for source in sources.values()]
    known = sorted({each.lower() for each in stated if each and each.lower() in LICENCES})
    if stated and len(known) == len({(each or "").lower() for each in stated}):
        return {"license": known[0] if len(known) == 1 else known}
    return {"license": "other", "license_name": "by-source", "license_link": "README.md"}


def _sections(run: FinishedRun, groups: Groups) -> Iterator[str]:
    ledger, recipe = run.ledger, run.ledger["recipe"]
    totals = ledger["totals"]
    yield f"# {_plain(recipe['recipe'])}"
    if recipe.get("description"):
        yield _plain(recipe["description"])
    tokens = f", about {groups.tokens.kept.tokens:,.0f} tokens (estimated from characters)" if groups.tokens else ""
    size = f", {groups.tokens.kept.text_bytes:,} bytes of text" if groups.tokens else ""
    yield (
        f"{totals['kept']:,} documents{size}{tokens}. Made by Winnow {_plain(ledger.get('code_version', ''))} from "
        f"{totals['read']:,} records, of which {totals['removed']:,} were removed, {totals.get('quarantined', 0):,} "
        f"could not be read and {totals.get('ignored', 0):,} were no documents."
    )
    yield from _sources(run, groups)
    yield "## Languages\n\n" + _table(
        ("language", "documents", "bytes of text"),
        [
            (name, f"{counts['kept']:,}", f"{counts['kept_bytes']:,}")
            for name, counts in sorted(groups.languages.items(), key=lambda item: (-item[1]["kept"], item[0]))
            if counts["kept"]
        ],
    )
    yield from _making(run)
    yield from _cautions(run)
    yield "## Fields\n\n" + _table(
        ("column", "type", "what it is"),
        [
            (f"`{field.name}`", str(field.type), COLUMNS.get(field.name, "a column of the source"))
            for field in (run.table("kept").schema if run.has("kept") else ())
        ],
    )
    yield (
        "## Made again by\n\n"
        f"Recipe `{ledger.get('recipe_sha256', 'unknown')}` on inputs `{ledger.get('inputs_sha256', 'unknown')}` "
        "(SHA-256; both are in `ledger.json`, the recipe whole). The same recipe on the same inputs gives the same "
        "documents. "
        "`report.html` shows what each rule removed, with examples."
    )


def _sources(run: FinishedRun, groups: Groups) -> Iterator[str]:
    stated = run.ledger["recipe"].get("sources") or {}
    inputs = {record["source"]: record for record in run.ledger.get("inputs", [])}
    rows = []
    for name in sorted({*stated, *inputs, *groups.sources}):
        counts: Mapping[str, int] = groups.sources.get(name, {})
        record = inputs.get(name, {})
        rows.append(
            (
                name,
                (stated.get(name) or {}).get("license") or UNSTATED,
                f"{record.get('files', 0):,}",
                f"{record.get('bytes', 0):,}",
                f"{counts.get('kept', 0):,}",
                f"{counts.get('kept_bytes', 0):,}",
            )
        )
    yield "## Sources\n\n" + _table(
        ("source", "licence", "input files", "input bytes", "documents kept", "bytes of text kept"), rows
    )
    if any(row[1] == UNSTATED for row in rows):
        yield (
            "Where no licence is stated, nothing is known of the terms: find them out before you pass the texts on, "
            "and state them in the recipe (`sources.NAME.license`)."
        )


def _making(run: FinishedRun) -> Iterator[str]:
    rows = []
    for stage in run.stages:
        rules = sorted(stage["rules"].items(), key=lambda item: (-item[1], item[0]))
        rows.append(
            (
                f"`{stage['stage']}`",
                f"{stage['read']:,}",
                f"{stage['removed']:,}",
                ", ".join(f"`{rule}` {count:,}" for rule, count in rules[:5]) + (" …" if len(rules) > 5 else ""),
            )
        )
    yield "## How it was made\n\n" + _table(("step", "documents in", "removed", "most by"), rows)


def _cautions(run: FinishedRun) -> Iterator[str]:
    """What a user must know: test sets, personal data, languages that were hardly judged, samples."""
    steps = run.ledger["recipe"]["steps"]
    said = []
    if run.stage("decontaminate") is not None:
        sets = run.table("testsets").to_table().to_pylist() if run.has("testsets") else []
        names = ", ".join(
            f"{_plain(row['dataset'])} ({row['found']:,} of {row['testable']:,} items found)" for row in sets
        )
        said.append(f"Test sets looked for, and documents that hold their items removed: {names or 'none'}.")
    else:
        said.append("No test set was looked for: benchmark items may be in the text.")
    if steps.get("redact"):
        said.append("Personal data that follows a pattern (addresses, numbers, keys) was masked; names were not.")
    else:
        said.append("Personal data was not masked.")
    unsupported = sum(stage["facts"].get("unsupported_language", 0) for stage in run.stages)
    if unsupported:
        said.append(f"{unsupported:,} documents in languages without a pack met language-neutral rules only.")
    if run.ledger.get("sample") or run.ledger.get("limit"):
        said.append("This is a sample of the input, not all of it.")
    if not any(stage["stage"].startswith("dedup_") for stage in run.stages):
        said.append("Duplicates were not looked for.")
    said.append("Texts carry the errors and the prejudice of those who wrote them; rules on form do not remove these.")
    yield "## What to know before use\n\n" + "\n".join(f"- {each}" for each in said)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    lines += ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """A text of the recipe or the data as plain words of Markdown: one line, no markup of its own."""
    flat = " ".join(str(text).split())
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("[", "\\["), ("!", "\\!")):
        flat = flat.replace(sign, instead)
    return flat
