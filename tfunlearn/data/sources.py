"""Where a role's examples come from: arrays in memory, or a stream."""

from tfunlearn.data.array_source import ArraySource
from tfunlearn.data.stream_source import StreamSource

__all__ = ["ArraySource", "Source", "StreamSource"]

Source = ArraySource | StreamSource
