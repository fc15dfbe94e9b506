"""Where the sample's texts come from: prose that every Python installation carries, and articles written for it.

What Python carries differs a little between versions. So texts are chosen by what they are, in a fixed order, up to a
fixed number: the sample has the same documents in kind and number everywhere, though not always the same words.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from types import ModuleType

from jobs.core.recipe_file import conf_path

SHINGLE_WORDS = 5
LARGEST_OVERLAP = 0.2
PARAGRAPH_WORDS = 20
DOCUMENT_WORDS = 140

# Modules with long docstrings, and packages with licences: what Winnow itself needs is always installed.
DOCUMENTED_MODULES = """
argparse ast asyncio bisect calendar cmd codecs collections concurrent.futures configparser
contextlib copy csv ctypes datetime decimal difflib doctest email enum fileinput fnmatch fractions
ftplib functools gettext glob gzip hashlib heapq html.parser http.client http.cookiejar http.server
imaplib importlib inspect io ipaddress itertools json locale logging mailbox math mimetypes
multiprocessing numbers optparse os pathlib pdb pickle platform poplib pprint profile queue random
re sched secrets selectors shelve shlex shutil signal smtplib socket socketserver sqlite3 ssl
statistics string subprocess tarfile tempfile textwrap threading timeit tokenize traceback
tracemalloc turtle types typing unittest unittest.mock urllib.parse urllib.request uuid warnings
weakref xml.dom.minidom xml.etree.ElementTree zipfile zipimport zlib
"""
LICENSED_PACKAGES = ("pyspark", "numpy", "pyarrow", "pydantic", "jinja2", "idna", "numba", "requests", "certifi")


@dataclass(frozen=True)
class Text:
    """One text: its title, its paragraphs (one line each), and its language (ISO 639-1)."""

    title: str
    paragraphs: tuple[str, ...]
    language: str = "en"

    @property
    def body(self) -> str:
        """The paragraphs with a blank line between them."""
        return "\n\n".join(self.paragraphs)


@dataclass(frozen=True)
class Question:
    """One item of the sample's test set."""

    id: str
    text: str
    answer: str


def articles() -> list[Text]:
    """English articles written for the sample (conf/sample/articles.txt)."""
    return [_entry(entry) for entry in _entries("articles.txt")]


def foreign_articles() -> dict[str, list[Text]]:
    """Articles in other languages written for the sample, by language (conf/sample/foreign.txt)."""
    by_language: dict[str, list[Text]] = {}
    for entry in _entries("foreign.txt"):
        language, _, rest = entry.partition(" ")
        by_language.setdefault(language, []).append(_entry(rest, language))
    return by_language


def question_lines() -> str:
    """The test set as it is stored (conf/sample/questions.jsonl)."""
    return conf_path("sample", "questions.jsonl").read_text("utf-8")


def questions() -> dict[str, Question]:
    """The test set by item."""
    rows = [json.loads(line) for line in question_lines().splitlines()]
    return {row["id"]: Question(row["id"], row["text"], row["answer"]) for row in rows}


def _entries(name: str) -> list[str]:
    return re.split(r"^# ", conf_path("sample", name).read_text("utf-8"), flags=re.MULTILINE)[1:]


def _entry(entry: str, language: str = "en") -> Text:
    title, _, rest = entry.partition("\n")
    return Text(title.strip(), tuple(paragraph.strip() for paragraph in rest.strip().split("\n\n")), language)


# --- prose from the Python installation -----------------------------------------------------------------------------


def manual_pages() -> Iterator[Text]:
    """Stretches of Python's language reference as ``help()`` carries it: some 465 KB of prose."""
    try:
        topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    except ImportError:  # some distributions split it off
        return
    for name in sorted(topics):
        title = topics[name].strip().partition("\n")[0].strip()
        yield from _stretches(title or name, prose(topics[name]))


def docstrings() -> Iterator[Text]:
    """Docstrings of the standard library, module by module."""
    for name in DOCUMENTED_MODULES.split():
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        yield from _stretches(f"The {name} module", prose(_documentation(module)))


def _documentation(module: ModuleType) -> str:
    """The docstrings of a module and of what it defines, in the order of names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a look at an old name is no use of it
        members = [
            member
            for key, member in sorted(vars(module).items())
            if not key.startswith("_")
            and (inspect.isclass(member) or inspect.isroutine(member))
            and getattr(member, "__module__", None) == module.__name__
        ]
        return "\n\n".join(inspect.getdoc(thing) or "" for thing in [module, *members])


def licences() -> Iterator[Text]:
    """The licences of some installed packages; of a long one, as much as makes a document."""
    for name in LICENSED_PACKAGES:
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        for file in sorted(files, key=str):
            if re.fullmatch(r"LICEN[CS]E(\.txt|\.md|\.rst)?", file.name, re.IGNORECASE):
                try:
                    text = file.read_text("utf-8")
                except (OSError, UnicodeDecodeError):
                    continue
                yield from list(_stretches(f"Licence of {name}", prose(text)))[:1]


def prose(text: str) -> Iterator[str]:
    """The paragraphs of running text in a plain-text manual: no headings, lists, grammars, tables or sessions."""
    for block in re.split(r"\n[ \t]*\n", text):
        line = " ".join(block.split())
        first = block.lstrip()[:3]
        is_running_text = (
            len(line.split()) >= PARAGRAPH_WORDS
            and not block.startswith("      ")
            and not first.startswith(("*", "-", "+", "|", "=", "#", "@", ">>>", "1."))
            and not any(mark in block for mark in ("::=", ">>>", "  |  ", "====", "----", "__ ", "{", "}"))
            and line[-1] in ".!?"
            and sum(character.isalpha() for character in line) > 0.7 * len(line)
        )
        if is_running_text:
            yield re.sub(r"(?<!\w)\*{1,2}([^*]+)\*{1,2}(?!\w)", r"\1", line)


def _stretches(title: str, paragraphs: Iterable[str]) -> Iterator[Text]:
    """Texts of consecutive paragraphs, each as soon as it is long enough; what is left at the end is dropped."""
    part, taken, words = 1, [], 0
    for paragraph in paragraphs:
        taken.append(paragraph)
        words += len(paragraph.split())
        if words >= DOCUMENT_WORDS:
            yield Text(title if part == 1 else f"{title}, part {part}", tuple(taken))
            part, taken, words = part + 1, [], 0


# --- choosing -------------------------------------------------------------------------------------------------------


def shingles(text: str) -> set[tuple[str, ...]]:
    """Word 5-grams of a text, lower-cased."""
    words = text.lower().split()
    return {tuple(words[at : at + SHINGLE_WORDS]) for at in range(len(words) - SHINGLE_WORDS + 1)}


class Chooser:
    """Hands out texts that would be kept: each passes the rules and shares little with those handed out before."""

    def __init__(self, passes: Callable[[list[Text]], list[bool]]) -> None:
        self._passes = passes
        self._seen: set[tuple[str, ...]] = set()

    def choose(self, candidates: Iterable[Text], count: int) -> list[Text]:
        """The first ``count`` suitable candidates, fewer when there are no more."""
        pool = list(candidates)
        chosen: list[Text] = []
        for text, passes in zip(pool, self._passes(pool), strict=True):
            if len(chosen) == count:
                break
            own = shingles(text.body)
            if passes and len(own & self._seen) <= LARGEST_OVERLAP * len(own):
                self._seen |= own
                chosen.append(text)
        return chosen
