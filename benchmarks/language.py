"""Language detection against labelled text and against `langdetect` itself: accuracy, agreement, speed, calibration.

    python benchmarks/language.py DATA [--documents N] [--sets NAME…] [--speed] [--calibrate] [--json FILE]

DATA holds ``languages/{lingua_sentences_small,ntrex128_small,udhr}.jsonl.gz`` and ``corpus/**/*.jsonl.gz`` with
``{id, text, lang}``. Prints Markdown tables. The library is run with seeds 0 and 1, so that its agreement with itself
stands beside ours with it. Times are processor seconds, library and kernel by turns, a few documents at a time, so that
both meet the machine in the same state; of the kernel, which takes milliseconds, the median of several runs.
``--calibrate`` fits the weights of `udfs.language.CALIBRATION` on one half of what has a label (even rows of known
languages; unknown languages by the parity of their name); "held out" below is the other half.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from udfs import language

# Labels of the three sets that are languages `langdetect` has a profile of.
PROFILED = {
    "afr": "af", "arb": "ar", "bul": "bg", "ben": "bn", "cat": "ca", "ces": "cs", "cym": "cy", "dan": "da", "deu": "de",
    "ell": "el", "eng": "en", "spa": "es", "est": "et", "fas": "fa", "fin": "fi", "fra": "fr", "guj": "gu", "heb": "he",
    "hin": "hi", "hrv": "hr", "hun": "hu", "ind": "id", "ita": "it", "jpn": "ja", "kan": "kn", "kor": "ko", "lit": "lt",
    "lav": "lv", "mkd": "mk", "mal": "ml", "mar": "mr", "nep": "ne", "nld": "nl", "nob": "no", "pan": "pa", "pol": "pl",
    "por": "pt", "ron": "ro", "rus": "ru", "slk": "sk", "slv": "sl", "som": "so", "sqi": "sq", "swe": "sv", "swa": "sw",
    "swh": "sw", "tam": "ta", "tel": "te", "tha": "th", "fil": "tl", "tgl": "tl", "tur": "tr", "ukr": "uk", "urd": "ur",
    "vie": "vi", "als": "sq", "nno": "no", "nb": "no", "nn": "no", "prs": "fa", "pes_1": "fa", "pes_2": "fa",
    "cmn_hans": "zh", "cmn_hant": "zh", "zho-CN": "zh", "zho-TW": "zh", "deu_1901": "de", "ell_monotonic": "el",
    "ell_polytonic": "el", "por_BR": "pt", "por_PT": "pt", "ron_1993": "ro", "ron_1953": "ro", "eng-GB": "en",
    "eng-IN": "en", "eng-US": "en", "fra-CA": "fr", "por-BR": "pt", "spa-MX": "es",
}  # fmt: skip
# Written so nearly like a profiled language that either answer could be called right.
NEAR = frozenset({"bs", "bos", "bos_latn", "srp-Latn", "srp_latn", "ms", "msa", "yue"})
UNKNOWN = "?"
TURN = 64  # documents
RUNS = 9  # of the kernel, which takes milliseconds where the library takes seconds
SETS = ("lingua_sentences_small", "ntrex128_small", "udhr")
LENGTHS = ((1, 50), (51, 100), (101, 200), (201, 500), (501, 10**9))


def gold(label: str) -> str | None:
    """Return the language of a label, UNKNOWN where no profile has it, None where it is not to be judged."""
    if label in NEAR:
        return None
    if label in PROFILED:
        return PROFILED[label]
    code = label.split("-")[0].lower()
    return code if code in language.known_languages() else UNKNOWN


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_labelled(data: Path, sets: Sequence[str] = SETS) -> list[dict[str, Any]]:
    rows = []
    for name in sets:
        for row in read(data / "languages" / f"{name}.jsonl.gz"):
            label = gold(row.get("lang") or row["id"].partition("/")[2])
            if label is not None:
                rows.append({"set": name, "id": row["id"], "gold": label, "text": row["text"]})
    return rows


def read_documents(data: Path, count: int) -> list[dict[str, Any]]:
    """Return documents of more than 500 characters, as many of each file, drawn by a fixed seed."""
    files = sorted((data / "corpus").rglob("*.jsonl.gz"))
    rows = []
    for file in files:
        documents = [row for row in read(file) if len(row["text"]) > 500]
        random.Random(file.name).shuffle(documents)
        for row in documents[: count // len(files)]:
            label = gold(row["lang"].lower()) if row.get("lang") else None
            rows.append({"set": "documents", "id": row["id"], "gold": label, "text": row["text"]})
    return rows


def by_library(texts: Sequence[str], seed: int) -> tuple[list[str], float]:
    """Return the library's answers and the seconds it took."""
    from langdetect import detector_factory
    from langdetect.lang_detect_exception import LangDetectException

    detector_factory.init_factory()
    factory: Any = detector_factory._factory
    factory.seed = seed
    answers = []
    began = time.process_time()
    for text in texts:
        detector = factory.create()
        detector.append(text)
        try:
            answers.append(detector.detect().split("-")[0])
        except LangDetectException:
            answers.append("und")
    return answers, time.process_time() - began


