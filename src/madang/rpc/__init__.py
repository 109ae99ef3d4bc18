"""The edge: gRPC servicers that decode, call a service, and encode; and the gateway of the classic contract."""
