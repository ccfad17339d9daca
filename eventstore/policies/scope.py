"""Which apps a machine may disable. Pure."""

__all__ = ["may_be_disabled"]


def may_be_disabled(status: str, scope: str) -> bool:
    """Return whether a machine may disable an app of a status; `scope`: "internal" (the original's rule) or "all"."""
    return scope == "all" or status == "internal"
