"""The generated code of protovalidate's rules."""
