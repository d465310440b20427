"""A log capturer: follows the log streams of containers into files and rotates each every five minutes."""
