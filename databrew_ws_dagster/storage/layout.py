"""Where things are kept: the home folder, the spool and the lake, and each stream's places in them.

Names only; nothing here is created or read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONFIG_VARIABLE = "DATABREW_WS_CONFIG"
HOME_VARIABLE = "DATABREW_WS_HOME"
LAKE_VARIABLE = "DATABREW_WS_LAKE"


@dataclass(frozen=True, slots=True)
class StreamPlaces:
    """The places of one stream."""

    spool: Path
    """Segments, state and lease of capture; always on this host."""
    raw: Path
    """Sealed micro-batches: `window=<key>/<batch_id>.parquet`."""
    pending: Path
    """One marker for each sealed micro-batch that no ingest run has committed yet."""
    unclosed: Path
    """One marker for each window that changed since it was last closed."""
    table: Path
    """Delta: accepted rows."""
    quarantine: Path
    """Delta: refused messages, with their reasons."""
    gaps: Path
    """Delta: connections and gaps."""
    findings: Path
    """Delta: what differed from the definition, one row per change and micro-batch run."""
    batches: Path
    """Delta: one row of counts per committed micro-batch."""
    profiles: Path
    """What each closed window holds: `<window>.json`."""
    reports: Path
    """What each day brought: `<day>.json` and `<day>.md`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The home folder of an installation and its lake."""

    home: Path
    lake: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Layout:
        """Read the folders from the environment; both may be relative to the working folder."""
        home = Path(environ.get(HOME_VARIABLE) or ".databrew").absolute()
        lake = environ.get(LAKE_VARIABLE)
        return cls(home=home, lake=Path(lake).absolute() if lake else home / "lake")

    def stream(self, name: str) -> StreamPlaces:
        """The places of the stream called `name` (already checked to be a safe folder name)."""
        raw = self.lake / "raw" / name
        tables = self.lake / "tables"
        return StreamPlaces(
            spool=self.home / "spool" / name,
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
