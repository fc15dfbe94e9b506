"""The content steps in one crossing: repair before language, lists, and redaction last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from udfs.annotate import Plan, annotate


def run(plan: Plan, texts: list[str | None], urls: list[str | None]) -> pa.StructArray:
    text, url = pa.array(texts, pa.string()), pa.array(urls, pa.string())
    nothing = pa.nulls(len(texts), pa.string())
    return annotate(plan, pa.nulls(len(texts), pa.binary()), nothing, url, text, None, nothing)


def test_text_is_repaired_before_and_redacted_after_everything_else(tmp_path: Path) -> None:
    (tmp_path / "spam.txt").write_text("free money\n")
    (tmp_path / "domains").write_text("casino.example\n")
    content = {
        "url_lists": {"gambling": str(tmp_path / "domains")},
        "allow_urls": None,
        "url_words": {},
        "lexicons": {"spam": {"path": str(tmp_path / "spam.txt"), "language": None}},
    }
    plan = Plan(
        steps=(
            ("repair_unicode", {"off": False, "form": "nfc", "control_characters": "remove"}),
            ("filter_content", content),
            ("redact", {"kinds": ["email", "phone"]}),
        ),
        detect_language=True,
    )
    texts = ["The committee said that free mo\x00ney is at jane@doe.com for everyone who reads the text.", None]
    done = run(plan, texts, ["https://www.casino.example/x", None])
    first, second = done.to_pylist()
    assert first["text"] == "The committee said that free money is at [EMAIL] for everyone who reads the text."
    assert first["language"] == "en"
    signals = first["signals"]
    assert (signals["unicode_control_characters"], signals["lexicon_hits_spam"]) == (1, 1)
    assert (signals["blocked_url"], signals["blocked_url_entry"]) == ("gambling", "casino.example")
    assert (signals["personal_data_email"], signals["personal_data_phone"]) == (1, 0)
    assert signals["personal_data_spans"] == [{"kind": "email", "begin": 41, "end": 53}]
    assert second["text"] is None
    assert second["signals"]["personal_data_email"] is None


WITHOUT_NETWORK = """
import socket, sys

def refuse(*arguments, **named):
    raise AssertionError("the network was asked for")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import pyarrow as pa
from udfs.annotate import Plan, annotate

folder = sys.argv[1]
content = {
    "url_lists": {"gambling": folder + "/domains"}, "allow_urls": None, "url_words": {"hard": folder + "/words.txt"},
    "lexicons": {"spam": {"path": folder + "/words.txt", "language": None}},
}
plan = Plan(
    steps=(
        ("repair_unicode", {}), ("filter_content", content), ("filter_quality", {}), ("redact", {"kinds": ["email"]}),
    ),
    detect_language=True,
)
none = pa.nulls(1, pa.string())
text = pa.array(["Write to jane@doe.com, says the committee of the school."])
found = annotate(plan, pa.nulls(1, pa.binary()), none, pa.array(["https://www.casino.co.uk/x"]), text, None, none)
print(found[0].as_py()["language"], found[0].as_py()["signals"]["blocked_url"])
"""


def test_nothing_that_is_measured_asks_the_network(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("free money\n")
    (tmp_path / "domains").write_text("casino.co.uk\n")
    command = [sys.executable, "-c", WITHOUT_NETWORK, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ran.stdout.split() == ["en", "gambling"], ran.stderr
