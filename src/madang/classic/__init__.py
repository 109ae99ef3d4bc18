"""The generated code of the classic contract, `proto/classic/client_to_agent.proto`."""
