"""Objects by key in a real S3 server: whole, verified, listed in order, and failures that say what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from databrew_ws_dagster.errors import StorageError
from databrew_ws_dagster.storage.delta import WindowedTable
from databrew_ws_dagster.storage.layout import Layout
from databrew_ws_dagster.storage.object_path import ObjectPath
from databrew_ws_dagster.storage.object_store import ObjectEntry, ObjectStore, reason_of
from databrew_ws_dagster_tests.object_store.proxy import Fault, FaultyProxy
from databrew_ws_dagster_tests.object_store.server import KEY, SECRET


@pytest.fixture
def store(layout: Layout) -> ObjectStore:
    assert isinstance(layout.lake, ObjectPath)
    return layout.lake.store


def test_an_object_is_what_was_written_last_until_it_is_deleted(store: ObjectStore) -> None:
    store.write("a/one", b"1")
    store.write("a/one", b"one")
    assert (store.read("a/one"), store.byte_size("a/one")) == (b"one", 3)
    store.delete(["a/one", "a/never"])
    assert store.byte_size("a/one") is None
    with pytest.raises(FileNotFoundError):
        store.read("a/one")


def test_a_listing_is_in_order_and_of_what_begins_so(store: ObjectStore) -> None:
    for name in ("2", "10", "11", "1x/deep"):
        store.write(f"a/{name}", b"..")
    assert list(store.entries("a", beginning="1")) == [ObjectEntry(f"a/{name}", 2) for name in ("10", "11", "1x/deep")]
    assert store.folders("a") == ["1x"]
    assert (list(store.entries("b")), store.folders("b")) == ([], [])


@pytest.mark.parametrize("byte_size", [0, 10, 9_000_000], ids=["empty", "small", "in parts"])
def test_an_upload_holds_every_byte_and_is_not_repeated(
    store: ObjectStore, proxy: FaultyProxy, tmp_path: Path, byte_size: int
) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(byte_size))
    store.upload("a/file", file)
    assert store.read("a/file") == file.read_bytes()
    proxy.requests()
    store.upload("a/file", file)
    assert {method for method, _ in proxy.requests()} <= {"HEAD", "GET"}


def test_an_upload_replaces_what_another_attempt_left(store: ObjectStore, tmp_path: Path) -> None:
    """Same size, another content: only reading it back can tell."""
    store.write("a/file", b"else")
    (tmp_path / "file").write_bytes(b"what")
    store.upload("a/file", tmp_path / "file")
    assert store.read("a/file") == b"what"


def test_an_upload_that_reads_back_otherwise_is_an_error(
    store: ObjectStore, proxy: FaultyProxy, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with proxy.misbehaving(Fault.ALTERED), pytest.raises(StorageError, match="is not what was uploaded"):
        store.upload("a/file", tmp_path / "file")


@pytest.mark.parametrize("fault", [Fault.UNTOLD, Fault.CUT])
def test_what_a_store_does_now_and_then_is_tried_again(store: ObjectStore, proxy: FaultyProxy, fault: Fault) -> None:
    with proxy.misbehaving(fault, share=0.3):
        for number in range(8):
            store.write(f"a/{number}", b"x" * 1000)
            assert store.read(f"a/{number}") == b"x" * 1000


@pytest.mark.parametrize("fault", [Fault.INTERNAL_ERROR, Fault.UNAVAILABLE])
def test_a_store_that_is_not_well_is_an_error_that_names_it(
    store: ObjectStore, proxy: FaultyProxy, fault: Fault
) -> None:
    with proxy.misbehaving(fault), pytest.raises(StorageError, match=f"a/one: cannot be read or written .*{fault}"):
        store.read("a/one")


def test_a_refusal_shows_no_credentials(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"not-{SECRET}")
    with pytest.raises(StorageError, match=r"403.*credentials in this environment") as caught:
        (layout.lake / "a").read_bytes()
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    ["s3://key:canary@lake/x", "s3://lake/x?secret=canary", "ftp://canary@host/x", "s3:///x", "file:///lake"],
)
def test_a_url_with_more_than_a_place_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(StorageError) as caught:
        Layout.from_environ({"DATABREW_WS_LAKE": url})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://lake", "s3://lake/a/b/", "gs://lake/a", "az://container/a"])
def test_a_url_names_a_lake_and_asks_it_nothing(url: str) -> None:
    assert str(Layout.from_environ({"DATABREW_WS_LAKE": url}).lake) == url.rstrip("/")


TABLE = pa.schema([("id", pa.int64()), ("_batch_id", pa.string()), ("_window", pa.string())])


def test_a_named_profile_brings_the_credentials(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text(f"[lake]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "lake")
    assert not (layout.lake / "nothing").exists()
    table = WindowedTable(layout.lake / "table", TABLE, description="told by a profile")
    table.ensure()
    assert table.version() == 0


def test_a_reason_is_one_line_without_body_colours_or_signature() -> None:
    text = (
        "Generic error\n  \x1b[31m↳\x1b[0m GET https://a.net/c/x?sv=1&sig=canary in 1s - 403\n"
        "  ↳ <?xml?><E><Code>NoWay</Code>canary</E>"
    )
    assert reason_of(OSError(text)) == "Generic error GET https://a.net/c/x in 1s - 403 NoWay"
