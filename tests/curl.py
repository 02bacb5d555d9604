"""Requests made by `curl`, or where there is none by the standard library, from curl's own arguments."""

import argparse
import http.client
import json
import shutil
import subprocess
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


PATIENCE = 10.0
"""Seconds; never waited for when all is well."""

CURL = shutil.which("curl")


@dataclass(frozen=True)
class Reply:
    """Status and body of an HTTP answer."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and field of a refusal, which has a sentence for people as well."""
        error = self.json["error"]
        assert error["message"].endswith((".", "?"))
        return self.status, error["code"], error.get("field")


def curl(*arguments: str, given: bytes = b"") -> Reply:
    """Run `curl` with these arguments; where there is none, do by the standard library what they ask for."""
    if CURL is None:
        return without_curl(arguments, given)
    command = [CURL, "-sS", "--max-time", str(PATIENCE), "--noproxy", "*", "-w", "\n%{http_code}", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=True, timeout=2 * PATIENCE)
    body, _, status = done.stdout.rpartition(b"\n")
    return Reply(int(status), body)


def without_curl(arguments: tuple[str, ...], given: bytes) -> Reply:
    """The options of curl that the guide uses."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url", type=urlsplit)
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", "--data-binary", dest="data")
    asked = parser.parse_args(arguments)
    body = given if asked.data == "@-" else asked.data and asked.data.encode()
    headers = dict(header.split(": ", 1) for header in asked.headers)
    with closing(http.client.HTTPConnection(asked.url.netloc, timeout=PATIENCE)) as connection:
        connection.request(asked.method or ("GET" if body is None else "POST"), asked.url.path, body, headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read())
