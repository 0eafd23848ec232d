"""What callspan costs: `make bench`."""
