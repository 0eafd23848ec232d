"""`make demo`: questions answered over the standard library's own documentation."""
