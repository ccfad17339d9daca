"""An actor, as the others know it."""

from typing import Any

import pykka

__all__ = ["Ref", "tell_if_alive"]

Ref = pykka.ActorRef[Any]


def tell_if_alive(ref: Ref, message: object) -> bool:
    """Tell an actor that may have been stopped before the one that tells it; return whether it still hears."""
    try:
        ref.tell(message)
    except pykka.ActorDeadError:
        return False
    return True
