"""Where things are kept: the home folder, the spool and the lake, and each stream's places in them.

Names only; nothing here is created or read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from databrew_ws_dagster.storage.lake import LakePath, lake_at

CONFIG_VARIABLE = "DATABREW_WS_CONFIG"
HOME_VARIABLE = "DATABREW_WS_HOME"
LAKE_VARIABLE = "DATABREW_WS_LAKE"


@dataclass(frozen=True, slots=True)
class StreamPlaces:
    """The places of one stream."""

    spool: Path
    """Segments, state and lease of capture; always on this host."""
    runs: Path
    """A mark of each run that is at work on a window; on this host."""
    raw: LakePath
    """Sealed micro-batches: `window=<key>/<batch_id>.parquet`."""
    pending: LakePath
    """One marker for each sealed micro-batch that no ingest run has committed yet."""
    unclosed: LakePath
    """One marker for each window that changed since it was last closed."""
    table: LakePath
    """Delta: accepted rows."""
    quarantine: LakePath
    """Delta: refused messages, with their reasons."""
    gaps: LakePath
    """Delta: connections and gaps."""
    findings: LakePath
    """Delta: what differed from the definition, one row per change and micro-batch run."""
    batches: LakePath
    """Delta: one row of counts per committed micro-batch."""
    profiles: LakePath
    """What each closed window holds: `<window>.json`."""
    reports: LakePath
    """What each day brought: `<day>.json` and `<day>.md`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The home folder of an installation, always on this host, and its lake: a folder, or a part of an object store."""

    home: Path
    lake: LakePath

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Layout:
        """Read the places from the environment; folders may be relative to the working folder.

        Raises:
            StorageError: the lake is a URL that cannot be used.
        """
        home = Path(environ.get(HOME_VARIABLE) or ".databrew").absolute()
        lake = environ.get(LAKE_VARIABLE)
        return cls(home=home, lake=lake_at(lake) if lake else home / "lake")

    def stream(self, name: str) -> StreamPlaces:
        """The places of the stream called `name` (already checked to be a safe folder name)."""
        raw = self.lake / "raw" / name
        tables = self.lake / "tables"
        return StreamPlaces(
            spool=self.home / "spool" / name,
            runs=self.home / "runs" / name,
            raw=raw,
            pending=raw / "_pending",
            unclosed=raw / "_unclosed",
            table=tables / name,
            quarantine=tables / f"{name}_quarantine",
            gaps=tables / f"{name}_gaps",
            findings=tables / f"{name}_findings",
            batches=tables / f"{name}_batches",
            profiles=self.lake / "profiles" / name,
            reports=self.lake / "reports" / name,
        )


def config_path(environ: Mapping[str, str]) -> Path:
    """The definition file, or the folder of them, that this installation reads."""
    return Path(environ.get(CONFIG_VARIABLE) or "pipelines").absolute()
