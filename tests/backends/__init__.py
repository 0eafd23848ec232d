"""Real backends for the tests, built once a machine: Jaeger, the Collector, a local model."""
