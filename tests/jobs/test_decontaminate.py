"""Decontamination as a job: reading test sets, building and refusing indexes, broadcast and join, idioms, reports."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyspark.sql import functions as F

from jobs import decontaminate as job
from jobs.core.errors import InputContractError
from jobs.core.recipe import Decontaminate, TestSet
from jobs.core.run import SetResult
from jobs.core.run_folder import StageFolder
from jobs.core.testsets import layouts, read_testsets

RIDDLE = (
    "A fox and two geese must cross a river in a boat that holds one passenger at a time, "
    "and the fox may not be left alone with"
)
QUESTIONS = [
    f"{RIDDLE} goose number {n}. In how many crossings does farmer {name} bring all of them to the other side?"
    for n, name in enumerate(["Anna", "Ben", "Clara", "David"])
]
LONG = (
    "Marlene plants tulips in nine rows of fourteen. A third of t"
    "hem come up yellow, half of the others come up red and "
    "what is left turns out to be white. She sells every yellow tulip for two dollars, every red one for three dollars "
    "and gives the white ones to her neighbours. How many dollars does Marlene earn with her tulips by the end of May?"
)
CHINESE = (
    "小明家的果园里有苹果树和梨树一共一百二十棵其中苹果树的棵数是梨树的三倍请问果园里"
    "苹果树和梨树各有多少棵如果每棵苹果树收获五十千克苹果一共可以收获多少千克"
)
HOST = (
    "The council met on Tuesday and talked about the new bridge, the budget, and the summer festival for children. " * 8
)


def write_lines(path: Path, records: list[dict]) -> Path:
    data = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = zstandard.compress(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def step(**changes: object) -> Decontaminate:
    return Decontaminate.model_validate(changes)


# ---------------------------------------------------------------------------------------------------- reading test sets

RECORDS = {
    "gsm8k": ("gsm8k/test.jsonl", {"question": "How many eggs?", "answer": "12 #### 12"}),
    "humaneval": (
        "HumanEval.jsonl.gz",
        {
            "task_id": "HumanEval/0",
            "prompt": "def f():",
            "canonical_solution": "  return 1",
            "test": "x",
            "entry_point": "f",
        },
    ),
    "mbpp": ("mbpp.jsonl", {"task_id": 1, "text": "Write f.", "code": "def f(): 0", "test_list": ["assert f()"]}),
    "mbpp_sanitized": (
        "sanitized-mbpp.json",
        {"task_id": 1, "prompt": "Write f.", "code": "def f(): 0", "test_list": ["a"]},
    ),
    "mmlu": ("mmlu/test.jsonl", {"question": "Which?", "subject": "law", "choices": ["a", "b"], "answer": 1}),
    "arc": (
        "ARC-Easy/test.jsonl",
        {"id": "M_1", "question": "Which?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"},
    ),
    "arc_jsonl": (
        "ARC-Easy-Test.jsonl",
        {"id": "M_1", "question": {"stem": "Which?", "choices": [{"text": "a", "label": "A"}]}, "answerKey": "A"},
    ),
    "openbookqa": (
        "openbookqa.jsonl",
        {"id": "1", "question_stem": "Which?", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "A"},
    ),
    "hellaswag": (
        "hellaswag_val.jsonl",
        {"ind": 4, "ctx": "A man sits", "endings": ["and eats", "and flies"], "label": 0},
    ),
    "truthfulqa": ("tqa.jsonl", {"question": "Why?", "best_answer": "So", "correct_answers": ["So"], "type": "x"}),
    "truthfulqa_mc": ("mc_task.json", {"question": "Why?", "mc1_targets": {"choices": ["So"], "labels": [1]}}),
    "bbh": ("bbh/navigate.json", {"examples": [{"input": "Turn left?", "target": "Yes"}], "canary": "x"}),
    "lambada": ("lambada_test.jsonl", {"text": "He opened the door"}),
    "squad": (
        "squad/validation.jsonl",
        {
            "id": "5",
            "title": "T",
            "context": "Long ago.",
            "question": "When?",
            "answers": {"text": ["Long ago"], "answer_start": [0]},
        },
    ),
    "squad_json": (
        "dev-v1.1.json",
        {
            "version": "1.1",
            "data": [
                {
                    "title": "T",
                    "paragraphs": [
                        {
                            "context": "Long ago.",
                            "qas": [
                                {"id": "5", "question": "When?", "answers": [{"text": "Long ago", "answer_start": 0}]}
                            ],
                        }
                    ],
                }
            ],
        },
    ),
    "piqa": ("piqa/valid.jsonl", {"goal": "Open a jar", "sol1": "turn it", "sol2": "eat it", "label": 0}),
    "wikitext103": ("wikitext-103/test.jsonl", {"text": "A paragraph of the article ."}),
    "ceval": (
        "ceval/law_val.jsonl",
        {"id": 0, "question": "哪一项？", "A": "甲", "B": "乙", "C": "丙", "D": "丁", "answer": "A"},
    ),
    "cmmlu": ("cmmlu/law.jsonl", {"Question": "哪一项？", "A": "甲", "B": "乙", "C": "丙", "D": "丁", "Answer": "A"}),
    "items": ("mine.jsonl", {"dataset": "d", "split": "s", "id": "i", "text": "Which? This."}),
}


@pytest.mark.parametrize("layout", sorted(RECORDS))
def test_a_benchmark_is_recognised_by_its_fields_and_file_name(layout: str, tmp_path: Path) -> None:
    name, record = RECORDS[layout]
    read = read_testsets([str(write_lines(tmp_path / name, [record]))])
    assert read.inputs[0]["layout"] == layout
    (item,) = read.items.to_pylist()
    assert item["question"]
    assert item["id"]
    expected = layouts()[layout].dataset
    if expected is not None and layout != "truthfulqa":  # tqa.jsonl does not name its benchmark
        assert item["dataset"] == expected
    if layout not in ("lambada", "wikitext103", "items"):
        assert item["answer"]


def test_every_layout_that_is_shipped_is_tried_on_a_record() -> None:
    assert set(layouts()) - {"mmlu_csv", "truthfulqa_csv"} == set(RECORDS)


def test_a_context_is_kept_apart_from_question_and_answer(tmp_path: Path) -> None:
    name, record = RECORDS["squad_json"]
    (item,) = read_testsets([str(write_lines(tmp_path / name, [record]))]).items.to_pylist()
    assert (item["question"], item["answer"], item["context"]) == ("When?", "Long ago", "Long ago.")
    assert (item["dataset"], item["split"], item["id"]) == ("squad", "dev", "5")


def test_csv_files_with_and_without_a_header_are_read(tmp_path: Path) -> None:
    headless = tmp_path / "mmlu" / "test" / "anatomy_test.csv"
    headless.parent.mkdir(parents=True)
    headless.write_text('"Which bone, of these?",hip,rib,jaw,ulna,B\n')
    headed = tmp_path / "ceval" / "law_val.csv"
    headed.parent.mkdir()
    headed.write_text("id,question,A,B,C,D,answer\n0,哪一项？,甲,乙,丙,丁,A\n")
    items = read_testsets([str(headless), str(headed)]).items.to_pylist()
    assert [item["answer"].split("\n")[0] for item in items] == ["hip", "甲"]
    assert [item["dataset"] for item in items] == ["mmlu", "ceval"]


def test_the_rest_of_a_text_after_its_question_is_the_answer(tmp_path: Path) -> None:
    record = {"dataset": "d", "split": "test", "id": "1", "text": "Why?\nBecause.", "question": "Why?"}
    (item,) = read_testsets([str(write_lines(tmp_path / "d.jsonl", [record]))]).items.to_pylist()
    assert (item["question"], item["answer"]) == ("Why?", "Because.")


def test_a_folder_of_many_sets_and_formats_is_read_whole(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl.zst", [{"dataset": "a", "id": "1", "text": LONG}])
    write_lines(tmp_path / "deep" / "b.jsonl.gz", [{"dataset": "b", "id": "1", "text": LONG}])
    pq.write_table(pa.table({"question": [LONG], "answer": ["x"]}), tmp_path / "gsm8k.parquet")
    (tmp_path / "README.md").write_text("not a test set")
    read = read_testsets([str(tmp_path)])
    assert sorted(read.items["dataset"].to_pylist()) == ["a", "b", "gsm8k"]
    assert len({entry["sha256"] for entry in read.inputs}) == 3


def test_a_layout_and_a_name_can_be_given(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "x.jsonl", [{"prompt": "def f(x):", "canonical_solution": "  return x", "task_id": "0"}]
    )
    read = read_testsets([TestSet(path=str(path), layout="humaneval", dataset="ours")])
    assert read.items["dataset"].to_pylist() == ["ours"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "holds no items"),
        ("blank.jsonl.gz", gzip.compress(b"\n\n"), "holds no items"),
        ("zero.jsonl.gz", b"", "holds no items"),
        ("cut.jsonl.gz", gzip.compress(b'{"text": "abc"}\n' * 99)[:-12], "damaged test set"),
        ("broken.jsonl", b'{"text": "good"}\n{"text": "ba\n', "line 2: no record"),
        ("list.jsonl", b"[1, 2]\n", "line 1: no record"),
        ("other.jsonl", b'{"foo": 1, "bar": 2}\n', "no known layout of a test set has the fields bar, foo"),
        ("later.jsonl", b'{"text": "good"}\n{"txet": "bad"}\n', "line 2: none of the fields text"),
        ("nested.jsonl", b'{"text": {"a": 1}}\n', "field text is not text but dict"),
        ("damaged.parquet", b"PAR1 not really PAR1", "damaged test set"),
        ("headings.jsonl", b'{"text": " = A = "}\n', "no record of this test set is an item"),
        ("testset.pdf", b"%PDF", "cannot tell the format"),
        ("latin.csv", "question,answer\ncaf\xe9,x\n".encode("latin-1"), "is not UTF-8"),
    ],
)
def test_a_test_set_that_cannot_be_read_is_an_error_with_file_and_place(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / ("wikitext" if name.startswith("headings") else "sets") / name
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputContractError, match=message) as caught:
        read_testsets([str(path)])
    assert name in str(caught.value)


def test_missing_paths_empty_folders_and_no_test_sets_at_all_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputContractError, match="there is no such test set"):
        read_testsets([str(tmp_path / "nowhere.jsonl")])
    with pytest.raises(InputContractError, match="holds no test set"):
        read_testsets([str(tmp_path)])
    with pytest.raises(InputContractError, match="no test sets were given"):
        read_testsets([])


# ---------------------------------------------------------------------------------------------------------------- index


def test_a_test_set_of_short_items_only_is_an_error_that_says_how_short(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "short.jsonl", [{"dataset": "short", "id": str(n), "text": "far too short"} for n in range(3)]
    )
    with pytest.raises(InputContractError, match="none of the 3 test items can be tested: the longest has 3 words"):
        job.build_index_from_paths([str(path)], step(), tmp_path / "index")


def test_an_index_of_other_parameters_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"dataset": "a", "id": "1", "text": LONG}])
    metadata = job.build_index_from_paths([str(path)], step(), tmp_path / "index")
    assert metadata["inputs"][0]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(InputContractError, match="the recipe asks for"):
        job.opened_index(tmp_path / "index", step(policy="gpt3"))
    with pytest.raises(InputContractError, match="no decontamination index here"):
        job.opened_index(tmp_path / "other", step())


def test_test_sets_join_the_items_of_a_ready_index(tmp_path: Path) -> None:
    first = write_lines(tmp_path / "a.jsonl", [{"dataset": "a", "id": "1", "text": LONG}])
    second = write_lines(tmp_path / "b.jsonl", [{"dataset": "b", "id": "1", "text": QUESTIONS[0]}])
    job.build_index_from_paths([str(first)], step(), tmp_path / "one")
    metadata = job.build_index_from_paths([str(second)], step(index=str(tmp_path / "one")), tmp_path / "both")
    assert metadata["items"] == 2
    assert len(metadata["inputs"]) == 2


# ------------------------------------------------------------------------------------------------------------ documents

TEXTS = {
    "clean": HOST,
    "verbatim": LONG,
    "embedded": f"{HOST}\n{LONG}\n{HOST}",
    "wrapped": HOST + LONG.lower().replace(" ", "\n"),
    "first half": LONG[: len(LONG) * 6 // 10],
    "chinese": f"今天的作业：{CHINESE[:40]}，{CHINESE[40:]}？",
    "template": RIDDLE + " goose number 9. In how many crossings does farmer Zoe bring all of them over?",
    "riddle": f"{HOST} {QUESTIONS[2]}",
    "null": None,
    "blank": " ",
}
CONTAMINATED = {"verbatim", "embedded", "wrapped", "first half", "chinese", "riddle"}


@pytest.fixture(scope="module")
def testset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("testsets")
    records = [{"dataset": "riddles", "split": "test", "id": f"r{n}", "text": text} for n, text in enumerate(QUESTIONS)]
    write_lines(
        folder / "riddles.jsonl",
        [*records, {"dataset": "riddles", "split": "test", "id": "short", "text": "Why is it so?"}],
    )
    write_lines(folder / "long.jsonl", [{"dataset": "long", "split": "test", "id": "tulips", "text": LONG}])
    write_lines(folder / "zh.jsonl", [{"dataset": "zh", "split": "test", "id": "trees", "text": CHINESE}])
    return folder


@pytest.fixture(scope="module")
def documents(spark):
    rows = [(name, hashlib.blake2b(name.encode(), digest_size=16).digest(), text) for name, text in TEXTS.items()]
    return spark.createDataFrame(rows, "id string, key binary, text string").cache()


@pytest.fixture(scope="module")
def index(testset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "index"
    job.build_index_from_paths([str(testset)], step(), folder)
    return folder


def found_in(frame) -> dict[str, dict]:
    return {
        row["id"]: row["contamination"].asDict(recursive=True) for row in frame.select("id", "contamination").collect()
    }


def test_contaminated_documents_are_found_and_others_are_not(documents, index: Path) -> None:
    found = found_in(job.find_contamination(documents, step(), index))
    assert {name for name, row in found.items() if row["contaminated"]} == CONTAMINATED
    assert all(row["removed"] == (name in CONTAMINATED) for name, row in found.items())
    assert [match["item_id"] for match in found["riddle"]["matches"]] == ["r2"]


def test_partitions_and_order_of_rows_change_nothing(documents, index: Path) -> None:
    wanted = found_in(job.find_contamination(documents, step(), index))
    for count in (1, 7):
        shuffled = documents.repartition(count, F.xxhash64("id"))
        assert found_in(job.find_contamination(shuffled, step(), index)) == wanted


@pytest.mark.parametrize("policy", ["coverage", "gpt3", "gopher"])
def test_the_join_by_hash_gives_the_answer_of_the_broadcast(
    documents, testset: Path, tmp_path: Path, policy: str
) -> None:
    small = step(policy=policy, max_index_bytes=1_000, max_documents=2)
    large = step(policy=policy, max_documents=2)
    job.build_index_from_paths([str(testset)], small, tmp_path / "join")
    job.build_index_from_paths([str(testset)], large, tmp_path / "broadcast")
    for folder in ("join", "broadcast"):
        assert job.idioms(documents, large, tmp_path / folder) > 0
    joined = job.find_contamination(documents, small, tmp_path / "join")
    assert "hash" in joined._jdf.queryExecution().toString()
    assert found_in(joined) == found_in(job.find_contamination(documents, large, tmp_path / "broadcast"))


def test_rows_that_are_removed_already_are_not_searched(documents, index: Path) -> None:
    alive = F.when(F.col("id") != "verbatim", F.col("text"))
    found = found_in(job.find_contamination(documents, step(), index, text=alive))
    assert {name for name, row in found.items() if row["contaminated"]} == CONTAMINATED - {"verbatim"}


def run_step(spark, documents, settings: Decontaminate, folder: Path) -> SetResult:
    path = str(folder / "documents")
    documents.withColumn("copy", F.xxhash64("id")).write.parquet(path)
    return job.decontaminate(spark.read.parquet(path), settings, StageFolder(str(folder)))


def test_a_run_removes_what_holds_an_item_and_says_why(spark, documents, testset: Path, tmp_path: Path) -> None:
    result = run_step(spark, documents, step(testsets=[str(testset)]), tmp_path)
    decisions = result.decisions.join(documents.select("key", "id"), on="key").collect()
    assert {row["id"] for row in decisions} == CONTAMINATED
    rules = {row["reasons"][0]["rule"] for row in decisions}
    assert rules <= {"item_coverage", "question_coverage", "matched_run_words"}
    assert all(row["copy"] is not None for row in decisions)
    assert result.edits is None
    assert result.facts["contaminated"] == len(CONTAMINATED)
    assert {name: table.count() for name, table in result.tables.items()} == {
        "contamination": len(CONTAMINATED),
        "items": 7,
        "testsets": 3,
    }


def test_a_run_that_cuts_keeps_the_rest_of_the_text(spark, documents, testset: Path, tmp_path: Path) -> None:
    settings = step(testsets=[str(testset)], policy="gpt3", idiom_sample_documents=0)
    result = run_step(spark, documents, settings, tmp_path)
    edits = {row["id"]: row for row in result.edits.join(documents.select("key", "id"), on="key").collect()}
    removed = {row["id"]: row for row in result.decisions.join(documents.select("key", "id"), on="key").collect()}
    assert removed["verbatim"]["reasons"][0]["rule"] == "text_left_chars"
    assert "tulip" not in edits["embedded"]["text"]
    assert edits["embedded"]["cuts"][0]["text"].count("tulips") == 2
    assert not {"clean", "null", "blank"} & {*edits, *removed}


def test_a_run_that_flags_changes_nothing(spark, documents, testset: Path, tmp_path: Path) -> None:
    result = run_step(spark, documents, step(testsets=[str(testset)], policy="flag"), tmp_path)
    assert result.decisions.count() == 0
    assert result.edits is None
    assert result.tables["contamination"].count() == len(CONTAMINATED)


def test_a_run_counts_idioms_on_its_own_documents_with_the_smallest_keys(spark, testset: Path, tmp_path: Path) -> None:
    rows = [(f"{n}", bytes([n * 12] * 16), f"{RIDDLE} {n}") for n in range(20)]
    frame = spark.createDataFrame(rows, "id string, key binary, text string")
    settings = step(testsets=[str(testset)], max_documents=5)
    assert run_step(spark, frame, settings, tmp_path / "all").facts["idioms"] == len(RIDDLE.split()) - 7
    few = step(testsets=[str(testset)], max_documents=5, idiom_sample_documents=4)
    assert run_step(spark, frame, few, tmp_path / "few").facts["idioms"] == 0


def test_a_run_with_an_index_too_large_to_ship_decides_alike(spark, documents, testset: Path, tmp_path: Path) -> None:
    results = [
        run_step(
            spark,
            documents,
            step(testsets=[str(testset)], max_index_bytes=size, max_documents=2),
            tmp_path / str(size),
        )
        for size in (1_000, 1 << 30)
    ]
    tables = [sorted(map(repr, result.tables["contamination"].collect())) for result in results]
    assert tables[0] == tables[1]
    assert results[0].facts["idioms"] == results[1].facts["idioms"] > 0


def test_idioms_of_a_sample_are_no_evidence(spark, tmp_path: Path) -> None:
    licence = (
        "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and to deal"
    )
    path = write_lines(
        tmp_path / "a.jsonl",
        [{"dataset": "a", "id": "1", "text": f"{licence} freely. What does this licence allow one to do?"}],
    )
    settings = step(max_documents=3)
    job.build_index_from_paths([str(path)], settings, tmp_path / "index")
    sample = spark.createDataFrame([(f"{licence} number {n}",) for n in range(5)], "text string")
    count = job.idioms(sample, settings, tmp_path / "index")
    assert count == len(licence.split()) - 7
    marked = job.find_contamination(sample.select(F.col("text").alias("id"), "text"), settings, tmp_path / "index")
    assert not any(row["contaminated"] for row in found_in(marked).values())


def test_every_item_is_listed_with_where_it_was_found_or_why_it_cannot_be_tested(documents, index: Path) -> None:
    marked = job.find_contamination(documents, step(), index)
    items = job.item_report(marked, index, step())
    rows = {(row["dataset"], row["item_id"]): row for row in items.collect()}
    assert len(rows) == 7
    assert rows["riddles", "short"]["testable"] is False
    assert rows["riddles", "short"]["not_testable_because"] == "4 words, fewer than 8"
    assert rows["riddles", "r2"]["document_ids"] == ["riddle"]
    assert rows["riddles", "r0"]["found"] is False
    assert rows["long", "tulips"]["documents"] == 4
    assert len(rows["long", "tulips"]["document_ids"]) == 3
    sums = {row["dataset"]: row for row in job.dataset_report(items).collect()}
    assert (sums["riddles"]["items"], sums["riddles"]["testable"], sums["riddles"]["found"]) == (5, 4, 1)
    assert sum(sums["long"]["coverage_histogram"]) == 1


def test_the_contamination_table_has_a_row_for_each_document_and_item(documents, index: Path) -> None:
    table = job.contamination_table(job.find_contamination(documents, step(), index))
    rows = table.collect()
    assert {row["document_id"] for row in rows} == CONTAMINATED
    assert {
        "dataset",
        "item_id",
        "matched_ngrams",
        "item_coverage",
        "document_coverage",
        "longest_run",
        "spans",
        "matched_text",
    } <= set(table.columns)
