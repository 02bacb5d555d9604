"""The HTTP part as an OpenAPI 3.1 document."""

from typing import Any, Final


DOCUMENT: Final[dict[str, Any]] = {"openapi": "3.1.0", "info": {"title": "Tocsin", "version": "1"}, "paths": {}}
