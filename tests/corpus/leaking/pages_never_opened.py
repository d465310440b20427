"""Pages of nicegui 3.7 fetched by crawlers that open no websocket: each waits on for its connection.

Leak: Event.wait
Line: nicegui/page.py decorated
Rate: 100
Needs: nicegui
Shows: race loser
"""

import asyncio
import socket
import threading
import time
import urllib.request

from nicegui import app, ui

with socket.create_server(("127.0.0.1", 0)) as free:
    PORT = free.getsockname()[1]


@ui.page("/")
async def index():
    await asyncio.sleep(0.01)
    ui.label("hello")


def crawl():
    while True:
        time.sleep(0.6)
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5).read()
        except OSError as error:
            print(error)


app.on_startup(lambda: threading.Thread(target=crawl, daemon=True).start())
ui.run(host="127.0.0.1", port=PORT, reload=False, show=False, show_welcome_message=False)
