"""The feed of the benchmarks: what the figures are measured on."""

from __future__ import annotations

import json

import pytest
from websockets.sync.client import connect

from benchmarks.feed import served_feed
from benchmarks.shape import KEY, SHAPES, Shape


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_message_has_the_fields_that_its_shape_declares(shape: Shape) -> None:
    assert set(json.loads(shape.message(2 * shape.block + 7))) == set(shape.columns)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_frames_of_a_later_block_are_those_of_its_messages(shape: Shape) -> None:
    """Only the first digits of the keys are written anew; nothing else may be."""
    frames, first = shape.frames(3), 3 * shape.block
    for number in (0, 1, shape.block - 1):
        start, end = shape.ends[number : number + 2]
        assert frames[start:end].endswith(shape.message(first + number))


def test_a_feed_sends_every_message_once_in_order_and_closes() -> None:
    """Beyond a block, paced and unpaced."""
    count = SHAPES["large"].block + 2
    with served_feed() as url:
        for rate in (0, 100_000):
            with connect(f"{url}/large/{count}/{rate}", compression=None) as connection:
                keys = [json.loads(message)[KEY] for message in connection]
            assert keys == list(range(keys[0], keys[0] + count))
