"""Real backends for the tests: Jaeger and the OpenTelemetry Collector, built once a machine."""
