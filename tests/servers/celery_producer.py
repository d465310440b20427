"""Gives the celery worker ten tasks a second."""

import time

from tests.servers.apps import render

number = 0
while True:
    number += 1
    render.delay(number)
    time.sleep(0.1)
