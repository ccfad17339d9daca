"""Reading the log as it is stored: ranges, raw rows, its tail, one installation's history."""
