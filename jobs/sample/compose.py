"""The sample as a whole: which documents it holds, what is wrong with each, and what a run must therefore do with it.

Every document is either *clean* (a run keeps it) or *planted* for one step to remove; ``expected.json`` says which, and
of what a duplicate is the copy. Nothing here reads a clock, the order of a set or a random number.
"""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from jobs.core.errors import ResourceError
from jobs.sample import archive, pages, texts
from jobs.sample.texts import Chooser, Question, Text

CRAWLED = datetime(2024, 5, 12, 9, 30, tzinfo=UTC)
CRAWL, NOTES, LIBRARY = "crawl", "notes", "library"
RANKS = {LIBRARY: 1, NOTES: 50, CRAWL: 100}
"""Priority of the sources among duplicates; the lowest survives."""

MANUAL_PAGES_CRAWLED, MANUAL_PAGES_WET, MANUAL_PAGES_NOTED = 40, 6, 26
DOCSTRINGS_NOTED, LIBRARY_DOCUMENTS, LICENCES = 32, 40, 4
CARRIERS = 30  # clean texts that something is done to

GAMBLING_DOMAINS = ("lucky-wheel.example", "all-in-cards.example", "jackpot-daily.example")
MALWARE_URLS = ("free-downloads.example/codec", "prize-claim.example/win")
SPAM_PHRASES = ("free spins", "casino bonus", "payday loan", "miracle cure", "work from home", "no deposit required")
BAD_LINES = (
    b'{"identifier": "bad-cut", "link": "https://notes.example/cut", "body": "This line was cut off in the mid',
    b'{"identifier": "bad-latin", "body": "A caf\xe9 that was never converted to UTF-8."}',
    b'{"identifier": "bad-tab", "body": "A raw\ttab is no legal character in a JSON string."}',
    b'["bad-list", "This line is a list, not an object."]',
    b'{"identifier": "bad-number", "body": 20240512}',
)


@dataclass(frozen=True)
class Planted:
    """A document that a run must remove: why, in which stage (one of), and in favour of what."""

    kind: str
    stages: tuple[str, ...]
    of: str | None = None


@dataclass
class Sample:
    """Everything that ``make-sample`` writes: files by relative path, and what is expected of a run."""

    files: dict[str, bytes] = field(default_factory=dict)
    clean: list[str] = field(default_factory=list)
    planted: dict[str, Planted] = field(default_factory=dict)
    quarantined: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)

    def expected(self) -> dict[str, Any]:
        """What a run over the sample does, as ``expected.json`` says it."""
        documents = len(self.clean) + len(self.planted)
        return {
            "read": documents + self.quarantined.total() + self.ignored.total(),
            "kept": len(self.clean),
            "removed": len(self.planted),
            "removed_by_kind": dict(sorted(Counter(p.kind for p in self.planted.values()).items())),
            "quarantined": dict(sorted(self.quarantined.items())),
            "ignored": dict(sorted(self.ignored.items())),
            "clean": sorted(self.clean),
            "planted": {
                identifier: {"kind": p.kind, "stages": list(p.stages)} | ({"of": p.of} if p.of else {})
                for identifier, p in sorted(self.planted.items())
            },
        }

    def plant(self, identifier: str, kind: str, *stages: str, of: str | None = None) -> None:
        """Note that a document is to be removed."""
        if identifier in self.planted or identifier in self.clean:
            raise ValueError(f"{identifier} is planted twice")
        self.planted[identifier] = Planted(kind, stages, of)

    def keep(self, identifier: str) -> None:
        """Note that a document is to be kept."""
        self.clean.append(identifier)

    def judge_pair(self, kind: str, a: tuple[str, str, Text], b: tuple[str, str, Text], *stages: str) -> None:
        """Of two documents (source, id, text), one of them kept so far, the worse is to be removed: higher rank number,
        then shorter, then larger id."""
        better, worse = sorted((a, b), key=lambda d: (RANKS[d[0]], -len(d[2].body), d[1].encode()))
        if worse[1] in self.clean:
            self.clean.remove(worse[1])
            self.clean.append(better[1])
        self.plant(worse[1], kind, *stages, of=better[1])


