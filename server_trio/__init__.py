"""Quart-Trio server: carries bytes and time to `protocol`.

For a program that embeds a server: `config.load` reads a configuration, `app.serve` runs it, `notify.Notifier` changes
items from the server's side, and `hub.Hub` tells who is connected.
"""
