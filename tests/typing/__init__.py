"""Checked by mypy with everything else, never run: what the public names promise to a type checker."""
