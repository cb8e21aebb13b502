"""An object store as the lake needs it: whole objects by key, listed in the order of their keys.

Which objects there are is `storage.layout`'s business; what is asked of any lake, local or not, is `storage.lake`'s.
The client is imported with the first request, so that an installation whose lake is a folder never loads it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from databrew_ws_dagster.errors import StorageError

if TYPE_CHECKING:
    from boto3 import Session
    from obstore.store import ObjectStore as Client
    from obstore.store import S3CredentialProvider

EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}
"""Schemes of URLs, and the extra of this package that brings what each one needs."""

_CONNECT_TIMEOUT_S = 3
_REQUEST_TIMEOUT_S = 30
_RETRIES = 3
_RETRY_FOR_S = 20
"""Then whoever asked is told. All of them come back by themselves, and none should hang for the client's minutes."""
_PART_BYTES = 5 * 1024 * 1024
"""The least that S3 takes; so much is held of an object at a time, and must pass within the limit of a request."""
_PARTS_AT_ONCE = 2
_NO_ACCESS = "check that the store can be reached from here and that the credentials in this environment may use it"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_BODY = re.compile(r"\s*(?:↳\s*)?<.*", re.DOTALL)
_QUERY = re.compile(r"\?[^\s)>\"']*")
_SPACE = re.compile(r"\s*↳\s*|\s+")
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True, order=True)
class ObjectEntry:
    """One object as a listing tells of it."""

    key: str
    byte_size: int


