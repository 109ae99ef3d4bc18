"""The gateway of the classic contract, `proto/classic/client_to_agent.proto`: see docs/classic.md."""
