"""The report: what it shows is what the run did, nothing in it runs, and a browser shows it whole at any width."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import report
from jobs.core.finished_run import open_run
from jobs.core.recipe_file import resolve_recipe
from jobs.core.report_facts import collect
from jobs.core.report_page import report_page
from udfs.document_key import document_key

ATTACK = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "\"'><svg onload=alert(1)>{{7*7}}"
)
PLAIN = "The river that runs through the old town has been a meeting place for as long as people have lived here. "

SIGNALS = pa.struct([("word_count", pa.int64()), ("duplicate_line_fraction", pa.float64())])
REASONS = pa.list_(pa.struct([("rule", pa.string()), ("value", pa.float64()), ("bound", pa.string())]))
DOCUMENT = [
    ("id", pa.string()), ("key", pa.binary()), ("text", pa.string()), ("url", pa.string()), ("source", pa.string()),
    ("language", pa.string()),
]  # fmt: skip
SCHEMAS = {
    "kept": pa.schema([*DOCUMENT, ("cluster_size", pa.int32())]),
    "removed": pa.schema(
        [*DOCUMENT, ("stage", pa.string()), ("reasons", REASONS), ("duplicate_of", pa.string()),
         ("similarity", pa.float64())]
    ),
    "signals": pa.schema(
        [("key", pa.binary()), ("id", pa.string()), ("source", pa.string()), ("language", pa.string()),
         ("text_bytes", pa.int64()), ("signals", SIGNALS), ("stage", pa.string())]
    ),
    "quarantine": pa.schema(
        [("source", pa.string()), ("reason", pa.string()), ("detail", pa.string()), ("stage", pa.string())]
    ),
    "clusters": pa.schema(
        [("cluster", pa.string()), ("id", pa.string()), ("key", pa.binary()), ("size", pa.int64()),
         ("members", pa.list_(pa.struct([("id", pa.string()), ("key", pa.binary()), ("similarity", pa.float64())])))]
    ),
    "testsets": pa.schema(
        [("dataset", pa.string()), ("items", pa.int64()), ("testable", pa.int64()), ("found", pa.int64()),
         ("findings", pa.int64()), ("coverage_histogram", pa.list_(pa.int64()))]
    ),
    "contamination": pa.schema(
        [("document_id", pa.string()), ("key", pa.binary()), ("removed", pa.bool_()), ("dataset", pa.string()),
         ("split", pa.string()), ("item_id", pa.string()), ("item_coverage", pa.float64()),
         ("longest_run", pa.int64()), ("matched_text", pa.string()), ("item_text", pa.string()),
         ("spans", pa.list_(pa.struct([("begin", pa.int64()), ("end", pa.int64())])))]
    ),
}  # fmt: skip


def document(number: int, text: str, hostile: str = "") -> dict[str, Any]:
    url = f"https://site{number % 7}.example/{number}{hostile}"
    id_ = f"d{number}{hostile}"
    key = document_key(id_.encode(), url.encode(), text.encode())
    return {"id": id_, "key": key, "text": text, "url": url, "source": "input", "language": ("en", "de")[number % 2]}


def write_run(folder: Path, documents: int = 60, hostile: str = "") -> Path:
    """A run as ``winnow run`` leaves it: short documents, a near-duplicate, a contaminated one, an unreadable one."""
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    for number in range(documents):
        short = number % 5 == 0
        text = f"too short, write to jo{number}@mail.example {hostile}" if short else f"{PLAIN * 4}{number}. {hostile}"
        row = document(number, text, hostile)
        stage = "filter_quality" if short else None
        words = len(text.split())
        if short:
            reasons = [{"rule": "word_count", "value": float(words), "bound": ">= 50"}]
            tables["removed"].append({**row, "stage": stage, "reasons": reasons})
        else:
            tables["kept"].append({**row, "cluster_size": 1})
        add_signals(tables, row, words, stage)
    add_duplicate_and_finding(tables, hostile)
    tables["quarantine"].append(
        {"source": f"file:/data/{hostile}", "reason": "invalid_json", "detail": hostile or "line 3", "stage": "ingest"}
    )
    for name, rows in tables.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, SCHEMAS[name]), folder / name / "part-0.parquet", row_group_size=50)
    (folder / "ledger.json").write_text(json.dumps(ledger_of(tables, hostile)))
    return folder


def add_signals(tables: dict[str, list[dict[str, Any]]], row: dict[str, Any], words: int, stage: str | None) -> None:
    measured = {"word_count": words, "duplicate_line_fraction": 0.25 if words % 2 else 0.0}
    kept = {name: row[name] for name in ("key", "id", "source", "language")}
    tables["signals"].append({**kept, "text_bytes": len(row["text"].encode()), "signals": measured, "stage": stage})


def add_duplicate_and_finding(tables: dict[str, list[dict[str, Any]]], hostile: str) -> None:
    kept = tables["kept"][0]
    kept["cluster_size"] = 2
    copy = document(1000, kept["text"].replace("river", "stream"), hostile)
    reasons = [{"rule": "duplicate_near", "value": 0.93, "bound": "represented by a kept document"}]
    tables["removed"].append(
        {**copy, "stage": "dedup_near", "reasons": reasons, "duplicate_of": kept["id"], "similarity": 0.93}
    )
    members = [{"id": copy["id"], "key": copy["key"], "similarity": 0.93}]
    tables["clusters"].append({"cluster": "c", "id": kept["id"], "key": kept["key"], "size": 2, "members": members})
    item = "At what time do they next leave the harbour at the same moment?"
    text = f"{PLAIN}{item} {hostile}"
    found = document(1001, text, hostile)
    reasons = [{"rule": "item_coverage", "value": 1.0, "bound": "< 0.5"}]
    tables["removed"].append({**found, "stage": "decontaminate", "reasons": reasons})
    finding = {"begin": len(PLAIN), "end": len(PLAIN) + len(item)}
    tables["contamination"].append(
        {"document_id": found["id"], "key": found["key"], "removed": True, "dataset": f"trivia{hostile}",
         "split": "test", "item_id": f"t01{hostile}", "item_coverage": 1.0, "longest_run": 13, "spans": [finding],
         "matched_text": item, "item_text": f"{item} {hostile}"}
    )  # fmt: skip
    tables["testsets"].append(
        {"dataset": f"trivia{hostile}", "items": 9, "testable": 8, "found": 1, "findings": 1,
         "coverage_histogram": [0] * 9 + [1]}
    )  # fmt: skip
    for row, stage in ((copy, "dedup_near"), (found, "decontaminate")):
        add_signals(tables, row, len(row["text"].split()), stage)


def ledger_of(tables: dict[str, list[dict[str, Any]]], hostile: str) -> dict[str, Any]:
    short = sum(row["stage"] == "filter_quality" for row in tables["removed"])
    kept = len(tables["kept"])
    read = kept + len(tables["removed"]) + 1
    stages, left = [], read
    losses = [
        ("ingest", 0, 1, {}),
        ("filter_quality", short, 0, {"word_count": short}),
        ("decontaminate", 1, 0, {"item_coverage": 1}),
        ("dedup_near", 1, 0, {"duplicate_near": 1}),
    ]
    for stage, removed, bad, rules in losses:
        left_after = left - removed - bad
        stages.append(
            {"stage": stage, "read": left, "kept": left_after, "removed": removed, "quarantined": bad, "ignored": 0,
             "rules": rules, "seconds": 1.5, "bytes": 1000, "words": 100, "shared_pass": [],
             "facts": {"kept_text_bytes": 900}}
        )  # fmt: skip
        left = left_after
    recipe = {**resolve_recipe("gopher").as_dict, "description": hostile or "plain"}
    totals = {"read": read, "kept": kept, "removed": len(tables["removed"]), "quarantined": 1, "ignored": 0}
    return {"run_id": "r1", "job": "run", "recipe": recipe, "totals": totals, "stages": stages, "seconds": 9.0}


class Page(HTMLParser):
    """What a test wants to know of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.style = ""
        self.marked: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._inside:
            self.style += data
        elif "mark" in self._inside:
            self.marked.append(data)
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value or "" for _, name, value in self.attributes if name == attribute]


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report_page(open_run(str(write_run(tmp_path_factory.mktemp("report") / "run", hostile=ATTACK))))


