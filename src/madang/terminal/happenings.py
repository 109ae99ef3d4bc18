"""What each event of the client means for the view."""

from __future__ import annotations

import time

from madang.client.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelReset,
    Connected,
    Disconnected,
    Event,
    MessageEvent,
    ReadMarkMoved,
    SendDelayed,
    Sent,
    UserChanged,
)
from madang.client.outgoing import Outgoing
from madang.core.errors import Internal, StorageUnavailable
from madang.terminal.clock import now_micros
from madang.terminal.exits import explain
from madang.terminal.lines import Line
from madang.terminal.pending import Unsent
from madang.terminal.view import View


def happened(view: View, event: Event, at: str = "") -> list[Line]:
    """Take an event into the view; returns the lines to print. Who is writing is left out in line mode. `at`: the node
    where the client is.
    """
    made: list[Line] = []
    match event:
        case MessageEvent(channel, author, message):
            made = view.message(channel, author, message)
        case ChannelOpened(channel, position):
            view.opened(channel, position)
        case ChannelClosed(channel):
            made = view.leave(channel.channel_id)
        case ChannelReset(channel, position):
            made = view.reset(channel, position)
        case ReadMarkMoved(channel, read_through):
            view.read(channel.channel_id, read_through)
        case UserChanged(user):
            made = view.user(user)
        case Connected():
            made = view.back(at)
        case Disconnected(error, retry_in):
            made = view.lost(explain(error), time.time() + retry_in, at)
        case SendDelayed(error=StorageUnavailable() as error):
            made = view.stuck(explain(error))
        case SendDelayed(outgoing, seconds):
            view.delayed(outgoing.request_id, time.time() + seconds)
        case Sent(outgoing):
            made = _sent(view, outgoing)
    return made


def _sent(view: View, outgoing: Outgoing) -> list[Line]:
    if outgoing.receipt is not None:
        view.stored(outgoing.request_id, outgoing.receipt.channel_id, outgoing.receipt.sequence)
        return []
    name = view.name(outgoing.channel_id)
    reason = explain(outgoing.error or Internal(), channel=name, to_join=f"/join {name} joins it")
    unsent = Unsent(outgoing.request_id, outgoing.channel_id, outgoing.text)
    return view.refused(unsent, reason, now_micros())
