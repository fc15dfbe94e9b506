"""A corpus's budget as figures and sentences: what its tokens train by each fit of ``scaling_laws``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobs.core import scaling_laws as laws

if TYPE_CHECKING:
    from jobs.core.corpus_tokens import CorpusTokens, Tokens


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


# ----------------------------------------------------------------------------------------------------------- in words


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
