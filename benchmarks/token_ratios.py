"""Tokens a character by script, and how good an estimate they are: the numbers of `udfs.token_counts.SCRIPTS`.

    python benchmarks/token_ratios.py DATA [--fit] [--json FILE]

DATA holds ``languages/{ntrex128_small,udhr}.jsonl.gz`` and ``corpus/**/*.jsonl.gz`` with ``{id, text, lang?}``. Two
public vocabularies count the texts: Tekken (Mistral, 131 072 entries) and DeepSeek's (128 815). They live in a virtual
environment of their own, ``benchmarks/.venvs/tokenizers``, made here once: mistral-common 1.13.1 and litellm 1.109.1
carry the files, tiktoken and tokenizers read them.

``--fit`` takes tokens a character, the mean of both, from NTREX-128 (the same 100 sentences in 128 languages): of each
language for the scripts it is written in, and of each script the mean of the languages that `udfs.language` knows (of
all, where it knows none). With ``--json udfs/token_ratios.json`` it writes the numbers in use. Without ``--fit``, the
estimate of `CharacterRatios` is compared with the count on documents it was not fitted on: the declarations of human
rights and the corpus files.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for benchmarks.language
VENV = ROOT / "benchmarks" / ".venvs" / "tokenizers"
PACKAGES = ("mistral-common==1.13.1", "tokenizers>=0.20,<1", "tiktoken>=0.7,<1")
BARE_PACKAGES = ("litellm==1.109.1",)  # its dependencies are not needed for a file
OWN_SCRIPT_SHARE = 0.2  # of a language's letters: Japanese is written in kana and Han letters
CORPUS_DOCUMENTS = 100  # of each corpus file, the first ones


def main(argv: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--fit", action="store_true", help="print tokens a character by script")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    chosen = arguments.parse_args(argv)
    figures = fit(chosen.data) if chosen.fit else compare(chosen.data)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def fit(data: Path) -> dict[str, Any]:
    """Ratios of each language's own scripts, and of each script over the languages that `udfs.language` knows."""
    import numpy as np
    import pyarrow as pa

    from benchmarks.language import PROFILED
    from udfs.token_counts import SCRIPTS, characters_by_script

    rows = list(read(data / "languages" / "ntrex128_small.jsonl.gz"))
    letters, characters = characters_by_script(pa.array([row["text"] for row in rows]))
    tokens = np.array(count([row["text"] for row in rows]), dtype=float).mean(axis=1)
    labels = np.array([row["lang"] for row in rows])
    languages: dict[str, dict[str, float]] = {}
    sums: dict[str, list[float]] = defaultdict(list)
    for label in sorted(set(labels)):
        own = labels == label
        rate = float(tokens[own].sum() / characters[own].sum())
        shares = letters[own].sum(axis=0) / letters[own].sum()
        scripts = [SCRIPTS[place].name for place in np.flatnonzero(shares > OWN_SCRIPT_SHARE)]
        codes = {label.lower(), label.split("-")[0].lower(), PROFILED.get(label, label.lower())}
        for code in codes:
            languages.setdefault(code, {name: round(rate, 3) for name in scripts})
        if label in PROFILED:
            for name in scripts:
                sums[name].append(rate)
    everywhere: dict[str, list[float]] = defaultdict(list)
    for by_script in languages.values():
        for name, rate in by_script.items():
            everywhere[name].append(rate)
    means = {name: float(np.mean(sums[name] or everywhere[name])) for name in (script.name for script in SCRIPTS)}
    figures = {"scripts": {name: round(rate, 3) for name, rate in means.items()}, "languages": languages}
    print("| script | tokens a character |\n|---|---|")
    for name, rate in figures["scripts"].items():
        print(f"| {name} | {rate:.3f} |")
    return figures


def compare(data: Path) -> dict[str, Any]:
    import pyarrow as pa

    from udfs.language import detect
    from udfs.token_counts import CharacterRatios

    groups: dict[str, list[str]] = defaultdict(list)
    for row in read(data / "languages" / "udhr.jsonl.gz"):
        groups[f"udhr {row.get('lang') or row['id'].partition('/')[2]}"].append(row["text"])
    for file in sorted((data / "corpus").rglob("*.jsonl.gz")):
        for place, row in enumerate(read(file)):
            if place < CORPUS_DOCUMENTS:
                groups[f"corpus {file.name.partition('.')[0]}"].append(row["text"])
    names = [name for name, texts in groups.items() for _ in texts]
    texts = pa.array([text for group in groups.values() for text in group])
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    estimates = CharacterRatios().count(texts, detect(texts).language)
    for name, estimate, counts in zip(names, estimates, count(texts.to_pylist()), strict=True):
        sums[name][0] += float(estimate)
        sums[name][1] += sum(counts) / len(counts)
    figures = {name: round(estimate / counted - 1, 4) for name, (estimate, counted) in sums.items() if counted}
    report(figures)
    return figures


WIDELY_WRITTEN = {
    "eng": "English", "deu_1996": "German", "fra": "French", "spa": "Spanish", "ita": "Italian", "por_PT": "Portuguese",
    "rus": "Russian", "ell_monotonic": "Greek", "arb": "Arabic", "heb": "Hebrew", "hin": "Hindi", "ben": "Bengali",
    "tha": "Thai", "cmn_hans": "Chinese, simplified", "cmn_hant": "Chinese, traditional", "jpn": "Japanese",
    "kor": "Korean", "vie": "Vietnamese", "tur": "Turkish", "ind": "Indonesian",
}  # fmt: skip


def report(figures: dict[str, float]) -> None:
    print("| text | estimate / count - 1 |\n|---|---|")
    for name, error in figures.items():
        kind, _, label = name.partition(" ")
        if kind == "corpus" or label in WIDELY_WRITTEN:
            print(f"| {WIDELY_WRITTEN.get(label, label)} ({kind}) | {error:+.1%} |")
    errors = sorted(abs(error) for name, error in figures.items() if name.startswith("udhr"))
    print(
        f"\nAll {len(errors)} declarations: median error {errors[len(errors) // 2]:.1%}, "
        f"nine in ten below {errors[int(len(errors) * 0.9)]:.1%}."
    )


def read(path: Path) -> Iterable[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


# --- the vocabularies, in their own environment --------------------------------------------------------------------


def count(texts: Sequence[str]) -> list[list[int]]:
    """Tokens of each text by each vocabulary."""
    python = VENV / "bin" / "python"
    if not (VENV / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", *BARE_PACKAGES], check=True)
        (VENV / ".ready").touch()
    command = [str(python), "-c", COUNTER]
    done = subprocess.run(command, input=json.dumps(list(texts)), capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


COUNTER = """
import base64, importlib.util, json, sys
from pathlib import Path
import tiktoken
from tokenizers import Tokenizer

def folder(package):
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])

mistral = json.loads((folder("mistral_common") / "data" / "tekken_240911.json").read_text())
entries = mistral["vocab"][: mistral["config"]["default_vocab_size"] - mistral["config"]["default_num_special_tokens"]]
tekken = tiktoken.Encoding(
    "tekken", pat_str=mistral["config"]["pattern"], special_tokens={},
    mergeable_ranks={base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in entries})
files = folder("litellm") / "litellm_core_utils" / "tokenizers"
deepseek = Tokenizer.from_file(str(files / "deepseek_tokenizer.json"))
texts = json.loads(sys.stdin.read())
counted = zip(tekken.encode_ordinary_batch(texts), deepseek.encode_batch(texts, add_special_tokens=False))
json.dump([[len(a), len(b.ids)] for a, b in counted], sys.stdout)
"""

if __name__ == "__main__":
    main()
