"""What a person types and looks at: commands, tables, log output."""
