"""`python -m scanmend.web SETTINGS.json RUN_DIR`."""

import sys

from scanmend.web.process import main

sys.exit(main(sys.argv[1:]))
