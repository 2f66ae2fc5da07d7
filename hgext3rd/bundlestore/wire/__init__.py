"""What clients and servers with this extension say to each other: a file for
each command of ours, with the words of both ends.

Their arguments are all optional, and both ends overlook what they do not know,
so that later releases can say more. How a command goes over, and comes back, is
in ``exchange.py``.
"""
