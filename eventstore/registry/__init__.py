"""Organizations, apps and installations, changed by a person: the registry file, applying it, new secrets."""
