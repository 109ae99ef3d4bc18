"""Every limit of the contract: what keeps to it is taken, what is just beyond it is refused, and the field is named."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import Descriptor

from madang.node.embed import Server
from madang.node.listeners import MAX_METADATA_BYTES, MAX_REQUEST_BYTES
from madang.v1 import channel_service_pb2 as pb
from madang.v1.buf.validate import validate_pb2

from .calls import METHODS, Caller, Stream, refusal_in, refusal_of

INVALID_FIELD = ("INVALID_ARGUMENT", "INVALID_FIELD")
CHANNEL_ID = [1], [0, -1, -(2**63)]
PAGE_SIZE = [0, 1, 2**31 - 1], [-1, -(2**31)]
PAGE_TOKEN = ["", "x" * 512, "한" * 512], ["x" * 513, "한" * 513]
UUID = (
    ["", str(uuid.UUID(int=1)), "ABCDEF00-0000-4000-8000-000000000000"],
    [
        "x",
        "0" * 32,
        "{" + str(uuid.UUID(int=1)) + "}",
        str(uuid.UUID(int=1)) + "0",
        str(uuid.UUID(int=1))[:-1],
        str(uuid.UUID(int=1))[:-1] + "g",
        "urn:uuid:" + str(uuid.UUID(int=1)),
        " " * 36,
    ],
)


class Limit(NamedTuple):
    """A field of a method's request, what else the request needs, and values within and beyond the limit."""

    method: str
    field: str
    rest: dict[str, Any]
    values: tuple[list[Any], list[Any]]


SEND = {"channel_id": 1, "text": "hello"}
MESSAGE = {"channel_id": 1, "sequence": 1}
TARGET = {"channel_id": 1, "user_id": 999}
TARGETED: dict[str, dict[str, Any]] = {
    "AddMember": {},
    "RemoveMember": {},
    "BanMember": {},
    "UnbanMember": {},
    "MuteMember": {},
    "SetMemberRole": {"role": 1},
}
SECRET = {"password": "correct horse battery"}
NOBODY = [999], [0, -1]
REASON = ["", "r" * 256, "한" * 256], ["r" * 257]

