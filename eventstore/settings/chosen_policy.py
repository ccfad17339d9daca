"""The policy that the settings of a home choose."""

from eventstore.home.folder import Home
from eventstore.policies.policy import POLICIES, Policy
from eventstore.policies.policy_file import read_policy_document
from eventstore.settings.sections import PolicySettings

__all__ = ["configured_policy"]


def configured_policy(home: Home, choice: PolicySettings) -> Policy:
    """Return the policy that the settings of a home choose. Raises DocumentError."""
    return read_policy_document(home.path / choice.file) if choice.file else POLICIES[choice.name]
