"""What a corpus can train: its tokens, and the models for which they are enough. Starts no Spark.

Takes the output of a run, a Parquet folder of documents, or a number of tokens. Gives the tokens by source, language
and step, and by the fits of ``jobs.core.scaling_laws`` the model that they suit, in one epoch and in up to four; what
a given model lacks; what a given number of operations would best train; and the tokens that the removed duplicates
would have passed for. Text is read once in bounded batches, by this process alone.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.core import command
from jobs.core import scaling_laws as laws
from jobs.core.budget_figures import answer, corpus_record, sentences, short, table_answer
from jobs.core.errors import ConfigurationError, InputContractError, UsageError
from jobs.core.plain_table import plain_table

if TYPE_CHECKING:
    from jobs.core.corpus_tokens import CorpusTokens
    from udfs.token_counts import TokenCounter

EXAMPLE = "winnow budget cleaned --tokenizer tokenizer.json --model 7e9"
SAMPLED_TEXT_BYTES = 256 << 20  # with a tokenizer, at most about so much text is tokenised unless --sample says more
_AMOUNT = re.compile(r"^(\d+(?:\.\d*)?|\.\d+)(?:e(\d{1,2}))?\s*([kmbt]?)$", re.IGNORECASE)
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this job."""

    def body() -> int:
        arguments = _parser().parse_args(argv)
        command.start_logging(arguments)
        result = budget(arguments)
        print(json.dumps(result, indent=2, ensure_ascii=False) if arguments.format == "json" else as_text(result))
        return 0

    return command.end_well(body, verbose="--verbose" in (argv or ()))


def amount(text: str) -> float:
    """A number of parameters, tokens or operations: 7e9, 7B, 1.4T, 250000."""
    match = _AMOUNT.match(text.replace("_", "").replace(",", ""))
    value = float(match[1]) * 10.0 ** int(match[2] or 0) * _FACTORS[match[3].lower()] if match else 0.0
    if not 1 <= value < 1e40:
        raise argparse.ArgumentTypeError(f"{text} is not an amount from 1, such as 7e9, 7B or 1.4T")
    return value


def _parser() -> command.Parser:
    arguments = command.parser("budget", "Say how large a model a corpus can train.", EXAMPLE)
    arguments.add_argument("corpus", metavar="RUN", nargs="?", help="output of a run, or a Parquet folder of documents")
    arguments.add_argument("--tokens", metavar="N", type=amount, help="a number of tokens in place of a corpus")
    arguments.add_argument("--tokenizer", metavar="FILE", help="count with this tokenizer.json (extra 'tokenizers')")
    arguments.add_argument(
        "--sample",
        metavar="FRACTION",
        type=command.fraction,
        help="tokenise this share of the documents, drawn by key (default: all of a small corpus, 256 MB of a large)",
    )
    arguments.add_argument("--model", metavar="N", type=amount, help="parameters of a model: what does it lack?")
    arguments.add_argument("--flops", metavar="C", type=amount, help="operations to spend: what do they best train?")
    arguments.add_argument(
        "--fit", choices=tuple(laws.FITS), default=laws.DEFAULT_FIT, help="the fit that the sentences quote"
    )
    arguments.add_argument("--format", choices=("text", "json"), default="text", help="how the answer looks")
    command.add_log_arguments(arguments)
    return arguments


