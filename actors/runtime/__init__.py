"""An actor library on pykka: bounded mailboxes, turns on a pool, restarts within a budget. Nothing of webhooks."""
