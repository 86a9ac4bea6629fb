"""Runs the script of the Nion bridge as Nion Swift does, with what Nion Swift registers: swift_nion.py FOLDER."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

BRIDGES = Path(__file__).resolve().parents[2] / "docs" / "bridges"


def main() -> None:
    from nion.instrumentation import scan_base
    from nion.usim_device import InstrumentDevice, ScanDevice
    from nion.utils import Registry

    instrument = InstrumentDevice.Instrument(
        "usim_stem_controller",
        InstrumentDevice.ValueManager(),
        InstrumentDevice.AxisManager(),
        InstrumentDevice.ScanDataGenerator(sample_index=0),
    )
    with tempfile.TemporaryDirectory() as place:
        scan_base.run(Path(place))
        Registry.register_component(instrument, {"instrument_controller", "stem_controller"})
        Registry.register_component(ScanDevice.ScanModule(instrument), {"scan_module"})
        names = {"__name__": "a script of Nion Swift"}
        exec(compile((BRIDGES / "nion_swift.py").read_text(encoding="utf-8"), "nion_swift.py", "exec"), names)
        names.update(
            FOLDER=str(BRIDGES), PORT=0, INSIDE_SWIFT=["--pixels", "96", "--field-nm", "100", "--channels", "1"]
        )
        names["script_main"](None)  # type: ignore[operator]
    print("blanked" if instrument.GetVal("C_Blank") else "NOT BLANKED", flush=True)
    sys.stdout.flush()


main()
os._exit(0)  # the registry's hardware has threads that only Nion Swift ends
