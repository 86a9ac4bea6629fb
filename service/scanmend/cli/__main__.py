"""`python -m scanmend.cli`."""

import sys

from scanmend.cli import main

sys.exit(main())
