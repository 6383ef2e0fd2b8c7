"""A tree of path tokens. Found in as many steps as the path has tokens, whatever the number of routes."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from .envelope import Reply
from .request import Request

Handler = Callable[[Request], Awaitable[Reply]]

LOGIN_COST: Final = 10
"""Tokens of the bucket: a login costs ten requests (KAZOO meant 35 and takes 1)."""

METHOD_ORDER: Final = ("GET", "PUT", "POST", "PATCH", "DELETE")


class Access(Enum):
    """Who gets to the endpoint."""

    TOKEN = "token"  # noqa: S105 (a word, no secret)
    """Only with a valid token that reaches the account of the path."""
    OPEN = "open"
    """Anybody; a token is not even looked at (logins)."""
    CALL = "call"
    """With a token as above, or with the call token of the one call in the path."""
    OPTIONAL = "optional"
    """The endpoint decides, by the document, what an anonymous caller may do."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path template, for example `accounts/{account_id}/users/{id}`, and what it answers."""

    path: str
    handlers: dict[str, Handler]
    access: Access = Access.TOKEN
    is_login: bool = False
    """It takes LOGIN_COST tokens from the caller's bucket, others one, unless the settings say otherwise."""
    takes_files: bool = False
    """A body that is no JSON is a file (`request.upload`); elsewhere it is refused with 415."""
    takes_lists: bool = False
    """`data` is a list (`request.items`)."""
    methods: tuple[str, ...] = field(init=False)
    words: tuple[str, ...] = field(init=False)
    """What the path says beside ids, without `accounts` if more follows: `devices`, `quickcall`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", tuple(m for m in METHOD_ORDER if m in self.handlers))
        words = [word for word in self.path.split("/") if not word.startswith("{")]
        object.__setattr__(self, "words", tuple(words[1:] if words[0] == "accounts" and words[1:] else words))


class _Node:
    __slots__ = ("argument", "children", "name", "route")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.argument: _Node | None = None
        self.name = ""
        self.route: Route | None = None

    def child(self, token: str) -> "_Node":
        if not token.startswith("{"):
            return self.children.setdefault(token, _Node())
        if self.argument is None:
            self.argument = _Node()
            self.argument.name = token.strip("{}")
        assert self.argument.name == token.strip("{}"), f"two names for one place: {token}"
        return self.argument


class Routes:
    """The route table."""

    __slots__ = ("_root", "all")

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all = tuple(routes)
        self._root = _Node()
        for route in self.all:
            node = self._root
            for token in route.path.split("/"):
                node = node.child(token)
            assert node.route is None, f"two routes for {route.path}"
            node.route = route

    def find(self, tokens: tuple[str, ...]) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a path and its arguments. A literal token wins over an argument."""
        node: _Node | None = self._root
        arguments: dict[str, str] = {}
        for token in tokens:
            assert node is not None
            found = node.children.get(token)
            if found is None:
                found = node.argument
                if found is None:
                    return None
                arguments[found.name] = token
            node = found
        if node is None or node.route is None:
            return None
        return node.route, arguments
