"""A daemon that nobody watches."""

__all__ = ["NullObservability"]


class NullObservability:
    """In an Observability's place where neither metrics nor statsd are configured: nothing is imported."""

    failure = ""

    def show(self, subject: object) -> None:
        """Show it to nobody."""

    def look_around(self) -> None:
        """Look at nothing."""

    def note_stopping(self) -> None:
        """Tell nobody."""

    def close(self) -> None:
        """Do nothing: there is nothing to close."""
