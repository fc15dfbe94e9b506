"""The recipe: everything a run does, as data. Immutable values; loading and error positions are in ``recipe_file``.

A recipe reads like a table of contents: sources, steps in order, rules as bounds on signals. Every key is described
here; the descriptions end up in ``conf/recipe.schema.json``. Types are strict: a bound written as text is refused, not
converted. Relative paths are relative to the working directory, as on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs.core.rule_names import NAME_PATTERN, RULES, lexicon_of

ANONYMOUS_SOURCE = "input"
"""The name of the one source made of ``--input`` paths."""

SOURCE_NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]*$"
LANGUAGE_PATTERN = r"^[a-z]{2,3}$"
QUANTILE_PATTERN = r"^p(?:100|\d{1,2}(?:\.\d+)?)$"
KEEP_PATTERN = r"^(?:source_rank|longest|newest|oldest|highest [a-z][a-z0-9_]*)$"


class Part(BaseModel):
    """A piece of a recipe: immutable, typed strictly, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


# --- small types ----------------------------------------------------------------------------------------------------


def as_number(value: float) -> int | float:
    """50.0 as 50, so that bounds print as people write them."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else value


def _check_bound(value: Any) -> float | str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise PydanticCustomError("bound_type", "must be a number or a quantile such as p90")
    if isinstance(value, str):
        if re.match(QUANTILE_PATTERN, value):
            return value
        try:
            float(value)
        except ValueError:
            raise PydanticCustomError(
                "bound_type", "must be a number or a quantile such as p90, not the text '{text}'", {"text": value}
            ) from None
        raise PydanticCustomError(
            "bound_type", "must be a number, not the text '{text}' (write it without quotes)", {"text": value}
        )
    if value != value or value in (float("inf"), float("-inf")):
        raise PydanticCustomError("bound_type", "must be a finite number")
    return float(value)


Bound: TypeAlias = Annotated[
    float | str | None,
    PlainValidator(_check_bound),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": QUANTILE_PATTERN}, {"type": "null"}]}),
]


def _off_to_none(value: Any) -> Any:
    """``off``, ``false`` and ``{off: true}`` all say that something is left out."""
    if value is False or (isinstance(value, str) and value == "off"):
        return None
    if isinstance(value, Mapping) and isinstance(value.get("off"), bool):
        return None if value["off"] else {key: item for key, item in value.items() if key != "off"}
    return value


def _step_off_to_none(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError(
            "empty_step", "is empty: write {} to run the step with its defaults, or off to leave it out"
        )
    return _off_to_none(value)


def _only_off(value: Any) -> None:
    if _step_off_to_none(value) is not None:
        raise PydanticCustomError("only_off", "can only be turned off here: write off")


class _OffSchema:
    """Adds ``off`` and ``false`` to the JSON Schema of an optional part."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema = dict(handler(core_schema))
        choices = schema.pop("anyOf", None) or [schema]
        return {"anyOf": [*choices, {"enum": ["off", False]}]}


class _OneOrManySchema:
    """Lets the JSON Schema of a list allow one text in its place."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, dict(handler(core_schema))]}


class _TextOrItemSchema:
    """Lets the JSON Schema of a list of mappings allow texts, one or several, in their place."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema = dict(handler(core_schema))
        schema["items"] = {"anyOf": [{"type": "string"}, schema["items"]]}
        return {"anyOf": [{"type": "string"}, schema]}


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]
Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Positive: TypeAlias = Annotated[int, Field(ge=1)]


def _check_keep(value: str) -> str:
    if not re.match(KEEP_PATTERN, value):
        raise PydanticCustomError(
            "keep_criterion",
            "must be source_rank, longest, newest, oldest or 'highest SIGNAL', not '{value}'",
            {"value": value},
        )
    return value


KeepCriterion: TypeAlias = Annotated[
    str, AfterValidator(_check_keep), WithJsonSchema({"type": "string", "pattern": KEEP_PATTERN})
]
Keep: TypeAlias = Annotated[tuple[KeepCriterion, ...], Field(strict=False, min_length=1)]
Scope: TypeAlias = Literal["global", "language", "source", "dump"]

_KEEP_TEXT = (
    "Which of several duplicates survives: the first criterion that tells "
    "them apart. source_rank (lowest rank), longest (code "
    "points), newest, oldest (documents without a date last), or 'highest "
    "SIGNAL'. Ties go to the smallest id, then key."
)
_SCOPE_TEXT = "Within what duplicates are looked for: the whole corpus, one language, one source or one dump."


# --- rules ----------------------------------------------------------------------------------------------------------


