"""A filter gets all its input before its output is read: both pipes are full.

Shows: deadlock
"""

import subprocess

filter = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
filter.stdin.write(b"x" * 1_000_000)  # HANG
filter.stdin.close()
print(len(filter.stdout.read()))