LIMITS = [
    Limit("GetServer", "avoid", {}, ([[], ["a:1"] * 32], [["a:1"] * 33])),
    Limit("SignIn", "credential", {}, ([{"guest": {}}], [{}])),
    Limit("SignIn", "device", {"guest": {}}, (["", "d" * 64, "한" * 64], ["d" * 65, "한" * 65])),
    Limit("SignIn", "guest.handle", {}, (["h" * 32, "한" * 32], ["h" * 33, "한" * 33])),
    Limit("SignIn", "token.token", {}, (["t", "t" * 256], ["", "t" * 257])),
    Limit("SignIn", "password.handle", {"password": "x"}, (["h" * 32], ["", "h" * 33])),
    Limit("SignIn", "password.password", {"handle": "h"}, (["p"], ["", "p" * 257])),
    Limit("UpdateMe", "display_name", {}, (["", "d" * 64, "한" * 64], ["d" * 65])),
    Limit("UpdateMe", "status_text", {}, (["", "s" * 128, "한" * 128], ["s" * 129])),
    Limit("Register", "handle", SECRET, (["h" * 32], ["", "h" * 33])),
    Limit("Register", "password", {"handle": "h"}, (["p", "p" * 256], ["", "p" * 257])),
    Limit("Register", "invite_code", {"handle": "h", **SECRET}, (["c" * 64], ["c" * 65])),
    Limit("Register", "display_name", {"handle": "h", **SECRET}, (["", "d" * 64], ["d" * 65])),
    Limit("Register", "device", {"handle": "h", **SECRET}, (["", "d" * 64], ["d" * 65])),
    Limit("ChangePassword", "old_password", {"new_password": "p"}, (["p", "p" * 256], ["", "p" * 257])),
    Limit("ChangePassword", "new_password", {"old_password": "p"}, (["p", "p" * 256], ["", "p" * 257])),
    Limit("ListSessions", "user_id", {}, ([0, 1], [-1])),
    Limit("ListSessions", "page_size", {}, PAGE_SIZE),
    Limit("ListSessions", "page_token", {}, PAGE_TOKEN),
    Limit("RevokeSessions", "which", {}, ([{"session_id": 999}], [{}])),
    Limit("RevokeSessions", "session_id", {}, ([999], [0, -1])),
    Limit("RevokeSessions", "all_of_user_id", {}, ([0, 999], [-1])),
    Limit("DeleteMe", "password", {"messages": 1}, (["", "p" * 256], ["p" * 257])),
    Limit("DeleteMe", "messages", {"password": "p"}, ([1, 2], [0, 3, -1])),
    Limit("CreateBot", "handle", {}, (["b" * 32], ["", "b" * 33])),
    Limit("CreateBot", "display_name", {"handle": "robby"}, (["", "d" * 64], ["d" * 65])),
    Limit("ListBots", "page_size", {}, PAGE_SIZE),
    Limit("ListBots", "page_token", {}, PAGE_TOKEN),
    Limit("DeleteBot", "bot_id", {}, NOBODY),
    Limit("CreateBotToken", "bot_id", {"scopes": [1]}, NOBODY),
    Limit("CreateBotToken", "scopes", {"bot_id": 999}, ([[1], [1, 2, 3]], [[], [0], [4], [1] * 9])),
    Limit("CreateBotToken", "name", {"bot_id": 999, "scopes": [1]}, (["", "n" * 64], ["n" * 65])),
    Limit("CreateInvite", "role", {}, ([0, 3, 4, 5], [6, -1])),
    Limit("CreateInvite", "max_uses", {}, ([0, 1, 10_000], [-1, 10_001])),
    Limit("CreateInvite", "lifetime_seconds", {}, ([0, 31_536_000], [-1, 31_536_001])),
    Limit("CreateInvite", "note", {}, (["", "n" * 128], ["n" * 129])),
    Limit("ListInvites", "page_size", {}, PAGE_SIZE),
    Limit("ListInvites", "page_token", {}, PAGE_TOKEN),
    Limit("RevokeInvite", "invite_id", {}, NOBODY),
    Limit("CreatePasswordReset", "user_id", {}, NOBODY),
    Limit("RedeemPasswordReset", "code", {"new_password": "p"}, (["c", "c" * 64], ["", "c" * 65])),
    Limit("RedeemPasswordReset", "new_password", {"code": "c"}, (["p", "p" * 256], ["", "p" * 257])),
    Limit("SetServerRole", "user_id", {"role": 3}, NOBODY),
    Limit("SetServerRole", "role", {"user_id": 999}, ([3, 4, 5], [0, 6, -1])),
    Limit("SetBotLimits", "bot_id", {}, NOBODY),
    Limit("SetBotLimits", "messages_per_second", {"bot_id": 999}, ([0, 100_000], [-1, 100_001])),
    Limit("SetBotLimits", "burst", {"bot_id": 999}, ([0, 1_000_000], [-1, 1_000_001])),
    Limit("BanUser", "user_id", {}, NOBODY),
    Limit("BanUser", "reason", {"user_id": 999}, REASON),
    Limit("UnbanUser", "user_id", {}, NOBODY),
    Limit("ListAuditEvents", "page_size", {}, PAGE_SIZE),
    Limit("ListAuditEvents", "page_token", {}, PAGE_TOKEN),
    Limit("ListAuditEvents", "actor_id", {}, ([0, 1], [-1])),
    Limit("ListAuditEvents", "user_id", {}, ([0, 1], [-1])),
    Limit("ListAuditEvents", "channel_id", {}, ([0, 1], [-1])),
    Limit("ListAuditEvents", "action_prefix", {}, (["", "a" * 64], ["a" * 65])),
    Limit("UpdateMe", "handle", {}, (["h", "h" * 32], ["", "h" * 33])),
    Limit("SetStatus", "status", {}, ([2, 3, 4], [0, 1, 5, -1])),
    Limit("ListPresences", "user_ids", {}, ([[], [1] * 1000], [[1] * 1001])),
    Limit("ListPresences", "page_size", {}, PAGE_SIZE),
    Limit("ListPresences", "page_token", {}, PAGE_TOKEN),
    Limit("CreateChannel", "name", {}, (["n", "n" * 64], ["", "n" * 65])),
    Limit("CreateChannel", "topic", {"name": "garden"}, (["", "t" * 256, "한" * 256], ["t" * 257])),
    Limit("CreateChannel", "request_id", {"name": "attic"}, UUID),
    Limit("CreateChannel", "kind", {"name": "shed"}, ([0, 2, 3], [1, 4, 5, -1])),
    Limit("GetChannel", "channel", {}, ([{"channel_id": 1}], [{}])),
    Limit("GetChannel", "channel_id", {}, CHANNEL_ID),
    Limit("GetChannel", "name", {}, (["n", "n" * 64], ["", "n" * 65])),
    Limit("ListChannels", "page_size", {}, PAGE_SIZE),
    Limit("ListChannels", "page_token", {}, PAGE_TOKEN),
    Limit("UpdateChannel", "channel_id", {}, CHANNEL_ID),
    Limit("UpdateChannel", "name", {"channel_id": 1}, (["n", "n" * 64], ["", "n" * 65])),
    Limit("UpdateChannel", "topic", {"channel_id": 1}, (["", "t" * 256], ["t" * 257])),
    Limit("UpdateChannel", "slow_mode_seconds", {"channel_id": 1}, ([0, 21_600], [-1, 21_601])),
    Limit("ArchiveChannel", "channel_id", {}, CHANNEL_ID),
    Limit("UnarchiveChannel", "channel_id", {}, CHANNEL_ID),
    Limit("JoinChannel", "channel_id", {}, CHANNEL_ID),
    Limit("LeaveChannel", "channel_id", {}, CHANNEL_ID),
    Limit("ListMembers", "channel_id", {}, CHANNEL_ID),
    Limit("ListMembers", "page_size", {"channel_id": 1}, PAGE_SIZE),
    Limit("ListMembers", "page_token", {"channel_id": 1}, PAGE_TOKEN),
    Limit("GetUser", "user", {}, ([{"user_id": 1}], [{}])),
    Limit("GetUser", "user_id", {}, CHANNEL_ID),
    Limit("GetUser", "handle", {}, (["h", "h" * 32], ["", "h" * 33])),
    Limit("BatchGetUsers", "user_ids", {}, ([[1], [1] * 1000], [[], [1] * 1001])),
    Limit("ListUsers", "page_size", {}, PAGE_SIZE),
    Limit("ListUsers", "page_token", {}, PAGE_TOKEN),
    Limit(
        "OpenDirectChannel", "user_ids", {}, ([[999], list(range(901, 909))], [[], list(range(901, 910)), [9, 9], [0]])
    ),
    *(
        limit
        for method, rest in TARGETED.items()
        for limit in (
            Limit(method, "channel_id", {"user_id": 999, **rest}, CHANNEL_ID),
            Limit(method, "user_id", {"channel_id": 1, **rest}, ([999], [0, -1])),
        )
    ),
    Limit("RemoveMember", "reason", TARGET, REASON),
    Limit("BanMember", "reason", TARGET, REASON),
    Limit("MuteMember", "seconds", TARGET, ([0, 31_536_000], [-1, 31_536_001])),
    Limit("SetMemberRole", "role", TARGET, ([1, 2, 3], [0, 4, -1])),
    Limit("ListBans", "channel_id", {}, CHANNEL_ID),
    Limit("ListBans", "page_size", {"channel_id": 1}, PAGE_SIZE),
    Limit("ListBans", "page_token", {"channel_id": 1}, PAGE_TOKEN),
    Limit("ReportMessage", "channel_id", {"sequence": 1}, CHANNEL_ID),
    Limit("ReportMessage", "sequence", {"channel_id": 1}, CHANNEL_ID),
    Limit("ReportMessage", "reason", MESSAGE, REASON),
    Limit("ListReports", "channel_id", {}, ([0, 1], [-1])),
    Limit("ListReports", "page_size", {}, PAGE_SIZE),
    Limit("ListReports", "page_token", {}, PAGE_TOKEN),
    Limit("ResolveReport", "report_id", {}, CHANNEL_ID),
    Limit("Send", "channel_id", {"text": "hello"}, CHANNEL_ID),
    Limit("Send", "text", {"channel_id": 1}, (["t", "t" * 16384], ["", "t" * 16385, "한" * 5462])),
    Limit("Send", "request_id", SEND, UUID),
    Limit("Post", "sends", {}, ([[SEND], [SEND] * 1000], [[], [SEND] * 1001])),
    Limit("Post", "sends.channel_id", {"text": "hello"}, CHANNEL_ID),
    Limit("Post", "sends.text", {"channel_id": 1}, (["t", "t" * 16384], ["", "t" * 16385])),
    Limit("Post", "sends.request_id", SEND, (UUID[0][1:], UUID[1])),
    Limit("GetMessage", "channel_id", {"sequence": 1}, CHANNEL_ID),
    Limit("GetMessage", "sequence", {"channel_id": 1}, CHANNEL_ID),
    Limit("ListMessages", "channel_id", {}, CHANNEL_ID),
    Limit("ListMessages", "page_size", {"channel_id": 1}, PAGE_SIZE),
    Limit("ListMessages", "page_token", {"channel_id": 1}, PAGE_TOKEN),
    Limit("ListMessages", "order", {"channel_id": 1}, ([0, 1, 2], [3, -1, 2**31 - 1])),
    Limit("ListMessages", "after", {"channel_id": 1}, ([0, 2**63 - 1], [-1])),
    Limit("ListMessages", "before", {"channel_id": 1}, ([0, 2**63 - 1], [-1])),
    Limit("MarkRead", "channel_id", {}, CHANNEL_ID),
    Limit("MarkRead", "read_through", {"channel_id": 1}, ([0], [-1, -(2**63)])),
    Limit("SetTyping", "channel_id", {}, CHANNEL_ID),
    Limit("Subscribe", "positions", {}, ([[], [MESSAGE]], [[MESSAGE] * 10001])),
    Limit("Subscribe", "positions.channel_id", {"sequence": 1}, CHANNEL_ID),
    Limit("Subscribe", "positions.sequence", {"channel_id": 1}, ([0, 2**63 - 1], [-1])),
    Limit("Subscribe", "channel_ids", {}, ([[], [1] * 10000], [[1] * 10001])),
    Limit("Subscribe", "store_id", {}, (["", "s" * 64], ["s" * 65])),
]


