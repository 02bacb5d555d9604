"""Tocsin and a peer under the same load on the same machine, in turn: A B A B.

    python benchmarks/run.py --bench ../shared/bench --peer-python PEER_VENV/bin/python [--rounds 5] [--write]

`--bench` names a folder with `load.py` (the load generator) and `peer_classic.py` (the system that Tocsin succeeds,
FastAPI + uvicorn; `--peer-python` has fastapi, uvicorn[standard], pyjwt and asyncpg). Read the ratios: absolute figures
belong to the machine and its mood. Both servers are single processes on SQLite files with full durability; the caps on
sockets and messages are raised for both runs alike, since the peer has none.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


ROOT = Path(__file__).resolve().parent.parent
SECRET = "bench-secret-bench-secret-bench-secret"
RAISED = {
    "TOCSIN_MAX_SOCKETS_PER_USER": "1000000",
    "TOCSIN_MAX_SOCKETS_PER_ADDRESS": "1000000",
    "TOCSIN_MESSAGES_PER_MINUTE": "1000000000",
}
SCENARIOS = {
    "fanout": ["--listeners", "500", "--posts", "60"],
    "pairs": ["--users", "200", "--seconds", "6"],
    "idle": ["--listeners", "2000"],
    "ping": ["--count", "4000"],
}
GOALS = [
    ("fanout", "cpu_us", "CPU per delivered message", "at most 1/3", lambda r: r <= 1 / 3),
    ("idle", "kib_per_connection", "memory per idle connection", "Tocsin at most 14 KiB", None),
    ("ping", "p50_ms", "ping round trip p50", "at most 1", lambda r: r <= 1),
    ("pairs", "changes_per_s", "changes per second (pairs)", "at least 1", lambda r: r >= 1),
    ("fanout", "connects_per_s", "connects per second", "no goal", None),
    ("pairs", "p99_ms", "change to delivery p99", "no goal", None),
]

Figures = dict[str, float]


@contextmanager
def serving(command: list[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    """A server process that listens; its process number."""
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until somebody listens there."""
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"{process.args!r} does not listen on {port}")


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tocsin(port: int, folder: Path, _: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """Our server."""
    database = f"sqlite:///{folder / 'tocsin.db'}"
    command = [sys.executable, "-m", "server_trio", "serve", "--port", str(port), "--database", database]
    return command, {**RAISED, "TOCSIN_JWT_SECRET": SECRET}


def classic(port: int, folder: Path, options: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """The peer."""
    program = str((options.bench / "peer_classic.py").resolve())
    database = str(folder / "peer.db")
    return [options.peer_python, program, "--port", str(port), "--secret", SECRET, "--sqlite", database], {}


SERVERS = {"tocsin": tocsin, "classic": classic}


def measure(who: str, scenario: str, options: argparse.Namespace) -> Figures:
    """One fresh server, one scenario."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        command, environment = SERVERS[who](port, Path(folder), options)
        with serving(command, port, environment) as pid:
            load = [sys.executable, str((options.bench / "load.py").resolve()), scenario, *SCENARIOS[scenario]]
            done = subprocess.run(
                [*load, "--port", str(port), "--pid", str(pid), "--secret", SECRET],
                capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{who} {scenario}: {done.stdout}{done.stderr}")
    figures: Figures = json.loads(done.stdout)
    sys.stderr.write(f"{scenario:7} {who:8} {figures}\n")
    return figures


def table(results: dict[str, list[tuple[Figures, Figures]]], rounds: int) -> str:
    """Medians of the ratios, pair by pair, and the medians they come from."""
    lines = [
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {rounds} rounds in turn, {time.strftime('%Y-%m-%d')}.",
        "",
        "| figure | Tocsin | classic peer | ratio, median of pairs (min … max) | goal | met |",
        "|---|---|---|---|---|---|",
    ]
    for scenario, key, name, goal, met in GOALS:
        if scenario in results:
            lines.append(row([(a[key], b[key]) for a, b in results[scenario]], key, name, goal, met))
    return "\n".join(lines)


def row(pairs: list[tuple[float, float]], key: str, name: str, goal: str, met: object) -> str:
    """One line of the table."""
    ours, theirs = statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)
    ratios = sorted(a / b for a, b in pairs if b)
    middle = statistics.median(ratios) if ratios else float("nan")
    verdict = met(middle) if callable(met) else ours <= 14 if key == "kib_per_connection" else None
    said = "" if verdict is None else "yes" if verdict else "**no**"
    return f"| {name} | {ours:g} | {theirs:g} | {middle:.2f} ({ratios[0]:.2f} … {ratios[-1]:.2f}) | {goal} | {said} |"


def main() -> None:
    """Measure and print; with --write also into benchmarks/README.md, between its markers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=ROOT.parent / "shared" / "bench")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=sorted(SCENARIOS), action="append")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    results: dict[str, list[tuple[Figures, Figures]]] = {}
    for _ in range(options.rounds):
        for scenario in options.only or SCENARIOS:
            pair = (measure("tocsin", scenario, options), measure("classic", scenario, options))
            results.setdefault(scenario, []).append(pair)
    text = table(results, options.rounds)
    sys.stdout.write(text + "\n")
    if options.write:
        page = Path(__file__).with_name("README.md")
        before, _, rest = page.read_text("utf-8").partition("<!-- measured -->\n")
        after = rest.partition("<!-- end measured -->")[2]
        page.write_text(f"{before}<!-- measured -->\n\n{text}\n\n<!-- end measured -->{after}", "utf-8")


if __name__ == "__main__":
    main()
