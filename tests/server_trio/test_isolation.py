"""A user sees only their own: whatever users do in whatever order, no message crosses from one to another."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st

from protocol import ItemId, UserId
from server_trio.notify import Notifier

from .parts import Parts, Wire, parts
from .whole_server import alarm, mutation


USERS = ("ada", "bob", "carol")
# The same identifiers for all, because that is where a mix-up would show.
ITEMS = ("one", "two")
DEVICES = ("desk", "lap")

ACTIONS = st.one_of(
    st.tuples(st.just("post"), st.sampled_from(USERS), st.sampled_from(ITEMS)),
    st.tuples(st.just("delete"), st.sampled_from(USERS), st.sampled_from(ITEMS)),
    st.tuples(st.just("notify"), st.sampled_from(USERS), st.sampled_from(ITEMS)),
    st.tuples(st.just("mutate"), st.sampled_from(USERS), st.sampled_from(ITEMS)),
    st.tuples(st.just("classic"), st.sampled_from(USERS), st.sampled_from(ITEMS)),
    st.tuples(st.just("v1"), st.sampled_from(USERS), st.sampled_from(DEVICES)),
    st.tuples(st.just("leave"), st.sampled_from(USERS), st.sampled_from(DEVICES)),
    st.tuples(st.just("epoch"), st.sampled_from(USERS), st.sampled_from(ITEMS)),
    st.tuples(st.just("wait"), st.sampled_from(USERS), st.sampled_from(ITEMS)),
)


class World:
    """Sockets of several users, each item labelled with its owner's name."""

    def __init__(self, made: Parts) -> None:
        self.made = made
        self.wires: list[tuple[str, Wire]] = []
        self.mids: Counter[tuple[str, str]] = Counter()
        self.conn = 0

    async def do(self, action: str, user: str, what: str) -> None:
        """One action of one user."""
        services, owner = self.made.services, UserId(user)
        match action:
            case "post":
                await services.commits.decide(owner, services.commits.post(alarm(label=user), ItemId(what)))
            case "delete":
                await services.commits.decide(owner, services.commits.delete(ItemId(what)))
            case "notify":
                fields = {"label": user, "time": "08:00", "days": ["mo"], "tz": "UTC"}
                await Notifier(services).notify_item_change(owner, "alarm", ItemId(what), fields)
            case "mutate":
                self.mutate(user, what)
            case "classic":
                self.wires.append((user, await self.made.session(user)))
            case "v1":
                self.conn += 1
                self.wires.append((user, await self.made.v1(user, what, conn=self.conn, caps=["presence"])))
            case "leave":
                for _, wire in [pair for pair in self.wires if pair[0] == user][:1]:
                    wire.session.closed(1006, "")
            case "epoch":
                account = await services.store.renew_epoch(owner, (await services.store.head(owner)).epoch)
                services.hub.resync(owner, account)
            case _:
                self.made.advance(6)
        await self.made.settle()

    def mutate(self, user: str, item: str) -> None:
        """Over whichever v1 socket of the user is open."""
        for owner, wire in self.wires:
            welcomes = [message for message in wire.messages if message["type"] == "welcome"]
            if owner == user and welcomes:
                mid = welcomes[0]["last_mid"] + 1
                fields = {"label": user, "time": "09:00", "days": ["tu"], "tz": "UTC"}
                wire.session.received(json.dumps(mutation(welcomes[0]["epoch"], mid, id=item, fields=fields)))
                return


def labels(message: Any) -> set[str]:
    """Every label in a message, however deep."""
    if isinstance(message, dict):
        # `welcome.limits.label` is a number.
        here = {message["label"]} if isinstance(message.get("label"), str) else set[str]()
        return here.union(*map(labels, message.values()))
    if isinstance(message, list):
        return set[str]().union(*map(labels, message))
    return set()


@given(st.lists(ACTIONS, max_size=25))
def test_no_message_crosses_from_one_user_to_another(actions: list[tuple[str, str, str]]) -> None:
    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with parts(Path(folder)) as made:
                world = World(made)
                for action in actions:
                    await world.do(*action)
                made.advance(31)
                await made.settle()
                for user, wire in world.wires:
                    for message in wire.messages:
                        assert labels(message) <= {user}
                        assert message.get("user", user) == user
                await own_view(world)

    trio.run(play)


async def own_view(world: World) -> None:
    """What each user's events tell is what the store has for that user and nobody else."""
    for user in USERS:
        state = await world.made.services.store.state(UserId(user), None, with_deleted=False)
        assert {record.label for record in state.records} <= {user}