def limited(message: Descriptor, prefix: str = "") -> Iterator[str]:
    """The fields of a request that the contract limits, those of its parts too."""
    for oneof in message.oneofs:
        if oneof.GetOptions().HasExtension(validate_pb2.oneof):
            yield prefix + oneof.name
    for field in message.fields:
        if field.GetOptions().HasExtension(validate_pb2.field):
            yield prefix + field.name
        if field.message_type is not None:
            yield from limited(field.message_type, f"{prefix}{field.name}.")


def fields_of(limit: Limit, value: Any) -> dict[str, Any]:
    """The fields of a request whose limited field has this value."""
    message = METHODS[limit.method].input_type
    if limit.field in message.oneofs_by_name:
        return dict(value)
    outer, _, inner = limit.field.partition(".")
    if not inner:
        return {**limit.rest, outer: value}
    part = {**limit.rest, inner: value}
    repeated = message.fields_by_name[outer].is_repeated
    return {outer: [part] if repeated else part}


async def problem(caller: Caller, method: str, fields: dict[str, Any]) -> tuple[tuple[str, str], str]:
    """How a call was refused, and which field it was; empty when it was not."""
    if method == "Post":
        return await post_problem(caller, fields)
    stream: Stream | None = None
    if method == "Subscribe":
        stream = caller.stream(method, **fields)
        answer = stream.read()
    else:
        answer = caller.call(method, **fields)
    try:
        await answer
    except grpc.aio.AioRpcError as error:
        refusal = refusal_of(error)
        return refusal.what, refusal.field
    if stream is not None:
        stream.call.cancel()
    return ("", ""), ""


