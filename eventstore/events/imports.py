"""Events of imports: what another system has counted."""

from typing import ClassVar

from eventstore.events.event import Event


class InstallationCountsImported(Event, frozen=True):
    """Another system counted outcomes of a UTC day; these come on top of what was imported for that day before."""

    type_name: ClassVar[str] = "installation.counts_imported"
    former_names: ClassVar[tuple[str, ...]] = ("counts.imported",)
    installation_id: str
    day: str
    source: str
    by: str
    success: int = 0
    client_error: int = 0
    timeout: int = 0
    fatal: int = 0