def by_kernel(texts: Sequence[str]) -> tuple[language.Detection, float]:
    """Return the kernel's answers and the seconds it took, once it is compiled: the median of `RUNS`."""
    array = pa.array(texts, pa.large_string())
    found = language.detect(array)
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        language.detect(array)
        taken.append(time.process_time() - began)
    return found, statistics.median(taken)


def by_turns(texts: Sequence[str]) -> tuple[list[str], float, float]:
    """Return the library's answers, and the seconds that the library and the kernel took."""
    answers, library, kernel = [], 0.0, 0.0
    for first in range(0, len(texts), TURN):
        some = texts[first : first + TURN]
        found, seconds = by_library(some, seed=0)
        answers += found
        library += seconds
        kernel += by_kernel(some)[1]
    return answers, library, kernel


def share(right: Sequence[bool]) -> str:
    return f"{100 * sum(right) / len(right):.2f} %" if right else "–"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def is_held_out(place: int, row: dict[str, Any]) -> bool:
    """Say whether a row has no part in the calibration, given its place among all rows."""
    if row["gold"] != UNKNOWN:
        return place % 2 == 1
    return zlib.crc32(row["id"].split("/")[1].encode()) % 2 == 1


def report_accuracy(rows: list[dict[str, Any]]) -> None:
    known = [row for row in rows if row["gold"] not in (UNKNOWN, None)]
    lines = []
    for name, part in ((name, part) for name in SETS for part in ("all", "held out")):
        if not any(row["set"] == name for row in rows):
            continue
        chosen = [row for row in rows if row["set"] == name and (part == "all" or row["held_out"])]
        mine = [row for row in chosen if row["gold"] not in (UNKNOWN, None)]
        strange = [row for row in chosen if row["gold"] == UNKNOWN]
        lines.append([
            f"{name}, {part}",
            len(mine), *(share([row[who] == row["gold"] for row in mine]) for who in ("ours", "library")),
            len(strange), *(share([row[who] != "und" for row in strange]) for who in ("ours", "library")),
        ])  # fmt: skip
    print("## Accuracy, and acceptance of languages without a profile\n")
    table(["set", "known", "right", "library right", "unknown", "accepted", "library accepts"], lines)

    print("## By length (characters, known languages)\n")
    table(
        ["length", "texts", "right", "library right"],
        [
            [f"{low}–{high}" if high < 10**9 else f"{low}–", len(mine)]
            + [share([row[who] == row["gold"] for row in mine]) for who in ("ours", "library")]
            for low, high in LENGTHS
            for mine in [[row for row in known if low <= len(row["text"]) <= high]]
        ],
    )
    print("## By language\n")
    languages: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in known:
        languages[row["gold"]].append(row)
    lines = []
    for code, mine in sorted(languages.items()):
        wrong = Counter(row["ours"] for row in mine if row["ours"] != code)
        confused = ", ".join(f"{other} {count}" for other, count in wrong.most_common(3))
        scores = [share([row[who] == code for row in mine]) for who in ("ours", "library")]
        lines.append([code, len(mine), *scores, confused])
    table(["language", "texts", "right", "library right", "taken for"], lines)

    print("## Calibration (known languages)\n")
    bins = [(0, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 0.99), (0.99, 1.01)]
    lines = []
    for low, high in bins:
        mine = [row for row in known if low <= row["score"] < high]
        mean = f"{np.mean([row['score'] for row in mine]):.3f}" if mine else "–"
        lines.append([f"{low}–{min(high, 1)}", len(mine), mean, share([row["best"] == row["gold"] for row in mine])])
    table(["score", "texts", "mean score", "right"], lines)