def test_nothing_that_a_document_says_becomes_markup(hostile_page: str) -> None:
    page = Page(hostile_page)
    allowed = (
        "html head meta title style body a svg defs pattern rect line text div header h1 h2 h3 h4 p code ul li span "
        "nav main section table thead tbody tr th td wbr figure details summary article mark b i bdi dl dt dd pre "
        "footer"
    )
    assert set(page.tags) <= set(allowed.split())
    assert [name for _, name, _ in page.attributes if name.startswith("on")] == []
    assert not {"src", "style", "action", "formaction", "srcdoc", "xlink:href"} & {
        name for _, name, _ in page.attributes
    }
    assert page.text.count("document.title='owned'") > 20  # shown as text, many times
    assert page.text.count("{{7*7}}") == page.text.count("alert(1)")  # nothing was taken for a template either


def test_the_page_allows_no_script_and_only_its_own_style(hostile_page: str) -> None:
    page = Page(hostile_page)
    policy = next(value for tag, name, value in page.attributes if (tag, name) == ("meta", "content"))
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "url(" not in page.style.replace("url(#hatch)", "")
    assert "http" not in "".join(page.values("href"))


def test_every_link_leads_to_a_place_of_the_page(hostile_page: str) -> None:
    page = Page(hostile_page)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = page.values("href")
    assert len(targets) > 10
    assert all(target.startswith("#") and target[1:] in ids for target in targets)


