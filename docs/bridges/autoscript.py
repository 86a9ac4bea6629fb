"""A bridge to Thermo Fisher's scanning electron microscopes, through AutoScript.

NOT TRIED ON AN INSTRUMENT. It is tested against a recorded fake, which answers the calls below as AutoScript's own
tests and public users of it show them, and refuses all others.

    python autoscript.py --host localhost --resolution 1536x1024 --serve 7511

| call | source |
|---|---|
| `SdbMicroscopeClient().connect(host)`, `.disconnect()` | autoscript_sdb_microscope_client_tests, tests_imaging |
| `imaging.set_active_view(1)`, `.set_active_device(ImagingDevice.ELECTRON_BEAM)` | the same, setUp |
| `imaging.scanning_filter.type = ScanningFilterType.NONE`, `.number_of_frames = 1` | the same, \
test_switch_scanning_filters |
| `imaging.grab_frame(GrabFrameSettings(resolution, dwell_time, bit_depth, reduced_area=Rectangle(left, top, width, \
height)))` in shares of the field, seconds; gives an image of `.data`, `.width`, `.height` | the same, \
test_grab_frame_with_reduced_area, which allows a size 3 pixels off: such an image is refused here |
| `image.metadata.scan_settings.dwell_time`, seconds | openFIBSEM, structures |
| `beams.electron_beam.horizontal_field_width.value` m, `.beam_current.value` A, `.high_voltage.value` V | openFIBSEM |
| `beams.electron_beam.scanning.dwell_time.limits.min`, `.max`, seconds | openFIBSEM, validate |
| `beams.electron_beam.blank()`, `.unblank()` | openFIBSEM, microscope |
| `detector.type.value` | autoscript_sdb_microscope_client_tests, tests_detectors |
"""

import argparse

import numpy as np

NOT_TRIED = (
    "autoscript.py has not been tried on an instrument. Watch the beam and the sample, and do not leave it alone."
)

RESOLUTIONS = ("512x442", "768x512", "1024x884", "1536x1024", "2048x1768", "3072x2048", "4096x3536", "6144x4096")
"""Others are scanned by another technique, which knows no reduced area."""

STEP_NS = 25
"""The least dwell of such a microscope, of which dwells are multiples."""


