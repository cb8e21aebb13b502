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
    """Names derived from the stream's own.

    Args:
        stream: Its name.
        key_prefix: What comes before it in asset keys, and so in the names of jobs, sensors and steps: two code
            locations in which the same name stands for two streams need not know of each other.
        group_name: The assets' group; None for one called like the stream.
    """

    stream: str
    key_prefix: tuple[str, ...] = ()
    group_name: str | None = None

    @property
    def group(self) -> str:
        """The group of its assets."""
        return self.group_name or self.stream

    @property
    def label(self) -> str:
        """The stream as people and tags call it, prefix included."""
        return self.table.to_user_string()

    @property
    def socket(self) -> dg.AssetKey:
        """External asset: the other end of the connection."""
        return self._key("_socket")

    @property
    def raw(self) -> dg.AssetKey:
        """Sealed micro-batches, reported by the ingest sensor."""
        return self._key("_raw")

    @property
    def table(self) -> dg.AssetKey:
        """Accepted rows."""
        return self._key("")

    @property
    def quarantine(self) -> dg.AssetKey:
        """Refused messages with their reasons."""
        return self._key("_quarantine")

    @property
    def profile(self) -> dg.AssetKey:
        """What each ended window holds, and whether it is complete."""
        return self._key("_profile")

    @property
    def report(self) -> dg.AssetKey:
        """The daily report."""
        return self._key("_report")

    @property
    def close_job(self) -> str:
        """The job that profiles a window that ended."""
        return f"{self._identifier}_close"

    @property
    def report_job(self) -> str:
        """The job that makes the report of a day."""
        return f"{self._identifier}_daily_report"

    @property
    def maintenance_job(self) -> str:
        """The job that compacts tables and deletes what is no longer kept."""
        return f"{self._identifier}_maintenance"

    @property
    def maintenance_op(self) -> str:
        """Its step."""
        return f"maintain_{self._identifier}"

    @property
    def capture_job(self) -> str:
        """The job whose one run holds the socket."""
        return f"{self._identifier}_capture"

    @property
    def capture_op(self) -> str:
        """Its step."""
        return f"capture_{self._identifier}"

    @property
    def supervisor(self) -> str:
        """The sensor that keeps exactly one capture alive."""
        return f"{self._identifier}_capture_supervisor"

    @property
    def ingest_job(self) -> str:
        """The job that materialises one window."""
        return f"{self._identifier}_ingest"

    @property
    def ingest_op(self) -> str:
        """The step that materialises one window; its config holds the mode."""
        return f"materialize_{self._identifier}"

    @property
    def ingest_sensor(self) -> str:
        """The sensor that requests ingest runs for sealed micro-batches."""
        return f"{self._identifier}_ingest_sensor"

    @property
    def alert_sensor(self) -> str:
        """The sensor that notifies on failed checks."""
        return f"{self._identifier}_alerts"

    def run_tags(self, definition: StreamDefinition) -> dict[str, str]:
        """Tags that every run of this stream carries."""
        return {STREAM_TAG: self.label, DEFINITION_TAG: definition.digest[:12]}

    @property
    def _identifier(self) -> str:
        """For what may have no slash in its name, made from the key as Dagster does."""
        return self.table.to_python_identifier()

    def _key(self, suffix: str) -> dg.AssetKey:
        return dg.AssetKey([*self.key_prefix, f"{self.stream}{suffix}"])


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
