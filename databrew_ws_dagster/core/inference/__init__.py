"""Infers a definition from messages: types, keys, envelope, control messages, sequence, each with its evidence.

Pure: who listened, and where the file goes, is the command's business.
"""

from databrew_ws_dagster.core.inference.inference import Inference, infer
from databrew_ws_dagster.core.inference.message import HeardMessage

__all__ = ["HeardMessage", "Inference", "infer"]
