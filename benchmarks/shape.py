"""What the messages of the benchmarks look like: small, medium and large rides, made by the block.

Nothing here imports the project or a library: the peers read it in an environment of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

KEY = "log_id"
_FIRST_KEY = 10_000_000
"""All keys have eight digits: 90 million messages, each with a key of its own, each of them as long as the others."""


@dataclass(frozen=True)
class Shape:
    """One kind of message.

    Args:
        columns: Name of each field and its `databrewType`; the key is the first.
        block: How many messages are made at once; a power of ten, so that the keys of two blocks differ in their
            first digits only.
        body: What follows the key in a message, by its number within a block.
    """

    name: str
    columns: Mapping[str, str]
    block: int
    body: Callable[[int], str]

    def message(self, number: int) -> bytes:
        """One message, by its number in the feed."""
        return b'{"%s":%d,%s' % (KEY.encode(), _FIRST_KEY + number, self.body(number % self.block).encode())

    def frames(self, block: int) -> bytes:
        """The frames of a block of messages, by its number in the feed."""
        return self._first_frames.replace(self._key_start(0), self._key_start(block))

    @cached_property
    def ends(self) -> list[int]:
        """Where each frame of a block ends, a zero before; the same in every block."""
        ends = [0]
        for number in range(self.block):
            ends.append(ends[-1] + len(_frame(self.message(number))))
        return ends

    @property
    def mean_bytes(self) -> float:
        """Of a message."""
        return sum(len(self.message(number)) for number in range(self.block)) / self.block

    @cached_property
    def _first_frames(self) -> bytes:
        return b"".join(_frame(self.message(number)) for number in range(self.block))

    def _key_start(self, block: int) -> bytes:
        """How a message of a block begins, up to the digits in which the keys of two blocks differ."""
        return b'{"%s":%d' % (KEY.encode(), _FIRST_KEY // self.block + block)


def _frame(message: bytes) -> bytes:
    size = len(message)
    return bytes((0x81, size)) + message if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big") + message


def _small(number: int) -> str:
    return f'"timestamp":"2026-11-23T19:00:00Z","driver_id":{1000 + number * 7919 % 8999}}}'


def _medium(number: int) -> str:
    fraction = number * 7919 % 999_983
    return (
        f'"driver_id":{1000 + fraction % 8999},"vehicle_id":{fraction},"passengers":{1 + number % 4},'
        f'"duration_s":{60 + fraction % 3600},"waited_s":{fraction % 300},'
        f'"pickup_lat":52.{fraction:06d},"pickup_lon":13.{fraction:06d},'
        f'"dropoff_lat":52.{999_999 - fraction:06d},"dropoff_lon":13.{999_999 - fraction:06d},'
        f'"distance_km":{fraction % 40}.{number % 100:02d},"fare":{5 + fraction % 80}.{number % 100:02d},'
        f'"tip":{fraction % 10}.5,"is_shared":{"true" if number % 3 else "false"},"is_electric":false,'
        f'"timestamp":"2026-11-23T19:00:00Z","status":"{("under way", "ended", "waiting")[number % 3]}",'
        f'"city":"{("Berlin", "Hamburg", "Leipzig", "Dresden")[number % 4]}","payment":"card",'
        f'"note":"entrance {fraction}, second floor, ring twice and wait at the gate, please"}}'
    )


def _large(number: int) -> str:
    track = " ".join(f"{number * step}" for step in range(4000))
    return f'"timestamp":"2026-11-23T19:00:00Z","driver_id":{1000 + number},"track":"{track[:7_800]}"}}'


_INT, _FLOAT, _STRING, _BOOLEAN = "Int32", "Float64", "String", "Boolean"

SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("small", {KEY: _INT, "timestamp": _STRING, "driver_id": _INT}, 100_000, _small),
        Shape(
            "medium",
            {
                **dict.fromkeys((KEY, "driver_id", "vehicle_id", "passengers", "duration_s", "waited_s"), _INT),
                **dict.fromkeys(("pickup_lat", "pickup_lon", "dropoff_lat", "dropoff_lon"), _FLOAT),
                **dict.fromkeys(("distance_km", "fare", "tip"), _FLOAT),
                **dict.fromkeys(("is_shared", "is_electric"), _BOOLEAN),
                **dict.fromkeys(("timestamp", "status", "city", "payment", "note"), _STRING),
            },
            10_000,
            _medium,
        ),
        Shape("large", {KEY: _INT, "timestamp": _STRING, "driver_id": _INT, "track": _STRING}, 1_000, _large),
    )
}