def compose(passes: Callable[[list[Text]], list[bool]]) -> Sample:
    """The whole sample. ``passes`` says of texts whether the recipe's rules would keep them, with some room."""
    chooser = Chooser(passes)
    articles = chooser.choose(texts.articles(), 99)
    manual = chooser.choose(
        texts.manual_pages(), MANUAL_PAGES_CRAWLED + MANUAL_PAGES_WET + MANUAL_PAGES_NOTED + CARRIERS
    )
    licences = chooser.choose(texts.licences(), LICENCES)
    docstrings = chooser.choose(texts.docstrings(), 999)

    # What one origin lacks (a Python without the manual, another version's docstrings) the other makes up for.
    supply = iter([*manual, *docstrings])

    def take(count: int) -> list[Text]:
        taken = list(islice(supply, count))
        if len(taken) < count:
            raise ResourceError(
                "this Python carries too little documentation to make the sample from (is it run with -OO?)"
            )
        return taken

    carriers = iter(take(CARRIERS))
    sample = Sample()
    notes = Notes(sample)
    crawl = Crawl(sample)
    library = Library(sample)

    crawled = [*articles, *take(MANUAL_PAGES_CRAWLED)]
    for text, site in zip(crawled, cycle(pages.SITES)):
        crawl.keep(text, site)
    add_crawl_faults(crawl, crawled, carriers)
    crawl.add_wet(take(MANUAL_PAGES_WET))

    noted = take(MANUAL_PAGES_NOTED + DOCSTRINGS_NOTED)
    for text in noted:
        notes.keep(text)
    add_note_faults(notes, noted, carriers)

    shelved = [*licences, *take(LIBRARY_DOCUMENTS - len(licences))]
    for text in shelved:
        library.keep(text)
    add_copies_across_sources(crawl, notes, library, noted, shelved)

    for part in (crawl, notes, library):
        part.write()
    add_lists(sample)
    return sample


# --- the three sources ----------------------------------------------------------------------------------------------