class Bounds(Part):
    """Inclusive bounds on one signal. A document breaks the rule when the signal lies outside or has no value."""

    min: Bound = Field(None, description="Smallest value kept (inclusive), or a quantile of the signal such as p10.")
    max: Bound = Field(None, description="Largest value kept (inclusive), or a quantile of the signal such as p90.")

    @model_validator(mode="after")
    def _is_a_range(self) -> Bounds:
        if not self.model_fields_set:
            raise PydanticCustomError("empty_rule", "has no bound: give min, max or both, or off")
        if isinstance(self.min, float) and isinstance(self.max, float) and self.min > self.max:
            raise PydanticCustomError(
                "empty_range",
                "keeps nothing: min {low} is above max {high}",
                {"low": as_number(self.min), "high": as_number(self.max)},
            )
        return self

    @model_serializer(mode="plain")
    def _as_written(self) -> dict[str, int | float | str | None]:
        values = {name: getattr(self, name) for name in ("min", "max") if name in self.model_fields_set}
        return {name: as_number(value) if isinstance(value, float) else value for name, value in values.items()}

    def changed_by(self, other: Bounds) -> Bounds:
        """These bounds with the ends that ``other`` states put in place; ``max: null`` there removes the upper end.

        The result may hold an empty range: whoever puts bounds together must look.
        """
        stated = {name: getattr(part, name) for part in (self, other) for name in part.model_fields_set}
        return Bounds.model_construct(_fields_set=set(stated), **stated)


Rule: TypeAlias = Annotated[Bounds | None, BeforeValidator(_off_to_none), _OffSchema()]


def _check_rule_name(step: str) -> Any:
    def check(name: str, info: ValidationInfo) -> str:
        if name in RULES[step] or (step == "filter_content" and lexicon_of(name)):
            return name
        external = (info.context or {}).get("external_signals")
        if step == "filter_quality" and (external is None or name in external):
            return name  # without context the whole recipe is checked at its end
        raise PydanticCustomError("unknown_key", "unknown key")

    return AfterValidator(check)


class Rules(Part):
    """A part whose further keys are rules: signal name to bounds, ``null`` or ``off`` to switch the rule off."""

    model_config = ConfigDict(extra="allow")
    step_name: ClassVar[str]

    @property
    def rules(self) -> dict[str, Bounds | None]:
        """Signal name to bounds in the order of the recipe; None where the rule is switched off."""
        return dict(self.model_extra or {})


class _ContentRules(Rules):
    step_name: ClassVar[str] = "filter_content"
    __pydantic_extra__: dict[Annotated[str, _check_rule_name("filter_content")], Rule]


class _LineRules(Rules):
    step_name: ClassVar[str] = "edit_lines"
    __pydantic_extra__: dict[Annotated[str, _check_rule_name("edit_lines")], Rule]


class _QualityRules(Rules):
    step_name: ClassVar[str] = "filter_quality"
    __pydantic_extra__: dict[Annotated[str, _check_rule_name("filter_quality")], Rule]


class _RepetitionRules(Rules):
    step_name: ClassVar[str] = "filter_repetition"
    __pydantic_extra__: dict[Annotated[str, _check_rule_name("filter_repetition")], Rule]


OnlyOff: TypeAlias = Annotated[None, PlainValidator(_only_off), WithJsonSchema({"enum": ["off", False]})]


class StepOverrides(Part):
    """What one source or one language does differently from the recipe's steps."""

    extract_text: OnlyOff = Field(None, description="off: the documents are text already.")
    repair_unicode: OnlyOff = Field(None, description="off: leave the text of these documents as it is.")
    redact: OnlyOff = Field(None, description="off: leave personal data in these documents.")
    filter_content: Annotated[_ContentRules | None, BeforeValidator(_step_off_to_none), _OffSchema()] = Field(
        None, description="Other bounds for content filtering, or off."
    )
    edit_lines: Annotated[_LineRules | None, BeforeValidator(_step_off_to_none), _OffSchema()] = Field(
        None, description="Other bounds for pages after line edits, or off to edit no line."
    )
    filter_quality: Annotated[_QualityRules | None, BeforeValidator(_step_off_to_none), _OffSchema()] = Field(
        None, description="Other bounds for quality filtering, or off."
    )
    filter_repetition: Annotated[_RepetitionRules | None, BeforeValidator(_step_off_to_none), _OffSchema()] = Field(
        None, description="Other bounds for repetition removal, or off."
    )

    def turns_off(self, step: str) -> bool:
        """Whether the step is left out for these documents."""
        return step in self.model_fields_set and getattr(self, step) is None

    def rules(self, step: str) -> dict[str, Bounds | None]:
        """The rules stated here for a step; None where a rule is switched off."""
        part = getattr(self, step, None)
        return part.rules if isinstance(part, Rules) else {}

    @model_serializer(mode="wrap")
    def _as_written(self, handler: Any) -> dict[str, Any]:
        whole = handler(self)
        return {name: "off" if whole[name] is None else whole[name] for name in whole if name in self.model_fields_set}


# --- sources and ingest ---------------------------------------------------------------------------------------------

Format: TypeAlias = Literal["auto", "warc", "wet", "arc", "jsonl", "parquet", "cc_index"]
_FORMAT_TEXT = (
    "How files are read: warc, wet, arc, jsonl (plain, gzip or zstd), parquet, "
    "cc_index (Common Crawl's index: rows of archive, offset, length), "
    "or auto: by file name and first bytes."
)


class Fields(Part):
    """Source field (column) for each document field; null takes none.

    A field with a name other than the default must exist in the files.
    """

    id: str | None = Field("id", description="Field with the source's own identifier.")
    url: str | None = Field("url", description="Field with the page's address.")
    text: str | None = Field("text", description="Field with plain text.")
    content: str | None = Field("content", description="Field with the raw page (bytes, or text of an HTML page).")
    date: str | None = Field("date", description="Field with the document's date (ISO 8601 or a timestamp).")
    content_type: str | None = Field("content_type", description="Field with the media type of the raw page.")
    language: str | None = Field(
        None, description="Field with the language (ISO 639-1) when the source knows it; it is then not detected."
    )


