"""Who has a port: nobody, a Madang, or another program."""

from __future__ import annotations

import errno
import socket
from enum import Enum
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from madang.core.hosts import is_wildcard
from madang.ops import certificates

_AGENT = "madang.v1.AgentService"
PATIENCE = 3.0
"""Seconds in which a server has to answer."""


class Answer(Enum):
    """What was found."""

    FREE = "free"
    SERVING = "serving"
    TLS_REFUSED = "tls refused"
    UNBINDABLE = "unbindable"
    OTHER = "other"


def ask(host: str, port: int, certificate: Path | None) -> Answer:
    """Ask whoever listens at an address of this machine; `certificate`: what it should show, with TLS."""
    reach = "localhost" if is_wildcard(host) else host
    try:
        free = bindable(host, port)
    except OSError:
        free = False
    if free is not None:
        return Answer.FREE if free else Answer.UNBINDABLE
    target = f"[{reach}]:{port}" if ":" in reach else f"{reach}:{port}"
    with _channel(target, certificate) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=_AGENT)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE)
        except grpc.RpcError as error:
            details = str(error.details() if isinstance(error, grpc.Call) else error).casefold()
            return Answer.TLS_REFUSED if certificate is not None and "handshake" in details else Answer.OTHER
    return Answer.SERVING if answer.status == health_pb2.HealthCheckResponse.SERVING else Answer.OTHER


def bindable(host: str, port: int) -> bool | None:
    """Whether one could listen at one of a host's addresses at least; None when somebody has the port at any of them.

    gRPC is content with any one of the addresses that a name stands for: of localhost it would take ::1 when another
    program has 127.0.0.1, and clients would meet now the one, now the other. Raises OSError for a name that is not
    known.
    """
    answers = []
    for family, kind, protocol, _, where in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(where)
                answers.append(True)
        except OSError as error:  # an address that this machine does not have is no hindrance if it has another one
            if error.errno == errno.EADDRINUSE:
                return None
            answers.append(False)
    return any(answers)


def _channel(target: str, certificate: Path | None) -> grpc.Channel:
    options: list[tuple[str, str | int]] = [("grpc.enable_http_proxy", 0)]
    if certificate is None:
        return grpc.insecure_channel(target, options=options)
    # It need not be for the name by which we reach it here: it is held against itself.
    chain = certificates.read_file(certificate)
    name = certificates.first_name(chain)
    if name:
        options.append(("grpc.ssl_target_name_override", name))
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(chain), options=options)
