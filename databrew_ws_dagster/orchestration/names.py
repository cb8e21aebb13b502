"""What a stream's assets, jobs, sensors, partitions and tags are called."""

from dataclasses import dataclass

import dagster as dg

from databrew_ws_dagster.core.definition import StreamDefinition
from databrew_ws_dagster.storage.capture_state import read_state
from databrew_ws_dagster.storage.layout import StreamPlaces
from databrew_ws_dagster.storage.raw import first_window

STREAM_TAG = "databrew_ws/stream"
DEFINITION_TAG = "databrew_ws/definition"


@dataclass(frozen=True, slots=True)
class StreamNames:
    """Names derived from the stream's own."""

    stream: str

    @property
    def socket(self) -> dg.AssetKey:
        """External asset: the other end of the connection."""
        return dg.AssetKey(f"{self.stream}_socket")

    @property
    def raw(self) -> dg.AssetKey:
        """Sealed micro-batches, reported by the ingest sensor."""
        return dg.AssetKey(f"{self.stream}_raw")

    @property
    def table(self) -> dg.AssetKey:
        """Accepted rows."""
        return dg.AssetKey(self.stream)

    @property
    def quarantine(self) -> dg.AssetKey:
        """Refused messages with their reasons."""
        return dg.AssetKey(f"{self.stream}_quarantine")

    @property
    def profile(self) -> dg.AssetKey:
        """What each ended window holds, and whether it is complete."""
        return dg.AssetKey(f"{self.stream}_profile")

    @property
    def report(self) -> dg.AssetKey:
        """The daily report."""
        return dg.AssetKey(f"{self.stream}_report")

    @property
    def close_job(self) -> str:
        """The job that profiles a window that ended."""
        return f"{self.stream}_close"

    @property
    def report_job(self) -> str:
        """The job that makes the report of a day."""
        return f"{self.stream}_daily_report"

    @property
    def maintenance_job(self) -> str:
        """The job that compacts tables and deletes what is no longer kept."""
        return f"{self.stream}_maintenance"

    @property
    def capture_job(self) -> str:
        """The job whose one run holds the socket."""
        return f"{self.stream}_capture"

    @property
    def supervisor(self) -> str:
        """The sensor that keeps exactly one capture alive."""
        return f"{self.stream}_capture_supervisor"

    @property
    def ingest_job(self) -> str:
        """The job that materialises one window."""
        return f"{self.stream}_ingest"

    @property
    def ingest_op(self) -> str:
        """The step that materialises one window; its config holds the mode."""
        return f"materialize_{self.stream}"

    @property
    def ingest_sensor(self) -> str:
        """The sensor that requests ingest runs for sealed micro-batches."""
        return f"{self.stream}_ingest_sensor"

    @property
    def alert_sensor(self) -> str:
        """The sensor that notifies on failed checks."""
        return f"{self.stream}_alerts"

    def run_tags(self, definition: StreamDefinition) -> dict[str, str]:
        """Tags that every run of this stream carries."""
        return {STREAM_TAG: self.stream, DEFINITION_TAG: definition.digest[:12]}


def partitions_of(
    definition: StreamDefinition, places: StreamPlaces, *, now_ns: int
) -> dg.TimeWindowPartitionsDefinition:
    """The stream's windows as Dagster partitions, the current one included.

    They begin on the day that the definition says, else with the first window that holds or awaits anything, else now:
    windows from before the stream was captured would show as missing for ever.
    """
    windows = definition.windows
    if definition.window.start is not None:
        start = windows.start
    else:
        # What the last capture received may still be in its spool; it received nothing before it started.
        state = read_state(places)
        oldest = windows.key_of(state.epoch if state is not None else now_ns)
        start = windows.bounds_of(min(oldest, first_window(places) or oldest))[0]
    return dg.TimeWindowPartitionsDefinition(
        start=start,
        fmt=windows.key_format,
        cron_schedule=windows.cron,
        timezone="UTC",
        end_offset=1,
    )
