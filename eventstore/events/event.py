"""What every event is: a frozen value, whose class is known by the name under which it is stored."""

from typing import ClassVar

from msgspec import Struct

__all__ = ["EVENT_CLASSES", "Event"]

# Each class by the name of its type. Whoever imports eventstore.events.catalogue has them all.
EVENT_CLASSES: dict[str, type["Event"]] = {}


class Event(Struct, frozen=True, omit_defaults=True):
    """A fact in the past tense; its class has a type name and a schema number.

    A class is frozen once released: a new field has a default, and anything else gets a new schema number and an
    upcaster in codec.py. One without a type name of its own holds what others share.
    """

    type_name: ClassVar[str] = ""
    schema: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        """Add the class to EVENT_CLASSES. Raises TypeError where another has its name."""
        super().__init_subclass__()
        type_name = cls.__dict__.get("type_name", "")
        if type_name in EVENT_CLASSES:
            raise TypeError(f"{cls.__qualname__}: {EVENT_CLASSES[type_name].__qualname__} is {type_name!r} already")
        if type_name:
            EVENT_CLASSES[type_name] = cls
