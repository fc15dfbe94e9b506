"""Plain twin of `udfs.fasttext`: the probability of a label for one document."""

from __future__ import annotations

import math
import re

from udfs.fasttext import HIERARCHICAL, SOFTMAX, FastText, huffman_tree

END = b"</s>"
MODULUS = 1 << 64


def fnv(data: bytes) -> int:
    """FNV-1a of 32 bits over signed bytes, as fastText has it."""
    state = 2166136261
    for byte in data:
        signed = byte - 256 if byte >= 128 else byte
        state = (state ^ (signed & 0xFFFFFFFF)) * 16777619 & 0xFFFFFFFF
    return state


def signed(number: int) -> int:
    """Read 32 bits as a signed number."""
    return number - (1 << 32) if number >= 1 << 31 else number


def character_ngrams(token: bytes, shortest: int, longest: int) -> list[bytes]:
    """Return the n-grams of ``<token>``: all of `shortest` … `longest` characters but lone brackets."""
    characters = re.findall(rb"[^\x80-\xbf][\x80-\xbf]*", b"<" + token + b">")
    found = []
    for i in range(len(characters)):
        for n in range(1, longest + 1):
            lone_bracket = n == 1 and i in (0, len(characters) - 1)
            if i + n <= len(characters) and n >= shortest and not lone_bracket:
                found.append(b"".join(characters[i : i + n]))
    return found


def rows_of(text: str, model: FastText, dictionary: list[bytes]) -> list[int]:
    """Return the rows of the input matrix that a text's mean is taken of."""
    network = model.network
    tokens = [token for token in re.split(rb"[\x00\t-\r ]+", text.encode()) if token]
    tokens = tokens[: tokens.index(END)] if END in tokens else tokens
    labels = {name.encode() for name in model.labels}
    tokens = [
        t for t in tokens if t not in labels and (t in dictionary[: network.words] or not t.startswith(b"__label__"))
    ]

    def hashed(number: int) -> list[int]:
        bucket = number % network.bucket
        if network.pruned:
            bucket = int(network.kept[bucket]) if len(network.kept) else -1
        return [network.words + bucket] if bucket >= 0 else []

    rows: list[int] = []
    for token in [*tokens, END]:
        if token in dictionary[: network.words]:
            rows.append(dictionary.index(token))
        if token != END and network.longest > 0:
            for ngram in character_ngrams(token, network.shortest, network.longest):
                rows += hashed(fnv(ngram))
    hashes = [signed(fnv(token)) for token in [*tokens, END]]
    for i in range(len(hashes)):
        state = hashes[i] % MODULUS
        for following in hashes[i + 1 : i + network.word_ngrams]:
            state = (state * 116049371 + following) % MODULUS
            rows += hashed(state)
    return rows


def score(text: str | None, model: FastText, label: str, dictionary: list[bytes]) -> float | None:
    """Return the probability of a label, given the entries of the dictionary, words first."""
    if text is None:
        return None
    rows = rows_of(text, model, dictionary)
    dimensions = model.network.rows.shape[1]
    mean = [sum(float(model.network.rows[row, k]) for row in rows) / max(len(rows), 1) for k in range(dimensions)]

    def logit(row: int) -> float:
        return sum(float(weight) * value for weight, value in zip(model.network.output[row], mean, strict=True))

    number = model.labels.index(label)
    if model.loss == SOFTMAX:
        powers = [math.exp(logit(row)) for row in range(len(model.labels))]
        return powers[number] / sum(powers)
    if model.loss != HIERARCHICAL:
        return 1 / (1 + math.exp(-logit(number)))
    parents, turns = huffman_tree(model.counts)
    probability = 1.0
    while parents[number] >= 0:
        probability /= 1 + math.exp(-turns[number] * logit(parents[number] - len(model.labels)))
        number = parents[number]
    return probability
