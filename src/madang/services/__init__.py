"""What the four services do, and the hub that delivers. Knows neither gRPC nor SQL."""
