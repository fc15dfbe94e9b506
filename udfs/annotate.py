"""Everything that is measured on a document, in one crossing: key, language, content, edits, quality, repetition.

A *plan* lists the row-wise steps of a recipe in order. Steps that edit text cut it into segments, and each segment is
measured on the text as it stands there; the last text comes back only if a step edits. A batch of documents comes in as
Arrow arrays, one struct array goes out: signals, and nothing else that grows with the text unless it was edited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from udfs.document_key import document_keys

TEXT_EDITS = ("repair_unicode", "edit_lines", "redact")
LANGUAGE_FIELDS = (("language", pa.string()), ("language_score", pa.float64()), ("second_language", pa.string()))


@dataclass(frozen=True)
class Plan:
    """What to measure and edit, in order; plain values, so that it travels to workers as it is.

    ``steps`` are (name, options). ``stop_words`` are per language; ``default_language`` judges documents whose language
    is not known.
    """

    steps: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    detect_language: bool = False
    language_backend: str = "winnow"
    min_language_score: float = 0.0
    stop_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default_language: str | None = None

    @property
    def edits_text(self) -> bool:
        """Whether a step of the plan changes the text."""
        return any(name in TEXT_EDITS for name, _ in self.steps)

    @property
    def reads_text(self) -> bool:
        """Whether the plan looks at texts for anything but the keys of documents that have none."""
        return bool(self.steps) or self.detect_language


def with_paths(plan: Plan, place: Callable[[str], str]) -> Plan:
    """The plan with every path of a list or model in it replaced by what ``place`` gives for it."""

    def replaced(options: Mapping[str, Any]) -> dict[str, Any]:
        done = dict(options)
        for key in ("url_lists", "url_words"):
            if done.get(key):
                done[key] = {name: path and place(path) for name, path in done[key].items()}
        if done.get("allow_urls"):
            done["allow_urls"] = place(done["allow_urls"])
        for key in ("lexicons", "models"):
            if done.get(key):
                done[key] = {name: {**part, "path": place(part["path"])} for name, part in done[key].items()}
        return done

    steps = tuple(
        (name, replaced(options) if name in ("filter_content", "classify") else options) for name, options in plan.steps
    )
    return replace(plan, steps=steps)


def paths_of(plan: Plan) -> tuple[str, ...]:
    """The paths of lists and models that a plan reads, each once, in its order."""
    found: dict[str, None] = {}
    with_paths(plan, lambda path: found.setdefault(path) or path)
    return tuple(found)


def annotate(
    plan: Plan,
    key: pa.Array,
    id_: pa.Array,
    url: pa.Array,
    text: pa.Array,
    content: pa.Array | None,
    language: pa.Array,
) -> pa.StructArray:
    """Measure a batch of documents.

    Args:
        plan: What to do, in order.
        key: Keys where they are known already, ``binary``; NULL ones are computed from the columns as they come in.
        id_, url, text: The document's columns, ``string``; NULL text is a document that is not to be measured.
        content: The raw page that the key of a document without key stands on, ``binary``, or None.
        language: The language that the source states, NULL where it states none.

    Returns:
        A struct array of the same length: ``key``, ``language``, ``language_score``, ``second_language``,
        ``text`` if the plan edits text, and ``signals``, a struct of one field per signal.
    """
    raw = text if content is None else pc.coalesce(content, text.cast(content.type))
    out: dict[str, pa.Array] = {"key": document_keys(id_, url, raw, key)}
    signals: dict[str, pa.Array] = {}
    spoken: dict[str, pa.Array] | None = None
    pending = _Pending()
    for name, options in plan.steps:
        if name != "repair_unicode" and spoken is None:
            spoken = _languages(plan, text, language)
        if name in MEASURED_TOGETHER:
            pending.steps.append(name)
            continue
        if name == "filter_content":
            pending.lexicons = _lexicons(options)
        if name in TEXT_EDITS:
            signals |= _measure(plan, text, pending, spoken)
            pending = _Pending()
        text, more = _STEPS[name](text, url, options)
        signals |= more
    if spoken is None:
        spoken = _languages(plan, text, language)
    signals |= _measure(plan, text, pending, spoken)
    out |= spoken
    if plan.edits_text:
        out["text"] = text
    if signals:
        out["signals"] = pa.StructArray.from_arrays(list(signals.values()), names=list(signals))
    return pa.StructArray.from_arrays(list(out.values()), names=list(out))


MEASURED_TOGETHER = ("filter_quality", "filter_repetition")


@dataclass
class _Pending:
    """What one pass over the text, as it stands, is to measure."""

    steps: list[str] = field(default_factory=list)
    lexicons: Any = None  # `udfs.lexicon.Lexicons` or None


def _measure(
    plan: Plan, text: pa.Array, pending: _Pending, spoken: Mapping[str, pa.Array] | None
) -> dict[str, pa.Array]:
    language = spoken["language"] if spoken is not None else None
    if pending.steps:
        from udfs.signals import measure

        return measure(
            text, steps=pending.steps, stop_words=_stop_words(plan), language=language, lexicons=pending.lexicons
        )
    if pending.lexicons:
        from udfs import lexicon

        return lexicon.measure(text, pending.lexicons, language)
    return {}


def _lexicons(options: Mapping[str, Any]) -> Any:
    if not options["lexicons"]:
        return None
    from udfs.lexicon import lexicons_of

    return lexicons_of(tuple((name, part["path"], part["language"]) for name, part in options["lexicons"].items()))


def _languages(plan: Plan, text: pa.Array, stated: pa.Array) -> dict[str, pa.Array]:
    """The language of each document: as the source states it, else as detected; too unsure a detection is ``und``."""
    nothing = pa.nulls(len(text), pa.float64())
    if not plan.detect_language:
        return {"language": stated, "language_score": nothing, "second_language": pa.nulls(len(text), pa.string())}
    from udfs.language import detect

    unknown = pc.if_else(pc.is_valid(stated), pa.scalar(None, pa.string()), text)
    found = detect(unknown, backend="profiles" if plan.language_backend == "winnow" else plan.language_backend)
    sure = pc.greater_equal(found.score, plan.min_language_score)
    detected = pc.if_else(sure, found.language, pa.scalar("und"))
    return {
        "language": pc.coalesce(stated, detected),
        "language_score": found.score,
        "second_language": found.second,
    }


@lru_cache(maxsize=8)
def _stop_words_of(lists: tuple[tuple[str, tuple[str, ...]], ...], default: str | None) -> Any:
    from udfs.signals import StopWords

    return StopWords.from_lists({code: list(words) for code, words in lists}, default=default)


def _stop_words(plan: Plan) -> Any:
    return _stop_words_of(tuple(sorted((c, tuple(w)) for c, w in plan.stop_words.items())), plan.default_language)


def output_type(plan: Plan) -> pa.StructType:
    """The Arrow type of what ``annotate`` gives for this plan: learnt from an empty batch, so that no type is written
    twice.
    """
    empty, binary = pa.array([], pa.string()), pa.array([], pa.binary())
    return annotate(plan, binary, empty, empty, empty, None, empty).type


# ------------------------------------------------------------------------------------- steps that are not only measured
# Each takes (text, url, options of the recipe) and gives the text as it is from there on and its signals.


def _filter_content(text: pa.Array, url: pa.Array, options: Mapping[str, Any]) -> tuple[pa.Array, dict[str, pa.Array]]:
    signals: dict[str, pa.Array] = {}
    if options["url_lists"]:
        from udfs.urls import match, table_of

        allowed = table_of((("allowed", options["allow_urls"]),)) if options["allow_urls"] else None
        found = match(url, table_of(tuple(options["url_lists"].items())), allowed)
        signals |= {"blocked_url": found.category, "blocked_url_entry": found.entry}
    words = {kind: path for kind, path in (options["url_words"] or {}).items() if path}
    if words:
        from udfs.urls import count_words

        hits = count_words(url, _url_words(tuple(words.items())))
        signals |= {"url_strict_hits": hits.strict, "url_hard_hits": hits.hard, "url_soft_hits": hits.soft}
    return text, signals


@lru_cache(maxsize=8)
def _url_words(paths: tuple[tuple[str, str], ...]) -> Any:
    from pathlib import Path

    from udfs.urls import list_files, url_word_lists

    def read(path: str) -> list[str]:
        lines = [line.strip() for file in list_files(Path(path)) for line in file.read_text("utf-8").splitlines()]
        return [line for line in lines if line and not line.startswith("#")]

    return url_word_lists(**{kind: read(path) for kind, path in paths})


def _edit_lines(text: pa.Array, url: pa.Array, options: Mapping[str, Any]) -> tuple[pa.Array, dict[str, pa.Array]]:
    from udfs.lines import LineRules, edit_lines

    known = {name: options[name] for name in LineRules.__dataclass_fields__ if name in options}
    edits = edit_lines(text, LineRules(**known))
    return edits.text, edits.signals


def _repair_unicode(text: pa.Array, url: pa.Array, options: Mapping[str, Any]) -> tuple[pa.Array, dict[str, pa.Array]]:
    from udfs.unicode_repair import repair

    policy = ("form", "mojibake", "control_characters", "zero_width", "bidi_controls")
    done = repair(text, **{name: options[name] for name in policy if name in options})
    return done.text, done.signals


def _redact(text: pa.Array, url: pa.Array, options: Mapping[str, Any]) -> tuple[pa.Array, dict[str, pa.Array]]:
    from udfs.personal_data import redact

    done = redact(text, kinds=tuple(options["kinds"]))
    signals = {f"personal_data_{kind}": count for kind, count in done.counts.items()}
    return done.text, signals | {"personal_data_spans": done.spans}


def _classify(text: pa.Array, url: pa.Array, options: Mapping[str, Any]) -> tuple[pa.Array, dict[str, pa.Array]]:
    return text, {f"classifier_{name}": _score(text, model) for name, model in options["models"].items()}


def _score(text: pa.Array, model: Mapping[str, Any]) -> pa.Array:
    if label := model.get("label"):
        from udfs import fasttext

        return fasttext.score(text, fasttext.load_fasttext(model["path"], model["sha256"]), label)
    from udfs import classifier

    return classifier.score(text, classifier.load_model(model["path"], model["sha256"]))


_STEPS: Mapping[str, Callable[..., tuple[pa.Array, dict[str, pa.Array]]]] = {
    "repair_unicode": _repair_unicode,
    "filter_content": _filter_content,
    "edit_lines": _edit_lines,
    "classify": _classify,
    "redact": _redact,
}
