"""What each cause means and how it is usually mended: the short texts behind a finding."""

from __future__ import annotations

EXPLANATIONS = {
    "sleeper per event": (
        "Each event starts a task whose only work is to sleep and then do something small. There are as "
        "many of them as events in the time they sleep. Keep the times in a list or deque and let one "
        "ticker task go through it, or use loop.call_later, and end the ticker when the service stops."
    ),
    "orphan": (
        "The task that started these has ended and nobody else ends them, so each round adds one. Keep "
        "the task where its owner lives, cancel it when the owner ends, and wait for it; a TaskGroup does "
        "all three."
    ),
    "fire and forget": (
        "The task is started and dropped: nobody waits for it, nobody can cancel it, and its error is "
        "lost. Await the call (with a timeout), or hold the task in a TaskGroup or in a set that it "
        "leaves when done, and end it when the service stops."
    ),
    "started twice": (
        "The same loop runs several times over on one object: start() was called again without stop(), or "
        "stop() did not wait. Let start() do nothing while the loop runs, and reset that guard on the way "
        "out."
    ),
    "generations overlap": (
        "cancel() is a request, not an end. The old tasks were asked to end and go on (they swallow "
        "CancelledError, or sit in a call that cannot be interrupted) while new ones start. After "
        "cancel() wait for the task before the next round; close what it is blocked on."
    ),
    "stuck handing over": (
        "They wait for room in a full queue and nobody takes from it. Use put_nowait and drop or log when "
        "it is full, put with a timeout, or keep the consumer alive until its producers have ended."
    ),
    "nobody can set it": (
        "What they wait for is referenced by the waiting tasks alone, so nothing can ever set it. Keep "
        "the event, future or queue where the one who answers can reach it, resolve it on every way out, "
        "and wait with a timeout."
    ),
    "nobody feeds it": (
        "They wait for items of an empty queue and none comes. Tell consumers when the producer ends (a "
        "sentinel or Queue.shutdown), or cancel them and wait."
    ),
    "await cycle": (
        "These tasks wait for each other in a ring, so none can end. Break the ring: let one of them be "
        "signalled by an event, or wait with a timeout."
    ),
    "blocking call": (
        "They wait for a job in a thread, and the thread sits in a blocking call. Cancelling the task "
        "does not end the thread. Give the call a timeout, or close the socket or file it reads from."
    ),
    "pool per call": (
        "A new executor is made again and again and never shut down; its idle workers stay. Make one "
        "executor for the service, or use it in a with block."
    ),
    "thread never told to end": (
        "A thread is started again and again and each one waits for ever. Give it an event to look at, "
        "set it when its owner ends, and join it."
    ),
    "lock not released": (
        "They wait for a lock or semaphore that is not given back. Take it with async with, so that every "
        "way out gives it back, and do not await something unbounded while holding it."
    ),
    "waits for a peer": (
        "They wait on a socket whose other side says nothing more. Read with a timeout, use keep-alive, "
        "and close the connection when its session ends."
    ),
    "loop held": (
        "While a callback or a coroutine runs without an await, no other task of its loop does. Use the "
        "asynchronous form of the call, or hand it to a thread with asyncio.to_thread; cut long "
        "computations into pieces or give them to a process."
    ),
    "lost wake-up": (
        "Objects of asyncio belong to one loop. Another thread used call_soon, or set a future, fed a queue "
        "or released a lock of this loop: the callback is queued, but the loop sleeps on. From other threads "
        "use loop.call_soon_threadsafe or asyncio.run_coroutine_threadsafe, and share no lock between loops. "
        "TaskScope has not woken it."
    ),
    "process paused": (
        "Neither the program nor TaskScope's thread ran or used the processor: the process was stopped "
        "(SIGSTOP, a debugger), the machine was suspended or overcommitted, or a call waited while it held "
        "the interpreter's lock. The line that was running is not to blame."
    ),
    "callbacks queue up": (
        "More becomes ready than the loop gets through, so everything waits its turn, timeouts too. Let "
        "fewer tasks run at once (a semaphore, a queue with workers), do less in each step, or give "
        "computations to a process."
    ),
    "pool saturated": (
        "Jobs that block longer than they come in pile up behind the workers. Give the calls a timeout, "
        "the pool more workers if the calls only wait, or limit how many are handed in with a semaphore."
    ),
    "limit reached": (
        "The process has as much of it as it may have. Look for what grows with it, and close what is done "
        "with; a higher limit (ulimit, LimitNOFILE, the container's memory or pids) only gains time if "
        "something leaks."
    ),
    "left to the collector": (
        "Each of these tasks waits for something that nothing else refers to, and nothing refers to the "
        "task: the garbage collector destroys them while they wait, and their work is lost. Keep the task, "
        "and keep what it waits for where somebody can set it."
    ),
}