@dataclass(frozen=True, slots=True, order=True)
class ObjectStore:
    """A bucket, or a part of it: `s3://bucket/prefix`, `gs://…` or `az://container/prefix`, without credentials.

    Credentials come from the environment, as the clients of these stores agree on it.

    Raises:
        StorageError: on any call, when the store cannot be reached or refuses.
        FileNotFoundError: where an object is named that is not there.
    """

    url: str

    @classmethod
    def at(cls, url: str) -> ObjectStore:
        """The store that a URL names; asks it nothing.

        Raises:
            StorageError: it is no such URL, or has credentials in it, which would end up in logs.
        """
        parts = urlsplit(url)
        shown = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        if parts.scheme not in EXTRAS or not parts.hostname:
            known = ", ".join(f"{scheme}://bucket/prefix" for scheme in EXTRAS)
            raise StorageError(shown, "is no lake that can be used", f"give a folder, or one of {known}")
        if "@" in parts.netloc or parts.query or parts.fragment:
            problem = "has more in its URL than a bucket and a prefix"
            raise StorageError(shown, problem, "credentials and settings belong into the environment")
        return cls(f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/"))

    @property
    def scheme(self) -> str:
        """Which kind of store it is."""
        return self.url.partition("://")[0]

    def read(self, key: str) -> bytes:
        """The whole object."""
        with self._explained(key) as client:
            return bytes(client.get(key).bytes())

    def write(self, key: str, data: bytes) -> None:
        """Put an object there, whole or not at all, in the place of what it held before."""
        with self._explained(key) as client:
            client.put(key, data)

    def upload(self, key: str, file: Path) -> None:
        """Put a file there, whole or not at all, and read back that the store holds every byte of it.

        What it holds already is not sent again.
        """
        if self._holds(key, file):
            return
        with self._explained(key) as client:
            client.put(key, file, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
        if not self._holds(key, file):
            raise StorageError(f"{self.url}/{key}", "is not what was uploaded", "it is uploaded again")

    def byte_size(self, key: str) -> int | None:
        """Of an object; None if there is none."""
        try:
            with self._explained(key) as client:
                return client.head(key)["size"]
        except FileNotFoundError:
            return None

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are gone are fine."""
        listed = list(keys)
        if not listed:
            return
        try:
            with self._explained(listed[0]) as client:
                client.delete(listed)
        except FileNotFoundError:  # S3 does not mind; others say so of the first that is gone, and leave the rest
            for key in listed:
                with suppress(FileNotFoundError), self._explained(key) as client:
                    client.delete(key)

    def entries(self, folder: str, *, beginning: str = "") -> Iterator[ObjectEntry]:
        """Objects under a folder whose names begin so, in the order of their keys; costs only what is taken."""
        begins = f"{folder}/{beginning}"
        with self._explained(folder) as client:
            for chunk in client.list(prefix=folder, offset=begins):
                for each in chunk:
                    if not each["path"].startswith(begins):
                        return
                    yield ObjectEntry(each["path"], each["size"])

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder, sorted."""
        with self._explained(folder) as client:
            found = client.list_with_delimiter(prefix=folder)["common_prefixes"]
            return sorted(key.rstrip("/").rpartition("/")[2] for key in found)

    def options(self) -> dict[str, str]:
        """The same store for a library that is given its options as text: how long to try, and how to commit.

        Holds secrets, where a profile brings them: it is for the library alone, and no longer valid in an hour.
        """
        options = {
            "connect_timeout": f"{_CONNECT_TIMEOUT_S}s",
            "timeout": f"{_REQUEST_TIMEOUT_S}s",
            "max_retries": str(_RETRIES),
            "retry_timeout": f"{_RETRY_FOR_S}s",
        }
        if self.scheme == "s3":
            options["aws_conditional_put"] = "etag"
        profile = _profile_of(self)
        if profile is not None:
            found = profile.get_credentials().get_frozen_credentials()
            options["aws_access_key_id"], options["aws_secret_access_key"] = found.access_key, found.secret_key
            if found.token:
                options["aws_session_token"] = found.token
        return options

    @contextmanager
    def _explained(self, key: str) -> Iterator[Client]:
        client = _client(self.url)
        from obstore.exceptions import BaseError

        place = f"{self.url}/{key}"
        try:
            yield client
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", place) from None
        except (BaseError, OSError) as error:  # not chained: its text may hold a signed URL
            raise StorageError(place, f"cannot be read or written ({reason_of(error)})", _NO_ACCESS) from None

    def _holds(self, key: str, file: Path) -> bool:
        byte_size = file.stat().st_size
        if self.byte_size(key) != byte_size:
            return False
        with self._explained(key) as client, file.open("rb") as expected:
            for start in range(0, byte_size, _PART_BYTES):
                part = expected.read(_PART_BYTES)
                if bytes(client.get_range(key, start=start, length=len(part))) != part:
                    return False
        return True


def reason_of(error: Exception) -> str:
    """Why a store did not do it: one line, without colours, the answer's body, and what a signed URL is signed with."""
    told = str(error).partition("\n\nDebug source:")[0]
    code = _CODE.search(told)
    text = _SPACE.sub(" ", _QUERY.sub("", _BODY.sub("", _ANSI.sub("", told)))).strip(" :")
    return text[:_LONGEST_REASON] + (f" {code[1]}" if code else "")


@cache
def _client(url: str) -> Client:
    store = ObjectStore(url)
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError:
        raise _missing(store, "a client for object stores") from None
    try:
        return from_url(
            url,
            client_options={
                "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT_S),
                "timeout": timedelta(seconds=_REQUEST_TIMEOUT_S),
                "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true",
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_FOR_S)},
            credential_provider=_credentials_of(store),
        )
    except (BaseError, ValueError) as error:
        raise StorageError(url, f"cannot be used ({reason_of(error)})", _NO_ACCESS) from None


def _credentials_of(store: ObjectStore) -> S3CredentialProvider | None:
    profile = _profile_of(store)
    if profile is None:
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    return Boto3CredentialProvider(profile)


@cache
def _profile_of(store: ObjectStore) -> Session | None:
    """The AWS profile that the environment names, for a store that knows such; it renews credentials by itself."""
    if store.scheme != "s3" or not os.environ.get("AWS_PROFILE"):
        return None
    try:
        from boto3 import Session
    except ImportError:
        raise _missing(store, "boto3, for AWS_PROFILE") from None
    return Session()


def _missing(store: ObjectStore, what: str) -> StorageError:
    fix = f"pip install 'databrew-ws-dagster[{EXTRAS[store.scheme]}]'"
    return StorageError(store.url, f"needs {what}, which is not installed", fix)