def budget(arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole answer as plain data."""
    if (arguments.corpus is None) == (arguments.tokens is None):
        raise UsageError("name a run or folder, or give --tokens; one of them", next_step="see `winnow budget --help`")
    if arguments.tokens is not None:
        corpus, unique, duplicates = None, arguments.tokens, None
    else:
        counted = _count(arguments.corpus, arguments.tokenizer, arguments.sample)
        if counted.kept.tokens < 1:
            raise InputContractError(f"{arguments.corpus} holds no text", next_step="name a corpus with documents")
        corpus = {"path": arguments.corpus, **corpus_record(counted)}
        unique, duplicates = counted.kept.tokens, corpus["duplicates"]
    answers = [answer(fit, unique, arguments.model, arguments.flops) for fit in laws.FITS.values()]
    chosen = next(each for each in answers if each["fit"] == arguments.fit)
    return {
        "corpus": corpus,
        "unique_tokens": round(unique),
        "fit": arguments.fit,
        "fits": answers,
        "chinchilla_table": table_answer(unique, arguments.model),
        "answer": sentences(chosen, unique, duplicates),
    }


# --------------------------------------------------------------------------------------------------- tokens of a corpus


def _count(path: str, tokenizer: str | None, fraction: float | None) -> CorpusTokens:
    import pyarrow.fs as pafs

    from jobs.core.corpus_tokens import text_bytes_of_folder, tokens_of_documents, tokens_of_run
    from jobs.core.files import worker_file_system
    from jobs.core.finished_run import LEDGER, open_run, parquet_folder

    counter = token_counter(tokenizer)
    file_system, root = worker_file_system(path)
    if file_system.get_file_info(f"{root.rstrip('/')}/{LEDGER}").type == pafs.FileType.File:
        run = open_run(path)
        size = sum(stage["facts"].get("kept_text_bytes", 0) for stage in run.stages[:1])
        return tokens_of_run(run, counter, fraction or _default_fraction(counter, size))
    if file_system.get_file_info(root.rstrip("/")).type == pafs.FileType.NotFound:
        raise InputContractError(
            f"{path}: no such folder", next_step="name a run's output or a folder of Parquet files"
        )
    try:
        documents = parquet_folder(file_system, root.rstrip("/"))
        names = documents.schema.names
        size = text_bytes_of_folder(documents) if "text" in names else 0
    except (OSError, ValueError) as error:
        raise InputContractError(f"{path}: {error}", next_step="name a run's output or Parquet files") from None
    if "text" not in names:
        raise InputContractError(
            f"{path} has no column text (it has: {', '.join(names) or 'no file'})",
            next_step="name a folder of documents",
        )
    return tokens_of_documents(documents, counter, fraction or _default_fraction(counter, size))


def token_counter(tokenizer: str | None) -> TokenCounter:
    """A tokenizer from a file, else the estimate from characters. Raises ``ConfigurationError`` when it is no use."""
    from udfs.token_counts import CharacterRatios, FileTokenizer

    if tokenizer is None:
        return CharacterRatios()
    try:
        return FileTokenizer(tokenizer)
    except ImportError:
        raise ConfigurationError(
            "--tokenizer needs the package tokenizers", next_step="pip install 'winnow-corpus[tokenizers]'"
        ) from None
    except ValueError as error:
        raise ConfigurationError(
            f"not a tokenizer file: {error}", next_step="give a tokenizer.json of the tokenizers library"
        ) from None


def _default_fraction(counter: TokenCounter, text_bytes: int) -> float:
    return min(1.0, SAMPLED_TEXT_BYTES / text_bytes) if counter.exact and text_bytes else 1.0


# ----------------------------------------------------------------------------------------------------------- for people


def as_text(result: Mapping[str, Any]) -> str:
    """The answer for a terminal."""
    parts = [_corpus_text(result["corpus"])] if result["corpus"] else []
    rows = [("fit", "one epoch: model", "tokens/param.", "FLOPs", "up to 4 epochs: model", "FLOPs")]
    for each in result["fits"]:
        once, more = each["one_epoch"], each["up_to_4_epochs"]
        rows.append(
            (
                each["fit"] + (" *" if each["fit"] == result["fit"] else ""),
                short(once["parameters"]),
                f"{once['tokens_per_parameter']:.1f}",
                f"{once['flops']:.2e}",
                short(more["parameters"]),
                f"{more['flops']:.2e}",
            )
        )
    table = result["chinchilla_table"]
    per_parameter = result["unique_tokens"] / table["parameters"]
    rows.append(("chinchilla, table 3", short(table["parameters"]), f"{per_parameter:.1f}", "", "", ""))
    parts.append(plain_table(rows))
    parts.append("\n".join(result["answer"]) + f"\n(* the fit quoted: {_source(result)})")
    return "\n\n".join(parts)


def _source(result: Mapping[str, Any]) -> str:
    return str(next(each["source"] for each in result["fits"] if each["fit"] == result["fit"]))


def _corpus_text(corpus: Mapping[str, Any]) -> str:
    lines = [
        f"{corpus['path']}: {corpus['tokens']:,} tokens{_margin(corpus)} in {corpus['documents']:,} documents, "
        f"{corpus['text_bytes']:,} bytes of text; {corpus['method']}{_sampling(corpus)}"
    ]
    for part in ("sources", "languages"):
        rows = [(part[:-1], "documents", "text bytes", "tokens")]
        rows += [
            (name, f"{each['documents']:,}", f"{each['text_bytes']:,}", f"{each['tokens']:,}{_margin(each)}")
            for name, each in corpus[part].items()
        ]
        lines.append(plain_table(rows))
    if corpus["removed"]:
        rows = [("removed by", "documents", "text bytes", "tokens")]
        rows += [
            (name, f"{each['documents']:,}", f"{each['text_bytes']:,}", f"{each['tokens']:,}{_margin(each)}")
            for name, each in corpus["removed"].items()
        ]
        lines.append(plain_table(rows))
    return "\n\n".join(lines)


def _margin(record: Mapping[str, Any]) -> str:
    if record["margin"] is None:
        return " ± unknown"
    return f" ± {record['margin']:,}" if record["margin"] else ""


def _sampling(corpus: Mapping[str, Any]) -> str:
    if corpus["complete"]:
        return ""
    return (
        f" on {corpus['sampled_documents']:,} of {corpus['of_documents']:,} documents drawn by key "
        "(± is the 95 % interval of sampling)"
    )


if __name__ == "__main__":
    sys.exit(main())
