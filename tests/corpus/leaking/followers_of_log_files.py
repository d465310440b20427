"""Each deployment follows the log of its pod by a process of its own; nobody stops following.

Leak: follow, ThreadedChildWatcher._do_waitpid
Rate: 15
Shows: orphan, waits for a peer
"""

import asyncio
import tempfile
from pathlib import Path


async def follow(process):
    async for line in process.stdout:
        print(line)
    await process.wait()


async def deploy(log, followers):
    command = ("tail", "-f", str(log))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)  # LEAK
    followers.append(asyncio.create_task(follow(process)))  # LEAK
    for number in range(3):
        with log.open("a") as file:
            file.write(f"step {number}\n")
        await asyncio.sleep(0.5)
    return process


async def main():
    followers, processes = [], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            while True:
                log = Path(folder, f"{len(followers)}.log")
                log.touch()
                processes.append(await asyncio.create_task(deploy(log, followers)))
                await asyncio.sleep(2.5)
        finally:
            for process in processes:
                process.kill()


asyncio.run(main())
