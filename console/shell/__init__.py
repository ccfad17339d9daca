"""What all commands share: the command line, options, exit codes, sessions, finding what a person names."""
