"""All scenes. Trouble is put where it hurts: the cable goes in the moment of an edit, the power in that of a commit.

Noise that is spread evenly finds little. So each scene puts its fault beside what the fault could spoil, milliseconds
apart, and most of them end it again later: perhaps only after the end of the plan.
"""

from .scenes_devices import DEVICE_SCENES
from .scenes_links import LINK_SCENES
from .scenes_servers import SERVER_SCENES
from .scenes_user import USER_SCENES
from .sketch import Scene


TROUBLE_SCENES: tuple[tuple[int, Scene], ...] = LINK_SCENES + DEVICE_SCENES + SERVER_SCENES
"""With how often each is played."""

__all__ = ["TROUBLE_SCENES", "USER_SCENES"]
