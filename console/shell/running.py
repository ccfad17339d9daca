"""Settings that take effect at the next start: a running daemon has read them at its own."""

from console.shell.session import Session

__all__ = ["pending_policy", "pending_settings_text", "pending_tables"]


def pending_policy(session: Session) -> tuple[str, str]:
    """Return the name of the running daemon's policy, and of that of the settings where it differs (else empty)."""
    evaluating, chosen = session.policy(), session.configured_policy()
    named, chosen_named = (f"{one.name} (version {one.version})" for one in (evaluating, chosen))
    if chosen == evaluating:
        return named, ""
    return named, chosen_named if chosen_named != named else f"another {named}"


def pending_tables(session: Session) -> tuple[str, ...]:
    """Return the names of the tables of settings that the running daemon has read otherwise."""
    running = session.running()
    return () if running is None else running.changed_tables(session.configuration())


def pending_settings_text(session: Session) -> str:
    """Return what a restart of the daemon would change, empty = nothing that is known."""
    evaluating, chosen = pending_policy(session)
    parts = [f"policy {chosen}, while the daemon uses {evaluating}"] if chosen else []
    tables = [f"[{name}]" for name in pending_tables(session) if not (chosen and name == "policy")]
    parts += [f"other values in {', '.join(tables)} than the daemon runs by"] if tables else []
    return f"the settings have {', and '.join(parts)}: restart it" if parts else ""
