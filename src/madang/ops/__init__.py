"""Operating a server: certificates, backups, checks. Works on files; knows no services and no gRPC servicers."""
