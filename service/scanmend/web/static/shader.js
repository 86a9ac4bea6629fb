// The shader that turns a plane's numbers into colours; canvas2d.js does the same without WebGL.
import { OVERLAY } from "./colours.js";
import { LOG_REACH } from "./tone.js";

export const KINDS = { ramp: 1, positive: 2, presence: 3 }; // see overlays.js

export const VERTEX = `#version 300 es
void main() { gl_Position = vec4(vec2[3](vec2(-1, -1), vec2(3, -1), vec2(-1, 3))[gl_VertexID], 0, 1); }`;

export const UNIFORMS = ["plane", "over", "marks", "map", "overMap", "pane", "view", "extent", "unit", "overUnit", "overRange",
  "missing", "overMissing", "levels", "overKind", "marked", "unsampled", "stripe", "outside", "sampledColour", "saturatedA",
  "saturatedB", "clippedA", "clippedB"];

export const FRAGMENT = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D;
uniform usampler2D plane, over, marks;
uniform sampler2D map, overMap;
uniform vec4 pane;        // device pixels: left, bottom, width, height
uniform vec3 view;        // picture x, y at the centre, device pixels for a picture pixel
uniform vec2 extent;      // of the picture, in the plane's pixels
uniform vec2 unit, overUnit;      // scale, add
uniform vec2 overRange;   // values at the map's ends
uniform uint missing, overMissing;
uniform vec3 levels;      // black, white, 1 / gamma or 0 for logarithmic
uniform int overKind;     // 0: no overlay
uniform int marked;       // 1: marks hold 1 where saturated, 2 where clipped
uniform vec3 unsampled, stripe, outside, sampledColour, saturatedA, saturatedB, clippedA, clippedB;
out vec4 colour;

vec3 entry(sampler2D from, float share) {
  return texture(from, vec2((share * 255.0 + 0.5) / 256.0, 0.5)).rgb;
}

vec3 ground(ivec2 at, vec2 p) {
  uint number = texelFetch(plane, at, 0).r;
  if (number == missing) {
    float hatch = step(0.62, fract((p.x + p.y) * 2.0)) * smoothstep(7.0, 14.0, view.z);
    return mix(unsampled, stripe, hatch);
  }
  float share = clamp((unit.y + unit.x * float(number) - levels.x) / (levels.y - levels.x), 0.0, 1.0);
  return entry(map, levels.z > 0.0 ? pow(share, levels.z) : log(1.0 + ${LOG_REACH}.0 * share) / log(${LOG_REACH + 1}.0));
}

vec3 covered(ivec2 at, vec3 below) {
  uint number = texelFetch(over, at, 0).r;
  if (number == overMissing) return below;
  float value = overUnit.y + overUnit.x * float(number);
  if (overKind == ${KINDS.positive} && value <= 0.0) return below;
  float share = clamp((value - overRange.x) / (overRange.y - overRange.x), 0.0, 1.0);
  return mix(below, overKind == ${KINDS.presence} ? sampledColour : entry(overMap, share), ${OVERLAY});
}

vec3 tap(vec2 p) {
  if (any(lessThan(p, vec2(0))) || any(greaterThanEqual(p, extent))) return outside;
  ivec2 at = ivec2(floor(p));
  if (marked == 1) {
    uint mark = texelFetch(marks, at, 0).r;
    if (mark == 1u) return ((at.x + at.y) & 1) == 0 ? saturatedA : saturatedB;
    if (mark == 2u) return (at.y & 1) == 0 ? clippedA : clippedB;
  }
  vec3 seen = ground(at, p);
  return overKind == 0 ? seen : covered(at, seen);
}

void main() {
  vec2 at = vec2(gl_FragCoord.x - pane.x, pane.y + pane.w - gl_FragCoord.y) - pane.zw / 2.0;
  // Several taps in each screen pixel: even pixel edges when large, a true average when small.
  int taps = view.z >= 8.0 ? 2 : clamp(int(ceil(1.0 / view.z)) + 1, 2, 5);
  vec3 sum = vec3(0);
  for (int j = 0; j < taps; j++) for (int i = 0; i < taps; i++)
    sum += tap(view.xy + (at + (vec2(i, j) + 0.5) / float(taps) - 0.5) / view.z);
  colour = vec4(sum / float(taps * taps), 1);
}`;
