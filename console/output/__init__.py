"""How things are shown: tables, times, events in words, pictures, progress."""