class SourceFields(Fields):
    """The fields that differ from ``ingest.fields`` for one source."""

    @model_serializer(mode="wrap")
    def _as_written(self, handler: Any) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


class Source(Part):
    """One named origin of documents."""

    input: Annotated[Names, BeforeValidator(_one_or_many), Field(min_length=1), _OneOrManySchema()] = Field(
        description="Path, folder, glob or URI, or a list of them."
    )
    format: Format | None = Field(None, description=f"{_FORMAT_TEXT} Default: ingest.format.")
    archives: str | None = Field(
        None, description="Where the archives lie that a cc_index names. Default: ingest.archives."
    )
    fields: SourceFields = Field(SourceFields(), description="Source fields that differ from ingest.fields.")
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?Z?)?$")] | None = Field(
        None, description="Date (ISO 8601, UTC) of documents that carry none."
    )
    license: str | None = Field(None, description="Licence of the documents, copied to their metadata.")
    dump: str | None = Field(None, description="Name of the crawl or release; the unit of `scope: dump`.")
    rank: int = Field(100, description="Priority among duplicates: the lowest rank is preferred by source_rank.")
    steps: StepOverrides = Field(StepOverrides(), description="Steps turned off or bounded otherwise for this source.")


class Ingest(Part):
    """How files become documents."""

    format: Format = Field("auto", description=_FORMAT_TEXT)
    archives: str | None = Field(
        None, description="Where the archives lie that a cc_index names. Default: the folder of the index file."
    )
    fields: Fields = Field(Fields(), description="Source field names.")
    max_bad_fraction: Fraction = Field(
        0.5, description="Largest share of records that may be unreadable before the job fails (exit 3)."
    )
    max_document_chars: Positive = Field(
        50_000_000, description="Longer documents (code points) go to quarantine as too_large."
    )
    max_record_bytes: Positive = Field(
        256 * 1024 * 1024, description="Longer archive records (bytes) go to quarantine as too_large."
    )
    max_page_bytes: Positive = Field(
        64 * 1024 * 1024, description="Pages that inflate to more (bytes) go to quarantine as too_large."
    )
    max_inflate_ratio: Positive = Field(
        1000, description="Pages that inflate to more than this multiple of their size go to quarantine."
    )
    sample_lines: Positive = Field(1000, description="Records looked at for the schema check before any work.")


# --- languages, signals, audit, gates -------------------------------------------------------------------------------


class Languages(Part):
    """Which languages are told apart, kept, and judged by which pack (conf/languages)."""

    detect: bool = Field(True, description="Identify the language of documents whose source does not state it.")
    backend: Literal["winnow", "one_script", "langdetect", "py3langid"] = Field(
        "winnow",
        description="winnow: what langdetect answers under the seed 0, compiled; "
        "one_script: the same for pages in two scripts, of which it reads one; "
        "langdetect: the library; py3langid: extra "
        "`languages`.",
    )
    keep: Names | None = Field(
        None, description="Languages (ISO 639-1) that filter_content keeps; null keeps every language, und included."
    )
    min_score: Fraction = Field(
        0.0, description="A language detected with a lower score counts as undecided (und). See also language_score."
    )
    packs: Annotated[Names, BeforeValidator(_one_or_many), _OneOrManySchema()] = Field(
        ("all",), description="Language packs in use: all, or a list of codes. Others get language-neutral rules."
    )
    default: str | None = Field(
        None, description="Pack for documents whose language is not known because it was neither stated nor detected."
    )
    overrides: dict[Annotated[str, Field(pattern=LANGUAGE_PATTERN)], StepOverrides] = Field(
        {}, description="Language code to steps and bounds that this recipe wants for it; stronger than its pack."
    )


class ExternalSignals(Part):
    """Scores made elsewhere, joined to documents."""

    path: str = Field(description="Parquet or JSON Lines with one row per document.")
    by: Literal["key", "id", "url"] = Field("id", description="What rows are joined on.")
    columns: dict[Annotated[str, Field(pattern=NAME_PATTERN)], str] = Field(
        description="Signal name to column; the names can be bounded in filter_quality.", min_length=1
    )


class Signals(Part):
    """Signals beyond those measured on the text."""

    external: dict[Annotated[str, Field(pattern=NAME_PATTERN)], ExternalSignals] = Field(
        {}, description="Name to table of scores (a classifier, an education score, a cluster number)."
    )


class Audit(Part):
    """What is kept about removed documents. Reasons and signals always are."""

    text: Literal["all", "sample", "none"] = Field(
        "all", description="Whether the text of removed documents is stored."
    )
    sample_fraction: Fraction = Field(0.01, description="Share of removed documents whose text is stored under sample.")


