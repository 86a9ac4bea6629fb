// Paints panes with WebGL2: planes are integer textures, levels and colours are the shader's.
import { OUTSIDE, OVERLAY, UNSAMPLED, UNSAMPLED_STRIPE, viridis } from "./colours.js";

const VERTEX = `#version 300 es
void main() { gl_Position = vec4(vec2[3](vec2(-1, -1), vec2(3, -1), vec2(-1, 3))[gl_VertexID], 0, 1); }`;

const FRAGMENT = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D;
uniform usampler2D plane, sigma;
uniform sampler2D map;
uniform vec4 pane;        // device pixels: left, bottom, width, height
uniform vec3 view;        // picture x, y at the centre, device pixels for a picture pixel
uniform vec2 extent;      // of the picture, in the plane's pixels
uniform vec2 unit, sigmaUnit;     // scale, add
uniform uint missing, sigmaMissing;
uniform vec3 levels;      // black, white, 1 / gamma
uniform float sigmaTop;   // 0: no overlay
uniform vec3 unsampled, stripe, outside;
out vec4 colour;

vec3 tap(vec2 p) {
  if (any(lessThan(p, vec2(0))) || any(greaterThanEqual(p, extent))) return outside;
  ivec2 at = ivec2(floor(p));
  uint number = texelFetch(plane, at, 0).r;
  if (number == missing) {
    float hatch = step(0.62, fract((p.x + p.y) * 2.0)) * smoothstep(7.0, 14.0, view.z);
    return mix(unsampled, stripe, hatch);
  }
  float value = unit.y + unit.x * float(number);
  vec3 grey = vec3(pow(clamp((value - levels.x) / (levels.y - levels.x), 0.0, 1.0), levels.z));
  if (sigmaTop <= 0.0) return grey;
  uint deviation = texelFetch(sigma, at, 0).r;
  if (deviation == sigmaMissing) return grey;
  float share = clamp((sigmaUnit.y + sigmaUnit.x * float(deviation)) / sigmaTop, 0.0, 1.0);
  return mix(grey, texture(map, vec2((share * 255.0 + 0.5) / 256.0, 0.5)).rgb, ${OVERLAY});
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

const NAMES = ["plane", "sigma", "map", "pane", "view", "extent", "unit", "sigmaUnit", "missing", "sigmaMissing", "levels",
  "sigmaTop", "unsampled", "stripe", "outside"];
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
const NONE = 0xffffffff;

export class GlPainter {
  // Raises an Error where the browser has no WebGL2, or only one that a processor imitates: 2D is faster then.
  constructor(canvas, evenIfSlow) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: false, alpha: false, depth: false, powerPreference: "high-performance" });
    if (!this.gl) throw new Error("no WebGL2");
    const info = this.gl.getExtension("WEBGL_debug_renderer_info");
    const name = info ? this.gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
    if (!evenIfSlow && SOFTWARE.test(name)) throw new Error(`WebGL2 is imitated by ${name}`);
    this.textures = {};
    this.build();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      const planes = Object.entries(this.textures);
      this.textures = {};
      this.build();
      for (const [name, { plane }] of planes) this.upload(name, plane);
    });
  }

  build() {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "shader");
    gl.useProgram(program);
    this.at = Object.fromEntries(NAMES.map((name) => [name, gl.getUniformLocation(program, name)]));
    gl.uniform1i(this.at.plane, 0);
    gl.uniform1i(this.at.sigma, 1);
    gl.uniform1i(this.at.map, 2);
    for (const [name, rgb] of [["unsampled", UNSAMPLED], ["stripe", UNSAMPLED_STRIPE], ["outside", OUTSIDE]])
      gl.uniform3fv(this.at[name], rgb.map((byte) => byte / 255));
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.activeTexture(gl.TEXTURE2);
    this.texture(gl.LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, viridis);
    gl.enable(gl.SCISSOR_TEST);
  }

  texture(filter) {
    const gl = this.gl;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, filter);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    return texture;
  }

  upload(name, plane) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0);
    const held = this.textures[name];
    const wide = plane.numbers.BYTES_PER_ELEMENT === 2;
    const type = wide ? gl.UNSIGNED_SHORT : gl.UNSIGNED_BYTE;
    const same = held && held.plane.width === plane.width && held.plane.height === plane.height && held.wide === wide;
    const texture = same ? held.texture : this.texture(gl.NEAREST);
    if (held && !same) gl.deleteTexture(held.texture);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    if (same) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, plane.width, plane.height, gl.RED_INTEGER, type, plane.numbers);
    else gl.texImage2D(gl.TEXTURE_2D, 0, wide ? gl.R16UI : gl.R8UI, plane.width, plane.height, 0, gl.RED_INTEGER, type, plane.numbers);
    this.textures[name] = { texture, plane, wide };
  }

  clear() {
    const gl = this.gl;
    gl.scissor(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(...OUTSIDE.map((byte) => byte / 255), 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  // pane: {left, top, width, height} in device pixels; look: {name, black, white, gamma, sigmaTop}
  paint(pane, view, ratio, look) {
    const gl = this.gl;
    const shown = this.textures[look.name];
    if (!shown) return;
    const { plane } = shown;
    const bottom = this.canvas.height - pane.top - pane.height;
    gl.viewport(pane.left, bottom, pane.width, pane.height);
    gl.scissor(pane.left, bottom, pane.width, pane.height);
    const sigma = look.sigmaTop > 0 ? this.textures.sigma : null;
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, shown.texture);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, (sigma ?? shown).texture);
    gl.uniform4f(this.at.pane, pane.left, bottom, pane.width, pane.height);
    const wide = plane.wide ?? 1;
    gl.uniform3f(this.at.view, view.x / wide, view.y / wide, view.zoom * ratio * wide);
    gl.uniform2f(this.at.extent, ...(plane.extent ?? [plane.width, plane.height]));
    gl.uniform2f(this.at.unit, plane.scale, plane.add);
    gl.uniform1ui(this.at.missing, plane.missing ?? NONE);
    gl.uniform3f(this.at.levels, look.black, look.white, 1 / look.gamma);
    gl.uniform1f(this.at.sigmaTop, sigma ? look.sigmaTop : 0);
    if (sigma) {
      gl.uniform2f(this.at.sigmaUnit, sigma.plane.scale, sigma.plane.add);
      gl.uniform1ui(this.at.sigmaMissing, sigma.plane.missing ?? NONE);
    }
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}
