"""`hookfuse breaker`: a person's word about the circuit breaker of one installation."""

import click

from console.output.tables import print_json, print_line
from console.output.times import short_time
from console.shell.lookup import resolve_installation
from console.shell.options import by_option, json_option, person, reason_option
from console.shell.session import Session
from eventstore.decisions.close_breaker import close_breaker
from eventstore.projections.registry import find_installation

__all__ = ["breaker"]


@click.group()
def breaker() -> None:
    """Close the circuit breaker of one installation.

    \b
    Example:
      hookfuse breaker close 7c1f0a52 --reason "the endpoint is fixed"
    """  # noqa: D301 - \b is click's


@breaker.command("close")
@click.argument("installation")
@reason_option()
@by_option
@json_option
@click.pass_obj
def close(session: Session, installation: str, *, reason: str, by: str, is_json: bool) -> None:
    """Close the breaker of INSTALLATION (its UUID, or at least its first 6 characters).

    What it holds flows within a second, and what waits for its next attempt when that is due, under the stricter
    limits that follow each closing. Who closed it and
    why are recorded; nobody is mailed, and what was counted stays counted. A pause that the endpoint asked for (429,
    503) goes on. `hookfuse test` closes the breaker too, when the test delivery succeeds.

    \b
    Example:
      hookfuse breaker close 7c1f0a52 --reason "the endpoint is fixed"
    """  # noqa: D301 - \b is click's
    recovery_s = session.configuration().breaker.recovery_s
    with session.writing() as store, store.transaction() as transaction:
        installation_id = resolve_installation(transaction.connection, installation)
        decision = close_breaker(transaction, installation_id, by=person(by), reason=reason, recovery_s=recovery_s)
        found = find_installation(transaction.connection, installation_id)
    if is_json:
        print_json(
            {
                "installation_id": installation_id,
                "is_changed": decision.is_changed,
                "position": decision.position or None,
                "strict_until": found.breaker_strict_until,
            }
        )
    elif decision.is_changed:
        until = short_time(found.breaker_strict_until or "")
        print_line(f"closed the breaker of installation {installation_id} (event {decision.position})")
        print_line(f"its limits are stricter until {until}")
    else:
        print_line(f"installation {installation_id}: {decision.why}")
