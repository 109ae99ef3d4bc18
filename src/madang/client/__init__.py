"""The async Python SDK: what `madang.connect` gives. Imports only core, wire and the contract."""
