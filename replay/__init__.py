"""Looking back over the recorded events; nothing here can send."""
