"""How much text of refused messages the quarantine takes of one window: a bad producer must not fill the disk twice.

What goes beyond keeps its row, place and reasons; its text stands in raw, where `storage.quarantine` finds it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class PayloadQuota:
    """Counts down over the refused rows of a window, in order.

    Args:
        left_bytes: What may still be kept.
    """

    def __init__(self, left_bytes: int) -> None:
        self._left_bytes = left_bytes

    def apply(self, quarantined: pa.Table) -> pa.Table:
        """The same rows, `payload` null from where the quota is used up."""
        payloads = quarantined["payload"]
        used = np.cumsum(pc.fill_null(pc.binary_length(payloads), 0).to_numpy(), dtype=np.int64)
        kept = int(np.searchsorted(used, self._left_bytes, side="right"))
        self._left_bytes = 0 if kept < len(used) else self._left_bytes - int(used[-1] if kept else 0)
        if kept == len(used):
            return quarantined
        cut = pa.chunked_array([*payloads.slice(0, kept).chunks, pa.nulls(len(used) - kept, payloads.type)])
        return quarantined.set_column(quarantined.column_names.index("payload"), "payload", cut)
