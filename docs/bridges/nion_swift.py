"""A bridge to Nion microscopes, through nionswift-instrumentation.

Tried on the simulated microscope nionswift-usim 5.4.2, which has a real scan's transport and geometry; not yet on an
instrument. It runs in the Python in which Nion Swift is installed. The library is under the GPL-3: it is loaded here,
in the maker's process, and nowhere in Scanmend.

    python nion_swift.py --usim --serve 7511     # a simulated microscope, for a try
    File > Scripts > nion_swift.py               # the instrument: a script of Nion Swift; the constants below hold

The calls, of `nion.instrumentation.scan_base.ScanDevice` and `stem_controller.STEMController`, version 23:
set_frame_parameters, start_frame, read_partial, cancel, set_channel_enabled, get_channel_name · TryGetVal, SetVal;
inside Nion Swift besides: ScanHardwareSource.scan_device, .stem_controller, .get_frame_parameters_from_dict,
.abort_playing, and Registry.get_component.
"""

import argparse
import time

import numpy as np

FOLDER = r"C:\scanmend\bridges"
"""Where this file and far_end.py are, for a script inside Nion Swift."""

INSIDE_SWIFT = ["--pixels", "256", "--field-nm", "30", "--channels", "0"]
"""The options inside Nion Swift, which hands none over."""

PORT = 7511

DEVICE_PAUSE_S = 0.002


class NionMicroscope:
    """Scans squares of a field, whole or in part, and gives the lines as they come.

    Args:
        device: A `scan_base.ScanDevice`.
        controller: A `stem_controller.STEMController`, for the beam current and the blanker.
        make_parameters: Makes the device's scan parameters from a dict.
        shape: Lines and pixels of the field; a square, because the library's versions do not agree on what the field
            of view of another shape is.
        field_nm: Side of the field.
        channels: Numbers of the detectors' channels.
        units_per_electron: What one electron adds to a sample; None where it is not known.
        beam_current_pa: Of the probe; None asks the microscope.
    """

    def __init__(
        self,
        device,
        controller,
        make_parameters,
        shape,
        field_nm,
        channels,
        units_per_electron=None,
        beam_current_pa=None,
    ):
        if shape[0] != shape[1]:
            raise ValueError("a Nion scan is bridged for square fields only: give as many lines as pixels")
        self._device, self._controller, self._make_parameters = device, controller, make_parameters
        self._shape, self._field_nm, self._channels = shape, field_nm, list(channels)
        self._units_per_electron = units_per_electron
        if beam_current_pa is None:
            known, current_a = controller.TryGetVal("BeamCurrent")
            beam_current_pa = current_a * 1e12 if known and current_a else None
        self._beam_current_pa = beam_current_pa
        self._frame = None
        for index in range(device.channel_count):
            device.set_channel_enabled(index, index in self._channels)

    def describe(self):
        """See README.md: what every bridge's class says of itself."""
        return {
            "program": "Nion Swift",
            "field": {
                "shape": list(self._shape),
                "pixel_size_nm": self._field_nm / self._shape[1],
                "beam_current_pa": self._beam_current_pa,
            },
            "channels": [
                {
                    "name": self._device.get_channel_name(index),
                    "dtype": "float32",
                    "kind": "counting",
                    "units_per_electron": self._units_per_electron,
                }
                for index in self._channels
            ],
            # A command of the simulated device takes 7 ms; a pixel time has no quantum that the library names.
            "capabilities": {
                "points": False,
                "segments": True,
                "rectangles": True,
                "min_dwell_ns": 100,
                "max_dwell_ns": 100000000,
                "dwell_quantum_ns": 100,
                "segment_ns": 7000000,
            },
            "remarks": [
                "Stop the scan in Nion Swift's own panel: two programs must not scan at once.",
            ],
        }

    def begin(self, top, left, height, width, dwell_ns):
        """Begin a frame of the whole field, or a subscan of exactly these pixels."""
        lines, pixels = self._shape
        parameters = {"pixel_size": self._shape, "pixel_time_us": dwell_ns / 1000.0, "fov_nm": self._field_nm}
        if (height, width) != (lines, pixels):
            # In fractions of the field, both as (y, x); the centre of the rectangle, and not of its middle pixel.
            parameters["subscan_pixel_size"] = (height, width)
            parameters["subscan_fractional_size"] = (height / lines, width / pixels)
            parameters["subscan_fractional_center"] = ((top + height / 2) / lines, (left + width / 2) / pixels)
        self._controller.SetVal("C_Blank", 0.0)
        self._device.set_frame_parameters(self._make_parameters(parameters))
        self._frame = self._device.start_frame(False)
        self._size, self._skip, self._rows = (height, width), 0, 0

    def read(self, timeout_s):
        """The lines that came since; a sub-area that the device calls bad is told as lost."""
        end_s = time.monotonic() + timeout_s
        while self._frame is not None:
            elements, complete, bad, ((row, _), (rows, _)), _, self._skip = self._device.read_partial(
                self._frame, self._skip
            )
            if complete:
                self._frame = None
            # A complete frame is told as a whole, whatever was read before.
            first, last = self._rows, row + rows
            if row <= first < last:
                self._rows = last
                return self._lines(elements, first, last, bad)
            if time.monotonic() >= end_s:
                return None
            time.sleep(DEVICE_PAUSE_S)
        return None

    def _lines(self, elements, first, last, bad):
        width = self._size[1]
        place, points = first * width, (last - first) * width
        if bad:
            return place, points, None
        by_channel = {element["properties"]["channel_id"]: element["data"] for element in elements}
        lines = [np.asarray(by_channel[index], np.float32)[first:last].reshape(points) for index in self._channels]
        return place, points, np.stack(lines)

    def stop(self):
        """Blank first, then end the scan; a cancelled frame is not read: its rest is zeros, not samples."""
        self._controller.SetVal("C_Blank", 1.0)
        self._device.cancel()
        self._frame = None

    def close(self):
        """Leave the device to Nion Swift."""