class Gates(Part):
    """What must hold before anything is published (exit 4 otherwise). null switches a gate off."""

    min_documents: int | None = Field(1, ge=0, description="Fewest documents a run must read.")
    max_documents: int | None = Field(None, ge=1, description="Most documents a run may read.")
    min_kept_documents: int | None = Field(None, ge=0, description="Fewest documents a run must keep.")
    min_share_documents: int = Field(
        1000, ge=0, description="Gates on shares are judged only from this many documents on."
    )
    max_removed_fraction: Fraction | None = Field(None, description="Largest share of documents removed by the run.")
    max_stage_removed_fraction: dict[str, Fraction] = Field({}, description="Step name to its largest removed share.")
    max_source_removed_fraction: Fraction | None = Field(None, description="Largest removed share of any one source.")
    max_source_duplicate_fraction: Fraction | None = Field(
        0.95, description="Largest share of any one source that the dedup steps may remove."
    )
    max_cluster_fraction: Fraction | None = Field(
        0.9, description="Largest share of a dedup step's documents that one cluster may hold."
    )
    max_near_unresolved_fraction: Fraction | None = Field(
        0.001, description="Largest share of documents that near-duplicate resolution may leave undecided."
    )
    max_contaminated_fraction: Fraction | None = Field(
        0.001, description="Largest share of documents that match a test set; more means a common text is in one."
    )
    max_null_fraction: Fraction | None = Field(
        None, description="Largest share of documents without text, url or date."
    )
    max_signal_drift: float | None = Field(
        None, ge=0, description="Largest change of a signal's mean against the last version, in standard deviations."
    )


# --- steps ----------------------------------------------------------------------------------------------------------


class RepairUnicode(Part):
    """Make text regular: counted, never silent."""

    form: Literal["nfc", "none"] = Field("nfc", description="Unicode normalisation form.")
    mojibake: bool = Field(False, description="Repair wrongly decoded text with ftfy (extra `ftfy`).")
    control_characters: Literal["keep", "remove"] = Field(
        "remove", description="C0 and C1 control characters except tab and line ends."
    )
    zero_width: Literal["keep", "remove"] = Field(
        "keep", description="Zero-width characters; joiners carry meaning in Indic and Arabic scripts and in emoji."
    )
    bidi_controls: Literal["keep", "remove"] = Field("keep", description="Direction marks and overrides.")


class ExtractText(Part):
    """Raw pages to text (Gopher, step 2). Documents that have text already pass through."""

    engine: Literal["winnow", "resiliparse", "trafilatura", "all_text"] = Field(
        "winnow",
        description="Main-content engine; trafilatura needs the extra of that name; all_text keeps everything.",
    )
    max_page_bytes: Positive = Field(16 * 1024**2, description="Larger pages (bytes) are not parsed.")
    max_depth: Positive = Field(500, description="Deepest nesting of tags that is parsed.")
    max_tags: Positive = Field(400_000, description="Most tags that are parsed.")
    max_attributes: Positive = Field(80_000, description="Most attributes of a page that are parsed.")
    over_limits: Literal["plain_text", "quarantine"] = Field(
        "quarantine",
        description="What happens to a page over a limit: quarantine, or its tags are stripped by one plain scan.",
    )
    timeout_seconds: float = Field(5.0, gt=0, description="CPU time one page may take before it goes to quarantine.")
    memory_bytes: Positive = Field(1024**3, description="Memory (bytes) the extraction process may take for a page.")
    sandbox: bool = Field(True, description="Extract in a child process, so that a crash costs one page.")


class UrlWords(Part):
    """Lists of words looked for in URLs (RefinedWeb, arXiv 2306.01116, appendix G.1)."""

    strict: str | None = Field(None, description="List of words found anywhere in the URL.")
    hard: str | None = Field(None, description="List of words found as whole words of the URL.")
    soft: str | None = Field(None, description="List of words of which several must be found.")


class Lexicon(Part):
    """A list of words and phrases (1 to 5 words)."""

    path: str = Field(
        description="File or folder, or package:NAME/PATH for one in an installed Python package; plain lines, "
        "LDNOOBW's and dsojevic's layouts are read."
    )
    language: str | None = Field(
        None, description="Language the list is for; null takes it from file names, else applies it to every language."
    )


class FilterContent(_ContentRules):
    """Drop what must not be learnt or is in another language (Gopher, step 1)."""

    url_lists: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")], str] = Field(
        {},
        description="Category to a file or folder of domains and URLs (UT1 layout or plain); listed pages are removed.",
    )
    allow_urls: str | None = Field(None, description="File or folder of domains and URLs that no list removes.")
    url_words: UrlWords = Field(UrlWords(), description="Word lists for URLs; bound them by url_*_hits.")
    lexicons: dict[Annotated[str, Field(pattern=NAME_PATTERN)], Lexicon] = Field(
        {},
        description="Name to word list; each gives the signals lexicon_hits_NAME and lexicon_fraction_NAME. Bound the "
        "fraction: a single hit removes medical, legal and minority texts.",
    )


class EditLines(_LineRules):
    """C4's line edits (arXiv 1910.10683); rules judge the page afterwards."""

    terminal_mark: bool = Field(True, description="Drop lines that do not end in a terminal mark.")
    min_words: int = Field(
        5, ge=0, description="Drop lines with fewer words (5 in the arXiv text and TFDS; 3 in JMLR)."
    )
    max_word_chars: int | None = Field(None, ge=1, description="Drop lines with a longer word (code points).")
    javascript: bool = Field(True, description="Drop lines that name javascript.")
    policies: bool = Field(True, description="Drop lines that name terms of use, privacy or cookie policies.")
    citations: bool = Field(False, description="Remove citation marks such as [1] and [edit] inside lines.")


