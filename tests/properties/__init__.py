"""Random programs of nested runs, and what holds for every one of them."""