def simulated(options):
    """The simulated microscope of nionswift-usim."""
    from nion.usim_device import InstrumentDevice, ScanDevice

    instrument = InstrumentDevice.Instrument(
        "usim_stem_controller",
        InstrumentDevice.ValueManager(),
        InstrumentDevice.AxisManager(),
        InstrumentDevice.ScanDataGenerator(sample_index=0),
    )
    module = ScanDevice.ScanModule(instrument)
    return NionMicroscope(
        module.device,
        instrument,
        module.settings.get_frame_parameters_from_dict,
        (options.pixels, options.pixels),
        options.field_nm,
        options.channels,
        options.units_per_electron,
        options.beam_current_pa,
    )


def instrument(options):
    """The microscope of a running Nion Swift, in whose Python this is."""
    from nion.utils import Registry

    source = Registry.get_component("scan_hardware_source")
    if source is None:
        raise SystemExit("No scan device is registered: run this inside Nion Swift, or give --usim.")
    source.abort_playing()
    return NionMicroscope(
        source.scan_device,
        source.stem_controller,
        source.get_frame_parameters_from_dict,
        (options.pixels, options.pixels),
        options.field_nm,
        options.channels,
        options.units_per_electron,
        options.beam_current_pa,
    )


def script_main(api_broker):
    """What Nion Swift calls; it answers one `scanmend bridge`, and ends with it."""
    import sys

    sys.path.insert(0, FOLDER)
    import far_end

    far_end.serve(instrument(the_options().parse_args(INSIDE_SWIFT)), PORT, once=True)


def main():
    """Read the options and run."""
    import far_end

    return far_end.main(lambda own: simulated(own) if own.usim else instrument(own), the_options())


def the_options():
    """The options of this script."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--usim", action="store_true", help="the simulated microscope of nionswift-usim")
    options.add_argument("--pixels", type=int, default=256, help="lines of the field, and pixels of a line")
    options.add_argument("--field-nm", type=float, default=30.0, help="side of the field")
    options.add_argument("--channels", type=int, nargs="+", default=[0], help="numbers of the detectors' channels")
    options.add_argument("--beam-current-pa", type=float, help="of the probe; otherwise the microscope is asked")
    options.add_argument("--units-per-electron", type=float, help="gain of the channels, where it is known")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
