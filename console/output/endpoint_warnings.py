"""What `hookfuse apply` warns of: endpoints to which this home's settings let nothing be sent."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from eventstore.common.address_rules import AddressRules
from eventstore.common.endpoint_url import Target, parse_url
from eventstore.registry.apply import Change, app_label
from eventstore.registry.document import AppEntry

if TYPE_CHECKING:
    from eventstore.settings.sections import GuardSettings

__all__ = ["endpoint_warnings", "newly_addressed"]


def newly_addressed(apps: Iterable[AppEntry], changes: Iterable[Change]) -> list[AppEntry]:
    """Return the apps whose URL is new by these changes: of the others one was told before."""
    labels = {change.what for change in changes if change.action == "registered" or "webhook_url" in change.fields}
    return [app for app in apps if app_label(app) in labels]


def endpoint_warnings(apps: Iterable[AppEntry], guard: "GuardSettings") -> list[str]:
    """Return of which apps the URL alone is enough for the guard to refuse it; no name is looked up."""
    rules = AddressRules(guard.allow_networks, guard.deny_networks)
    reasons = ((app, _reason(parse_url(app.webhook_url), rules, guard)) for app in apps)
    return [
        f"{app_label(app)}: nothing is sent to its webhook_url by the settings in [guard]: {reason}"
        for app, reason in reasons
        if reason
    ]


def _reason(target: Target, rules: AddressRules, guard: "GuardSettings") -> str:
    if target.scheme == "http" and not guard.allow_http:
        return "its scheme is http; allow_http would allow it"
    address = _address(target.host)
    reason = rules.reason_against(address) if address is not None else None
    return f"{target.host} is {reason}" if reason else ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 section 6.3
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(host)
    except ValueError:
        return None
