"""Attaches to popular programs from PyPI, started as their users start them and in use.

    python -m tests.bench.attach_strangers --packages DIR/bin

DIR is an environment that holds them: ``pip install fastapi uvicorn uvicorn-worker gunicorn flask aiohttp
sanic daphne django datasette mitmproxy jupyter-server distributed celery streamlit locust``.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from taskscope.attach import inject, procfs
from taskscope.attach.errors import AttachError
from tests.agent_client import AgentClient

FILES = {
    "api.py": """
import asyncio
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
async def root():
    await asyncio.sleep(0.001)
    return "hello"
""",
    "web.py": """
from flask import Flask
app = Flask(__name__)
@app.get("/")
def root():
    return "hello"
""",
    "client.py": """
from aiohttp import web
async def hello(request):
    return web.Response(text="hello")
def make(arguments):
    app = web.Application()
    app.add_routes([web.get("/", hello)])
    return app
""",
    "quick.py": """
from sanic import Sanic, text
app = Sanic("quick")
@app.get("/")
async def hello(request):
    return text("hello")
""",
    "project.py": """
from django.conf import settings
settings.configure(ROOT_URLCONF="project", SECRET_KEY="x", ALLOWED_HOSTS=["*"])
import django
django.setup()
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path
async def hello(request):
    return HttpResponse("hello")
urlpatterns = [path("", hello)]
application = get_asgi_application()
""",
    "jobs.py": """
from celery import Celery
app = Celery("jobs", broker="memory://")
""",
    "page.py": """
import streamlit
streamlit.write("hello")
""",
    "locustfile.py": """
from locust import HttpUser, task
class User(HttpUser):
    @task
    def hello(self):
        self.client.get("/")
""",
}

PROGRAMS = {
    "uvicorn + FastAPI": "uvicorn api:app --port {port}",
    "gunicorn + Flask, 2 workers": "gunicorn web:app --workers 2 --bind 127.0.0.1:{port}",
    "gunicorn, uvicorn workers": "gunicorn api:app -k uvicorn_worker.UvicornWorker --bind 127.0.0.1:{port}",
    "gunicorn, gevent workers": "gunicorn web:app -k gevent --bind 127.0.0.1:{port}",
    "aiohttp": "python -m aiohttp.web client:make --port {port}",
    "sanic": "sanic quick:app --port {port} --single-process",
    "daphne + Django": "daphne project:application --port {port}",
    "datasette": "datasette serve --memory --port {port}",
    "mitmdump": "mitmdump --listen-port {port}",
    "jupyter server": "jupyter-server --no-browser --allow-root --port {port}",
    "dask scheduler": "dask scheduler --port 0 --dashboard-address 127.0.0.1:{port}",
    "streamlit": "streamlit run page.py --server.headless true --server.port {port}",
    "locust": "locust --web-port {port}",
    "celery worker": "celery -A jobs worker --pool threads",
}


@dataclass
class Use:
    """Somebody who uses the program all the while."""

    port: int
    answers: int = 0
    failures: int = 0

    def ask(self) -> bool:
        """Whether it answers; any status counts."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=20):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def go_on(self, stop: threading.Event) -> None:
        while not stop.wait(0.005):
            if self.ask():
                self.answers += 1
            else:
                self.failures += 1


def attach(command: list[str], folder: Path, port: int | None) -> str:
    """Starts the program, uses it, attaches to each of its processes, detaches; a line on what came of it."""
    program = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    stop = threading.Event()
    use = Use(port or 0)
    user = threading.Thread(target=use.go_on, args=(stop,))
    try:
        if not ready(program, use):
            return f"did not start (status {program.poll()})"
        if port is not None:
            user.start()
        told = [attach_to(pid) for pid in descendants(program.pid)]
        time.sleep(0.3)
        if program.poll() is not None:
            return f"HARMED: ended with {program.returncode}"
        used = f"; {use.answers} answers, {use.failures} failures" if port is not None else ""
        return ", ".join(told) + used
    finally:
        stop.set()
        if user.ident is not None:
            user.join()
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def ready(program: subprocess.Popen[bytes], use: Use) -> bool:
    """Waits until it answers (or, without a port, until it has threads)."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and program.poll() is None:
        if use.ask() if use.port else len(procfs.threads(program.pid)) > 1:
            return True
        time.sleep(0.1)
    return False


def descendants(pid: int) -> list[int]:
    found = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += descendants(int(child))
    return found


def attach_to(pid: int) -> str:
    said: list[str] = []
    began = time.monotonic()
    try:
        point = inject.ensure_agent(pid, progress=said.append)
        client = AgentClient(point.path)
        sample = client.sample()
        took = time.monotonic() - began
        client.detach()
    except AttachError as error:
        return f"REFUSED {error}"
    live, threads = sample["tasks"]["live"], sample["threads"]
    return f"{pid}: {live} tasks, {threads} threads in {took * 1000:.0f} ms"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--packages", type=Path, required=True, help="directory of the environment's commands"
    )
    parser.add_argument("--program", choices=PROGRAMS, action="append")
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in FILES.items():
            (folder / file).write_text(text)
        for title in options.program or PROGRAMS:
            port = free_port() if "{port}" in PROGRAMS[title] else None
            command = PROGRAMS[title].format(port=port).split()
            command[0] = str(options.packages.absolute() / command[0])
            told = attach(command, folder, port)
            good = good and told[0].isdigit() and not any(bad in told for bad in ("REFUSED", "HARMED"))
            print(f"{title:28} {told}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
