"""What must not grow while a daemon runs, as it was seen once a second."""

from collections.abc import Sequence
from statistics import median
from typing import Literal, NamedTuple

__all__ = ["VitalSign", "growth_faults", "highest", "lives_of"]

Name = Literal["resident_mb", "files", "wal_mb"]

# What is more than this beyond the earlier lives is growth; the least of it says what is too little to mean it.
_GROWTH = 1.2
_NOTHING: dict[Name, float] = {"resident_mb": 10.0, "files": 5.0, "wal_mb": 16.0}
# A daemon that has just started is not what it will be.
_GROWN_UP_S = 20.0


class VitalSign(NamedTuple):
    """One look at all processes of a daemon; `life` counts its restarts.

    `files` are all descriptors but the connections. Those follow the most requests at once that there were in the
    last minute, not the time, so that they may well be more at the end of a life: `growth_faults` leaves them out.
    Whether one is ever left open is seen when nothing is sent any more: all that are kept are closed within a minute.
    """

    life: int
    age_s: float
    resident_mb: float
    files: float
    connections: float
    wal_mb: float


def lives_of(signs: Sequence[VitalSign]) -> list[list[VitalSign]]:
    """Part the looks by the lives of the daemon."""
    lives: dict[int, list[VitalSign]] = {}
    for sign in signs:
        lives.setdefault(sign.life, []).append(sign)
    return list(lives.values())


def highest(signs: Sequence[VitalSign], name: str) -> float:
    """Return the highest value of a sign."""
    return max(float(getattr(sign, name)) for sign in signs)


def growth_faults(signs: Sequence[VitalSign]) -> list[str]:
    """Return what grows: within a life, its last quarter against its second; and from the first lives to the last."""
    grown = [life for life in ([sign for sign in life if sign.age_s > _GROWN_UP_S] for life in lives_of(signs)) if life]
    faults = []
    for name in _NOTHING:
        within = [_growth_within(life, name) for life in grown if len(life) >= 8]
        if within and (found := _fault(name, "within a life", *max(within, key=lambda pair: pair[1] - pair[0]))):
            faults.append(found)
        if len(grown) >= 4:
            half = len(grown) // 2
            earlier = median(highest(life, name) for life in grown[:half])
            later = median(highest(life, name) for life in grown[half:])
            faults += [fault] if (fault := _fault(name, "from the earlier lives to the later", earlier, later)) else []
    return faults


def _growth_within(life: Sequence[VitalSign], name: Name) -> tuple[float, float]:
    quarter = len(life) // 4
    return (
        median(float(getattr(sign, name)) for sign in life[:quarter]),
        median(float(getattr(sign, name)) for sign in life[-quarter:]),
    )


def _fault(name: Name, where: str, before: float, after: float) -> str:
    if after <= before * _GROWTH or after - before <= _NOTHING[name]:
        return ""
    return f"{name} grows {where}: from {before:.1f} to {after:.1f}"
