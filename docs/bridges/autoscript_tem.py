"""A bridge to Thermo Fisher's transmission microscopes in scanning mode, through AutoScript TEM.

NOT TRIED ON AN INSTRUMENT. It is tested against a recorded fake, which answers the calls below as public users of
AutoScript TEM call them (asyncroscopy, pyAutoMic), and refuses all others. AutoScript's own manual was not at hand.

    python autoscript_tem.py --host localhost --size 512 --detectors HAADF BF_S --beam-current-pa 20 --serve 7511

| call | source |
|---|---|
| `TemMicroscopeClient().connect(host, port)`, `.disconnect()` | asyncroscopy |
| `optics.optical_mode`, compared with `OpticalMode.STEM` | users' scripts |
| `optics.scan_field_of_view`, m; `optics.acceleration_voltage.value`, V | pyAutoMic; asyncroscopy |
| `optics.blank()`, `optics.unblank()` | users' scripts |
| `acquisition.acquire_stem_images_advanced(StemAcquisitionSettings(dwell_time, detector_types, size, region))`, \
seconds; gives a list of images with `.data` | asyncroscopy; that they come in the order of the detectors is its guess |
| `Region(RegionCoordinateSystem.RELATIVE, Rectangle(left, top, width, height))`, shares of the field | asyncroscopy |

The current is measured on the screen only, which is in the way of most detectors: it is an option.
"""

import argparse

import numpy as np

NOT_TRIED = (
    "autoscript_tem.py has not been tried on an instrument. Watch the beam and the sample, and do not leave it alone."
)

SIZES = (256, 512, 1024, 2048, 4096)
STEP_NS = 25


class AutoScriptTemMicroscope:
    """Scans a square field or a region of it, whole images at a time: a running one cannot be ended.

    Args:
        client: A connected `TemMicroscopeClient`.
        words: The modules `structures` and `enumerations`, or one that has the names of both.
        size: Lines of the field, and pixels of a line.
        detectors: Names of scanning detectors; all are read in one scan.
        beam_current_pa: Of the probe; None where it is not known.
        longest_block_s: Longest image; longer ones are scanned in strips, so that an abort is heard in between.
        units_per_electron: What one electron adds to a sample at 1 µs; None where it is not known.
    """

    def __init__(
        self, client, words, size, detectors, beam_current_pa=None, longest_block_s=10.0, units_per_electron=None
    ):
        if size not in SIZES:
            raise ValueError(f"a size of {size}: give one of {', '.join(map(str, SIZES))}")
        if client.optics.optical_mode != words.OpticalMode.STEM:
            raise ValueError("the microscope is not in STEM mode")
        self._client, self._words, self._size, self._detectors = client, words, size, list(detectors)
        self._beam_current_pa, self._longest_block_s = beam_current_pa, longest_block_s
        self._units_per_electron = units_per_electron
        self._block = None

    def describe(self):
        """See README.md: what every bridge's class says of itself."""
        optics = self._client.optics
        voltage_v = optics.acceleration_voltage.value
        remarks = [NOT_TRIED, "Do not change magnification, current or scan rotation while a session runs."]
        if len(self._detectors) > 1:
            remarks.append(f"The channels are called {', '.join(self._detectors)} in the order in which they come.")
        return {
            "program": "AutoScript TEM",
            "field": {
                "shape": [self._size, self._size],
                "pixel_size_nm": optics.scan_field_of_view * 1e9 / self._size,
                "beam_current_pa": self._beam_current_pa,
                "beam_energy_kev": abs(voltage_v) / 1000.0 or None,
            },
            "channels": [
                {"name": name, "dtype": "uint16", "kind": "analogue", "units_per_electron": self._units_per_electron}
                for name in self._detectors
            ],
            "capabilities": {
                "points": False,
                "dwell_per_point": False,
                "rectangles": True,
                "dwell_quantum_ns": STEP_NS,
                "min_dwell_ns": STEP_NS,
                "max_dwell_ns": 1000000,
            },
            "longest_block_s": self._longest_block_s,
            "remarks": remarks,
        }

    def begin(self, top, left, height, width, dwell_ns):
        """Take note of the rectangle; it is scanned when it is read."""
        self._block = (top, left, height, width, dwell_ns)

    def read(self, timeout_s):
        """Scan the rectangle, and give all of it."""
        if self._block is None:
            return None
        (top, left, height, width, dwell_ns), self._block = self._block, None
        words, size = self._words, self._size
        settings = {"dwell_time": dwell_ns * 1e-9, "detector_types": self._detectors, "size": size}
        if (height, width) != (size, size):
            area = words.Rectangle(left / size, top / size, width / size, height / size)
            settings["region"] = words.Region(words.RegionCoordinateSystem.RELATIVE, area)
        self._client.optics.unblank()
        images = self._client.acquisition.acquire_stem_images_advanced(words.StemAcquisitionSettings(**settings))
        data = [np.asarray(image.data) for image in images]
        if len(data) != len(self._detectors) or any(
            one.shape != (height, width) or one.dtype != np.uint16 for one in data
        ):
            found = ", ".join(f"{one.shape} {one.dtype}" for one in data)
            raise RuntimeError(
                f"the microscope gave {found} for {len(self._detectors)} images of {height} lines of {width} pixels, "
                "16 bit: nobody knows which pixels these are"
            )
        return 0, height * width, np.stack([one.reshape(-1) for one in data])

    def stop(self):
        """Blank the beam."""
        self._block = None
        self._client.optics.blank()

    def close(self):
        """Leave the microscope, blanked."""
        self._client.disconnect()


def connected(options):
    """The microscope at a host."""
    from types import SimpleNamespace

    from autoscript_tem_microscope_client import TemMicroscopeClient
    from autoscript_tem_microscope_client.enumerations import OpticalMode, RegionCoordinateSystem
    from autoscript_tem_microscope_client.structures import Rectangle, Region, StemAcquisitionSettings

    words = SimpleNamespace(
        OpticalMode=OpticalMode,
        RegionCoordinateSystem=RegionCoordinateSystem,
        Rectangle=Rectangle,
        Region=Region,
        StemAcquisitionSettings=StemAcquisitionSettings,
    )
    client = TemMicroscopeClient()
    client.connect(options.host, options.port)
    return AutoScriptTemMicroscope(
        client,
        words,
        options.size,
        options.detectors,
        options.beam_current_pa,
        options.longest_block_s,
        options.units_per_electron,
    )


def main():
    """Read the options and run."""
    import far_end

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--host", default="localhost", help="the microscope's PC")
    options.add_argument("--port", type=int, default=9095, help="of AutoScript's server there")
    options.add_argument("--size", type=int, default=512, choices=SIZES, help="lines of the field, and pixels of one")
    options.add_argument("--detectors", nargs="+", default=["HAADF"], help="names of scanning detectors")
    options.add_argument("--beam-current-pa", type=float, help="of the probe; without it no dose is given")
    options.add_argument("--longest-block-s", type=float, default=10.0, help="longer images are scanned in strips")
    options.add_argument("--units-per-electron", type=float, help="gain of the detectors at 1 us, where it is known")
    return far_end.main(connected, options, NOT_TRIED)


if __name__ == "__main__":
    raise SystemExit(main())
