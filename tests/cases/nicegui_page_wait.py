"""An async page of nicegui fetched by crawlers that never open the websocket: each leaves a wait behind.

``--fixed``: the page is no coroutine, so nothing is raced.

Needs: nicegui==3.7.1
Line: nicegui/page.py page._wrap.decorated
Shows: race loser
"""

import asyncio
import contextlib
import socket
import sys
import threading
import time
import urllib.request

from nicegui import app, ui

with socket.create_server(("127.0.0.1", 0)) as free:
    PORT = free.getsockname()[1]


async def slow_index():
    await asyncio.sleep(0.01)
    ui.label("hello")


def index():
    ui.label("hello")


def crawl():
    while True:
        time.sleep(0.2)
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5).read()


def begin():
    threading.Thread(target=crawl, daemon=True).start()
    print("standing", flush=True)


ui.page("/")(index if "--fixed" in sys.argv else slow_index)
app.on_startup(begin)
ui.run(host="127.0.0.1", port=PORT, reload=False, show=False, show_welcome_message=False)
