// A binary message of the live socket as a header and planes; docs/api.md gives the layout.
const TYPES = { uint8: Uint8Array, uint16: Uint16Array };

export function parsePicture(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const [height, width] = header.shape;
  const planes = {};
  for (const entry of header.planes) {
    const Type = TYPES[entry.dtype];
    const numbers = new Type(buffer, 4 + size + entry.offset, entry.bytes / Type.BYTES_PER_ELEMENT);
    planes[entry.name] = { numbers, width, height, scale: entry.scale, add: entry.add, missing: entry.missing };
  }
  return { header, planes };
}

// The value at a pixel in units; null where it was not sampled.
export function valueAt(plane, x, y) {
  const number = plane.numbers[y * plane.width + x];
  return number === plane.missing ? null : plane.add + plane.scale * number;
}
