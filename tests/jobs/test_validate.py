"""`winnow validate`: what it prints, how it ends, and that it starts no Spark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.validate import main


def test_a_sound_recipe_prints_its_steps_and_rules_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gopher", "--set", "steps.filter_quality.word_count.min=40"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("recipe gopher, sha256 ") and lines[-1] == "the recipe is sound"
    assert any(line.split() == ["word_count", ">=", "40", "and", "<=", "100000"] for line in lines)
    assert any("mean_word_length" in line and "de: >= 3 and <= 15" in line for line in lines)
    assert any("decontaminate" in line and "does nothing: names no test set" in line for line in lines)
    steps = [line.split()[1] for line in lines if line[:5].strip().isdigit()]
    assert steps[0] == "extract_text" and steps[-1] == "dedup_near"


def test_every_mistake_is_printed_and_the_command_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("recipe: r\nsteps:\n  redact: {kinds: [mail]}\n  dedup_exct: {}\n  redact: {}\ngates: {x: 1}\n")
    assert main([str(path), "--set", "keep_signals=3"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    for start in (
        f"{path}:3:20: steps.redact.kinds[0]: must be one of email,",
        f"{path}:4:3: ",
        f"{path}:5:3: ",
        f"{path}:6:9: ",
    ):
        assert any(line.startswith(start) for line in printed.err.splitlines()), start
    assert "--set keep_signals=3: keep_signals: must be true or false, not 3" in printed.err


def test_sources_that_differ_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "extends: gopher\n"
        "sources:\n"
        "  web: {input: crawl/*.warc.gz, rank: 2}\n"
        "  books: {input: books, rank: 1, steps: {filter_repetition: off, filter_quality: {word_count: {max: null}}}}\n"
    )
    assert main([str(path)]) == 0
    out = capsys.readouterr().out
    assert "  web: crawl/*.warc.gz (format auto, rank 2)" in out
    assert "off for source books" in out
    assert "books/en" in next(line for line in out.splitlines() if "word_count" in line)


def test_lists_that_are_absent_or_unused_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "recipe: r\nsteps: {filter_content: {lexicons: {bad: {path: nowhere.txt}}, url_words: {soft: y}}}\n"
    )
    assert main([str(path)]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: lexicon bad is measured but no rule bounds it",
        "note: url_words.soft are counted but no rule bounds url_soft_hits",
        "note: steps.filter_content.lexicons.bad.path: there is no file nowhere.txt here",
    ]


def test_the_resolved_recipe_and_the_schema_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fineweb", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"] == "fineweb"
    assert main(["--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Winnow recipe"


def test_without_a_recipe_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "winnow validate gopher" in capsys.readouterr().err


def test_no_spark_and_no_kernel_is_loaded() -> None:
    code = (
        "import sys; from jobs.validate import main; main(['gopher']);"
        "sys.exit(sorted(set(sys.modules) & {'pyspark', 'numba', 'pyarrow', 'numpy'}).__len__())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
