"""Starting the actors of a process."""

from collections.abc import Callable

from actors.assembly.outside import mail_transport_for, sender_for, share_of_files
from actors.assembly.system import ActorSystem
from eventstore.common.shard import Shard
from eventstore.home.folder import Home
from eventstore.policies.policy import Policy
from eventstore.settings.configuration import Configuration

__all__ = ["start_system"]


def start_system(
    home: Home,
    configuration: Configuration,
    policy: Policy,
    *,
    shard: Shard,
    on_failure: Callable[[], object],
    wake_lead: Callable[[], object] = lambda: None,
) -> ActorSystem:
    """Start the actors of a process with the sender and the postbox that the configuration describes.

    They make do with the files that the process may have open. Raises ShortageError when those are too few.
    """
    files = share_of_files(configuration, shard)
    return ActorSystem(
        home,
        configuration,
        sender=sender_for(configuration, files),
        in_flight=files.in_flight,
        postbox=mail_transport_for(home, configuration),
        on_failure=on_failure,
        policy=policy,
        shard=shard,
        wake_lead=wake_lead,
    )