def test_the_page_says_what_the_run_did(tmp_path: Path) -> None:
    run = open_run(str(write_run(tmp_path / "run")))
    facts = collect(run)
    text = report_page(run)
    page = Page(text)
    words = facts.signals["word_count"]
    assert (words.below, words.above, words.judged) == (12 + 1, 0, 62)  # twelve short ones and the contaminated one
    assert words.measured == 62
    assert facts.rules["filter_quality", "word_count"] == {"documents": 12, "alone": 12}
    assert facts.languages["en"]["kept"] + facts.languages["de"]["kept"] == 48
    assert sum(kept + removed for _, kept, removed in facts.domains) == 62
    assert facts.cluster_sizes == {2: 1}
    assert page.tags["svg"] > 30
    assert {"river", "stream"} <= {word for marked in page.marked for word in marked.split()}
    assert "At what time do they next leave the harbour at the same moment?" in page.marked
    assert "1 record (1.6%) could not be read" in page.text


def test_personal_data_is_masked_unless_it_is_asked_for(tmp_path: Path) -> None:
    run = open_run(str(write_run(tmp_path / "run")))
    masked, shown = report_page(run), report_page(run, masked=False)
    assert "@mail.example" not in masked
    assert "[EMAIL]" in masked
    assert "@mail.example" in shown


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert report.main([str(run)]) == 0
    first = (run / "report.html").read_bytes()
    assert report.main([str(run), "--output", str(tmp_path / "again.html")]) == 0
    assert first == (tmp_path / "again.html").read_bytes()
    moved = run.rename(tmp_path / "elsewhere")
    assert report.main([str(moved), "--output", str(tmp_path / "moved.html")]) == 0
    assert first == (tmp_path / "moved.html").read_bytes()


