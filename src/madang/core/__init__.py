"""What chat is, without I/O, clock, asyncio or protobuf: models, errors, rules of position, policy."""
