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
from jobs.core.errors import ConfigurationError, InputContractError, UsageError
from jobs.core.plain_table import plain_table

if TYPE_CHECKING:
    from jobs.core.corpus_tokens import CorpusTokens, Tokens
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


def corpus_record(counted: CorpusTokens) -> dict[str, Any]:
    """The tokens of a corpus as plain data."""
    removed = counted.by("step")
    duplicates = counted.where(lambda group: (group.step or "").startswith("dedup_"))
    return {
        **_tokens_record(counted.kept),
        "method": counted.method,
        "counted": counted.counted,
        "complete": counted.complete,
        "sampled_documents": counted.sampled,
        "of_documents": counted.documents,
        "sources": {name: _tokens_record(tokens) for name, tokens in counted.by("source").items()},
        "languages": {name: _tokens_record(tokens) for name, tokens in counted.by("language").items()},
        "removed": {name: _tokens_record(tokens) for name, tokens in removed.items()},
        "duplicates": _tokens_record(duplicates),
    }


def _tokens_record(tokens: Tokens) -> dict[str, Any]:
    return {
        "documents": tokens.documents,
        "text_bytes": tokens.text_bytes,
        "tokens": round(tokens.tokens),
        "margin": round(tokens.margin) if tokens.margin < float("inf") else None,
    }


# ------------------------------------------------------------------------------------------------------ what they train


def answer(fit: laws.Fit, unique: float, model: float | None = None, flops: float | None = None) -> dict[str, Any]:
    """What one fit says of so many unique tokens."""
    once = fit.for_tokens(unique)
    seen = unique * laws.USUAL_EPOCHS
    repeated = laws.worth(seen, unique)
    found: dict[str, Any] = {
        "fit": fit.name,
        "source": fit.source,
        "one_epoch": _optimum_record(once),
        "up_to_4_epochs": {
            **_optimum_record(laws.Optimum(fit.parameters_for(repeated), seen, 0.0)),
            "worth_tokens": repeated,
            "loss": _loss(fit, fit.parameters_for(repeated), seen, unique),
        },
    }
    if model is not None:
        found["model"] = _of_model(fit, unique, model)
    if flops is not None:
        found["flops"] = _of_flops(fit, unique, flops)
    return found


def _loss(fit: laws.Fit, parameters: float, tokens: float, unique: float) -> float:
    if fit.name == "data-constrained":
        return laws.data_constrained_loss(parameters, tokens, unique)
    return fit.loss(parameters, laws.worth(tokens, unique))


def _optimum_record(optimum: laws.Optimum) -> dict[str, float]:
    return {
        "parameters": optimum.parameters,
        "tokens": optimum.tokens,
        "flops": optimum.flops,
        "tokens_per_parameter": optimum.tokens_per_parameter,
        "loss": optimum.loss,
    }


def _of_model(fit: laws.Fit, unique: float, model: float) -> dict[str, Any]:
    needed = fit.for_model(model)
    return {
        "parameters": model,
        "needed_tokens": needed.tokens,
        "share": unique / needed.tokens,
        "missing_tokens": max(0.0, needed.tokens - unique),
        "epochs_instead": laws.epochs_worth(needed.tokens, unique),
        "loss_one_epoch": _loss(fit, model, unique, unique),
        "loss_4_epochs": _loss(fit, model, unique * laws.USUAL_EPOCHS, unique),
        "loss_with_needed_tokens": needed.loss,
    }


def _of_flops(fit: laws.Fit, unique: float, flops: float) -> dict[str, Any]:
    free, bound = fit.for_flops(flops), fit.for_flops_of(flops, unique)
    return {
        "flops": flops,
        "with_fresh_tokens": _optimum_record(free),
        "with_this_corpus": {**_optimum_record(bound), "epochs": bound.tokens / unique},
    }


def table_answer(unique: float, model: float | None) -> dict[str, float]:
    """What table 3 of the Chinchilla paper says."""
    found = {"parameters": laws.table_parameters(unique)}
    if model is not None:
        found.update(needed_tokens=laws.table_tokens(model), share=unique / laws.table_tokens(model))
    return found


# ----------------------------------------------------------------------------------------------------------- for people


def short(value: float) -> str:
    """1.33 T, 7 B, 250 M, 1.2 k: three digits and a unit; beyond a thousand trillion as a power."""
    for limit, unit in ((1e15, ""), (1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if value >= limit * 0.9995:
            return f"{value:.2e}" if not unit else f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share as people write it, two digits where it is small."""
    if share >= 0.1:
        return f"{share:.0%}"
    return f"{share * 100:.2g}%" if share >= 1e-4 or not share else "less than 0.01%"


def sentences(found: Mapping[str, Any], unique: float, duplicates: Mapping[str, Any] | None) -> list[str]:
    """The answer that a person wants, by one fit."""
    once, more = found["one_epoch"], found["up_to_4_epochs"]
    said = [
        f"{short(unique)} unique tokens are compute-optimal for a model of {short(once['parameters'])} parameters at "
        f"{once['flops']:.2e} FLOPs in one epoch; with up to 4 epochs, worth {short(more['worth_tokens'])} fresh ones, "
        f"for {short(more['parameters'])} parameters at {more['flops']:.2e} FLOPs."
    ]
    if "model" in found:
        said.append(_model_sentence(found["model"]))
    if "flops" in found:
        said.append(_flops_sentence(found["flops"], unique))
    if duplicates and duplicates["documents"]:
        share = duplicates["tokens"] / (unique + duplicates["tokens"])
        said.append(
            f"Duplicates removed here would have passed for {short(duplicates['tokens'])} tokens, {percent(share)} of "
            "what would have been counted."
        )
    return said


def _model_sentence(model: Mapping[str, Any]) -> str:
    said = (
        f"For a model of {short(model['parameters'])} parameters the corpus is {percent(model['share'])} of the "
        f"{short(model['needed_tokens'])} tokens that one epoch needs"
    )
    if not model["missing_tokens"]:
        return f"{said}: enough."
    epochs = model["epochs_instead"]
    instead = (
        f"no number of epochs over it is worth as many ({laws.CEILING:.1f} epochs' worth is the ceiling)"
        if epochs is None
        else f"{epochs:.1f} epochs over it are worth as many"
        + (", at far less gain each than the first four" if epochs > laws.USUAL_EPOCHS else "")
    )
    return f"{said}; {short(model['missing_tokens'])} are missing; {instead}."


def _flops_sentence(flops: Mapping[str, Any], unique: float) -> str:
    free, here = flops["with_fresh_tokens"], flops["with_this_corpus"]
    model, tokens = short(free["parameters"]), short(free["tokens"])
    said = f"{flops['flops']:.2e} FLOPs best train {model} parameters on {tokens} tokens"
    if free["tokens"] <= unique:
        return f"{said}, {percent(free['tokens'] / unique)} of this corpus."
    if here["epochs"] > laws.CEILING:
        return f"{said}, {free['tokens'] / unique:.3g} times this corpus: it is too small to spend them on."
    return (
        f"{said}; on this corpus, {short(here['parameters'])} parameters for {here['epochs']:.1f} epochs "
        f"(loss {here['loss']:.3f} against {free['loss']:.3f})."
    )


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
