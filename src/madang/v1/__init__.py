"""The generated code of the contract `madang.v1`; `proto/madang/v1` says what it means."""
