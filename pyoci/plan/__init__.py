"""From a checked config.json and the host's facts to a plan: pure functions, nothing is touched."""
