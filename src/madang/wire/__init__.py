"""The only place that turns the core's models into protobuf and back. No I/O."""
