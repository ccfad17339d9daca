"""All events, from one place: what can be recorded, in the past tense.

Each is a class in the file of its subject, and is known by being one: see eventstore.events.event.
"""

from eventstore.events.attempts import *  # noqa: F403 - that each is named once is what this file is for
from eventstore.events.breaker import *  # noqa: F403
from eventstore.events.decisions import *  # noqa: F403
from eventstore.events.deliveries import *  # noqa: F403
from eventstore.events.event import *  # noqa: F403
from eventstore.events.imports import *  # noqa: F403
from eventstore.events.mails import *  # noqa: F403
from eventstore.events.outage import *  # noqa: F403
from eventstore.events.registry import *  # noqa: F403
