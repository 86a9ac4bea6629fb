"""A bridge to microscopes that Gatan's DigiScan scans, through DigitalMicrograph (GMS 3.4 and newer).

NOT TRIED ON AN INSTRUMENT. It is tested against a recorded fake, which answers the calls below as the help texts of
DigitalMicrograph say, and refuses all others.

Run it in DigitalMicrograph: open it in a script window, set the constants below, tick "Execute on Background Thread",
press Execute, and copy the line that it prints. The Python of GMS 3.6 is 3.10, too old for Scanmend's client: the
bridge itself runs as `scanmend bridge` elsewhere, here is only its far end.

| call of DM-Script | what its help text says (quoted in D. R. G. Mitchell's Faux DigiScan Library, 2016) |
|---|---|
| `DSCreateParameters(width, height, rotation, pixelTime, lineSync)` | a parameter set's number; degrees, µs |
| `DSSetParametersSignal(paramID, signalIndex, dataType, selected, imageID)` | data type in bytes: 1, 2 or 4 |
| `DSStartAcquisition(paramID, continuous, synchronous)` | one frame (0); returns at once (0) |
| `DSIsAcquisitionActive()` | whether DigiScan acquires |
| `DSStopAcquisition(paramID)` | -1: any that runs |
| `DSDeleteParameters(paramID)` | forgets the set |
| `DSScanSubRegion(refImage, dstImage, top, left, bottom, right, pixelTime)` | scans a part of the reference image \
into an image of the same type, whose size is the sampling; returns when all is there; one signal |
| `DSGetRotation()`, `DSGetSignalName(index)` | degrees; a name |
| `DSGetMinPixelTime(depth, nSignals)`, `DSGetMaxPixelTime()` | µs |
| `DSGetLastAcquiredImageID(signalIndex)` | an image's number; -1: none |
| `IntegerImage(name, bytes, signed, width, height)`, `ImageGetID(image)`, `ShowImage(image)`, `FindImageByID(id)` | |
| `EMSetBeamBlanked(blanked)`, `EMGetHighTension()` | 1: blanked; V |

Of DigitalMicrograph's Python: `ExecuteScriptString(text)`, `GetPersistentTagGroup().GetTagAsString(path)`,
`FindImageByID(id)` with `GetNumArray()` and `GetDimensionCalibration(dimension, format)`, `DeleteImage(image)`.
"""

import argparse
import time

import numpy as np

NOT_TRIED = "gatan.py has not been tried on an instrument. Watch the beam and the sample, and do not leave it alone."

FOLDER = r"C:\scanmend\bridges"
"""Where this file and far_end.py are: a script window of DigitalMicrograph does not know."""

INSIDE_GMS = ["--shape", "512x512", "--signals", "0", "--beam-current-pa", "20"]
"""The options: a script window has no command line. `--pixel-size-nm` is read from the last DigiScan image where it
is not given."""

PORT = 7511

ANSWER = "Scanmend:Answer"
BYTES = 4
NM = {"nm": 1.0, "um": 1000.0, "\u00b5m": 1000.0, "A": 0.1, "\u00c5": 0.1}
SHORTER = 0.95
"""A frame that takes less than this share of its dwells was ended by somebody: its rest is zeros."""


