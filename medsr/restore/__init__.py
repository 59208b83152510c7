"""Room restore."""
