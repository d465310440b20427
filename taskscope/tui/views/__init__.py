"""One module for each view that is opened from the overview."""
