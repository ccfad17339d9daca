"""Facts and what follows from them: events, log, projections, policies, the local queue."""
