"""A quote collector: follows a venue over websockets, keeps the last quotes, files all of them."""
