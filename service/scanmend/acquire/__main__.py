"""`python -m scanmend.acquire SETTINGS RUN_DIR`."""

import sys

from scanmend.acquire.process import main

sys.exit(main(sys.argv[1:]))
