"""A quote collector: follows a venue over websockets, keeps the last quotes and archives all."""
