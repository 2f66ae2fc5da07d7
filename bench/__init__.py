"""The bench: what hg-bundlestore costs, beside its peers and its limits.

Run by ``make bench``; see README.rst.
"""

import sys
from pathlib import Path

# "python -m bench" has the working folder in the path, but the package to be
# measured is the one that is installed, as users have it.
_ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [p for p in sys.path if Path(p or '.').resolve() != _ROOT]
# for "import environments", "import demo" and "import harness"
sys.path += [str(_ROOT / 'tools'), str(_ROOT / 'tests')]
