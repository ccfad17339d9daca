"""What every room may need: clock, ids, JSON lines, bounded files, and the pure parsers (URL, host, headers).

No database and no network; `webhook` imports nothing else of the store.
"""
