"""What this extension is, in values that ``setup.py`` and the tests read.

Nothing is imported here, so that they can read it without Mercurial.
"""

__version__ = '0.1.0'

# The releases that the test matrix runs: tests/harness/matrix.py reads this
# list, so the claim cannot outlive the tests.
testedwith = b'6.3.2 6.9.5 7.0.3 7.2.4'
minimumhgversion = b'6.3'
