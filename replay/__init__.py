"""Looking back over the recorded events; nothing here can send."""

from replay.comparison import Difference
from replay.log_check import Anchor, Fault, LogCheck, check_log
from replay.rebuilding import Rebuilt, rebuild
from replay.remake import ALL_NAMES
from replay.verification import Comparison, verify

__all__ = [
    "ALL_NAMES",
    "Anchor",
    "Comparison",
    "Difference",
    "Fault",
    "LogCheck",
    "Rebuilt",
    "check_log",
    "rebuild",
    "verify",
]