class Crawl:
    """A web archive of HTML pages, and one of pages that are text already."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.archive = archive.Archive()
        self.wet = archive.Archive()
        self.number = 0
        self.archive.add_info("sample-crawler/1.0", date=CRAWLED)
        sample.ignored["warcinfo"] += 1
        self.ids: dict[Text, str] = {}

    def next_date(self) -> datetime:
        """Pages are fetched one after another, twenty seconds apart."""
        self.number += 1
        return CRAWLED + timedelta(seconds=20 * self.number)

    def add(self, url: str, html: str, *, charset: str = "utf-8", coding: str | None = None) -> str:
        """A page as it was fetched; its id."""
        body = html.encode(charset)
        headers = {"Content-Type": f"text/html; charset={charset}"}
        if coding == "gzip":
            body, headers["Content-Encoding"] = gzip.compress(body, mtime=0), "gzip"
        if coding == "chunked":
            body, headers["Transfer-Encoding"] = archive.chunked(body), "chunked"
        return self.archive.add_response(url, body, date=self.next_date(), headers=headers)

    def page(self, text: Text, site: str, **how: Any) -> str:
        """A text on one of the sites; its id."""
        number = self.number + 1
        return self.add(f"{site}/{number}", pages.SITES[site](text, number), **how)

    def keep(self, text: Text, site: str, **how: Any) -> str:
        """A page that a run keeps."""
        coding = {7: "gzip", 11: "chunked"}.get(self.number)
        self.ids[text] = self.page(text, site, **{"coding": coding, **how})
        self.sample.keep(self.ids[text])
        return self.ids[text]

    def add_wet(self, converted: Iterable[Text]) -> None:
        """Pages that are text already."""
        for number, text in enumerate(converted):
            url = f"https://converted.example/{number}"
            self.sample.keep(self.wet.add_conversion(url, f"{text.title}\n{text.body}", date=self.next_date()))

    def write(self) -> None:
        """Hand over the archives."""
        self.sample.files["crawl/pages.warc.gz"] = self.archive.data
        self.sample.files["crawl/pages.warc.wet.gz"] = self.wet.data


class Notes:
    """JSON Lines in three files, plain and compressed, with field names of their own."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.lines: list[bytes] = []
        self.ids: dict[Text, str] = {}

    def add(self, text: Text, *, link: str | None = None) -> str:
        """One note; its id."""
        number = len(self.lines)
        identifier = f"note-{number:03d}"
        row = {
            "identifier": identifier,
            "link": link or f"https://notes.example/{number}",
            "headline": text.title,
            "body": text.body,
            "published": f"{CRAWLED + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}",
        }
        self.lines.append(json.dumps(row, ensure_ascii=number % 2 == 0).encode())
        return identifier

    def keep(self, text: Text) -> str:
        """A note that a run keeps."""
        self.ids[text] = self.add(text)
        self.sample.keep(self.ids[text])
        return self.ids[text]

    def plant(self, text: Text, kind: str, *stages: str, link: str | None = None) -> str:
        """A note that a run removes."""
        identifier = self.add(text, link=link)
        self.sample.plant(identifier, kind, *stages)
        return identifier

    def write(self) -> None:
        """Hand over the files; the broken lines go among the good ones of the plain file."""
        parts = [self.lines[0::3], self.lines[1::3], self.lines[2::3]]
        for number, bad in enumerate(BAD_LINES):
            parts[2].insert(4 * number + 2, bad)
        self.sample.quarantined.update({"invalid_json": 3, "invalid_utf8": 1, "wrong_type": 1})
        one, two, three = (b"\n".join(part) + b"\n" for part in parts)
        self.sample.files["notes/notes-1.jsonl.gz"] = gzip.compress(one, mtime=0)
        self.sample.files["notes/notes-2.jsonl.zst"] = zstandard.compress(two)
        self.sample.files["notes/notes-3.jsonl"] = three