class FilterQuality(_QualityRules):
    """Quality rules on the whole text (Gopher, step 3; FineWeb)."""


class FilterRepetition(_RepetitionRules):
    """Repetition rules (Gopher, step 4, table A1)."""


class Classifier(Part):
    """A linear model over hashed n-grams that `winnow classify train` has written, or a fastText model."""

    path: str = Field(description="Folder of the model, or the file of a supervised fastText model (.bin, .ftz).")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="Digest that the model's model.json, or the fastText file, must have."
    )
    label: str | None = Field(
        None, description="fastText: the label whose probability is the score, such as __label__hq or hq."
    )
    score: Rule = Field(None, description="Bounds on the score, a probability.")

    @model_validator(mode="after")
    def _has_a_label_where_needed(self) -> Classifier:
        if self.label is None and self.path.endswith((".bin", ".ftz")):
            raise PydanticCustomError("label", "is a fastText model: say which label its score is of (label: …)")
        return self


class Classify(Part):
    """Judge pages by small models trained on labelled documents."""

    models: dict[Annotated[str, Field(pattern=NAME_PATTERN)], Classifier] = Field(
        {}, description="Name to model; each gives the signal classifier_NAME."
    )


class TestSet(Part):
    """One test set that must not be in the corpus."""

    __test__: ClassVar[bool] = False  # not a test class, whatever its name begins with

    path: str = Field(description="JSON Lines or Parquet file, or a folder of them.")
    layout: str | None = Field(
        None, description="Name of a field layout under conf/testsets; null guesses from the data."
    )
    dataset: str | None = Field(None, description="Name in reports; default: the rows' own, else the file's.")


def _path_or_test_set(value: Any) -> Any:
    if not isinstance(value, (list, tuple, str)):
        return value
    items = (value,) if isinstance(value, str) else value
    return tuple({"path": item} if isinstance(item, str) else item for item in items)


class Decontaminate(Part):
    """Keep test sets out of the corpus (Gopher, step 6)."""

    policy: Literal["coverage", "gopher", "gpt3", "flag"] = Field(
        "coverage",
        description="coverage: remove documents that hold enough of an item; "
        "gopher: by n-gram Jaccard; gpt3: cut the match "
        "and its surroundings; flag: report only.",
    )
    ngram: Positive = Field(8, description="Words in an n-gram; 13 unless given for gopher and gpt3.")
    han_ngram: Positive = Field(16, description="Characters in an n-gram of Han text.")
    min_words: Positive = Field(8, description="Items with fewer words cannot be tested; they are listed.")
    testsets: Annotated[
        tuple[TestSet, ...], BeforeValidator(_path_or_test_set), Field(strict=False), _TextOrItemSchema()
    ] = Field((), description="Test sets: paths, or mappings of path, layout and dataset.")
    index: str | None = Field(
        None, description="Index written by `winnow decontaminate index`, instead of or beside testsets."
    )
    idiom_sample: str | None = Field(
        None,
        description="Documents (JSON Lines or Parquet with a field text) that idioms are counted on; "
        "default: a sample of the run's own documents, which reads them once more.",
    )
    min_coverage: Fraction = Field(
        0.5, description="coverage: share of a long item's question and answer words in matched n-grams that removes."
    )
    full_coverage_words: Positive = Field(
        20, description="coverage: items up to this long must be covered wholly; the share falls to min_coverage at 50."
    )
    min_run_words: Positive = Field(25, description="coverage: a matched run of this many words removes.")
    min_jaccard: Fraction = Field(0.8, description="gopher: documents above this n-gram Jaccard are removed.")
    window_chars: int = Field(200, ge=0, description="gpt3: characters cut on each side of a match.")
    min_piece_chars: int = Field(200, ge=0, description="gpt3: shorter pieces between cuts are dropped.")
    max_pieces: Positive = Field(10, description="gpt3: a document cut into more pieces is removed.")
    max_documents: Positive = Field(
        10, description="n-grams in more documents of the idiom sample are idioms: no evidence by themselves."
    )
    idiom_sample_documents: int = Field(
        100_000, ge=0, description="Documents (smallest keys) in the sample that idioms are counted on."
    )
    shared_weight: Fraction = Field(
        0.02, description="coverage: weight of n-grams that items of a data set share or a context holds, against 1."
    )
    min_question_words: Positive = Field(
        20, description="coverage: a question of so many words is tested without its answer too."
    )
    max_index_bytes: Positive = Field(1 << 30, description="A larger index is joined by shuffle instead of broadcast.")

    @model_validator(mode="before")
    @classmethod
    def _ngram_of_the_policy(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("policy") in ("gopher", "gpt3") and "ngram" not in data:
            return {**data, "ngram": 13}
        return data


class DedupUrl(Part):
    """One document a canonical URL."""

    keep: Keep = Field(("source_rank", "newest"), description=_KEEP_TEXT)
    scope: Scope = Field("global", description=_SCOPE_TEXT)
    tracking_parameters: bool = Field(
        True, description="Ignore query parameters that only track (utm_*, gclid and so on)."
    )
    ignore_parameters: Names = Field((), description="Further query parameters to ignore.")


class DedupExact(Part):
    """One document a text (128-bit digest)."""

    normalise: Literal["full", "whitespace", "none"] = Field(
        "full",
        description="full: NFC, case-folded, whitespace runs to one space; whitespace: only that; none: as it is.",
    )
    keep: Keep = Field(("source_rank", "longest"), description=_KEEP_TEXT)
    scope: Scope = Field("global", description=_SCOPE_TEXT)


class DedupLines(Part):
    """Cut lines or paragraphs that many pages share (CCNet, C4, site boilerplate)."""

    preset: Literal["ccnet", "c4", "boilerplate"] | None = Field(
        None, description="Published settings; keys given beside it win."
    )
    unit: Literal["lines", "paragraphs", "sentence_spans"] = Field(
        "paragraphs", description="What is compared; sentence_spans are C4's runs of three sentences."
    )
    scope: Literal["global", "host"] = Field("global", description="Count over the whole corpus or over each host.")
    min_count: Annotated[int, Field(ge=2)] | None = Field(2, description="Cut what occurs at least this often.")
    min_host_share: Fraction | None = Field(
        None, description="Cut what is on at least this share of a host's pages (scope host)."
    )
    keep_first: bool = Field(True, description="Keep the first copy (by survivor order).")
    min_chars: int = Field(0, ge=0, description="Shorter lines or paragraphs (code points) are left alone.")
    max_removed_share: Fraction | None = Field(
        None, description="Remove pages that lose a larger share of their words."
    )
    keep: Keep = Field(("source_rank", "longest"), description=_KEEP_TEXT)

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "ccnet": {"unit": "lines", "scope": "global", "min_count": 2},  # what CCNet calls paragraphs are lines
        "c4": {"unit": "sentence_spans", "scope": "global", "min_count": 2},
        "boilerplate": {
            "unit": "lines",
            "scope": "host",
            "min_count": None,
            "min_host_share": 0.1,
            "keep_first": False,
        },
    }

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        return _with_preset(cls.PRESETS, data)

    @model_validator(mode="after")
    def _counts_something(self) -> DedupLines:
        if self.min_host_share is not None and self.scope != "host":
            raise PydanticCustomError("needs_host", "min_host_share is a share of a host's pages: it needs scope: host")
        if self.min_count is None and self.min_host_share is None:
            raise PydanticCustomError("counts_nothing", "one of min_count and min_host_share must be given")
        return self