async def post_problem(caller: Caller, fields: dict[str, Any]) -> tuple[tuple[str, str], str]:
    """The same of Post, where an item fails alone."""
    post = caller.post()
    sends = [{"request_id": str(uuid.uuid4()), **send} for send in fields["sends"]]
    await post.write(sends=sends)
    await post.call.done_writing()
    try:
        (*_, result) = (await post.read()).results
    except grpc.aio.AioRpcError as error:
        refusal = refusal_of(error)
        return refusal.what, refusal.field
    if result.HasField("stored"):
        return ("", ""), ""
    refusal = refusal_in(result.error)
    return refusal.what, f"sends.{refusal.field}"


async def test_the_table_has_every_limit_of_the_contract() -> None:
    in_contract = {(name, field) for name, method in METHODS.items() for field in limited(method.input_type)}
    assert {(limit.method, limit.field) for limit in LIMITS} == in_contract
    assert len(LIMITS) == len(in_contract)


async def test_every_limit(server: Server, nobody: Caller) -> None:
    """As the server's owner: whoever may not call a method at all is told so, whatever it asks."""
    registered = await nobody.call("Register", handle="boss", **SECRET, invite_code=await server.first_invite())
    mina = Caller(nobody.channel, registered.token)
    await mina.say(1, "hello")
    for limit in LIMITS:
        within, beyond = limit.values
        for value in beyond:
            found = await problem(mina, limit.method, fields_of(limit, value))
            assert found == (INVALID_FIELD, limit.field), f"{limit.method} {limit.field} = {value!r:.80}"
        for value in within:
            what, _ = await problem(mina, limit.method, fields_of(limit, value))
            assert what != INVALID_FIELD, f"{limit.method} {limit.field} = {value!r:.80}"
            assert what[0] not in ("INTERNAL", "UNKNOWN"), f"{limit.method} {limit.field} = {value!r:.80}"


