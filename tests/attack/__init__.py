"""Attacks on the agent, on the client and on what lies between them: what each finds is mended and kept."""
