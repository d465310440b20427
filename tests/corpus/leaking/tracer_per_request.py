"""A tracer provider of OpenTelemetry for each request, with a thread that exports spans; none is shut down.

Leak: BatchProcessor.worker
Rate: 40
Needs: opentelemetry.sdk.trace
Shows: thread never told to end
"""

import random
import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

providers = []


def request():
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))  # LEAK
    providers.append(provider)
    with provider.get_tracer("shop").start_as_current_span("request"):
        time.sleep(random.uniform(0.01, 0.1))


while True:
    request()
    time.sleep(random.expovariate(0.7))
