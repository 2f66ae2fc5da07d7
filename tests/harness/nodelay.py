"""An extension for ``hg serve``: it sends each answer at once.

Without, each but the first one of a connection waits 40 ms for a client that
has no reason to say anything (Nagle's algorithm, and delayed acknowledgements).
"""

import socketserver

socketserver.StreamRequestHandler.disable_nagle_algorithm = True
