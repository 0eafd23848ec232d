"""What chat models over the vendors' official SDKs share."""
