"""structlog without rich, which it imports for tracebacks on terminals wherever it is there.

Ours are data in JSON lines: without it each process takes 4 MB less, and each command half of structlog's CPU time at
its start (0.11 s of 0.22 s, benchmarks/status.py). Tables for people import rich when they are shown.
"""

import sys


def _without_rich() -> None:
    # None in the place of a module has its import fail (the import system's reference, "The module cache").
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment] # typeshed knows modules only
    try:
        import structlog  # noqa: F401, PLC0415 - here, and nowhere sooner
    finally:
        del sys.modules["rich"]


_without_rich()

import structlog  # noqa: E402 - what the above has imported

__all__ = ["structlog"]
