"""Where a request goes, read from a URL by the parser that `apply` asks too."""

from __future__ import annotations

from functools import lru_cache

from eventstore.common.endpoint_url import Target, parse_url
from eventstore.errors import UrlInvalidError
from webhook.errors import UrlRefusedError

__all__ = ["Target", "parse_target"]


@lru_cache(maxsize=4096)  # the active endpoints; parsing costs more than everything else that is checked here
def parse_target(url: str) -> Target:
    """Return the parts of an http or https URL; raise UrlRefusedError, whose text never has the path."""
    try:
        return parse_url(url)
    except UrlInvalidError as error:
        raise UrlRefusedError(str(error)) from None
