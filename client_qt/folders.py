"""Where a program keeps its data on this system."""

import os
import sys
from pathlib import Path


def data_folder() -> Path:
    """The folder of local copies (XDG Base Directory Specification on Linux)."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "tocsin"