class AutoScriptMicroscope:
    """Scans the field or a reduced area, whole frames at a time: a running one cannot be ended.

    Args:
        client: A connected `SdbMicroscopeClient`.
        words: The modules `structures` and `enumerations`, or one that has the names of both.
        resolution: Of the field, one of `RESOLUTIONS`, pixels by lines.
        longest_block_s: Longest frame; longer ones are scanned in strips, so that an abort is heard in between.
        units_per_electron: What one electron adds to a sample at 1 µs; None where it is not known.
    """

    def __init__(self, client, words, resolution, longest_block_s=10.0, units_per_electron=None):
        if resolution not in RESOLUTIONS:
            raise ValueError(f"a resolution of {resolution}: give one of {', '.join(RESOLUTIONS)}")
        self._client, self._words, self._resolution = client, words, resolution
        self._pixels, self._lines = (int(side) for side in resolution.split("x"))
        self._longest_block_s, self._units_per_electron = longest_block_s, units_per_electron
        self._block = None
        client.imaging.set_active_view(1)
        client.imaging.set_active_device(words.ImagingDevice.ELECTRON_BEAM)
        # An averaging filter would mix passes, and hide what the dwell does to the noise.
        client.imaging.scanning_filter.type = words.ScanningFilterType.NONE
        client.imaging.scanning_filter.number_of_frames = 1

    def describe(self):
        """See README.md: what every bridge's class says of itself."""
        beam = self._client.beams.electron_beam
        limits = beam.scanning.dwell_time.limits
        current_a, voltage_v = beam.beam_current.value, beam.high_voltage.value
        return {
            "program": "AutoScript",
            "field": {
                "shape": [self._lines, self._pixels],
                "pixel_size_nm": beam.horizontal_field_width.value * 1e9 / self._pixels,
                "beam_current_pa": current_a * 1e12 if current_a > 0 else None,
                "beam_energy_kev": abs(voltage_v) / 1000.0 or None,
            },
            "channels": [
                {
                    "name": str(self._client.detector.type.value),
                    "dtype": "uint16",
                    "kind": "analogue",
                    "units_per_electron": self._units_per_electron,
                }
            ],
            "capabilities": {
                "points": False,
                "dwell_per_point": False,
                "rectangles": True,
                "dwell_quantum_ns": STEP_NS,
                "min_dwell_ns": -(-round(limits.min * 1e9) // STEP_NS) * STEP_NS,
                "max_dwell_ns": round(limits.max * 1e9) // STEP_NS * STEP_NS,
            },
            "longest_block_s": self._longest_block_s,
            "remarks": [
                NOT_TRIED,
                "Do not change magnification, current or scan rotation while a session runs.",
            ],
        }

    def begin(self, top, left, height, width, dwell_ns):
        """Take note of the rectangle; it is scanned when it is read."""
        self._block = (top, left, height, width, dwell_ns)

    def read(self, timeout_s):
        """Scan the rectangle, and give all of it."""
        if self._block is None:
            return None
        top, left, height, width, dwell_ns = self._block
        self._block = None
        settings = {"resolution": self._resolution, "dwell_time": dwell_ns * 1e-9, "bit_depth": 16}
        if (height, width) != (self._lines, self._pixels):
            settings["reduced_area"] = self._words.Rectangle(
                left / self._pixels, top / self._lines, width / self._pixels, height / self._lines
            )
        self._client.beams.electron_beam.unblank()
        image = self._client.imaging.grab_frame(self._words.GrabFrameSettings(**settings))
        data = np.asarray(image.data)
        if data.shape != (height, width) or data.dtype != np.uint16:
            raise RuntimeError(
                f"the microscope rounded a reduced area of {height} lines of {width} pixels, 16 bit, to {data.shape}, "
                f"{data.dtype}: nobody knows which pixels these are"
            )
        scanned_ns = image.metadata.scan_settings.dwell_time * 1e9
        if abs(scanned_ns - dwell_ns) > 1:
            raise RuntimeError(f"the microscope took a dwell of {scanned_ns:g} ns for {dwell_ns} ns")
        return 0, height * width, data.reshape(1, height * width)

    def stop(self):
        """Blank the beam."""
        self._block = None
        self._client.beams.electron_beam.blank()

    def close(self):
        """Leave the microscope, blanked."""
        self._client.disconnect()


def connected(options):
    """The microscope at a host."""
    from types import SimpleNamespace

    from autoscript_sdb_microscope_client import SdbMicroscopeClient
    from autoscript_sdb_microscope_client.enumerations import ImagingDevice, ScanningFilterType
    from autoscript_sdb_microscope_client.structures import GrabFrameSettings, Rectangle

    words = SimpleNamespace(
        ImagingDevice=ImagingDevice,
        ScanningFilterType=ScanningFilterType,
        GrabFrameSettings=GrabFrameSettings,
        Rectangle=Rectangle,
    )
    client = SdbMicroscopeClient()
    client.connect(options.host)
    return AutoScriptMicroscope(client, words, options.resolution, options.longest_block_s, options.units_per_electron)


def main():
    """Read the options and run."""
    import far_end

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--host", default="localhost", help="the microscope's PC")
    options.add_argument("--resolution", default="1536x1024", choices=RESOLUTIONS, help="of the field")
    options.add_argument("--longest-block-s", type=float, default=10.0, help="longer frames are scanned in strips")
    options.add_argument("--units-per-electron", type=float, help="gain of the detector at 1 us, where it is known")
    return far_end.main(connected, options, NOT_TRIED)


if __name__ == "__main__":
    raise SystemExit(main())
