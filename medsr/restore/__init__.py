"""Restorers: from a measured volume to an image with its evidence."""
