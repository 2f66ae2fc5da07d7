#!/usr/bin/env python3
"""Run a command and write what it took into a file, as JSON.

    peak.py FILE COMMAND…

Stands between the stand-in for ssh and a server: the largest resident size of
any of its processes in MB (10**6 bytes), and seconds of processor time. Only
where what is measured takes seconds, as it is a Python to be started itself.
"""

import json
import os
import sys

if __name__ == '__main__':
    pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
    _, status, usage = os.wait4(pid, 0)
    with open(sys.argv[1], 'w') as file:
        json.dump(
            {
                # Linux counts in units of 1024 bytes
                'peak': usage.ru_maxrss * 1024 / 1e6,
                'cpu': usage.ru_utime + usage.ru_stime,
            },
            file,
        )
    sys.exit(os.waitstatus_to_exitcode(status))