class Library:
    """A Parquet table with a column of the owner's, which rides along."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.rows: list[dict[str, Any]] = []
        self.ids: dict[Text, str] = {}

    def keep(self, text: Text) -> str:
        """A document that a run keeps."""
        number = len(self.rows)
        identifier = f"book-{number:03d}"
        date = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=number)
        shelf = "licences" if text.title.startswith("Licence") else "manuals"
        self.rows.append({"id": identifier, "text": text.body, "date": date, "title": text.title, "shelf": shelf})
        self.ids[text] = identifier
        self.sample.keep(identifier)
        return identifier

    def write(self) -> None:
        """Hand over the file."""
        schema = pa.schema(
            [
                ("id", pa.string()),
                ("text", pa.string()),
                ("date", pa.timestamp("us", tz="UTC")),
                ("title", pa.string()),
                ("shelf", pa.string()),
            ]
        )
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(self.rows, schema=schema), buffer, compression="zstd")
        self.sample.files["library/library.parquet"] = buffer.getvalue()


# --- what is wrong with documents -----------------------------------------------------------------------------------


def add_crawl_faults(crawl: Crawl, crawled: Sequence[Text], carriers: Iterator[Text]) -> None:
    """Pages in other languages, empty, short, repetitive, blocked, copied, contaminated; records that are no pages."""
    sample = crawl.sample
    magazine, manual, blog, old, handbook = pages.SITES
    foreign = texts.foreign_articles()
    crawl.keep(foreign["de"][0], magazine)
    crawl.keep(foreign["de"][1], old, charset="windows-1252")
    crawl.keep(foreign["zh"][0], blog, charset="gb18030")
    crawl.keep(foreign["zh"][1], magazine)
    crawl.keep(foreign["zh"][2], handbook)
    for text in [*foreign["fr"], *foreign["th"]]:
        sample.plant(crawl.page(text, magazine), f"foreign_{text.language}", "filter_content")

    for number in range(3):
        identifier = crawl.add(f"https://app.example/{number}", pages.application_shell(number))
        sample.plant(identifier, "empty_page", "extract_text")
    for number, text in enumerate(short_texts()):
        site = (magazine, manual, blog, old)[number % 4]
        sample.plant(crawl.page(text, site), "too_short", "filter_quality")
    for number, text in enumerate(repetitive_texts()[:2]):
        sample.plant(crawl.page(text, (magazine, handbook)[number]), "repetitive", "filter_repetition")

    blocked = [f"https://{domain}/read" for domain in GAMBLING_DOMAINS] + [f"http://{MALWARE_URLS[0]}/setup.html"]
    for url in blocked:
        html = pages.magazine(next(carriers), crawl.number)
        sample.plant(crawl.add(url, html), "blocked_url", "filter_content")

    for number in range(3):  # the same page under a second address
        text, site = crawled[number], list(pages.SITES)[number]
        html = pages.SITES[site](text, number + 1)
        copy = crawl.add(f"{site}/{number + 1}?print=1", html)
        sample.judge_pair("exact_duplicate", (CRAWL, crawl.ids[text], text), (CRAWL, copy, text), "dedup_exact")
    for number in range(5, 9):  # an edited copy on the same site
        text, site = crawled[number], list(pages.SITES)[number % 5]
        copy_text = edited(text)
        copy = crawl.page(copy_text, site)
        sample.judge_pair("near_duplicate", (CRAWL, crawl.ids[text], text), (CRAWL, copy, copy_text), "dedup_near")

    items = texts.questions()
    for item, site in zip(("t01", "c01", "t03"), (blog, magazine, handbook), strict=True):
        text = contaminated(next(carriers), items[item])
        sample.plant(crawl.page(text, site), "contaminated", "decontaminate")

    add_records_that_are_no_pages(crawl, next(carriers))


def add_records_that_are_no_pages(crawl: Crawl, after: Text) -> None:
    """Requests, redirects, an error, an image, robots files, and a damaged record before the last page, ``after``."""
    sample = crawl.sample
    date = crawl.next_date()
    for host in ("a-blog.example", "manual.example"):
        crawl.archive.add_request(f"https://{host}/", host, date=date)
        robots = b"User-agent: *\nDisallow: /private/\n"
        crawl.archive.add_response(
            f"https://{host}/robots.txt", robots, date=date, headers={"Content-Type": "text/plain"}
        )
    for number in range(3):
        crawl.archive.add_response(
            f"http://a-blog.example/old/{number}",
            b"",
            date=date,
            status="301 Moved Permanently",
            headers={"Location": f"https://a-blog.example/2024/05/{number}"},
        )
    missing = b"<html><body><h1>Not found</h1></body></html>"
    crawl.archive.add_response("https://manual.example/gone", missing, date=date, status="404 Not Found")
    dot = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    crawl.archive.add_response("https://a-blog.example/dot.gif", dot, date=date, headers={"Content-Type": "image/gif"})
    sample.ignored.update({"request": 2, "robots": 2, "redirect": 3, "http_error": 1, "image": 1})

    crawl.page(Text("A page that did not survive", texts.articles()[0].paragraphs[:1] * 3), next(iter(pages.SITES)))
    crawl.archive.damage_last()
    sample.quarantined["warc_damaged"] += 1
    crawl.keep(after, next(iter(pages.SITES)))  # reading goes on behind the damage


def add_note_faults(notes: Notes, noted: Sequence[Text], carriers: Iterator[Text]) -> None:
    """Notes that are short, full of symbols, repetitive, blocked, spam, copied, contaminated; revised ones, kept."""
    for text in short_texts()[:3]:
        notes.plant(Text(text.title, (text.body + " It was written in a hurry.",)), "too_short", "filter_quality")
    for kind, text in symbol_texts():
        notes.plant(text, kind, "filter_quality")
    for text in repetitive_texts()[2:]:
        notes.plant(text, "repetitive", "filter_repetition")
    notes.plant(next(carriers), "blocked_url", "filter_content", link=f"https://{MALWARE_URLS[1]}/now?id=7")
    for number in range(3):
        notes.plant(spam(next(carriers), number), "lexicon", "filter_content")

    sample = notes.sample
    for text in noted[:3]:
        copy_text = Text(text.title.upper(), tuple(" ".join(p.split(" ")) for p in text.paragraphs))
        copy = notes.add(copy_text)
        sample.judge_pair("exact_duplicate", (NOTES, notes.ids[text], text), (NOTES, copy, copy_text), "dedup_exact")
    for text in noted[5:9]:
        copy_text = edited(text)
        copy = notes.add(copy_text)
        sample.judge_pair("near_duplicate", (NOTES, notes.ids[text], text), (NOTES, copy, copy_text), "dedup_near")
    for text in noted[10:13]:
        notes.keep(
            Text(text.title, (next(carriers).paragraphs[0], *text.paragraphs[:1], *next(carriers).paragraphs[:2]))
        )

    items = texts.questions()
    notes.plant(contaminated(next(carriers), items["t04"]), "contaminated", "decontaminate")
    notes.plant(contaminated(next(carriers), items["c02"], answer=False), "contaminated", "decontaminate")
    notes.plant(contaminated(next(carriers), items["t05"], rewrapped=True), "contaminated", "decontaminate")
    notes.plant(contaminated(next(carriers), items["c03"], rewrapped=True), "contaminated", "decontaminate")


def add_copies_across_sources(
    crawl: Crawl, notes: Notes, library: Library, noted: Sequence[Text], shelved: Sequence[Text]
) -> None:
    """The same text in two sources: the source with the lower rank keeps it."""
    sample = crawl.sample
    for text in shelved[10:12]:
        copy = notes.add(text)
        sample.judge_pair("copy_of_library", (LIBRARY, library.ids[text], text), (NOTES, copy, text), "dedup_exact")
    for text in noted[20:22]:
        page = crawl.page(text, list(pages.SITES)[2])
        stages = ("dedup_exact", "dedup_near")
        sample.judge_pair("copy_of_note", (NOTES, notes.ids[text], text), (CRAWL, page, text), *stages)


def edited(text: Text) -> Text:
    """A copy with its second word changed: 13-gram Jaccard similarity above 0.9, however short the page is cut."""
    first = text.paragraphs[0].split(" ")
    first[1] = "actually"
    return Text(text.title, (" ".join(first), *text.paragraphs[1:]), text.language)


def contaminated(text: Text, item: Question, *, answer: bool = True, rewrapped: bool = False) -> Text:
    """A page with a test item in it: as it is, or with other line breaks, capitals and punctuation."""
    words = f"{item.text} {item.answer}" if answer else item.text
    if rewrapped:
        plain = words.replace(",", " -").replace(".", " ...").replace("?", " ??").upper().split()
        words = "\n".join(" ".join(plain[at : at + 7]) for at in range(0, len(plain), 7))
    return Text(text.title, (text.paragraphs[0], words, *text.paragraphs[1:]), text.language)


def spam(text: Text, number: int) -> Text:
    """A page with an advertisement after every paragraph."""
    offers = cycle(SPAM_PHRASES[number:] + SPAM_PHRASES[:number])
    lines = [f"{paragraph} Ask about our {next(offers)} and {next(offers)} today." for paragraph in text.paragraphs]
    return Text(text.title, (*lines, f"Hurry: {', '.join(SPAM_PHRASES)}."))


def short_texts() -> list[Text]:
    """English pages of fewer than fifty words."""
    return [
        Text("Opening hours", ("The shop is open from nine to five, and it is closed on Sundays and holidays.",)),
        Text("Road closed", ("The road to the harbour is closed because of the storm that came in last night.",)),
        Text("Lost and found", ("A grey scarf was found in the reading room and can be collected at the desk.",)),
        Text("Thank you", ("Thank you for writing to us. We have received your letter and will answer it soon.",)),
    ]


def symbol_texts() -> list[tuple[str, Text]]:
    """Texts that hold more symbols, bullets, dots or numbers than prose does."""
    sentence = texts.articles()[0].paragraphs[0].split()
    hashed = [f"#{word}" if at % 4 == 0 else word for at, word in enumerate(sentence)]
    dotted = [
        f"{word}..." if at % 4 == 0 else word for at, word in enumerate(texts.articles()[1].paragraphs[0].split())
    ]
    items = texts.articles()[2].paragraphs[0].split()
    bulleted = "\n".join("- " + " ".join(items[at : at + 4]) for at in range(0, len(items), 4))
    readings = "The water level of the river is given in the table below for each hour of the day."
    numbers = "\n".join(" ".join(str(100 + (7 * row + 13 * column) % 89) for column in range(6)) for row in range(12))
    return [
        ("hash_marks", Text("Tags", (" ".join(hashed),))),
        ("ellipses", Text("Pauses", (" ".join(dotted),))),
        ("bullets", Text("Menu", (bulleted,))),
        ("numbers", Text("Levels", (readings, numbers))),
    ]


def repetitive_texts() -> list[Text]:
    """Texts that say the same thing again and again, by paragraph, by line and inside a line."""
    one, two, three, four = (article.paragraphs for article in texts.articles()[3:7])
    verse = "We will walk along the river until the bells of the old town have begun to ring."
    return [
        Text("The same story three times", one[:2] * 3),
        Text("Paragraphs in a loop", (two[0], two[1], two[0], two[1], two[0])),
        Text("Song", ("\n".join([verse, three[0], verse, verse, three[1], verse, verse]),)),
        Text("Slogans", (four[0] + " " + "The best price in the whole of the town is here. " * 12,)),
    ]


# --- lists, recipe --------------------------------------------------------------------------------------------------


def add_lists(sample: Sample) -> None:
    """The lists that the demo recipe reads: domains and URLs in UT1's layout, phrases, the test set."""
    domains, urls = sorted(GAMBLING_DOMAINS), sorted(MALWARE_URLS)
    sample.files["lists/gambling/domains"] = "".join(f"{domain}\n" for domain in domains).encode()
    sample.files["lists/malware/urls"] = "".join(f"{url}\n" for url in urls).encode()
    sample.files["lists/spam.txt"] = "".join(f"{phrase}\n" for phrase in SPAM_PHRASES).encode()
    sample.files["testsets/questions.jsonl"] = texts.question_lines().encode()


