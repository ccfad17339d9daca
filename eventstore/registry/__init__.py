"""Who there is, changed by a person: the file of `hookfuse apply`, applying it, new secrets."""
