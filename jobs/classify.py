"""Judge pages by small models of examples: harmful or not, like a reference corpus or not.

``winnow classify`` scores documents by the recipe's models (``steps.classify.models``; signals ``classifier_NAME``) and
removes those outside the bounds. Shuffles nothing. ``winnow classify train`` makes a model from labelled documents, on
this machine and without Spark: examples are thousands, not a corpus. Every fifth example, by the digest of its text, is
held out, and the model is judged on those. Definition and sources: ``udfs.classifier``.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs.core import command
from jobs.core.console import say
from jobs.core.errors import InputContractError, UsageError
from jobs.core.job import Job, run_job

JOB = Job(
    name="classify",
    summary="Remove documents by the scores of small models (winnow classify train makes one).",
    example="winnow classify --recipe mine.yaml --input texts/kept --output judged",
    steps=("classify",),
)
HELD_OUT = 5  # one example in so many


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""
    words = list(sys.argv[1:] if argv is None else argv)
    return _train_command(words[1:]) if words[:1] == ["train"] else run_job(JOB, words)


def _train_command(argv: Sequence[str]) -> int:
    def body() -> int:
        arguments = command.parser(
            "classify train",
            "Train a model on labelled documents (JSON Lines, plain or gzip, or Parquet). Starts no Spark.",
            "winnow classify train --labelled pages.jsonl.gz --label kind --positive harmful --output model",
        )
        arguments.add_argument("--labelled", metavar="PATH", nargs="+", required=True, help="files of examples")
        arguments.add_argument("--text", metavar="FIELD", default="text", help="field with the text (default: text)")
        arguments.add_argument(
            "--label", metavar="FIELD", default="label", help="field with the label (default: label)"
        )
        arguments.add_argument("--positive", metavar="VALUE", nargs="+", required=True, help="labels that score high")
        arguments.add_argument(
            "--ngram", metavar="N", type=command.positive, default=2, help="longest n-gram, in words"
        )
        arguments.add_argument(
            "--bits", metavar="B", type=command.positive, default=18, help="2^B weights (default: 18)"
        )
        arguments.add_argument("--output", metavar="DIR", required=True, help="folder to write, not there yet")
        command.add_log_arguments(arguments)
        chosen = arguments.parse_args(argv)
        command.start_logging(chosen)
        if Path(chosen.output).exists():
            raise UsageError(f"{chosen.output} exists", next_step="choose another folder for the model")
        metrics = train_model(
            [Path(path) for path in chosen.labelled],
            Path(chosen.output),
            text=chosen.text,
            label=chosen.label,
            positive=chosen.positive,
            ngram=chosen.ngram,
            bits=chosen.bits,
        )
        held_out = metrics["held_out"]
        say(
            f"model written to {chosen.output} (sha256 {metrics['sha256']}); of {held_out['examples']} held-out "
            f"examples {held_out['accuracy']:.4f} are right, area under the curve {held_out['roc_auc']:.4f}"
        )
        return 0

    return command.end_well(body, verbose="--verbose" in argv)


def train_model(
    files: Sequence[Path],
    folder: Path,
    *,
    text: str = "text",
    label: str = "label",
    positive: Sequence[str] = ("1",),
    ngram: int = 2,
    bits: int = 18,
) -> dict[str, Any]:
    """Train a model on the examples of some files, write it with its metrics; the metrics.

    Raises ``InputContractError`` for files without such fields or without examples of both kinds, ``UsageError`` for a
    shape that no model has.
    """
    import hashlib

    import numpy as np
    import pyarrow as pa

    from udfs.classifier import METRICS_FILE, Shape, save_model, score, train

    try:
        shape = Shape(ngram, bits)
    except ValueError as error:
        raise UsageError(str(error)) from None
    # Equal examples are one: a copy must not be on both sides of the split.
    examples = sorted({(row[0], row[1]) for file in files for row in _examples(file, text, label)})
    texts = [each for each, _ in examples]
    labels = np.array([name in positive for _, name in examples], dtype=bool)
    digests = [hashlib.blake2b(each.encode(), digest_size=8).digest() for each in texts]
    held_out = np.array([int.from_bytes(digest, "big") % HELD_OUT == 0 for digest in digests], dtype=bool)
    for name, part in (("to train on", ~held_out), ("held out", held_out)):
        if len(set(labels[part].tolist())) < 2:
            raise InputContractError(
                f"the examples {name} are not of both kinds: {int(labels.sum())} of {len(labels)} are positive",
                next_step=f"give more examples; --positive names values of the field {label}",
            )
    column = pa.array(texts, pa.large_string())
    model = train(column.filter(pa.array(~held_out)), labels[~held_out], shape)
    scores = score(column, model).to_numpy()
    metrics: dict[str, Any] = {
        "trained_on": {"examples": int((~held_out).sum()), "positive": int(labels[~held_out].sum())},
        "held_out": judged(scores[held_out], labels[held_out]),
    }
    facts = {"positive": sorted(positive), "text": text, "label": label, **metrics["trained_on"]}
    digest = save_model(model, folder, {"training": facts})
    metrics = {"sha256": digest, **metrics}
    (folder / METRICS_FILE).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


def judged(scores: Any, labels: Any) -> dict[str, Any]:
    """How good scores are on labelled examples: rates at several bounds, area under the ROC curve, calibration."""
    import numpy as np

    order = np.argsort(scores, kind="stable")
    # Mean rank of equal scores: the area is the chance that a positive example outranks a negative one.
    _, places, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    mean_ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positive, negative = int(labels.sum()), int((~labels).sum())
    area = (mean_ranks[labels[order]].sum() - positive * (positive + 1) / 2) / (positive * negative)
    bins = np.minimum((scores * 10).astype(int), 9)
    calibration = [
        {
            "from": place / 10,
            "examples": int((bins == place).sum()),
            "mean_score": round(float(scores[bins == place].mean()), 6),
            "positive_fraction": round(float(labels[bins == place].mean()), 6),
        }
        for place in range(10)
        if (bins == place).any()
    ]
    gap = sum(one["examples"] * abs(one["mean_score"] - one["positive_fraction"]) for one in calibration) / len(scores)
    bounds = []
    for bound in (0.1, 0.25, 0.5, 0.75, 0.9):
        above = scores >= bound
        right = int((above & labels).sum())
        bounds.append(
            {
                "score": bound,
                "precision": round(right / above.sum(), 6) if above.any() else None,
                "recall": round(right / positive, 6),
                "false_positive_fraction": round(int((above & ~labels).sum()) / negative, 6),
            }
        )
    return {
        "examples": len(scores),
        "positive": positive,
        "accuracy": round(float(((scores >= 0.5) == labels).mean()), 6),
        "roc_auc": round(float(area), 6),
        "expected_calibration_error": round(float(gap), 6),
        "bounds": bounds,
        "calibration": calibration,
    }


def _examples(file: Path, text: str, label: str) -> Iterator[tuple[str, str]]:
    """The (text, label) of every row that has both."""
    try:
        rows = _rows(file, text, label)
        for number, row in enumerate(rows, 1):
            if text not in row or label not in row:
                raise InputContractError(
                    f"{file}, row {number} has no field {text if text not in row else label}",
                    next_step="name the fields with --text and --label",
                )
            if row[text] is not None and row[label] is not None:
                yield str(row[text]), str(row[label])
    except (OSError, ValueError, EOFError) as error:
        raise InputContractError(f"{file}: {error}", next_step="give JSON Lines (plain or gzip) or Parquet") from None


def _rows(file: Path, text: str, label: str) -> Iterator[dict[str, Any]]:
    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(file).iter_batches():
            yield from batch.select([n for n in (text, label) if n in batch.schema.names]).to_pylist()
        return
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
        for line in lines:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a line is no JSON object")
            yield row


if __name__ == "__main__":
    sys.exit(main())
