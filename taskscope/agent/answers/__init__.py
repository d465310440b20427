"""Answers to requests, one module per family."""
