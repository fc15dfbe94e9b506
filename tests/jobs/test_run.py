"""A run as a whole: the account adds up, results do not depend on how the work was cut, nothing is written over."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from jobs import filter_quality, ingest
from jobs.core.documents import READ_SCHEMA
from jobs.core.recipe_file import resolve_recipe
from jobs.core.rowwise import row_steps

GOOD = (
    "The river that runs through the old town has been a meeting place for as long as people have lived here. "
    "Every spring the children of the town would come to the water with their boats, and the bakers would bring bread. "
    "It is said that a boat which reaches the second bridge will bring its owner good luck for the whole of the year."
)
ENGLISH = ("--set", "languages.detect=false", "--set", "languages.default=en")


def documents(count: int = 40) -> list[dict[str, Any]]:
    """Good documents, and every seventh one too short."""
    made = []
    for number in range(count):
        text = "too short" if number % 7 == 3 else f"{GOOD} This is document number {number} of them."
        made.append({"id": f"d{number:03}", "url": f"http://site{number % 5}.example/{number}", "text": text})
    return made


def write(folder: Path, rows: Sequence[dict[str, Any]], files: int) -> Path:
    folder.mkdir()
    for place in range(files):
        lines = "".join(json.dumps(row) + "\n" for row in rows[place::files])
        (folder / f"{place}.jsonl").write_text(lines)
    return folder


def run(job: Any, *arguments: str) -> int:
    return int(job.main(list(arguments)))


def table(folder: Path) -> list[dict[str, Any]]:
    return ds.dataset(folder, format="parquet").to_table().to_pylist()


def test_the_account_adds_up_and_the_tables_hold_what_it_says(spark: Any, tmp_path: Path) -> None:
    source = write(tmp_path / "in", documents(), 2)
    (source / "broken.jsonl").write_text('{"id": "x", "text": "cut\n{"id": "null", "text": null}\n')
    out = tmp_path / "out"
    assert run(filter_quality, "--recipe", "gopher", "--input", str(source), "--output", str(out), *ENGLISH) == 0
    ledger = json.loads((out / "ledger.json").read_text())
    sums = ledger["totals"]
    assert sums["read"] == 42
    assert sums["read"] == sums["kept"] + sums["removed"] + sums["quarantined"] + sums["ignored"]
    assert len(table(out / "kept")) == sums["kept"] == 34
    removed = table(out / "removed")
    assert len(removed) == sums["removed"] == 7
    assert len(table(out / "quarantine")) == sums["quarantined"] == 1
    assert len(table(out / "signals")) == sums["kept"] + sums["removed"]
    short = next(row for row in removed if row["id"] == "d003")
    assert short["stage"] == "filter_quality"
    assert {"rule": "word_count", "value": 2.0, "bound": ">= 50"} in short["reasons"]
    assert "stop_word_count" in {reason["rule"] for reason in short["reasons"]}
    nothing = next(row for row in removed if row["id"] == "null")
    assert {reason["bound"] for reason in nothing["reasons"]} == {"not null"}
    quality = next(stage for stage in ledger["stages"] if stage["stage"] == "filter_quality")
    assert quality["rules"]["word_count"] == 7
    assert not [name for name in tmp_path.iterdir() if name.name.startswith(".out")]


def test_the_kept_set_does_not_depend_on_files_or_their_order(spark: Any, tmp_path: Path) -> None:
    rows = documents()
    kept = []
    for place, files in enumerate((1, 3, 7)):
        shuffled = random.Random(place).sample(rows, len(rows))
        source, out = write(tmp_path / f"in{place}", shuffled, files), tmp_path / f"out{place}"
        assert run(filter_quality, "--recipe", "gopher", "--input", str(source), "--output", str(out), *ENGLISH) == 0
        kept.append(sorted((row["key"], row["id"], row["text"]) for row in table(out / "kept")))
    assert kept[0] == kept[1] == kept[2]


def test_text_crosses_into_python_once_for_all_row_wise_steps(spark: Any, tmp_path: Path) -> None:
    resolved = resolve_recipe("gopher")
    names = ("ingest", "extract_text", "filter_content", "filter_quality", "filter_repetition")
    pq.write_table(pa.Table.from_pylist(documents()), tmp_path / "in.parquet")
    frame = spark.read.schema(READ_SCHEMA).parquet(str(tmp_path / "in.parquet"))
    plan = row_steps(resolved, names).apply(frame)._jdf.queryExecution().executedPlan().toString()
    assert plan.count("ArrowEvalPython") == 2  # pages to text, and one for every row-wise step
    assert "Exchange" not in plan
    only = row_steps(resolved, ("ingest", *names[2:])).apply(frame)._jdf.queryExecution().executedPlan().toString()
    assert only.count("ArrowEvalPython") == 1


def test_each_document_is_measured_once(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    source, out = write(tmp_path / "in", documents(), 3), tmp_path / "out"
    monkeypatch.setattr("jobs.core.rowwise._annotation", _counting(str(calls)))
    assert run(filter_quality, "--recipe", "gopher", "--input", str(source), "--output", str(out), *ENGLISH) == 0
    assert sum(int(file.name.split("-")[0]) for file in calls.iterdir()) == 40


def _counting(folder: str) -> Any:
    """The annotation with a file per call whose name begins with the number of documents in it."""

    def annotation(plan: Any, on_worker: Any) -> Any:
        from pyspark.sql import functions as F
        from pyspark.sql.pandas.types import from_arrow_type

        from udfs.annotate import annotate, output_type

        def measure(key, id_, url, text, content, language):  # type: ignore[no-untyped-def]
            import uuid
            from pathlib import Path

            (Path(folder) / f"{len(key)}-{uuid.uuid4()}").touch()
            return annotate(on_worker(), key, id_, url, text, content, language)

        return F.arrow_udf(measure, from_arrow_type(output_type(plan))).asNondeterministic()

    return annotation


def test_an_output_that_is_there_is_refused(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = write(tmp_path / "in", documents(5), 1), tmp_path / "out"
    arguments = ("--recipe", "gopher", "--input", str(source), "--output", str(out), *ENGLISH)
    assert run(ingest, *arguments) == 0
    assert run(ingest, *arguments) == 2
    assert "already exists" in capsys.readouterr().err
    assert run(ingest, *arguments, "--resume") == 0
    assert run(ingest, *arguments, "--resume", "--set", "keep_content=true") == 2
    assert "recipe changed" in capsys.readouterr().err


def test_a_finished_stage_is_skipped_on_resume_and_a_changed_one_runs_again(
    spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write(tmp_path / "in", documents(10), 1), tmp_path / "out"
    arguments = ("--recipe", "gopher", "--input", str(source), "--output", str(out), *ENGLISH)
    gate = ("--set", "gates.min_kept_documents=1000")
    assert run(filter_quality, *arguments, *gate) == 4
    assert not out.exists()
    assert run(filter_quality, *arguments, *gate, "--resume") == 4
    assert "rows: already done" in capsys.readouterr().err
    assert run(filter_quality, *arguments, "--resume", "--set", "steps.filter_quality.word_count.min=1000") == 0
    assert "rows: runs again, changed since: recipe" in capsys.readouterr().err
    assert table(out / "kept") == []


def test_too_many_bad_records_fail_the_run(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "fine"}\nbad\nbad\n')
    arguments = ("--recipe", "gopher", "--input", str(source), "--output", str(tmp_path / "out"))
    assert run(ingest, *arguments, "--set", "ingest.max_bad_fraction=0.5") == 3
    assert "invalid_json (2)" in capsys.readouterr().err
    assert run(ingest, *arguments, "--set", "ingest.max_bad_fraction=0.9") == 0


def test_an_empty_input_is_a_gate_and_still_has_a_schema_when_allowed(spark: Any, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_text("\n")
    arguments = ("--recipe", "gopher", "--input", str(source), "--output", str(out))
    assert run(ingest, *arguments) == 4
    assert run(ingest, *arguments, "--set", "gates.min_documents=0") == 0
    assert "text" in ds.dataset(out / "kept", format="parquet").schema.names


def test_samples_are_by_key_and_limits_take_the_smallest_keys(spark: Any, tmp_path: Path) -> None:
    source = write(tmp_path / "in", documents(60), 2)
    common = ("--recipe", "gopher", "--input", str(source))
    assert run(ingest, *common, "--output", str(tmp_path / "all")) == 0
    assert run(ingest, *common, "--output", str(tmp_path / "half"), "--sample", "0.5") == 0
    assert run(ingest, *common, "--output", str(tmp_path / "few"), "--limit", "7") == 0
    every = {row["key"] for row in table(tmp_path / "all" / "kept")}
    half = {row["key"] for row in table(tmp_path / "half" / "kept")}
    few = {row["key"] for row in table(tmp_path / "few" / "kept")}
    assert len(every) == 60
    assert half < every and 10 < len(half) < 50
    assert few == set(sorted(every)[:7])


def test_a_dry_run_writes_nothing(spark: Any, tmp_path: Path) -> None:
    source, out = write(tmp_path / "in", documents(3), 1), tmp_path / "out"
    assert run(ingest, "--recipe", "gopher", "--input", str(source), "--output", str(out), "--dry-run") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_sources_are_treated_as_the_recipe_says(spark: Any, tmp_path: Path) -> None:
    write(tmp_path / "web", [{"id": "w", "text": "far too short"}], 1)
    write(tmp_path / "books", [{"id": "b", "text": "short as well"}], 1)
    recipe = tmp_path / "two.yaml"
    recipe.write_text(
        "recipe: two\nextends: gopher\nlanguages: {detect: false, default: en}\nsources:\n"
        f"  web: {{input: {tmp_path / 'web'}}}\n"
        f"  books: {{input: {tmp_path / 'books'}, steps: {{filter_quality: off}}}}\n"
    )
    out = tmp_path / "out"
    assert run(filter_quality, "--recipe", str(recipe), "--output", str(out)) == 0
    assert [row["id"] for row in table(out / "kept")] == ["b"]
    assert [row["id"] for row in table(out / "removed")] == ["w"]


FOREIGN = {
    "de": "Der Fluss, der durch die alte Stadt fließt, ist seit jeher ein Treffpunkt der Menschen, die hier leben. "
    "Jedes Frühjahr kommen die Kinder mit ihren Booten an das Wasser, und die Bäcker bringen das Brot für alle. "
    "Man sagt, dass ein Boot, das die zweite Brücke erreicht, seinem Besitzer ein ganzes Jahr lang Glück bringt.",
    "zh": "这条河穿过古老的城镇，自从人们住在这里以来，它就是大家见面的地方。"
    "每年春天，孩子们都会带着自己做的小船来到水边，"
    "面包师也会带来新鲜的面包。据说，能够漂到第二座桥的小船，会给它的主人带来整整一年的好运。河边的老人喜欢讲起从前的故事，"
    "那时候的水更清，鱼也更多，而现在的孩子们依然在这里笑着、跑着，直到太阳落到山的后面。",
    "th": "แม่น้ำที่ไหลผ่านเมืองเก่าแห่งนี้เป็นสถานที่พบปะของผู้คนมาตั้งแต่ครั้งอดีต "
    "ทุกฤดูใบไม้ผลิเด็ก ๆ จะนำเรือลำเล็กที่ทำเองมาลอยในน้ำ "
    "และคนทำขนมปังก็จะนำขนมปังสดใหม่มาแบ่งปันกัน เล่ากันว่าเรือที่ลอยไปถึงสะพานที่สองจะนำโชคดีมาให้เจ้าของตลอดทั้งปี",
}


def test_other_languages_are_not_judged_by_english_stop_words(spark: Any, tmp_path: Path) -> None:
    rows = [{"id": code, "text": text} for code, text in FOREIGN.items()]
    source, out = write(tmp_path / "in", rows, 1), tmp_path / "out"
    assert run(filter_quality, "--recipe", "gopher", "--input", str(source), "--output", str(out)) == 0
    assert {row["id"]: row["language"] for row in table(out / "kept")} == {"de": "de", "zh": "zh", "th": "th"}
