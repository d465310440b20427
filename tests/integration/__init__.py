"""Real child processes: services, agents, the command line."""
