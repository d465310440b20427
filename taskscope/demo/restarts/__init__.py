"""A simulation of a cluster under chaos: zones of nodes, each with a controller that reports its state."""
