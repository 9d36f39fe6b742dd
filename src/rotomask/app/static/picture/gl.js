/** Draws a frame and its label map with WebGL2: one shader for all views. */

export const VIEW_NUMBERS = { tint: 0, outline: 1, cutout: 2, alpha: 3, original: 4, difference: 5 };

const VERTEX = `#version 300 es
in vec2 corner;
void main() { gl_Position = vec4(corner, 0.0, 1.0); }`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp usampler2D;
uniform sampler2D frame;
uniform usampler2D labels;
uniform usampler2D before;
uniform sampler2D palette;
uniform vec4 place;    // x, y, width, height of the picture, in pixels of the canvas from its upper left
uniform vec2 canvas;
uniform vec2 size;     // of the label map
uniform vec2 sizeBefore;
uniform int view;
uniform float ratio;   // pixels of the canvas in a CSS pixel, more on very large screens
uniform int chosen;
uniform vec4 box;      // left, top, right, bottom of all objects, 0 to 1
out vec4 result;

uint label(vec2 uv) { return texelFetch(labels, clamp(ivec2(uv * size), ivec2(0), ivec2(size) - 1), 0).r; }
uint labelBefore(vec2 uv) { return texelFetch(before, clamp(ivec2(uv * sizeBefore), ivec2(0), ivec2(sizeBefore) - 1), 0).r; }
vec4 paint(uint l) { return texelFetch(palette, ivec2(int(l), 0), 0); }

// 0: no border within the radius, else the colour of the object that has one
vec4 border(vec2 uv, uint here, float radius) {
  vec4 found = vec4(0.0);
  for (int i = 0; i < 8; i++) {
    float a = float(i) * 0.7853982;
    uint there = label(uv + vec2(cos(a), sin(a)) * radius / place.zw);
    if (there != here) {
      vec4 mine = paint(here), other = paint(there);
      if (mine.a > 0.5) return mine;
      if (other.a > 0.5) found = other;
    }
  }
  return found;
}

vec3 outlined(vec3 under, vec2 uv, uint here) {
  vec2 reach = 4.0 * ratio / place.zw; // far from all objects there is nothing to look for
  if (any(lessThan(uv, box.xy - reach)) || any(greaterThan(uv, box.zw + reach))) return under;
  if (border(uv, here, 2.8 * ratio).a < 0.5) return under;
  vec4 line = border(uv, here, 1.4 * ratio);
  return line.a > 0.5 ? line.rgb : mix(under, vec3(0.0), 0.6);
}

