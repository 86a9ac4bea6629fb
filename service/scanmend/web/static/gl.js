// Paints panes with WebGL2: planes are integer textures, levels and colours are the shader's.
import { CLIPPED, OUTSIDE, SAMPLED, SATURATED, UNSAMPLED, UNSAMPLED_STRIPE, maps } from "./colours.js";
import { FRAGMENT, KINDS, UNIFORMS, VERTEX } from "./shader.js";

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
const NONE = 0xffffffff;
const COLOURS = { unsampled: UNSAMPLED, stripe: UNSAMPLED_STRIPE, outside: OUTSIDE, sampledColour: SAMPLED,
  saturatedA: SATURATED[0], saturatedB: SATURATED[1], clippedA: CLIPPED[0], clippedB: CLIPPED[1] };

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
    this.at = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)]));
    ["plane", "over", "marks", "map", "overMap"].forEach((name, unit) => gl.uniform1i(this.at[name], unit));
    for (const [name, rgb] of Object.entries(COLOURS)) gl.uniform3fv(this.at[name], rgb.map((byte) => byte / 255));
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.activeTexture(gl.TEXTURE0);
    this.maps = {};
    for (const [name, bytes] of Object.entries(maps)) {
      this.maps[name] = this.texture(gl.LINEAR);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, bytes);
    }
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
    const wide = plane.numbers.BYTES_PER_ELEMENT === 2;
    const type = wide ? gl.UNSIGNED_SHORT : gl.UNSIGNED_BYTE;
    gl.activeTexture(gl.TEXTURE0);
    const held = this.textures[name];
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

  // pane: {left, top, width, height} in device pixels; look: {name, black, white, gamma, log, map, overlay, marks}
  paint(pane, view, ratio, look) {
    const gl = this.gl;
    const shown = this.textures[look.name];
    if (!shown) return;
    const { plane } = shown;
    const bottom = this.canvas.height - pane.top - pane.height;
    gl.viewport(pane.left, bottom, pane.width, pane.height);
    gl.scissor(pane.left, bottom, pane.width, pane.height);
    const over = look.overlay ? this.textures[look.overlay.name] : null;
    const marks = look.marks ? this.textures[look.marks] : null;
    this.bind([shown.texture, (over ?? shown).texture, (marks ?? shown).texture, this.maps[look.map], this.maps[look.overlay?.map ?? "grey"]]);
    gl.uniform4f(this.at.pane, pane.left, bottom, pane.width, pane.height);
    const wide = plane.wide ?? 1;
    gl.uniform3f(this.at.view, view.x / wide, view.y / wide, view.zoom * ratio * wide);
    gl.uniform2f(this.at.extent, ...(plane.extent ?? [plane.width, plane.height]));
    gl.uniform2f(this.at.unit, plane.scale, plane.add);
    gl.uniform1ui(this.at.missing, plane.missing ?? NONE);
    gl.uniform3f(this.at.levels, look.black, look.white, look.log ? 0 : 1 / look.gamma);
    gl.uniform1i(this.at.overKind, over ? KINDS[look.overlay.kind] : 0);
    gl.uniform1i(this.at.marked, marks ? 1 : 0);
    if (over) {
      gl.uniform2f(this.at.overUnit, over.plane.scale, over.plane.add);
      gl.uniform2f(this.at.overRange, look.overlay.low, look.overlay.top);
      gl.uniform1ui(this.at.overMissing, over.plane.missing ?? NONE);
    }
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  bind(textures) {
    const gl = this.gl;
    textures.forEach((texture, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
  }
}
