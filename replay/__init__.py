"""Looking back over the recorded events; nothing here can send."""

from replay.buffer_fold import BufferDifference, compare_buffer, fold_buffer

__all__ = ["BufferDifference", "compare_buffer", "fold_buffer"]