void main() {
  vec2 pixel = vec2(gl_FragCoord.x, canvas.y - gl_FragCoord.y);
  vec2 uv = (pixel - place.xy) / place.zw;
  if (uv.x < 0.0 || uv.y < 0.0 || uv.x >= 1.0 || uv.y >= 1.0) { result = vec4(0.0); return; }
  vec3 rgb = texture(frame, uv).rgb;
  if (view == 4) { result = vec4(rgb, 1.0); return; }
  uint here = label(uv);
  vec4 p = paint(here);
  bool on = here != 0u && p.a > 0.5;
  if (view == 0) {
    if (on) rgb = mix(rgb, p.rgb, int(here) == chosen ? 0.48 : 0.36);
    rgb = outlined(rgb, uv, here);
  } else if (view == 1) {
    rgb = outlined(rgb, uv, here);
  } else if (view == 2) {
    vec2 square = floor(pixel / (8.0 * ratio));
    float light = mod(square.x + square.y, 2.0) < 0.5 ? 0.80 : 0.62;
    rgb = on ? rgb : vec3(light);
  } else if (view == 3) {
    rgb = vec3(on ? 1.0 : 0.0);
  } else {
    uint then = labelBefore(uv);
    bool was = then != 0u && paint(then).a > 0.5;
    float grey = dot(rgb, vec3(0.299, 0.587, 0.114));
    float stripe = mod(pixel.x + pixel.y, 8.0 * ratio) < 4.0 * ratio ? 1.0 : 0.6;
    if (on && !was) rgb = mix(vec3(grey), vec3(0.20, 0.83, 0.60), 0.75);
    else if (was && !on) rgb = mix(vec3(grey), vec3(0.93, 0.30, 0.65) * stripe, 0.8);
    else rgb = vec3(grey) * (on ? 0.95 : 0.35);
  }
  result = vec4(rgb, 1.0);
}`;

/** A renderer, or null where WebGL2 is missing. */
export function glRenderer(canvas) {
  const gl = canvas.getContext('webgl2', { antialias: false, alpha: true, premultipliedAlpha: true });
  if (!gl) return null;
  const program = link(gl);
  if (!program) {
    console.warn('rotomask: the shader does not compile here');
    return null;
  }
  gl.useProgram(program);
  const at = (name) => gl.getUniformLocation(program, name);
  const uniforms = Object.fromEntries(['frame', 'labels', 'before', 'palette', 'place', 'canvas', 'size',
    'sizeBefore', 'view', 'ratio', 'chosen', 'box'].map((name) => [name, at(name)]));
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
  gl.enableVertexAttribArray(gl.getAttribLocation(program, 'corner'));
  gl.vertexAttribPointer(gl.getAttribLocation(program, 'corner'), 2, gl.FLOAT, false, 0, 0);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  ['frame', 'labels', 'before', 'palette'].forEach((name, unit) => {
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const axis of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, axis, gl.CLAMP_TO_EDGE);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D, filter, name === 'frame' ? gl.LINEAR : gl.NEAREST);
    }
    gl.uniform1i(uniforms[name], unit);
  });
  const held = { frame: null, labels: null, before: null, colours: '' };
  const empty = { width: 1, height: 1, labels: new Uint8Array(1) };

  function setLabels(unit, map, name) {
    if (held[name] === map.labels) return;
    held[name] = map.labels;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8UI, map.width, map.height, 0, gl.RED_INTEGER, gl.UNSIGNED_BYTE, map.labels);
  }

  return {
    kind: 'webgl2',
    mostPixels: isSoftware(gl) ? 1.5e6 : Infinity,
    /** Draws; `frame` is an image, `map` and `before` are {width, height, labels} or null. */
    draw({ frame, map, before, colours, view, place, ratio, active, sharp }) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      if (!frame) return;
      gl.activeTexture(gl.TEXTURE0);
      if (held.frame !== frame) {
        held.frame = frame;
        gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, frame);
        if (frame.width > 1000) gl.generateMipmap(gl.TEXTURE_2D);
      }
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, frame.width > 1000 ? gl.LINEAR_MIPMAP_LINEAR : gl.LINEAR);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, sharp ? gl.NEAREST : gl.LINEAR);
      setLabels(1, map ?? empty, 'labels');
      setLabels(2, before ?? empty, 'before');
      const key = colours.join();
      if (held.colours !== key) {
        held.colours = key;
        gl.activeTexture(gl.TEXTURE3);
        gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, colours);
      }
      gl.uniform4f(uniforms.place, place.x, place.y, place.width, place.height);
      gl.uniform2f(uniforms.canvas, canvas.width, canvas.height);
      gl.uniform2f(uniforms.size, (map ?? empty).width, (map ?? empty).height);
      gl.uniform2f(uniforms.sizeBefore, (before ?? empty).width, (before ?? empty).height);
      gl.uniform1i(uniforms.view, VIEW_NUMBERS[view] ?? 4);
      gl.uniform1f(uniforms.ratio, ratio);
      gl.uniform1i(uniforms.chosen, active);
      gl.uniform4f(uniforms.box, ...(map?.box ?? [0, 0, 1, 1]));
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    },
    /** Uploads rows of the label map that a brush changed. */
    touch(map, top, bottom) {
      if (held.labels !== map.labels) return;
      gl.activeTexture(gl.TEXTURE1);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, top, map.width, bottom - top, gl.RED_INTEGER, gl.UNSIGNED_BYTE,
        map.labels.subarray(top * map.width, bottom * map.width));
    },
    lost: () => gl.isContextLost(),
  };
}

function link(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
}

/** Whether the processor draws: a large screen then gets fewer pixels, or every frame takes seconds. */
function isSoftware(gl) {
  const info = gl.getExtension('WEBGL_debug_renderer_info');
  return /swiftshader|llvmpipe|software|basic render/i.test(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}
