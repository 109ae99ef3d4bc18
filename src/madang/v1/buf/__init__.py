"""The generated code of a contract that ours imports."""