class DedupNear(Part):
    """One document a near-duplicate cluster: MinHash bands find candidates, verification decides."""

    preset: Literal["gopher", "fineweb", "lee", "olmo3"] | None = Field(
        None, description="Published settings; keys given beside it win."
    )
    ngram: Positive = Field(5, description="Words in a shingle; every Han, Kana or Thai letter is a word.")
    unspaced_ngram: Positive | None = Field(
        None, description="The same for documents mostly in scripts without spaces; default: ngram."
    )
    threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        0.8, description="Jaccard similarity from which two are duplicates."
    )
    num_perm: Positive = Field(256, description="Hash permutations in a signature.")
    bands: Positive = Field(32, description="Bands; documents equal in one band are candidates.")
    rows: Positive = Field(8, description="Hashes in a band; bands × rows must not exceed num_perm.")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(1, description="Seed of the permutations.")
    policy: Literal["representative", "component"] = Field(
        "representative",
        description="representative: only a kept document removes its verified "
        "neighbours; component: connected components.",
    )
    keep: Keep = Field(("source_rank", "longest"), description=_KEEP_TEXT)
    scope: Scope = Field("global", description=_SCOPE_TEXT)
    verify: Literal["exact", "scaled"] = Field(
        "exact",
        description="exact: true Jaccard of full shingle sets; scaled: of hashes below a threshold, error stated.",
    )
    edit_similarity: Fraction | None = Field(
        None, description="Also ask for this edit similarity of the texts (Lee et al.: 0.8)."
    )
    max_bucket: Positive = Field(64, description="Larger buckets are split by further rows before pairs are made.")
    max_rounds: Positive = Field(12, description="Rounds of resolution; what is undecided then is kept and counted.")
    pretest_sigmas: float = Field(
        4.0,
        ge=0,
        description="Pairs whose signature similarity is this many standard errors below threshold are not verified.",
    )
    min_scaled_hashes: Positive = Field(64, description="scaled: least expected hashes of a document.")
    max_task_pairs: int = Field(
        2_000_000,
        ge=0,
        description="Up to this many verified pairs are resolved in one task; the answer is the same as in rounds.",
    )

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gopher": {"ngram": 13, "threshold": 0.8},
        "fineweb": {"ngram": 5, "num_perm": 112, "bands": 14, "rows": 8, "threshold": 0.75},
        "lee": {"ngram": 5, "num_perm": 9000, "bands": 450, "rows": 20, "threshold": 0.8, "edit_similarity": 0.8},
        "olmo3": {"ngram": 5, "num_perm": 286, "bands": 26, "rows": 11, "threshold": 0.8},
    }

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        return _with_preset(cls.PRESETS, data)

    @model_validator(mode="after")
    def _bands_fit(self) -> DedupNear:
        if self.bands * self.rows > self.num_perm:
            raise PydanticCustomError(
                "bands_fit",
                "bands × rows is {used}, more than num_perm {num_perm}",
                {"used": self.bands * self.rows, "num_perm": self.num_perm},
            )
        return self


