"""Take-downs name what they should and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.core.errors import UsageError
from jobs.core.forgotten import Forgotten, read_lists


def lists(folder: Path, **files: str) -> Forgotten:
    paths = {}
    for name, text in files.items():
        (folder / name).write_text(text)
        paths[name] = str(folder / name)
    return read_lists(paths.get("ids"), paths.get("urls"), paths.get("domains"))


def test_ids_urls_and_domains_are_forgotten(tmp_path: Path) -> None:
    found = lists(
        tmp_path,
        ids="# from the ticket of Monday\nd1\n\n  d2 \n",
        urls="HTTPS://Example.org:443/a/../page?utm_source=x#top\n",
        domains="Bad.example.\n",
    )
    assert found.names("d1", None)
    assert found.names("d2", "https://fine.example/")
    assert found.names("d9", "https://example.org/page")
    assert found.names(None, "http://www.bad.example:8080/x")
    assert found.names(None, "https://bad.example/")
    assert not found.names("d9", "https://example.org/page/2")
    assert not found.names("d9", "https://notbad.example/")
    assert not found.names("d9", "https://bad.example.org/")
    assert not found.names(None, None)
    assert not found.names("d9", "no address")


def test_lists_add_up_and_come_back_from_storage(tmp_path: Path) -> None:
    one, two = Forgotten(ids=frozenset({"a"})), Forgotten(ids=frozenset({"b"}), domains=frozenset({"c.example"}))
    both = one.joined(two)
    assert both == Forgotten(frozenset({"a", "b"}), frozenset(), frozenset({"c.example"}))
    assert not Forgotten()


def test_empty_lists_missing_files_and_what_is_no_url_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to forget"):
        lists(tmp_path, ids="# nobody\n")
    with pytest.raises(UsageError, match="cannot read"):
        read_lists(str(tmp_path / "absent"), None, None)
    with pytest.raises(UsageError, match="'example' is no URL"):
        lists(tmp_path, urls="example\n")
