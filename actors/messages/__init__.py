"""What actors tell each other, from one place: imperative, frozen. Each stands in the file of who receives it."""

from actors.messages.dispatcher import *  # noqa: F403 - that each is named once is what this file is for
from actors.messages.installation import *  # noqa: F403
from actors.messages.journal import *  # noqa: F403
from actors.messages.pollers import *  # noqa: F403
from actors.messages.ref import *  # noqa: F403
from actors.messages.supervisor import *  # noqa: F403
