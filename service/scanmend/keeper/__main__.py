"""`python -m scanmend.keeper SETTINGS RUN_DIR`."""

import json
import sys
from pathlib import Path

from scanmend.humble import be_humble

KEEPER_NICE = 10  # it does little itself, and has to show that it lives; what it starts goes behind it

# Before the imports below, which cost more than all that the keeper does in an hour.
be_humble(min(KEEPER_NICE, int(json.loads(Path(sys.argv[1]).read_bytes())["keeper_nice"])))

from scanmend.keeper.process import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