def report_agreement(rows: list[dict[str, Any]]) -> None:
    sure = [row for row in rows if row["library"] == row["library_again"]]
    labelled = [row for row in rows if row["gold"] not in (None, UNKNOWN)]
    print(f"## Agreement on {len(rows)} documents of more than 500 characters\n")
    ours = [row["ours"] == row["library"] for row in rows]
    itself = [row["library"] == row["library_again"] for row in rows]
    table(
        ["", "documents", "share"],
        [
            ["ours agrees with the library", len(rows), share(ours)],
            ["of them, ours is und", len(rows), share([row["ours"] == "und" for row in rows])],
            ["our best guess agrees", len(rows), share([row["best"] == row["library"] for row in rows])],
            ["one_script agrees", len(rows), share([row["one_script"] == row["library"] for row in rows])],
            ["the library agrees with itself, other seed", len(rows), share(itself)],
            [
                "ours agrees where the library does with itself",
                len(sure),
                share([r["ours"] == r["library"] for r in sure]),
            ],
            *(
                [f"of the labelled, {name} is right", len(labelled), share([r[who] == r["gold"] for r in labelled])]
                for name, who in (("ours", "ours"), ("the library", "library"), ("one_script", "one_script"))
            ),
        ],
    )


def calibrate(rows: list[dict[str, Any]], measured: language.Measured) -> None:
    """Fit the logistic model by Newton's method and report the held-out half.

    Documents count as text in a known language, whatever they are labelled.
    """
    inputs = language.calibration_inputs(measured)
    right = np.array([row["best"] == row["gold"] for row in rows])
    known = np.array([row["gold"] != UNKNOWN for row in rows])
    judged = measured.best >= 0
    held_out = np.array([is_held_out(place, row) for place, row in enumerate(rows)])
    train, test = judged & ~held_out, judged & held_out
    weight = np.where(known, 1.0, 0.1 / 0.9 * known[train].sum() / max(1, (~known[train]).sum()))
    x, y, w = inputs[train], known[train].astype(float), weight[train]
    coefficients = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ coefficients, -40, 40)))
        hessian = (x * (w * p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, x.T @ (w * (y - p)) - 1e-3 * coefficients)
        coefficients += step
        if np.abs(step).max() < 1e-8:
            break
    print(f"CALIBRATION = {tuple(np.round(coefficients, 3).tolist())}\n")
    score = 1 / (1 + np.exp(-(inputs @ coefficients)))
    lines = []
    documents = np.array([row["set"] == "documents" for row in rows])
    for accept in (0.03, 0.06, 0.09, 0.12, 0.15, 0.18, 0.25, 0.5):
        kept = score >= accept
        accuracy = (right & kept)[test & known & ~documents].mean()
        figures = (accuracy, kept[test & ~known].mean(), kept[test & documents].mean())
        lines.append([accept, *(f"{100 * figure:.2f} %" for figure in figures)])
    table(
        ["accepted from", "held-out sentences: right", "held-out unknown: accepted", "held-out documents: accepted"],
        lines,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, help="labelled sets, all of them by default")
    parser.add_argument("--speed", action="store_true", help="only agreement and speed on the documents")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--json", type=Path, help="write every answer as JSON Lines")
    arguments = parser.parse_args()
    labelled = [] if arguments.speed else read_labelled(arguments.data, arguments.sets)
    documents = read_documents(arguments.data, arguments.documents)
    rows = labelled + documents
    texts = [row["text"] for row in rows]
    measured = language.measure(pa.array(texts, pa.large_string()))
    names = [*language.profile_names(), "und"]
    found, _ = by_kernel(texts)
    mixed = language.detect(pa.array(texts, pa.large_string()), backend="one_script").language.to_pylist()
    for i, row in enumerate(rows):
        row |= {"held_out": is_held_out(i, row), "one_script": mixed[i]}
        row |= {"ours": found.language[i].as_py(), "score": found.score[i].as_py()}
        row["best"] = names[measured.best[i]].split("-")[0]
    if arguments.calibrate:
        calibrate(rows, measured)
        return

    answers, _ = by_library([row["text"] for row in labelled], seed=0)
    for row, answer in zip(labelled, answers, strict=True):
        row["library"] = answer
    if labelled:
        report_accuracy(labelled)
    texts = [row["text"] for row in documents]
    again, _ = by_library(texts, seed=1)
    first, seconds, ours = by_turns(texts)
    for row, one, other in zip(documents, first, again, strict=True):
        row |= {"library": one, "library_again": other}
    report_agreement(documents)
    size = sum(len(text.encode()) for text in texts) / 1e6
    print("## Speed, one core, the same documents\n")
    table(
        ["", "documents a second", "MB a second", "factor"],
        [
            ["langdetect", f"{len(texts) / seconds:.0f}", f"{size / seconds:.2f}", 1],
            ["ours", f"{len(texts) / ours:.0f}", f"{size / ours:.1f}", f"{seconds / ours:.0f}"],
        ],
    )
    if arguments.json:
        lines = [json.dumps({key: value for key, value in row.items() if key != "text"}) for row in rows]
        arguments.json.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
