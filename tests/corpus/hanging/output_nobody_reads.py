"""asyncio: a child's end is awaited, and its output, more than the pipe holds, is never read.

Shows: deadlock
"""

import asyncio
import sys


async def main():
    code = "print('x' * 10_000_000)"
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe)
    await child.wait()  # HANG


asyncio.run(main())
