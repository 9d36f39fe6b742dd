/** Brush strokes and polygons painted at once into a copy of the label map, before the server answers. */

import * as doc from '../core/document.js';
import { signal } from '../core/lib.js';
import * as S from '../core/state.js';
import { videoSize } from './geometry.js';

/** {frame, map} while a stroke of ours is newer than the server's mask. */
export const local = signal(null);

/** A label map of this frame that may be painted on. */
export function begin() {
  const frame = S.playhead.value;
  if (local.value?.frame === frame) return local.value.map;
  const [width, height] = videoSize();
  const map = doc.masks.get(frame);
  const labels = map ? map.labels.slice() : new Uint8Array(width * height);
  local.value = { frame, map: { width: map?.width ?? width, height: map?.height ?? height, labels } };
  return local.value.map;
}

export const end = () => { local.value = null; };

/** Paints a capsule; answers with the rows that it touched. */
export function dab(map, [x0, y0], [x1, y1], diameter, label, adds) {
  const radius = Math.max(0.5, diameter / 2);
  const top = Math.max(0, Math.floor(Math.min(y0, y1) - radius));
  const bottom = Math.min(map.height, Math.ceil(Math.max(y0, y1) + radius) + 1);
  const left = Math.max(0, Math.floor(Math.min(x0, x1) - radius));
  const right = Math.min(map.width, Math.ceil(Math.max(x0, x1) + radius) + 1);
  const [dx, dy] = [x1 - x0, y1 - y0];
  const square = dx * dx + dy * dy || 1;
  const limit = radius * radius;
  for (let y = top; y < bottom; y += 1) {
    for (let x = left; x < right; x += 1) {
      const t = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / square));
      const [ex, ey] = [x - x0 - t * dx, y - y0 - t * dy];
      if (ex * ex + ey * ey > limit) continue;
      const at = y * map.width + x;
      if (adds) map.labels[at] = label;
      else if (map.labels[at] === label) map.labels[at] = 0;
    }
  }
  return [top, Math.max(top, bottom)];
}
