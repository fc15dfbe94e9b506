"""A refresh that is killed, and two at once: readers see the old version or the new one, and nothing is lost."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from jobs import refresh as job
from jobs import vacuum
from jobs.core import faultpoint
from jobs.core.errors import ConflictError
from jobs.core.faultpoint import POINTS
from jobs.core.job import with_inputs
from jobs.core.recipe_file import resolve_recipe

RECIPE = """
recipe: exact
ingest: {max_bad_fraction: 1}
languages: {detect: false, default: en}
steps:
  dedup_exact: {}
"""
BATCHES = {"zero": (0, 20), "one": (15, 40), "two": (30, 50)}  # the pages of each: they overlap
SEEN_FROM = POINTS.index("committed")
SHORT_LIVED = (  # a Java machine of seconds: compiling its code well would cost more than running it
    *("--master", "local[1]", "--conf", "spark.sql.codegen.wholeStage=false"),
    *("--conf", "spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1"),
)
SHORT_FORM = ("first-document-moved",)


def lines(first: int, last: int) -> str:
    rows = [
        {"id": f"d{n:02}", "url": f"https://a.example/{n}", "text": f"page number {n} of the lot"}
        for n in range(first, last)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def base(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of one refresh, and the inputs of two further ones."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "recipe.yaml").write_text(RECIPE)
    for name, pages in BATCHES.items():
        (folder / name).mkdir()
        (folder / name / "part.jsonl").write_text(lines(*pages))
    assert job.main(arguments(folder, folder / "corpus", "zero")) == 0
    return folder


@pytest.fixture
def corpus(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base / "corpus", tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.fixture(scope="module")
def undisturbed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What the corpus holds after a refresh that nothing disturbed."""
    corpus = tmp_path_factory.mktemp("undisturbed") / "corpus"
    shutil.copytree(base / "corpus", corpus)
    assert job.main(arguments(base, corpus, "one")) == 0
    return contents(corpus, "one")


@pytest.fixture(autouse=True)
def no_hook() -> Iterator[None]:
    yield
    faultpoint.on_reach = None


def arguments(base: Path, corpus: Path, batch: str) -> list[str]:
    recipe, source = str(base / "recipe.yaml"), str(base / batch)
    return ["--recipe", recipe, "--corpus", str(corpus), "--input", source, "--run-id", f"run-{batch}"]


def documents(corpus: Path) -> list[tuple[str, str]]:
    """(id, snapshot) of all documents, by a reader that knows nothing of Winnow."""
    return sorted(pl.read_delta(str(corpus / "documents")).select("id", "snapshot").rows())


def after(*batches: str) -> list[tuple[str, str]]:
    """(id, snapshot) of all documents after these batches: of equal ones the older stays."""
    found: dict[str, str] = {}
    for batch in batches:
        for number in range(*BATCHES[batch]):
            found.setdefault(f"d{number:02}", f"run-{batch}")
    return sorted(found.items())


def contents(corpus: Path, last: str) -> bytes:
    """All that a version holds and says of its last refresh, without the names of files and the times."""
    run, table = corpus / "runs" / f"run-{last}", DeltaTable(str(corpus / "documents"))
    names = [path.rpartition("/documents/")[2] for path in table.file_uris()]
    tables = {
        "documents": pl.read_delta(str(corpus / "documents")),
        "state": pl.concat([pl.read_parquet(corpus / "state" / n.removeprefix("snapshot=")) for n in names]),
        "removed": pl.read_parquet(str(run / "removed" / "*.parquet")),
        "signals": pl.read_parquet(str(run / "signals" / "*.parquet")),
    }
    rows = {name: sorted(repr(row) for row in frame.rows()) for name, frame in tables.items()}
    return json.dumps([rows, json.loads((run / "ledger.json").read_text())["totals"]], indent=1).encode()


def needless_files(corpus: Path) -> list[str]:
    """Files and folders of the corpus that its newest version does not need."""
    table = DeltaTable(str(corpus / "documents"))
    manifest = json.loads((corpus / "manifests" / table.history(1)[0]["manifest"]).read_text())
    listed = {path.rpartition("/documents/")[2] for path in table.file_uris()}
    found = list(listed ^ relative(corpus / "documents", "*.parquet"))
    states = {name.removeprefix("snapshot=") for name in listed}
    found += states ^ relative(corpus / "state", "part-*.parquet")
    found += {path.name for path in (corpus / "runs").iterdir()} - set(manifest["done"])
    found += [path.name for path in (corpus / "work").glob("*")]
    return sorted(found)


def relative(folder: Path, pattern: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob(pattern)}


# --------------------------------------------------------------------------------------------------------------- killed


def killed(base: Path, corpus: Path, point: str) -> None:
    """Run a refresh in a process of its own that ends itself with SIGKILL at a point."""
    environment = {**os.environ, faultpoint.VARIABLE: point}
    command = [sys.executable, "-m", "jobs.cli", "refresh", *arguments(base, corpus, "one"), *SHORT_LIVED]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]
    old, new = after("zero"), after("zero", "one")
    assert documents(corpus) == (new if POINTS.index(point) >= SEEN_FROM else old)


