"""The generated code of what nodes tell each other, `proto/madang/bus/v1`."""
