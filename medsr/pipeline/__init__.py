"""The way of a volume from reader to release, and the degradation of a scan."""
