"""pyadam."""
