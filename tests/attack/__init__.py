"""Attacks on the agent, the client and the wire between them; each fault found is fixed and kept."""
