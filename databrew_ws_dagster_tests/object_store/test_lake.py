"""What is asked of a lake, asked of one in a folder and of one in a store: the answers are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from databrew_ws_dagster.storage.lake import (
    LakePath,
    byte_size_of,
    each_of,
    files_in,
    folder_names,
    lake_at,
    remove,
    rename,
    write,
)


@pytest.fixture(params=["folder", "store"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> LakePath:
    if request.param == "folder":
        return lake_at(str(tmp_path / "lake"))
    place: LakePath = request.getfixturevalue("layout").lake
    return place


def test_a_file_is_what_was_written_last_until_it_is_removed(lake: LakePath) -> None:
    file = lake / "a" / "one.json"
    assert not file.exists()
    write(file, b"1")
    write(file, b"one", durable=False)
    assert (file.read_bytes(), file.exists(), byte_size_of(file), (lake / "a").is_dir()) == (b"one", True, 3, True)
    remove([file, lake / "a" / "never"])
    assert not file.exists()
    for ask in (file.read_bytes, lambda: byte_size_of(file)):
        with pytest.raises(FileNotFoundError):
            ask()


def test_a_renamed_file_has_the_new_name_alone_and_one_that_is_gone_is_fine(lake: LakePath) -> None:
    write(lake / "a" / "old", b"content")
    for _ in range(2):
        rename(lake / "a" / "old", "new")
    assert [(file.name, file.read_bytes()) for file in files_in(lake / "a", "*")] == [("new", b"content")]


def test_names_are_listed_in_order_by_pattern_and_apart_from_folders(lake: LakePath) -> None:
    for name in ("2.json", "10.json", "1.md", "x.json", "_marks/1.json"):
        write(lake / "a" / name, b"..")
    assert [file.name for file in files_in(lake / "a", "[0-9]*.json")] == ["10.json", "2.json"]
    assert [(file.name, file.stem, byte_size_of(file)) for file in files_in(lake / "a", "1.*")] == [("1.md", "1", 2)]
    assert (folder_names(lake), folder_names(lake / "a"), folder_names(lake / "b")) == (["a"], ["_marks"], [])
    assert (files_in(lake / "b", "*"), (lake / "b").is_dir()) == ([], False)


def test_each_of_many_is_done_in_their_order(lake: LakePath) -> None:
    files = [lake / "a" / f"{number:03}" for number in range(40)]
    for file in files:
        write(file, file.name.encode())
    assert list(each_of(lambda path: path.read_bytes().decode(), files)) == [file.name for file in files]
    remove(files)
    assert files_in(lake / "a", "*") == []
