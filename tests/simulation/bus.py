"""The bus between server processes: it says that a log has moved, and no more (the log itself is the truth)."""

from typing import TYPE_CHECKING

from protocol import UserId


if TYPE_CHECKING:
    from .process import Process
    from .world import World


class Bus:
    """Nudges between processes: at most once, in no order, some never.

    Attributes:
        lose, delay, repeat: how many of the next nudges suffer it.
        sent, lost: how many did.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.lose = 0
        self.delay = 0
        self.repeat = 0
        self.sent = 0
        self.lost = 0

    def __repr__(self) -> str:
        return f"<Bus, {self.sent} sent, {self.lost} lost>"

    def nudge(self, author: "Process", user: UserId) -> None:
        """Tell the other processes that a user's log has moved."""
        for process in self._world.processes.values():
            if process is not author and process.up:
                self._send(process, user)

    def _send(self, process: "Process", user: UserId) -> None:
        self.sent += 1
        if self.lose:
            self.lose -= 1
            self.lost += 1
            self._world.note(process.name, f"a nudge about {user} is lost")
            return
        seconds = 0.002
        if self.delay:
            self.delay -= 1
            seconds += self._world.chance.uniform(0.1, 8.0)
        process.later(seconds, lambda: process.nudged(user))
        if self.repeat:
            self.repeat -= 1
            process.later(seconds + self._world.chance.uniform(0.0, 2.0), lambda: process.nudged(user))
