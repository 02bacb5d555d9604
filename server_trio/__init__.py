"""Quart-Trio server: carries bytes and time to `protocol`.

For a program that embeds a server: `config.load` reads a configuration, `app.serve` runs it, `notify.Notifier` changes
items from the server's side, and `hub.Hub` tells who is connected.
"""

from typing import Final


VERSION: Final = "0.1.0"
"""The project's version, written here too: a checkout that is not installed has no metadata to read it from."""
