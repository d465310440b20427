"""The requests answered, one module per family."""
