"""What was said in a world, for people who look for a fault."""

from offhook.engines.embedded.trace import summary_of

from .network import NODE
from .virtual_time import Address, Agenda


class Ladder:
    """Every message that arrived, and what the world did."""

    def __init__(self) -> None:
        self.agenda = Agenda()
        self.lines: list[tuple[float, str, str]] = []
        """Time, address of the far end (empty: the world), words."""

    def message(self, data: bytes, source: Address, to: Address) -> None:
        if source == NODE:
            self.lines.append((self.agenda.now, to[0], f"node ───► {summary_of(data)}"))
        else:
            self.lines.append((self.agenda.now, source[0], f"node ◄─── {summary_of(data)}"))

    def say(self, what: str) -> None:
        self.lines.append((self.agenda.now, "", what))

    def of(self, hosts: set[str]) -> list[str]:
        """Return the lines of some far ends, and of the world."""
        return [
            f"{at:10.3f}  {host or '*':<14} {words}"
            for at, host, words in self.lines
            if not host or host in hosts
        ]
