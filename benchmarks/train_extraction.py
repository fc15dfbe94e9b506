"""Train the two stages of trees that choose a page's main text, and write them as numbers to `udfs/main_text.json`.

    python benchmarks/train_extraction.py [--every N] [--folds K] [--check]

Needs `lightgbm` (4.7.0), which the product does not. Pages of one site stay in one fold; the printed figures are of
pages that the trees did not see. The pages stay where they are: only thresholds and values are written. `--check`
trains and prints, and writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from extraction_data import SETS, Page, label_blocks, read_pages, shingle_f1, word_f1  # noqa: E402

from udfs.blocks import Blocks, scan  # noqa: E402
from udfs.main_text import FEATURES, STAGE_FEATURES, Measured, features, keep, stage_features  # noqa: E402
from udfs.page_text import data_tables  # noqa: E402

ROOT = Path(__file__).parents[1]
SETTING: dict[str, Any] = {
    "objective": "cross_entropy",
    "learning_rate": 0.12,
    "num_leaves": 24,
    "min_data_in_leaf": 150,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "use_missing": False,
    "num_threads": 1,
    "seed": 1,
    "deterministic": True,
    "verbosity": -1,
}
TREES = (90, 60)


def fit(values: np.ndarray, labels: np.ndarray, weights: np.ndarray, trees: int) -> lightgbm.Booster:
    used = labels >= 0
    data = lightgbm.Dataset(values[used], labels[used], weight=weights[used])
    return lightgbm.train(SETTING, data, num_boost_round=trees)


def as_numbers(booster: lightgbm.Booster) -> list[dict[str, list[float]]]:
    """The trees of a booster as lists; a leaf has feature -1 and its value."""
    trees = []
    for info in booster.dump_model()["tree_info"]:
        tree: dict[str, list[float]] = {"feature": [], "value": [], "left": [], "right": []}

        def add(node: dict[str, Any], tree: dict[str, list[float]] = tree) -> int:
            place = len(tree["feature"])
            for name in tree:
                tree[name].append(0)
            if "leaf_value" in node:
                tree["feature"][place], tree["value"][place] = -1, float(f"{node['leaf_value']:.6g}")
            else:
                if node["decision_type"] != "<=":
                    raise ValueError(f"a decision that cannot be written: {node['decision_type']}")
                tree["feature"][place], tree["value"][place] = node["split_feature"], float(f"{node['threshold']:.9g}")
                tree["left"][place], tree["right"][place] = add(node["left_child"]), add(node["right_child"])
            return place

        add(info["tree_structure"])
        trees.append(tree)
    return trees


def texts_of(page: Blocks) -> list[str]:
    return [page.text[row[1] : row[2]].tobytes().decode("utf-8", "replace") for row in page.blocks]


def report(pages: list[Page], texts: list[list[str]], chosen: list[np.ndarray], what: str) -> float:
    import html

    found = [
        html.unescape("\n".join(t for t, keep in zip(rows, kept, strict=True) if keep))
        for rows, kept in zip(texts, chosen, strict=True)
    ]
    wcxb = [word_f1(p.gold, f) for p, f in zip(pages, found, strict=True) if p.dataset == "wcxb_dev"]
    aeb = [(p.gold, f) for p, f in zip(pages, found, strict=True) if p.dataset == "aeb"]
    layout = [word_f1(p.gold, f) for p, f in zip(pages, found, strict=True) if p.dataset == "readability_js"]
    scored = [(p.kind, word_f1(p.gold, f)) for p, f in zip(pages, found, strict=True) if p.dataset == "wcxb_dev"]
    kinds = {kind: np.mean([s for own, s in scored if own == kind]) for kind in sorted({own for own, _ in scored})}
    print(f"{what}: wcxb_dev {np.mean(wcxb):.4f}  aeb {shingle_f1(aeb):.4f}  readability_js {np.mean(layout):.4f}  "
          + " ".join(f"{k} {v:.3f}" for k, v in kinds.items()), flush=True)  # fmt: skip
    return float(np.mean(wcxb))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--keep", help="file for the probabilities of unseen pages")
    arguments = parser.parse_args()
    began = time.time()
    pages: list[Page] = []
    blocks: list[Blocks] = []
    measured: list[Measured] = []
    labels: list[np.ndarray] = []
    texts: list[list[str]] = []
    for dataset in SETS:
        for page in read_pages(dataset, arguments.every):
            found = scan(page.markup.encode("utf-8", "replace"))
            if len(found.blocks):
                pages.append(page._replace(markup=""))
                blocks.append(found)
                measured.append(features(found))
                texts.append(texts_of(found))
                labels.append(label_blocks(texts[-1], page.gold))
    sizes = [len(b.blocks) for b in blocks]
    edges = np.cumsum([0, *sizes])
    fold = np.array([int.from_bytes(hashlib.blake2b(p.site.encode()).digest()[:4], "big") for p in pages])
    fold = fold % arguments.folds
    of_row = np.repeat(fold, sizes)
    values = np.concatenate([m.values for m in measured])
    target = np.concatenate(labels)
    # Blocks weigh by their words, damped; pages weigh alike, damped: a measure that is a mean over pages.
    weight = np.concatenate([np.sqrt(b.blocks[:, 3]) for b in blocks])
    per_page = np.repeat([np.sqrt(b.blocks[:, 3]).sum() for b in blocks], sizes)
    weight = weight / per_page**0.6
    weight /= weight.mean()
    print(f"{len(pages)} pages, {len(target)} blocks, {time.time() - began:.0f} s", flush=True)

    def split(flat: np.ndarray) -> list[np.ndarray]:
        return [flat[a:b] for a, b in itertools.pairwise(edges)]

    report(pages, texts, split(target >= 0.5), "best that blocks allow")
    first = np.zeros(len(target), np.float32)
    for k in range(arguments.folds):
        booster = fit(values[of_row != k], target[of_row != k], weight[of_row != k], TREES[0])
        first[of_row == k] = booster.predict(values[of_row == k])
    print(f"first stage {time.time() - began:.0f} s", flush=True)
    for threshold in (0.35, 0.45):
        report(pages, texts, split(first >= threshold), f"first stage, {threshold}")
    more = [stage_features(b, m, f) for b, m, f in zip(blocks, measured, split(first), strict=True)]
    seen = np.concatenate([values, np.concatenate(more)], axis=1)
    second = np.zeros(len(target), np.float32)
    for k in range(arguments.folds):
        booster = fit(seen[of_row != k], target[of_row != k], weight[of_row != k], TREES[1])
        second[of_row == k] = booster.predict(seen[of_row == k])
    print(f"second stage {time.time() - began:.0f} s", flush=True)
    report(pages, texts, split(second >= 0.4), "second stage, no tables or least bar, 0.4")
    tables = [data_tables(b) for b in blocks]
    for name, chance in (("first", first), ("second", second), ("mean", (first + second) / 2)):
        kept = [keep(b, t, p) for b, t, p in zip(blocks, tables, split(chance), strict=True)]
        report(pages, texts, kept, f"as the product does, {name}")
    if arguments.keep:
        np.savez(arguments.keep, chance=second, first=first, edges=edges, ids=np.array([p.id for p in pages]))
    if arguments.check:
        return
    stages = [fit(values, target, weight, TREES[0]), fit(seen, target, weight, TREES[1])]
    names = [*FEATURES, *STAGE_FEATURES]
    content = {
        "source": f"benchmarks/train_extraction.py, {len(pages)} pages of {', '.join(SETS)}, LightGBM 4.7.0",
        "features": names,
        "first": as_numbers(stages[0]),
        "second": as_numbers(stages[1]),
    }
    path = ROOT / "udfs" / "main_text.json"
    lines = [f'"{name}": {json.dumps(content[name])}' for name in ("source", "features")]
    for name in ("first", "second"):  # a tree a line
        rows = ",\n".join(json.dumps(tree, separators=(",", ":")) for tree in content[name])
        lines.append(f'"{name}": [\n{rows}\n]')
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{path}: {path.stat().st_size} bytes, {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
