"""A URL that no client can be made of is told as the setting that it stands in."""

from functools import partial
from typing import TYPE_CHECKING

import pytest

from eventstore.deliveries.producer import Producer
from eventstore.errors import ConfigurationError
from eventstore.home.folder import Home
from eventstore.redis.connection import open_redis
from eventstore.redis.stream_depth import read_stream_depth
from eventstore.redis.stream_intake import IntakeRule, StreamIntake
from eventstore.settings.sections import QueueSettings
from eventstore.settings.values import Secret
from eventstore.unit_of_work import Store

if TYPE_CHECKING:
    from collections.abc import Callable

_URLS = ["memcached://user:secret@cache.example:11211", "http://cache.example", "cache.example:6379", "://"]


@pytest.mark.parametrize("url", _URLS)
def test_a_url_of_another_kind_is_told_as_the_setting_that_it_stands_in(home: Home, store: Store, url: str) -> None:
    rule = IntakeRule(url=url, stream="s", group="g", consumer="c")
    with Producer(home) as producer:
        asked: list[tuple[str, Callable[[], object]]] = [
            ("[redis] url", partial(open_redis, url)),
            ("[queue] url", partial(StreamIntake, producer, rule)),
            ("[queue] url", partial(read_stream_depth, QueueSettings(url=Secret(url)), timeout_s=1.0)),
        ]
        for setting, ask in asked:
            with pytest.raises(ConfigurationError) as caught:
                ask()

            assert str(caught.value).startswith(f"{setting} ")
            assert "secret" not in str(caught.value)
