"""Plain Mercurial: each push makes a head in one repository of drafts."""

from __future__ import annotations

from pathlib import Path

import environments

from ..place import Mercurial, Place
from ..repositories import Template, heads
from .hg import HgSystem


class Plain(HgSystem):
    key = 'plain'
    pushwords = ('--force',)
    nothingwords = ('--force',)
    serverconfig = '\n[phases]\npublish = no\n'

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.mercurial = Mercurial(environments.supported()[-1], 'plain')
        self.maker = self.mercurial

    @property
    def title(self) -> str:
        return f'plain Mercurial {self.mercurial.version}'

    def filled(self, template: Template, stored: int) -> Path:
        return heads(self.place, self.maker, template, stored)
