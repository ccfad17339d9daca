"""Where the installations' endpoints are: on one address of this machine, or on many."""

__all__ = ["addresses_of", "endpoint_url"]


def addresses_of(count: int) -> list[str]:
    """Return so many addresses of the loopback network, 127.0.0.1 where one is enough."""
    return [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(count)]


def endpoint_url(addresses: list[str], port: int, installation_number: int) -> str:
    """Return the webhook URL of an installation: the addresses in turn, a path of its own."""
    return f"http://{addresses[installation_number % len(addresses)]}:{port}/hook/{installation_number}"
