/** Where the picture lies on the stage; all in CSS pixels of the stage. */

import { signal } from '../core/lib.js';
import * as S from '../core/state.js';

export const stageSize = signal({ width: 0, height: 0 });
const MARGIN = 16;

/** The picture's rectangle, with `scale` in CSS pixels a pixel of the video. */
export function place() {
  const { width, height } = stageSize.value;
  const [w, h] = videoSize();
  const z = S.zoom.value;
  if (z.fit) {
    const margin = width < 700 ? 4 : MARGIN;
    const scale = Math.max(0.01, Math.min((width - 2 * margin) / w, (height - 2 * margin) / h));
    return { x: (width - w * scale) / 2, y: (height - h * scale) / 2, width: w * scale, height: h * scale, scale };
  }
  return { x: z.x, y: z.y, width: w * z.scale, height: h * z.scale, scale: z.scale };
}

/** How much larger than on a desk everything is drawn: the page's rem on very large screens. */
export const unit = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;

export const videoSize = () => [S.project.value?.width || 854, S.project.value?.height || 480];

/** A point of the stage in pixels of the video, not rounded, perhaps outside. */
export function toVideo(point, p = place()) {
  return [(point[0] - p.x) / p.scale, (point[1] - p.y) / p.scale];
}

export const toStage = ([x, y], p = place()) => [p.x + x * p.scale, p.y + y * p.scale];

export function inside([x, y]) {
  const [w, h] = videoSize();
  return x >= 0 && y >= 0 && x < w && y < h;
}

export function clampPoint([x, y]) {
  const [w, h] = videoSize();
  return [Math.max(0, Math.min(w - 1, x)), Math.max(0, Math.min(h - 1, y))];
}

/** Zooms by a factor about a point of the stage that stays where it is. */
export function zoomAt(factor, point) {
  const p = place();
  const { width, height } = stageSize.value;
  const [w, h] = videoSize();
  const fit = Math.min(width / w, height / h);
  const scale = Math.max(Math.min(0.5, fit * 0.5), Math.min(32, p.scale * factor));
  const about = point ?? [width / 2, height / 2];
  const [vx, vy] = toVideo(about, p);
  S.zoom.value = keepInSight({ fit: false, scale, x: about[0] - vx * scale, y: about[1] - vy * scale });
}

export function panBy(dx, dy) {
  const p = place();
  S.zoom.value = keepInSight({ fit: false, scale: p.scale, x: p.x + dx, y: p.y + dy });
}

/** The small picture in the corner while zoomed in: {x, y, width, height}, or null. */
export function minimap() {
  const { width, height } = stageSize.value;
  const p = place();
  if (S.zoom.value.fit || (p.width < width * 1.1 && p.height < height * 1.1)) return null;
  const [w, h] = videoSize();
  const scale = Math.min(Math.max(90, Math.min(180, width / 5)) / w, Math.min(140, height / 4) / h);
  return { x: width - w * scale - 12, y: 12, width: w * scale, height: h * scale };
}

/** Shows the place of the picture that a point of the minimap stands for. */
export function centreOn([x, y], map) {
  const { width, height } = stageSize.value;
  const p = place();
  const [fx, fy] = [(x - map.x) / map.width, (y - map.y) / map.height];
  panBy(width / 2 - (p.x + fx * p.width), height / 2 - (p.y + fy * p.height));
}

/** At least 48 pixels of the picture stay on the stage. */
function keepInSight(z) {
  const { width, height } = stageSize.value;
  const [w, h] = videoSize();
  const x = Math.max(48 - w * z.scale, Math.min(width - 48, z.x));
  const y = Math.max(48 - h * z.scale, Math.min(height - 48, z.y));
  return { ...z, x, y };
}