RECIPE = """\
# The demo: the recipe `gopher` over three small sources, with lists and a test set. Written by `winnow make-sample`.
recipe: demo
description: Gopher's six steps over the demo sample; English, German and Chinese are kept.
extends: gopher

sources:
  crawl:
    input: {folder}/crawl
    rank: 100
  notes:
    input: {folder}/notes
    fields: {{id: identifier, url: link, text: body, date: published}}
    license: Apache-2.0 and PSF-2.0
    rank: 50
  library:
    # Edited text that is wanted whatever language it is in: no content filter, no look at word lengths.
    input: {folder}/library/*.parquet
    rank: 1
    steps:
      filter_content: off
      filter_quality: {{mean_word_length: off}}

languages:
  keep: [en, de, zh]

steps:
  filter_content:
    url_lists:
      gambling: {folder}/lists/gambling
      malware: {folder}/lists/malware
    lexicons:
      spam: {{path: {folder}/lists/spam.txt, language: en}}
    lexicon_fraction_spam: {{max: 0.02}}
  decontaminate:
    testsets: [{folder}/testsets/questions.jsonl]
"""


def recipe(folder: str) -> str:
    """The demo recipe for a sample in ``folder``."""
    return RECIPE.format(folder=json.dumps(folder)[1:-1])
