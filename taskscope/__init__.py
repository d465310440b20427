"""TaskScope: htop for asyncio tasks and threads.

The public API: `start`, `stop`, `snapshot`.  Importing it costs the standard library only.
"""

__version__ = "0.1.0"