class DedupSubstring(Part):
    """Cut every run of `length` tokens that has an earlier occurrence (ExactSubstr, arXiv 2107.06499)."""

    length: Annotated[int, Field(ge=2)] = Field(50, description="Shortest repeated run that is cut, in units.")
    unit: Literal["words", "characters", "bytes"] = Field(
        "words", description="What length counts; cuts fall between words all the same."
    )
    max_removed_share: Fraction | None = Field(
        None,
        description="Remove pages that lose a larger share of their words; they may hold the kept copy of something.",
    )
    min_words_left: int = Field(0, ge=0, description="Remove pages that keep fewer words.")
    keep: Keep = Field(("source_rank", "longest"), description=_KEEP_TEXT)


PersonalData: TypeAlias = Literal["email", "ip_address", "phone", "iban", "payment_card", "api_key", "private_key"]


class Redact(Part):
    """Replace personal data by typed masks."""

    kinds: Annotated[tuple[PersonalData, ...], Field(strict=False)] = Field(
        ("email", "ip_address", "phone", "iban", "payment_card", "api_key", "private_key"),
        description="What is looked for; checksums are verified where there are any.",
    )


def _with_preset(presets: Mapping[str, Mapping[str, Any]], data: Any) -> Any:
    if not isinstance(data, Mapping) or not isinstance(data.get("preset"), str):
        return data
    return {**presets.get(data["preset"], {}), **data}


STEP_ORDER: tuple[str, ...] = (
    "extract_text",
    "repair_unicode",
    "filter_content",
    "edit_lines",
    "filter_quality",
    "filter_repetition",
    "classify",
    "decontaminate",
    "dedup_url",
    "dedup_exact",
    "dedup_lines",
    "dedup_near",
    "dedup_substring",
    "redact",
)
"""All steps in the order that suits most corpora; steps added to an extended recipe take their place from it."""


