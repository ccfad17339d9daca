"""What every event is: a frozen value, whose class is known by the name under which it is stored."""

from collections.abc import Iterable
from typing import ClassVar

from msgspec import Struct

__all__ = ["EVENT_CLASSES", "FORMER_NAMES", "Event", "current_name", "stored_names"]

# Each class by the name of its type. Whoever imports eventstore.events.catalogue has them all.
EVENT_CLASSES: dict[str, type["Event"]] = {}
# A name under which a type was stored before -> its name of today. What is stored is never changed, as the chain of
# hashes ties the name too: it is read as if it had the name of today.
FORMER_NAMES: dict[str, str] = {}


class Event(Struct, frozen=True, omit_defaults=True):
    """A fact in the past tense; its class has a type name and a schema number.

    A class is frozen once released: a new field has a default, and anything else gets a new schema number and an
    upcaster in codec.py. One without a type name of its own holds what others share.
    """

    type_name: ClassVar[str] = ""
    former_names: ClassVar[tuple[str, ...]] = ()
    schema: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        """Add the class to EVENT_CLASSES. Raises TypeError where another has its name."""
        super().__init_subclass__()
        type_name = cls.__dict__.get("type_name", "")
        if type_name in EVENT_CLASSES:
            raise TypeError(f"{cls.__qualname__}: {EVENT_CLASSES[type_name].__qualname__} is {type_name!r} already")
        if type_name:
            EVENT_CLASSES[type_name] = cls
            FORMER_NAMES.update(dict.fromkeys(cls.former_names, type_name))


def current_name(type_name: str) -> str:
    """Return today's name of a type that may be stored under a former one."""
    return FORMER_NAMES.get(type_name, type_name)


def stored_names(type_names: Iterable[str]) -> tuple[str, ...]:
    """Return all names under which events of these types are stored: today's and the former ones."""
    wanted = tuple(type_names)
    return (*wanted, *(former for former, name in FORMER_NAMES.items() if name in wanted))