async def test_requests_that_are_too_large(mina: Caller, kitchen: int) -> None:
    refusal = await mina.refused_raw("Send", bytes(MAX_REQUEST_BYTES + 1))
    assert refusal.code == "RESOURCE_EXHAUSTED"
    post = mina.post_raw(bytes(MAX_REQUEST_BYTES + 1))
    assert (await post.ending()).code == "RESOURCE_EXHAUSTED"
    assert await mina.say(kitchen, "hello")


async def test_metadata_that_is_too_large(mina: Caller) -> None:
    mina.metadata = (*mina.metadata, ("x-large", "x" * 2 * MAX_METADATA_BYTES))
    assert (await mina.refused("GetMe")).code == "RESOURCE_EXHAUSTED"
    mina.metadata = mina.metadata[:1]
    assert (await mina.call("GetMe")).user.handle == "mina"


async def test_pages_have_a_largest_size(mina: Caller, kitchen: int) -> None:
    post = mina.post()
    await post.write(
        sends=[pb.SendRequest(channel_id=kitchen, text="x", request_id=str(uuid.uuid4())) for _ in range(600)]
    )
    await post.read()
    page = await mina.call("ListMessages", channel_id=kitchen, page_size=2**31 - 1)
    assert len(page.messages) == 500
    assert page.next_page_token
