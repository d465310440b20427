"""A process that runs aiomonitor as a source, read over its web API (``source.AiomonitorSource``)."""
