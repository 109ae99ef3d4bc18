"""Why a store cannot be opened, for the operator, at start; and the one refusal that the services have to know.

Everything else that goes wrong in a call is one of `madang.core.errors`.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.exc import DBAPIError

from madang.core.errors import StorageUnavailable, TextNotAllowed


class NotUnique(Exception):
    """A row was refused because another one has its unique key. Raised by the functions that say so."""


def is_of_a_value(error: DBAPIError) -> bool:
    """Whether a database refused a value, so that whoever gave it is at fault, and nobody else."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return state.startswith("22") or isinstance(getattr(error.orig, "__cause__", None), ValueError)


def not_storable(error: DBAPIError) -> TextNotAllowed:
    """What whoever gave such a value is told. It can only be a text: what PostgreSQL does not take is a zero byte."""
    failure = TextNotAllowed(problem="holds a character that cannot be stored")
    failure.__cause__ = error
    return failure


def unavailable(problem: str, detail: str = "", settled: bool = True) -> StorageUnavailable:
    """What callers are told of a store that cannot be used, and beside it what its log tells the operator.

    `problem`: a plain sentence. `detail`: the database's own words. `settled`: whether nothing was stored for certain.
    """
    failure = StorageUnavailable(problem=problem)
    failure.detail = detail
    failure.is_settled = settled
    return failure


class StoreError(Exception):
    """The store cannot be opened."""


class StoreLocked(StoreError):
    """Another server uses the data directory."""

    def __init__(self, directory: Path, holder: str) -> None:
        super().__init__(directory, holder)
        self.directory = directory
        self.holder = holder

    def __str__(self) -> str:
        by = f" (process {self.holder})" if self.holder else ""
        return f"another server{by} uses the data directory {self.directory}; stop it, or choose another with --data"


class StoreForeign(StoreError):
    """The data file, or the database, is not one of ours."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        kind = "data file" if isinstance(self.path, Path) else "database"
        return f"{self.path} is not a {kind} of Madang: {self.problem}; nothing was changed in it"


class StoreNewer(StoreError):
    """The data file, or the database, was written by a newer version."""

    def __init__(self, path: Path | str, revision: str, known: str) -> None:
        super().__init__(path, revision, known)
        self.path = path
        self.revision = revision
        self.known = known

    def __str__(self) -> str:
        return (
            f"{self.path} was written by a newer version of Madang (its schema is {self.revision}, this version knows "
            f"{self.known}); upgrade this program, or use the copy that was made before the upgrade"
        )


class StoreOfAnotherCluster(StoreError):
    """The database belongs to a cluster of another name, whose nodes would not hear of what this one stores."""

    def __init__(self, cluster: str, own: str) -> None:
        super().__init__(cluster, own)
        self.cluster = cluster
        self.own = own

    def __str__(self) -> str:
        return (
            f"the database belongs to the cluster {self.cluster}, and this node to {self.own}: start it with "
            f"--cluster {self.cluster}, or with another database"
        )


class StoreUnusable(StoreError):
    """The directory, the file or the database cannot be used: permissions, a full disk, no server there."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"cannot use {self.path}: {self.problem}"
