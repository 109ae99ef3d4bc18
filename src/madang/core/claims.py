"""Who is present on the nodes of a cluster, pure: what each node claims, and what follows from all claims together.

A node claims that a user is *here* while it has proof of its life; see `madang.core.presence`. A user is present while
any node claims it. A claim also says how the user wants to be seen, and since when; the latest of all of a user's
claims counts. A node that has the user takes the latest over into its own claim, so that it stays when the node goes on
which it was said; and a node that was told without having the user claims just that, until somebody took it over.

So presence follows from the claims alone, in whatever order they came: nodes that know the same claims show the same.

A node's claims have a *version*, which each change moves on. Who missed a change notices it at the next one, or because
the node says which version it is at, and takes all of the node's claims at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from madang.core.presence import PresenceStates, Shown, Status

_RANKS = {Status.OFFLINE: 0, Status.ONLINE: 1, Status.AWAY: 2, Status.DO_NOT_DISTURB: 3}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a node says of a user. `seen_at`: when it last had proof of life; `wanted` since `wanted_at`; microseconds,
    0 for never.
    """

    user_id: int
    here: bool
    seen_at: int
    wanted: Status = Status.ONLINE
    wanted_at: int = 0

    @property
    def says(self) -> bool:
        """Whether there is anything in it; else it takes back what the node said before."""
        return self.here or self.wanted_at > 0

    @property
    def order(self) -> tuple[int, int]:
        """Of two claims, how the user wants to be seen is in the one of the higher order."""
        return self.wanted_at, _RANKS[self.wanted]


@dataclass(slots=True, kw_only=True)
class _User(Shown):
    """What is known of a user."""

    claims: dict[str, Claim] = field(default_factory=dict)

    @property
    def is_here(self) -> bool:
        return any(claim.here for claim in self.claims.values())

    def latest(self, user_id: int) -> Claim:
        """The claim that says how the user wants to be seen."""
        return max(self.claims.values(), key=lambda claim: claim.order, default=Claim(user_id, False, 0))


class Claims(PresenceStates[_User]):
    """The claims of all nodes, and the presence that follows. `changes` drains what is new.

    What this node says itself is made by `set_here`, `want` and `respond`; they return what the others have to hear.
    """

    def __init__(self, node_id: str) -> None:
        """`node_id`: of this node."""
        super().__init__()
        self._node_id = node_id
        self._of_node: dict[str, set[int]] = {}
        self._versions: dict[str, int] = {}
        self._touched: dict[int, None] = {}

    def set_here(self, user_id: int, here: bool, seen_at: int) -> Claim:
        """This node has the user, or has it no more."""
        if here:
            latest = self._latest(user_id)
            said = Claim(user_id, here, seen_at, latest.wanted, latest.wanted_at)
        else:
            said = Claim(user_id, here, seen_at)
            own = self._claim_of(self._node_id, user_id)
            if own is not None and not self._is_taken_over(user_id, own):
                said = replace(own, here=False, seen_at=seen_at)
        self._take(self._node_id, said)
        return said

    def want(self, user_id: int, status: Status, at: int) -> Claim | None:
        """The user said at this node how it wants to be seen. None when it is not here: then it counts for nothing."""
        user = self._users.get(user_id)
        if user is None or not user.is_here:
            return None
        own = user.claims.get(self._node_id, Claim(user_id, False, 0))
        later = max(at, user.latest(user_id).wanted_at + 1)  # what is said last counts, whatever the nodes' clocks say
        said = replace(own, wanted=status, wanted_at=later)
        self._take(self._node_id, said)
        return said

    def respond(self) -> list[Claim]:
        """What this node has to say to what came from others: it takes over what its users want to be seen as, and
        takes back what somebody else took over.
        """
        touched, self._touched = self._touched, {}
        responses = [said for user_id in touched if (said := self._response(user_id)) is not None]
        for said in responses:
            self._take(self._node_id, said)
        return responses

    def apply(self, node_id: str, after: int, version: int, claims: Iterable[Claim]) -> bool:
        """Take a change of another node's claims. Says whether it follows on what is known; else nothing is taken."""
        if after != self.version(node_id):
            return version <= self.version(node_id)
        self._versions[node_id] = version
        for claim in claims:
            self._take(node_id, claim)
            self._touched[claim.user_id] = None
        return True

    def replace(self, node_id: str, version: int, claims: Iterable[Claim]) -> None:
        """Take all that another node says, in place of what it said before; unless it is older than that."""
        if version < self.version(node_id):
            return
        before = set(self._of_node.get(node_id, ()))
        self._versions[node_id] = version
        for claim in claims:
            before.discard(claim.user_id)
            self._take(node_id, claim)
            self._touched[claim.user_id] = None
        for user_id in before:
            self._take(node_id, Claim(user_id, False, 0))
            self._touched[user_id] = None

    def drop(self, node_id: str) -> None:
        """Another node is gone, and what it said counts no more."""
        self.replace(node_id, self.version(node_id), ())
        self._of_node.pop(node_id, None)
        self._versions.pop(node_id, None)

    def forget(self, now: int) -> None:
        """Forget who is long gone, and of whom nobody says anything."""
        for user_id in self._absent.take_old(now):
            del self._users[user_id]
            self._touched.pop(user_id, None)

    def version(self, node_id: str) -> int:
        """Which version of another node's claims is known; 0: none."""
        return self._versions.get(node_id, 0)

    def nodes(self) -> list[str]:
        """The other nodes of which claims are known."""
        return list(self._versions)

    def own(self) -> list[Claim]:
        """Everything that this node says."""
        ids = sorted(self._of_node.get(self._node_id, ()))
        return [self._users[user_id].claims[self._node_id] for user_id in ids]

    def _latest(self, user_id: int) -> Claim:
        user = self._users.get(user_id)
        return Claim(user_id, False, 0) if user is None else user.latest(user_id)

    def _response(self, user_id: int) -> Claim | None:
        user = self._users[user_id]
        own = user.claims.get(self._node_id)
        if own is None:
            return None
        if own.here:
            latest = user.latest(user_id)
            return replace(own, wanted=latest.wanted, wanted_at=latest.wanted_at) if latest.order > own.order else None
        return Claim(user_id, False, 0) if self._is_taken_over(user_id, own) else None

    def _claim_of(self, node_id: str, user_id: int) -> Claim | None:
        user = self._users.get(user_id)
        return None if user is None else user.claims.get(node_id)

    def _is_taken_over(self, user_id: int, own: Claim) -> bool:
        """Whether nobody needs this node any more to know how the user wants to be seen."""
        claims = self._users[user_id].claims.items()
        others = [claim for node_id, claim in claims if node_id != self._node_id and claim.here]
        return not others or any(claim.order >= own.order for claim in others)

    def _take(self, node_id: str, claim: Claim) -> None:
        user = self._users.get(claim.user_id)
        if user is None:
            user = self._users[claim.user_id] = _User()
        of_node = self._of_node.setdefault(node_id, set())
        if claim.says:
            user.claims[node_id] = claim
            of_node.add(claim.user_id)
        else:
            user.claims.pop(node_id, None)
            of_node.discard(claim.user_id)
        user.seen_at = max(user.seen_at, claim.seen_at)
        if user.claims:
            self._absent.discard(claim.user_id)
        else:  # nobody claims anything of it
            self._absent.add(claim.user_id, user.seen_at)
        self._show(claim.user_id, user.latest(claim.user_id).wanted if user.is_here else Status.OFFLINE)