class GatanMicroscope:
    """Scans the whole field with all signals, and rectangles of it where there is one signal.

    Args:
        dm: The module `DigitalMicrograph`.
        shape: Lines and pixels of the field.
        signals: Indices of DigiScan's signals.
        pixel_size_nm: Side of a pixel; of the last DigiScan image where None, if the magnification is still the same.
        beam_current_pa: Of the probe; None where it is not known.
        longest_block_s: Longest part of the field that nothing can end; longer ones are scanned in strips.
        units_per_electron: What one electron adds to a sample at 1 µs; None where it is not known.
    """

    def __init__(
        self,
        dm,
        shape,
        signals,
        pixel_size_nm=None,
        beam_current_pa=None,
        longest_block_s=10.0,
        units_per_electron=None,
    ):
        self._dm, self._shape, self._signals = dm, tuple(shape), list(signals)
        self._beam_current_pa, self._longest_block_s = beam_current_pa, longest_block_s
        self._units_per_electron = units_per_electron
        self._pixel_size_nm = pixel_size_nm or self._last_pixel_size_nm()
        self._parameters, self._began_s, self._block = None, 0.0, None
        self._images = []
        """Numbers of the images into which the field was scanned last, one a signal."""

    # The verbs of a bridge --------------------------------------------------------------------------------------

    def describe(self):
        """See README.md: what every bridge's class says of itself."""
        voltage_v = self._number("EMGetHighTension()")
        one = len(self._signals) == 1
        return {
            "program": "DigitalMicrograph",
            "field": {
                "shape": list(self._shape),
                "pixel_size_nm": self._pixel_size_nm,
                "beam_current_pa": self._beam_current_pa,
                "beam_energy_kev": voltage_v / 1000.0 if voltage_v > 0 else None,
            },
            "channels": [
                {
                    "name": self._text(f"DSGetSignalName({index})"),
                    "dtype": "uint32",
                    "kind": "counting",
                    "units_per_electron": self._units_per_electron,
                }
                for index in self._signals
            ],
            "capabilities": {
                "points": False,
                "dwell_per_point": False,
                "rectangles": one,
                "dwell_quantum_ns": 100,
                "min_dwell_ns": -(
                    -round(self._number(f"DSGetMinPixelTime({BYTES}, {len(self._signals)})") * 1e3) // 100
                )
                * 100,
                "max_dwell_ns": round(self._number("DSGetMaxPixelTime()") * 1e3) // 100 * 100,
            },
            "longest_block_s": self._longest_block_s if one else None,
            "remarks": [
                NOT_TRIED,
                "The first pass must be of the whole field: rectangles are scanned within its image.",
                "Do not change magnification or rotation, and do not press DigiScan's buttons, while a session runs.",
            ],
        }

    def begin(self, top, left, height, width, dwell_ns):
        """Begin the whole field, which goes on by itself, or take note of a part of it."""
        self._block = (top, left, height, width, dwell_ns)
        if (height, width) == self._shape:
            self._begin_field(dwell_ns)

    def read(self, timeout_s):
        """The whole of what was begun, when it is there."""
        if self._block is None:
            return None
        if self._parameters is None:
            return self._part(*self._block)
        end_s = time.monotonic() + timeout_s
        while self._number("DSIsAcquisitionActive()"):
            if time.monotonic() >= end_s:
                return None
            time.sleep(min(0.01, timeout_s))
        return self._field()

    def stop(self):
        """Blank first, then end what runs."""
        self._do("EMSetBeamBlanked(1)", "DSStopAcquisition(-1)")
        self._forget_parameters()
        self._block = None

    def close(self):
        """Leave the images of the last pass to the user."""

    # DigiScan ---------------------------------------------------------------------------------------------------

    def _begin_field(self, dwell_ns):
        lines, pixels = self._shape
        old, self._images = self._images, [self._new_image(pixels, lines) for _ in self._signals]
        for number in old:
            self._delete(number)
        # The rotation of DigiScan's own panel, so that parts of the field, which have it too, lie where they should.
        self._parameters = round(
            self._number(f"DSCreateParameters({pixels}, {lines}, DSGetRotation(), {dwell_ns / 1000:.10g}, 0)")
        )
        for place, index in enumerate(self._signals):
            self._do(f"DSSetParametersSignal({self._parameters}, {index}, {BYTES}, 1, {self._images[place]})")
        self._began_s = time.monotonic()
        self._do("EMSetBeamBlanked(0)", f"DSStartAcquisition({self._parameters}, 0, 0)")

    def _field(self):
        _, _, height, width, dwell_ns = self._block
        took_s, self._block = time.monotonic() - self._began_s, None
        self._forget_parameters()
        points = height * width
        if took_s < SHORTER * points * dwell_ns * 1e-9:
            return 0, points, None
        return 0, points, np.concatenate([self._samples(number, (height, width)) for number in self._images])

    def _part(self, top, left, height, width, dwell_ns):
        self._block = None
        if len(self._images) != 1:
            raise RuntimeError("a part of the field is scanned within an image of the whole field: there is none yet")
        number = self._new_image(width, height)
        self._do(
            f"image whole := FindImageByID({self._images[0]})",
            f"image part := FindImageByID({number})",
            "EMSetBeamBlanked(0)",
            f"DSScanSubRegion(whole, part, {top}, {left}, {top + height}, {left + width}, {dwell_ns / 1000:.10g})",
        )
        samples = self._samples(number, (height, width))
        self._delete(number)
        return 0, height * width, samples

    def _forget_parameters(self):
        if self._parameters is not None:
            self._do(f"DSDeleteParameters({self._parameters})")
            self._parameters = None

    # Images and values ------------------------------------------------------------------------------------------

    def _new_image(self, width, height):
        """A shown image, because one that no window holds ends with the script; gives its number."""
        self._do(
            f'image made := IntegerImage("Scanmend", {BYTES}, 0, {width}, {height})',
            "ShowImage(made)",
            self._answer('Format(ImageGetID(made), "%.12g")'),
        )
        return round(float(self._said()))

    def _samples(self, number, shape):
        data = np.asarray(self._dm.FindImageByID(number).GetNumArray())
        if data.shape != tuple(shape) or data.dtype != np.uint32:
            raise RuntimeError(f"DigitalMicrograph gave {data.shape}, {data.dtype} for {tuple(shape)}, uint32")
        return data.reshape(1, -1).copy()

    def _delete(self, number):
        image = self._dm.FindImageByID(number)
        if image is not None:
            self._dm.DeleteImage(image)

    def _last_pixel_size_nm(self):
        number = round(self._number(f"DSGetLastAcquiredImageID({self._signals[0]})"))
        image = self._dm.FindImageByID(number) if number >= 0 else None
        if image is None:
            raise ValueError("no DigiScan image shows the pixel size: take one, or give --pixel-size-nm")
        _, scale, unit = image.GetDimensionCalibration(0, 0)
        unit = unit.decode("latin-1") if isinstance(unit, bytes) else unit
        if unit not in NM:
            raise ValueError(f"the last DigiScan image is calibrated in {unit!r}: give --pixel-size-nm")
        # The scan always has the whole field of view along its longer side.
        return scale * NM[unit] * max(np.asarray(image.GetNumArray()).shape) / max(self._shape)

    def _do(self, *lines):
        self._dm.ExecuteScriptString("\n".join(lines) + "\n")

    def _answer(self, expression):
        return f'GetPersistentTagGroup().TagGroupSetTagAsString("{ANSWER}", "" + {expression})'

    def _said(self):
        found, text = self._dm.GetPersistentTagGroup().GetTagAsString(ANSWER)
        if not found:
            raise RuntimeError("DigitalMicrograph ran a script and gave no answer")
        return text

    def _number(self, expression):
        self._do(self._answer(f'Format({expression}, "%.12g")'))
        return float(self._said())

    def _text(self, expression):
        self._do(self._answer(expression))
        return self._said()


def connected(options):
    """The microscope of the DigitalMicrograph in which this runs."""
    import DigitalMicrograph

    return GatanMicroscope(
        DigitalMicrograph,
        tuple(int(side) for side in options.shape.lower().split("x")),
        options.signals,
        options.pixel_size_nm,
        options.beam_current_pa,
        options.longest_block_s,
        options.units_per_electron,
    )


def main():
    """Serve `scanmend bridge`, with the options above."""
    import sys

    sys.path.insert(0, FOLDER)
    import far_end

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--shape", default="512x512", help="grid of the field, lines x pixels")
    options.add_argument("--signals", type=int, nargs="+", default=[0], help="indices of DigiScan's signals")
    options.add_argument("--pixel-size-nm", type=float, help="side of a pixel")
    options.add_argument("--beam-current-pa", type=float, help="of the probe; without it no dose is given")
    options.add_argument("--longest-block-s", type=float, default=10.0, help="longer parts are scanned in strips")
    options.add_argument("--units-per-electron", type=float, help="gain of a signal at 1 us, where it is known")
    print(NOT_TRIED, flush=True)
    far_end.serve(connected(options.parse_args(INSIDE_GMS)), PORT)


if __name__ == "__main__":
    main()