def completed(base: Path, corpus: Path, undisturbed: bytes) -> None:
    """The same command again: it ends as if nothing had happened, once only, and leaves nothing that is not needed."""
    assert job.main(arguments(base, corpus, "one")) == 0
    assert contents(corpus, "one") == undisturbed
    versions = [entry["run_id"] for entry in DeltaTable(str(corpus / "documents")).history() if "run_id" in entry]
    assert versions == ["run-one", "run-zero"]
    collect(corpus)
    assert contents(corpus, "one") == undisturbed


def collect(corpus: Path) -> None:
    assert vacuum.main(["--corpus", str(corpus), "--older-than-hours", "0"]) == 0
    assert needless_files(corpus) == []


@pytest.mark.parametrize("point", SHORT_FORM)
def test_a_killed_refresh_is_completed_by_the_next_attempt(
    spark: Any, base: Path, corpus: Path, undisturbed: bytes, point: str
) -> None:
    killed(base, corpus, point)
    assert needless_files(corpus)
    completed(base, corpus, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_refresh_killed_at_any_of_twelve_points_is_completed_or_collected(
    spark: Any, base: Path, corpus: Path, tmp_path: Path, undisturbed: bytes, point: str
) -> None:
    assert len(POINTS) == 12
    killed(base, corpus, point)
    other = tmp_path / "other"
    shutil.copytree(corpus, other)
    completed(base, corpus, undisturbed)
    seen = documents(other)
    collect(other)
    assert documents(other) == seen
    completed(base, other, undisturbed)


# ---------------------------------------------------------------------------------------------------------- two at once


def at_once(spark: Any, base: Path, corpus: Path, waits: dict[str, str]) -> dict[str, Any]:
    """One refresh comes to a point and waits, another comes to its point and waits; then the first goes on to its end,
    then the second. What became of each: its outcome or its error.
    """
    outcomes: dict[str, Any] = {}
    arrived = {name: threading.Event() for name in waits}
    released = {name: threading.Event() for name in waits}

    def on_reach(point: str) -> None:
        name = threading.current_thread().name
        if waits.get(name) == point:
            arrived[name].set()
            assert released[name].wait(300)

    def run(name: str) -> None:
        resolved = with_inputs(resolve_recipe(str(base / "recipe.yaml"), []), [str(base / name)], [])
        try:
            outcomes[name] = job.refresh(spark, job.RefreshRequest(resolved, str(corpus), f"run-{name}"))
        except Exception as error:
            outcomes[name] = error
        arrived[name].set()

    faultpoint.on_reach = on_reach
    threads = {name: threading.Thread(target=run, args=(name,), name=name) for name in waits}
    for name, thread in threads.items():
        thread.start()
        assert arrived[name].wait(300)
    for name, thread in threads.items():
        released[name].set()
        thread.join(300)
    faultpoint.on_reach = None
    return outcomes


def check_interleaving(spark: Any, base: Path, corpus: Path, before: Sequence[str], first: str, second: str) -> None:
    outcomes = at_once(spark, base, corpus, {"one": first, "two": second})
    failed = [name for name, outcome in outcomes.items() if isinstance(outcome, Exception)]
    # The second saw the first's version only if that was there before it looked.
    assert len(failed) == (1 if POINTS.index(first) < SEEN_FROM else 0), outcomes
    order = [*(name for name in outcomes if name not in failed), *failed]
    for name in failed:
        assert isinstance(outcomes[name], ConflictError), outcomes[name]
        assert f"refresh run-{order[0]} published" in str(outcomes[name])
        assert documents(corpus) == after(*before, order[0])
        assert job.main(arguments(base, corpus, name)) == 0
    assert documents(corpus) == after(*before, *(order if failed else ("one", "two")))
    collect(corpus)
    assert documents(corpus) == after(*before, *(order if failed else ("one", "two")))


@pytest.mark.parametrize(("first", "second"), [("steps-done", "manifest-written")])
def test_of_two_refreshes_at_once_one_wins_and_nothing_is_lost(
    spark: Any, base: Path, corpus: Path, first: str, second: str
) -> None:
    check_interleaving(spark, base, corpus, ("zero",), first, second)


INTERLEAVINGS = random.Random(8).sample(list(itertools.product((True, False), POINTS, POINTS)), 20)


@pytest.mark.slow
@pytest.mark.parametrize(("grown", "first", "second"), INTERLEAVINGS)
def test_twenty_interleavings_of_two_refreshes(
    spark: Any, base: Path, corpus: Path, tmp_path: Path, grown: bool, first: str, second: str
) -> None:
    if grown:
        check_interleaving(spark, base, corpus, ("zero",), first, second)
    else:  # both make the corpus
        check_interleaving(spark, base, tmp_path / "new", (), first, second)
