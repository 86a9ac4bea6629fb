"""A bridge to JEOL's transmission microscopes in scanning mode, through PyJEM.

NOT TRIED ON AN INSTRUMENT. It is tested against a recorded fake, which answers the calls below as PyJEM's own
docstrings say, and refuses all others.

    python jeol.py --detector ADF1 --shape 512x512 --pixel-size-nm 0.1 --beam-current-pa 20 --serve 7511

| call of PyJEM | what its docstring says |
|---|---|
| `detector.get_attached_detector()` | list of available detector names |
| `detector.Detector(name).livestop()` | stops the live view |
| `.get_detectorsetting()` | the detector's settings: ExposureTimeValue, frameIntegration … |
| `.set_imaging_area(Width, Height, X, Y)` | number of pixels of the image, 0 to 4096 |
| `.set_scanmode(value)` | 0: Scan, 1: Area, 3: Spot. One public program takes 3 for Area: look at this first |
| `.set_areamode_imagingarea(Width, Height, X, Y)` | which part of ImagingArea is scanned; the top left is (0, 0) |
| `.set_exposuretime_value(value)` | exposure time in µs, 0 to 1000, depending on the model |
| `.snapshot_rawdata()` | takes an image; a byte array of the two-dimensional data |
| `TEM3.Def3().SetBeamBlank(value)` | 0: off, 1: on |
| `TEM3.HT3().GetHtValue()` | accelerating voltage in V |

No call gives the probe's current or a pixel's size, so both are options. Each detector scans on its own, so that a
second channel would double the dose: there is one.
"""

import argparse

import numpy as np

NOT_TRIED = "jeol.py has not been tried on an instrument. Watch the beam and the sample, and do not leave it alone."

SCAN, AREA = 0, 1
TYPES = {1: "uint8", 2: "uint16"}
MOST_PIXELS = 4096


class JeolMicroscope:
    """Scans the field or an area of it, whole images at a time: a running one cannot be ended.

    Args:
        detectors: The module `PyJEM.detector`.
        tem: The module `PyJEM.TEM3`.
        name: The detector.
        shape: Lines and pixels of the field.
        pixel_size_nm: Side of a pixel.
        beam_current_pa: Of the probe; None where it is not known.
        bytes_per_sample: 1 or 2, as the detector is set.
        longest_block_s: Longest image; longer ones are scanned in strips, so that an abort is heard in between.
        units_per_electron: What one electron adds to a sample at 1 µs; None where it is not known.
    """

    def __init__(
        self,
        detectors,
        tem,
        name,
        shape,
        pixel_size_nm,
        beam_current_pa=None,
        bytes_per_sample=2,
        longest_block_s=10.0,
        units_per_electron=None,
    ):
        there = list(detectors.get_attached_detector())
        if name not in there:
            raise ValueError(f"no detector {name}: give one of {', '.join(map(str, there))}")
        if not 1 <= max(shape) <= MOST_PIXELS:
            raise ValueError(f"a field of {shape[0]} x {shape[1]} pixels: {MOST_PIXELS} a side are the most")
        self._detector, self._tem, self._name = detectors.Detector(name), tem, name
        self._shape, self._pixel_size_nm, self._beam_current_pa = tuple(shape), pixel_size_nm, beam_current_pa
        self._type, self._longest_block_s = np.dtype(TYPES[bytes_per_sample]), longest_block_s
        self._units_per_electron = units_per_electron
        self._block = None
        self._detector.livestop()
        self._detector.set_imaging_area(Width=shape[1], Height=shape[0], X=0, Y=0)
        if self._detector.get_detectorsetting().get("frameIntegration", 1) > 1:
            raise ValueError("the detector adds up several frames: set its accumulation to 1")

    def describe(self):
        """See README.md: what every bridge's class says of itself."""
        voltage_v = self._tem.HT3().GetHtValue()
        return {
            "program": "PyJEM",
            "field": {
                "shape": list(self._shape),
                "pixel_size_nm": self._pixel_size_nm,
                "beam_current_pa": self._beam_current_pa,
                "beam_energy_kev": voltage_v / 1000.0 if voltage_v > 0 else None,
            },
            "channels": [
                {
                    "name": self._name,
                    "dtype": self._type.name,
                    "kind": "analogue",
                    "units_per_electron": self._units_per_electron,
                }
            ],
            "capabilities": {
                "points": False,
                "dwell_per_point": False,
                "rectangles": True,
                "dwell_quantum_ns": 1000,
                "min_dwell_ns": 1000,
                "max_dwell_ns": 1000000,
            },
            "longest_block_s": self._longest_block_s,
            "remarks": [
                NOT_TRIED,
                "Pixel size and beam current are what was typed: nothing reads them from the microscope.",
            ],
        }

    def begin(self, top, left, height, width, dwell_ns):
        """Set the area and the exposure time; it is scanned when it is read."""
        detector, whole = self._detector, (height, width) == self._shape
        detector.set_scanmode(SCAN if whole else AREA)
        if not whole:
            detector.set_areamode_imagingarea(Width=width, Height=height, X=left, Y=top)
        detector.set_exposuretime_value(dwell_ns / 1000.0)
        taken_us = detector.get_detectorsetting()["ExposureTimeValue"]
        if abs(taken_us * 1000.0 - dwell_ns) > 1:
            raise RuntimeError(f"the microscope took an exposure time of {taken_us:g} us for {dwell_ns} ns")
        self._block = (height, width)

    def read(self, timeout_s):
        """Scan the area, and give all of it."""
        if self._block is None:
            return None
        (height, width), self._block = self._block, None
        self._tem.Def3().SetBeamBlank(0)
        data = self._detector.snapshot_rawdata()
        if len(data) != height * width * self._type.itemsize:
            raise RuntimeError(
                f"the microscope gave {len(data)} bytes for {height} lines of {width} pixels of "
                f"{self._type.itemsize} bytes: give --bytes-per-sample as the detector is set"
            )
        samples = np.frombuffer(data, self._type.newbyteorder("<")).astype(self._type)
        return 0, height * width, samples.reshape(1, height * width)

    def stop(self):
        """Blank the beam."""
        self._block = None
        self._tem.Def3().SetBeamBlank(1)

    def close(self):
        """Leave the detector in the mode in which it scans the whole field."""
        self._detector.set_scanmode(SCAN)


def connected(options):
    """The microscope on whose PC this runs."""
    from PyJEM import TEM3, detector

    return JeolMicroscope(
        detector,
        TEM3,
        options.detector,
        tuple(int(side) for side in options.shape.lower().split("x")),
        options.pixel_size_nm,
        options.beam_current_pa,
        options.bytes_per_sample,
        options.longest_block_s,
        options.units_per_electron,
    )


def main():
    """Read the options and run."""
    import far_end

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--detector", required=True, help="its name, as PyJEM gives it")
    options.add_argument("--shape", default="512x512", help="grid of the field, lines x pixels")
    options.add_argument("--pixel-size-nm", type=float, required=True, help="side of a pixel")
    options.add_argument("--beam-current-pa", type=float, help="of the probe; without it no dose is given")
    options.add_argument("--bytes-per-sample", type=int, default=2, choices=sorted(TYPES), help="of the raw data")
    options.add_argument("--longest-block-s", type=float, default=10.0, help="longer images are scanned in strips")
    options.add_argument("--units-per-electron", type=float, help="gain of the detector at 1 us, where it is known")
    return far_end.main(connected, options, NOT_TRIED)


if __name__ == "__main__":
    raise SystemExit(main())
