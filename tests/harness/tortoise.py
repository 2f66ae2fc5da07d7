"""Runs commands as TortoiseHg does for its dialogs, or opens its window.

Run by the Python that TortoiseHg is for. Each line of the input is a command,
its words with NUL between them; each line of the output the exit code and what
the command said, as JSON. Without any input the workbench opens the repository.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def commands(path: str, lines: list[str]) -> None:
    from mercurial import extensions
    from tortoisehg.hgqt import thgrepo
    from tortoisehg.hgqt.qtcore import QEventLoop
    from tortoisehg.hgqt.qtgui import QApplication
    from tortoisehg.util import hglib

    application = QApplication(sys.argv)
    ui = hglib.loadui()
    ui.setconfig(b'extensions', b'tortoisehg.util.configitems', b'', b'run')
    extensions.loadall(ui)
    manager = thgrepo.RepoManager(ui)
    agent = manager.openRepoAgent(path)
    for line in lines:
        session = agent.runCommand(line.split('\0'))
        output: list[str] = []
        session.outputReceived.connect(
            lambda message, label, output=output: output.append(message)
        )
        loop = QEventLoop()
        session.commandFinished.connect(loop.quit)
        loop.exec_()
        print(json.dumps([session.exitCode(), ''.join(output)]), flush=True)
    agent.stopService()
    application.quit()


def window(path: str) -> None:
    from tortoisehg.hgqt import run, workbench
    from tortoisehg.hgqt.qtcore import QTimer
    from tortoisehg.hgqt.qtgui import QApplication

    def shown(window: Any, event: Any) -> None:
        # what it shows of the repository comes by and by
        QTimer.singleShot(4000, QApplication.instance().quit)

    workbench.Workbench.showEvent = shown
    words = [b'log', b'-R', path.encode(), b'--nofork']
    print(json.dumps([run.dispatch(words), '']), flush=True)


if __name__ == '__main__':
    given = sys.stdin.read().splitlines()
    if given:
        commands(sys.argv[1], given)
    else:
        window(sys.argv[1])
