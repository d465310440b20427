"""aiomonitor's web API as a source (``source.AiomonitorSource``)."""
