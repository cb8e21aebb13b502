"""A capture's state as Prometheus text, format 0.0.4.

Pure; `capture.metrics_server` serves it. Nothing of a message and nothing of the definition but the stream's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from databrew_ws_dagster.storage.capture_health import problem_of
from databrew_ws_dagster.storage.capture_state import CaptureState, CaptureStatus, LaneState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "databrew_ws_capture_"


def render_metrics(state: CaptureState, *, now: datetime) -> str:
    """The exposition. Counters begin at 0 with each process.

    Args:
        now: Aware.
    """
    stream = f'stream="{state.stream}"'
    of_all = [_expose(name, text, [(stream, value)]) for name, value, text in _samples(state, now)]
    of_lanes = [
        _expose(name, text, [(f'{stream},lane="{lane}"', value) for lane, value in enumerate(values, 1)])
        for name, values, text in _samples_by_lane(state.lanes)
    ]
    return "".join((*of_all, *of_lanes))


def _expose(name: str, text: str, samples: Iterable[tuple[str, float]]) -> str:
    lines = "".join(f"{_PREFIX}{name}{{{labels}}} {value:.17g}\n" for labels, value in samples)
    return f"# HELP {_PREFIX}{name} {text}\n# TYPE {_PREFIX}{name} {_type_of(name)}\n{lines}"


def _type_of(name: str) -> str:
    return "counter" if name.endswith("_total") else "gauge"


def _samples(state: CaptureState, now: datetime) -> Iterator[tuple[str, float, str]]:
    yield "healthy", problem_of(state, now=now) is None, "Whether messages arrive and are written and sealed."
    yield "connected", state.status is CaptureStatus.CONNECTED, "Whether the stream is being received."
    yield "blocked", state.status is CaptureStatus.BLOCKED, "Whether reading has stopped because the disk is full."
    yield "messages_total", state.messages, "Messages received."
    yield "bytes_total", state.bytes, "Bytes of payload received."
    yield "records_written_total", state.written, "Messages and events written to the page cache."
    yield "records_durable_total", state.durable, "Messages and events that the disk has confirmed."
    yield "micro_batches_sealed_total", state.sealed, "Micro-batches sealed into the lake."
    yield "segments_unsealed", state.unsealed, "Finished segments that wait to be sealed."
    yield "reconnects_total", state.reconnects, "Connections after the first."
    yield "gaps_total", state.gaps, "Gaps that have ended."
    yield "gaps_recovered_total", state.recovered, "Gaps that the server filled when it was asked to."
    yield "gap_seconds_total", state.gap_seconds, "Length of those gaps."
    yield "blocked_seconds_total", state.blocked_seconds, "How long the disk took no more."
    if state.open_gap is not None:
        yield "open_gap_seconds", (now - state.open_gap.start).total_seconds(), "Length so far of the gap that is open."
    if state.caught_up_at is not None:
        lag_s = max(0.0, (now - state.caught_up_at).total_seconds())
        yield "lag_seconds", lag_s, "Since when something may be left unread on the socket."
    if state.last_message_at is not None:
        yield "last_message_timestamp_seconds", state.last_message_at.timestamp(), "When the last message arrived."


def _samples_by_lane(lanes: Sequence[LaneState]) -> Iterator[tuple[str, list[float], str]]:
    connected = [float(lane.status is CaptureStatus.CONNECTED) for lane in lanes]
    yield "lane_connected", connected, "Whether this one of the connections kept at once receives the stream."
    messages = [float(lane.messages) for lane in lanes]
    yield "lane_messages_total", messages, "Messages received over it."
    connections = [float(lane.connections) for lane in lanes]
    yield "lane_connections_total", connections, "Connections it has opened."
