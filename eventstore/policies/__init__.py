"""Rules, all pure: policies and their evaluation, breaker, outage rule, longest waits, doubts about the clock."""
