"""The public surface, pinned."""

import subprocess
import sys

import madang
from madang.core import errors

NAMES = """AuditEvent Ban BanInfo BotToken Channel ChannelClosed ChannelInfo ChannelKind ChannelOpened ChannelReset
ChannelRole Client ClientClosed Connected Connecting Content Disconnected Event Invite Keyring Member
Message MessageEvent NewInvite Outgoing Presence PresenceChanged ReadMarkMoved Receipt Registration Report
ResetCode Scope SendDelayed SendState Sent Server ServerInfo ServerNotTrusted ServerRole Session
StateError StateInUse Status Tls TypingEvent User UserChanged UserKind connect register reset_password"""


def test_exports() -> None:
    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert set(madang.__all__) == tree.union(NAMES.split())
    assert [name for name in madang.__all__ if getattr(madang, name) is None] == []


def test_import_loads_nothing() -> None:
    code = "import sys, madang, madang.pytest_plugin; sys.exit('grpc' in sys.modules or 'madang.core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