def test_large_tables_are_read_in_part_and_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(str(write_run(tmp_path / "run", documents=400)))
    whole = collect(run)
    monkeypatch.setattr("jobs.core.report_facts.MOST_ROWS", 120)
    part = collect(run)
    assert whole.shares == {}
    assert 100 < part.signals["word_count"].measured < 200 < whole.signals["word_count"].measured
    assert part.shares["signals"] == pytest.approx(part.signals["word_count"].measured / 402)
    assert collect(run).signals["word_count"].counts.tolist() == part.signals["word_count"].counts.tolist()
    page = Page(report_page(run))
    assert "histograms and examples come from a part of the rows: signals 37.3%" in page.text


def test_a_run_of_ingestion_alone_has_a_report_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    for name in ("signals", "clusters", "testsets", "contamination", "removed"):
        shutil.rmtree(folder / name)
    page = Page(report_page(open_run(str(folder))))
    assert "This run measured no signal." in page.text
    assert page.tags["section"] >= 6


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(tmp_path)]) == 3
    assert "not the output of a finished run" in capsys.readouterr().err


# --- in a browser ---------------------------------------------------------------------------------------------------

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH to look at the report with")

# Put into a copy of the report, which is looked at in a frame of the wanted width: what sticks out, what overlaps.
MEASURE = """<script>
addEventListener("load", () => {
  const inside = [];
  document.querySelectorAll("details").forEach(each => { each.open = true; });
  const width = document.documentElement.clientWidth;
  document.querySelectorAll("body *").forEach(each => {
    const box = each.getBoundingClientRect();
    if (box.width && box.right > width + 1 && !each.closest(".skip, thead, .text, pre, .defs"))
      inside.push("wide: " + each.tagName + " " + each.textContent.slice(0, 40));
  });
  document.querySelectorAll("svg.chart").forEach(chart => {
    const frame = chart.getBoundingClientRect(), boxes = [];
    chart.querySelectorAll("text").forEach(label => {
      const box = label.getBoundingClientRect();
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
          || box.bottom > frame.bottom + 1)
        inside.push("clipped: " + chart.getAttribute("aria-label") + ": " + label.textContent);
      for (const [other, text] of boxes)
        if (box.left < other.right - 1 && other.left < box.right - 1 && box.top < other.bottom - 2
            && other.top < box.bottom - 2)
          inside.push("overlap: " + chart.getAttribute("aria-label") + ": " + label.textContent + " / " + text);
      boxes.push([box, label.textContent]);
    });
  });
  const charts = document.querySelectorAll("svg.chart").length;
  parent.postMessage(JSON.stringify({charts, width, found: inside, title: document.title}), "*");
});
</script>"""


def in_browser(folder: Path, page: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    (folder / "page.html").write_text(page, encoding="utf-8")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=4000", *arguments,
        f"file://{folder / 'page.html'}",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_page_whole_at_any_width(tmp_path: Path, hostile_page: str, width: int) -> None:
    copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", hostile_page)
    (tmp_path / "copy.html").write_text(copy.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    frame = (
        f'<iframe width="{width}" height="900" src="copy.html"></iframe><pre id="said"></pre>'
        '<script>addEventListener("message", said => { document.getElementById("said").textContent = said.data; });'
        "</script>"
    )
    shown = in_browser(tmp_path, frame)
    said = json.loads(html.unescape(re.search(r'<pre id="said">(.*?)</pre>', shown.stdout, re.DOTALL)[1]))  # type: ignore[index]
    assert said["found"] == []
    assert said["charts"] >= 4
    assert said["title"] == "gopher: 48 of 63 records kept"  # no document's script ran


@needs_chromium
def test_a_browser_has_nothing_to_complain_of(tmp_path: Path, hostile_page: str) -> None:
    shown = in_browser(tmp_path, hostile_page)
    assert "CONSOLE" not in shown.stderr
    assert "<title>gopher: 48 of 63 records kept</title>" in shown.stdout