class Steps(Part):
    """The steps of a recipe, run in the order in which they are written."""

    repair_unicode: Annotated[RepairUnicode | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    extract_text: Annotated[ExtractText | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    filter_content: Annotated[FilterContent | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    edit_lines: Annotated[EditLines | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    filter_quality: Annotated[FilterQuality | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    filter_repetition: Annotated[FilterRepetition | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    classify: Annotated[Classify | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    decontaminate: Annotated[Decontaminate | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    dedup_url: Annotated[DedupUrl | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    dedup_exact: Annotated[DedupExact | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    dedup_lines: Annotated[DedupLines | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    dedup_near: Annotated[DedupNear | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    dedup_substring: Annotated[DedupSubstring | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None
    redact: Annotated[Redact | None, BeforeValidator(_step_off_to_none), _OffSchema()] = None

    _order: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _remember_order(cls, data: Any, handler: Any) -> Steps:
        steps: Steps = handler(data)
        if isinstance(data, Mapping):
            steps._order = tuple(name for name in data if getattr(steps, name) is not None)
        return steps

    @property
    def names(self) -> tuple[str, ...]:
        """The steps that run, in order."""
        return self._order

    def items(self) -> Iterator[tuple[str, Part]]:
        """Name and settings of each step that runs, in order."""
        return ((name, getattr(self, name)) for name in self._order)

    def __contains__(self, name: object) -> bool:
        return name in self._order

    def with_step(self, name: str, step: Part) -> Steps:
        """These steps with one put in: in its old place, or before the first that follows it in ``STEP_ORDER``."""
        changed = self.model_copy(update={name: step})
        if name not in self._order:
            later = STEP_ORDER[STEP_ORDER.index(name) :]
            place = next((i for i, other in enumerate(self._order) if other in later), len(self._order))
            changed._order = (*self._order[:place], name, *self._order[place:])
        return changed

    @model_serializer(mode="wrap")
    def _in_order(self, handler: Any) -> dict[str, Any]:
        whole = handler(self)
        return {name: whole[name] for name in self._order}


_REMOVES_ONE_BY_ONE = (
    "extract_text",
    "filter_content",
    "edit_lines",
    "filter_quality",
    "filter_repetition",
    "classify",
    "decontaminate",
)
_REMOVES_DUPLICATES = ("dedup_url", "dedup_exact", "dedup_near")


class Recipe(Part):
    """The whole recipe."""

    recipe: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(description="Name of the recipe.")
    description: str = Field("", description="What it is for and where its numbers come from.")
    extends: str | None = Field(
        None,
        description="Recipe (name or path) that this one changes; its steps keep their places. Resolved on loading.",
    )
    sources: dict[Annotated[str, Field(pattern=SOURCE_NAME_PATTERN)], Source] = Field(
        {}, description="Where documents come from; `--input` makes one anonymous source."
    )
    ingest: Ingest = Field(Ingest(), description="How files become documents.")
    languages: Languages = Field(Languages(), description="Languages: detection, packs, what is kept.")
    steps: Steps = Field(Steps(), description="What is done, in this order.")
    signals: Signals = Field(Signals(), description="Signals from elsewhere.")
    audit: Audit = Field(Audit(), description="What is kept about removed documents.")
    gates: Gates = Field(Gates(), description="What must hold before results are published.")
    keep_signals: bool = Field(False, description="Write the signals of kept documents beside them.")
    keep_content: bool = Field(False, description="Keep the raw page beside the text.")

    @property
    def external_signals(self) -> tuple[str, ...]:
        """Names of the signals that are joined from elsewhere."""
        return tuple(name for table in self.signals.external.values() for name in table.columns)

    def fields_for(self, source: str) -> Fields:
        """The source fields of one source: its own over ``ingest.fields``."""
        own = self.sources[source].fields.model_dump() if source in self.sources else {}
        return Fields.model_validate({**self.ingest.fields.model_dump(), **own})

    def format_for(self, source: str) -> Format:
        """The file format of one source."""
        own = self.sources[source].format if source in self.sources else None
        return own or self.ingest.format

    def rank_of(self, source: str) -> int:
        """The priority of one source among duplicates; the lowest is preferred."""
        return self.sources[source].rank if source in self.sources else 100

    def idle_steps(self) -> dict[str, str]:
        """Steps that will do nothing, and why: they have no list, test set or model to work with."""
        steps, idle = self.steps, {}
        content, tests = steps.filter_content, steps.decontaminate
        if content and not (any(content.rules.values()) or content.url_lists or self.languages.keep is not None):
            idle["filter_content"] = "names no rule, URL list or language to keep"
        for name, part in steps.items():
            if (
                name in ("filter_quality", "filter_repetition")
                and isinstance(part, Rules)
                and not any(part.rules.values())
            ):
                idle[name] = "names no rule"
        if steps.classify and not steps.classify.models:
            idle["classify"] = "names no model"
        if tests and not tests.testsets and tests.index is None:
            idle["decontaminate"] = "names no test set: give --testsets or steps.decontaminate.testsets"
        if steps.redact and not steps.redact.kinds:
            idle["redact"] = "names no kind of personal data"
        return {name: idle[name] for name in steps.names if name in idle}

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        problems = contradictions(self)
        if problems:
            raise PydanticCustomError("contradictions", "does not fit together", {"problems": problems})
        return self


def contradictions(recipe: Recipe) -> list[tuple[tuple[str, ...], str]]:
    """Where parts of a recipe that are each well formed do not fit together: key paths and what is wrong there."""
    return [*_misplaced_steps(recipe.steps.names), *_unknown_names(recipe)]


def _misplaced_steps(order: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    position = {name: index for index, name in enumerate(order)}
    if position.get("extract_text", 0) > position.get("repair_unicode", -1) + 1 or position.get("extract_text", 0) > 1:
        yield ("steps", "extract_text"), "must come first: the other steps read text"
    for late in _REMOVES_ONE_BY_ONE:
        for early in _REMOVES_DUPLICATES:
            if late in position and early in position and position[late] > position[early]:
                yield (
                    ("steps", late),
                    f"must come before {early}: it could remove the document that was kept in place of duplicates",
                )
                break
    if "dedup_substring" in position:
        after = [name for name in order[position["dedup_substring"] + 1 :] if name != "redact"]
        for name in after:
            yield ("steps", name), "must come before dedup_substring, which cuts text that other steps compare"


def _unknown_names(recipe: Recipe) -> Iterator[tuple[tuple[str, ...], str]]:
    content = recipe.steps.filter_content
    lexicons = set(content.lexicons) if content else set()
    external = set(recipe.external_signals)
    for path, rules in _all_rules(recipe):
        for rule in rules:
            lexicon = lexicon_of(rule)
            if path[-1] == "filter_content" and lexicon and lexicon not in lexicons:
                yield (*path, rule), f"reads the lexicon '{lexicon}', which steps.filter_content.lexicons does not name"
            if path[-1] == "filter_quality" and rule not in RULES["filter_quality"] and rule not in external:
                yield (*path, rule), "is no signal of this step and signals.external does not name it"
    if recipe.languages.keep is not None and content is None:
        yield ("languages", "keep"), "needs the step filter_content, which removes the other languages"
    for name in recipe.gates.max_stage_removed_fraction:
        if name not in STEP_ORDER:
            yield ("gates", "max_stage_removed_fraction", name), "is no step"


def _all_rules(recipe: Recipe) -> Iterator[tuple[tuple[str, ...], dict[str, Bounds | None]]]:
    for name, step in recipe.steps.items():
        if isinstance(step, Rules):
            yield ("steps", name), step.rules
    places = [(("sources", name, "steps"), source.steps) for name, source in recipe.sources.items()]
    places += [(("languages", "overrides", code), change) for code, change in recipe.languages.overrides.items()]
    for place, overrides in places:
        for name in RULES:
            yield (*place, name), overrides.rules(name)


# --- language packs -------------------------------------------------------------------------------------------------


class LanguagePack(Part):
    """What is different about one language: its stop words, and rules that must be off or bounded otherwise.

    A pack changes rules that a recipe has; it never adds one.
    """

    language: Annotated[str, Field(pattern=LANGUAGE_PATTERN)] = Field(description="ISO 639-1 code.")
    name: str = Field(description="English name of the language.")
    aliases: Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z]+$")], ...], Field(strict=False)] = Field(
        (), description="Other codes and names that mean it in `language` columns, such as ISO 639-3 codes."
    )
    source: str = Field(description="Where the stop words and the bounds come from, and their licence.")
    stop_words: Names = Field((), description="Stop words, lower-cased; empty where words are not written apart.")
    steps: StepOverrides = Field(StepOverrides(), description="Rules that are off or bounded otherwise.")
