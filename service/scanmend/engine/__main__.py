"""`python -m scanmend.engine SETTINGS RUN_DIR`."""

import sys

from scanmend.engine.process import main

sys.exit(main(sys.argv[1:]))
