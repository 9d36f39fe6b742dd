/** What is drawn over the picture: marks, the stroke in hand, the crop, the cursor, the loupe. */

import { frames } from '../core/document.js';
import * as S from '../core/state.js';
import { draft } from '../core/stroke.js';
import { colourOf } from './colours.js';
import { minimap, place, stageSize, toStage, unit } from './geometry.js';

const PLUS = '#34d399';
const MINUS = '#f472b6';

let u = 1; // pixels for one on a desk's screen

/** Draws a path twice: dark and wide below, coloured and thin above, to show on any footage. */
function twice(context, colour, width, path) {
  for (const [style, extra] of [['rgba(0,0,0,.6)', 2], [colour, 0]]) {
    context.strokeStyle = style;
    context.lineWidth = (width + extra) * u;
    context.beginPath();
    path();
    context.stroke();
  }
}

export function drawOverlay(context, { ratio, pointer, crosshair, loupe, source }) {
  const { width, height } = context.canvas;
  u = unit();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.fillStyle = 'rgba(0,0,0,0.004)';
  context.fillRect(0, 0, 1, 1); // Chromium may go on showing what was there if it is cleared alone
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.lineJoin = 'round';
  context.lineCap = 'round';
  const p = place();
  if (S.step.value === 'frame') drawCrop(context, p);
  if (S.dots.value && S.step.value !== 'frame' && S.step.value !== 'finish') drawMarks(context, p);
  if (draft.value) drawDraft(context, p, draft.value, pointer);
  if (pointer && !crosshair) drawCursor(context, p, pointer);
  if (crosshair) drawCrosshair(context, p, crosshair);
  drawMinimap(context, p);
  if (loupe && source) drawLoupe(context, loupe, source);
}

/** The whole picture, and which part of it is in sight. */
function drawMinimap(context, p) {
  const map = minimap();
  const picture = map && frames?.get(S.playhead.value);
  if (!picture) return;
  const { width, height } = stageSize.value;
  const scale = map.width / p.width;
  const [left, top] = [Math.max(0, -p.x) * scale, Math.max(0, -p.y) * scale];
  const [right, bottom] = [Math.min(p.width, width - p.x) * scale, Math.min(p.height, height - p.y) * scale];
  context.drawImage(picture, map.x, map.y, map.width, map.height);
  context.fillStyle = 'rgba(0,0,0,.55)';
  context.beginPath();
  context.rect(map.x, map.y, map.width, map.height);
  context.rect(map.x + left, map.y + top, right - left, bottom - top);
  context.fill('evenodd');
  twice(context, '#fff', 1.5, () => context.rect(map.x + left, map.y + top, right - left, bottom - top));
}

function drawMarks(context, p) {
  const frame = S.playhead.value;
  for (const entry of S.marks.value) {
    const { mark, object, frame: f } = entry;
    if (entry === draft.value?.entry) continue; // it is dragged
    if (f === frame && !S.objects.value.find((o) => o.label === object)?.hidden) drawMark(context, p, mark, object, 1);
  }
  for (const { mark, object, frame: f } of S.pending.value) if (f === frame) drawMark(context, p, mark, object, 0.6);
}

function drawMark(context, p, mark, object, alpha) {
  context.globalAlpha = object === S.active.value ? alpha : alpha * 0.6;
  if (mark.kind === 'click') drawDot(context, toStage([mark.x + 0.5, mark.y + 0.5], p), mark.positive);
  else if (mark.kind === 'box') {
    const [x, y] = toStage([mark.x, mark.y], p);
    context.setLineDash([6, 4]);
    twice(context, colourOf(object), 1.5, () => context.rect(x, y, mark.width * p.scale, mark.height * p.scale));
    context.setLineDash([]);
  } else if (mark.kind === 'scribble') {
    twice(context, mark.positive ? PLUS : MINUS, Math.max(2, (mark.width * p.scale) / u), () => line(context, p, mark.points));
  }
  context.globalAlpha = 1;
}

function drawDot(context, [x, y], positive) {
  context.beginPath();
  context.arc(x, y, 8 * u, 0, Math.PI * 2);
  context.fillStyle = positive ? '#047857' : '#be185d';
  context.fill();
  context.lineWidth = 2 * u;
  context.strokeStyle = '#fff';
  context.stroke();
  context.beginPath();
  context.moveTo(x - 4 * u, y);
  context.lineTo(x + 4 * u, y);
  if (positive) {
    context.moveTo(x, y - 4 * u);
    context.lineTo(x, y + 4 * u);
  }
  context.stroke();
}

function line(context, p, points) {
  points.forEach((point, i) => {
    const [x, y] = toStage(point, p);
    if (i) context.lineTo(x, y);
    else context.moveTo(x, y);
  });
  if (points.length === 1) context.lineTo(toStage(points[0], p)[0] + 0.1, toStage(points[0], p)[1]);
}

function drawDraft(context, p, d, pointer) {
  const colour = d.positive === false ? MINUS : PLUS;
  if (d.kind === 'dot') return drawDot(context, toStage(d.points[0], p), d.positive);
  if (d.kind === 'box') {
    const [x0, y0] = toStage(d.points[0], p);
    const [x1, y1] = d.points[1] ? toStage(d.points[1], p) : pointer ?? [x0, y0];
    context.fillStyle = 'rgba(76,154,255,.14)';
    context.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    twice(context, '#fff', 1.5, () => context.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)));
  } else if (d.kind === 'scribble') {
    twice(context, colour, Math.max(2, (d.width * p.scale) / u), () => line(context, p, d.points));
  } else if (d.kind === 'polygon') {
    twice(context, colour, 1.75, () => {
      line(context, p, d.points);
      if (pointer) context.lineTo(...pointer);
    });
    d.points.forEach((point, i) => {
      const [x, y] = toStage(point, p);
      context.beginPath();
      context.arc(x, y, (i ? 4 : 6) * u, 0, Math.PI * 2);
      context.fillStyle = i ? '#fff' : colour;
      context.fill();
      context.lineWidth = 1.5 * u;
      context.strokeStyle = 'rgba(0,0,0,.7)';
      context.stroke();
    });
  }
}

function drawCursor(context, p, [x, y]) {
  const tool = S.tool.value;
  if (S.step.value !== 'mark' && S.step.value !== 'check') return;
  const paints = tool === 'brush' || tool === 'eraser';
  if (paints) {
    const minus = tool === 'eraser' || !S.positive.value;
    twice(context, minus ? MINUS : '#fff', 1.25, () => context.arc(x, y, Math.max(2, (S.brush.value / 2) * p.scale), 0, Math.PI * 2));
  }
  if (tool === 'click' || tool === 'scribble' || tool === 'box' || tool === 'polygon') {
    drawBadge(context, x + 14 * u, y + 14 * u, S.positive.value);
  }
}

function drawBadge(context, x, y, positive) {
  context.beginPath();
  context.arc(x, y, 6.5 * u, 0, Math.PI * 2);
  context.fillStyle = positive ? '#047857' : '#be185d';
  context.fill();
  context.strokeStyle = '#fff';
  context.lineWidth = 1.5 * u;
  context.beginPath();
  context.moveTo(x - 3 * u, y);
  context.lineTo(x + 3 * u, y);
  if (positive) {
    context.moveTo(x, y - 3 * u);
    context.lineTo(x, y + 3 * u);
  }
  context.stroke();
}

function drawCrosshair(context, p, point) {
  const [x, y] = toStage(point, p);
  twice(context, '#fff', 1.5, () => {
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + dx * 5 * u, y + dy * 5 * u);
      context.lineTo(x + dx * 18 * u, y + dy * 18 * u);
    }
  });
  drawBadge(context, x + 18 * u, y + 18 * u, S.positive.value);
}

/** The camera's way: the box of this frame, the path of its centre before and after this frame. */
function drawCrop(context, p) {
  const path = S.cropPath.value;
  if (!path) return;
  const frame = S.playhead.value;
  const centres = path.boxes.map(([x, y, w, h]) => [x + w / 2, y + h / 2]);
  context.globalAlpha = 0.9;
  twice(context, 'rgba(255,255,255,.5)', 1, () => line(context, p, centres));
  twice(context, '#4c9aff', 2, () => line(context, p, centres.slice(Math.max(0, frame - 12), frame + 13)));
  context.globalAlpha = 1;
  const box = path.boxes[frame];
  if (!box) return;
  const [x, y] = toStage(box, p);
  const [w, h] = [box[2] * p.scale, box[3] * p.scale];
  context.fillStyle = 'rgba(0,0,0,.5)';
  context.beginPath();
  context.rect(p.x, p.y, p.width, p.height);
  context.rect(x, y, w, h);
  context.fill('evenodd');
  twice(context, '#fff', 2, () => context.rect(x, y, w, h));
  context.strokeStyle = 'rgba(255,255,255,.35)';
  context.lineWidth = u;
  context.beginPath();
  for (const t of [1 / 3, 2 / 3]) {
    context.moveTo(x + w * t, y);
    context.lineTo(x + w * t, y + h);
    context.moveTo(x, y + h * t);
    context.lineTo(x + w, y + h * t);
  }
  context.stroke();
  const [cx, cy] = toStage(centres[frame], p);
  context.beginPath();
  context.arc(cx, cy, 4 * u, 0, Math.PI * 2);
  context.fillStyle = '#4c9aff';
  context.fill();
  context.strokeStyle = '#fff';
  context.stroke();
}

/** A magnified view above the finger, which hides what it touches. */
function drawLoupe(context, [x, y], source) {
  const radius = 56;
  const power = 2;
  const stage = source.clientWidth;
  const ratio = source.width / stage; // the picture may be drawn with fewer pixels than the marks
  const cx = Math.max(radius + 4, Math.min(stage - radius - 4, x));
  const cy = y - radius - 48 < radius + 4 ? y + radius + 48 : y - radius - 48;
  context.save();
  context.beginPath();
  context.arc(cx, cy, radius, 0, Math.PI * 2);
  context.fillStyle = '#16181d';
  context.fill();
  context.clip();
  const side = (radius * 2) / power;
  context.drawImage(source, (x - side / 2) * ratio, (y - side / 2) * ratio, side * ratio, side * ratio,
    cx - radius, cy - radius, radius * 2, radius * 2);
  context.restore();
  twice(context, '#fff', 2, () => context.arc(cx, cy, radius, 0, Math.PI * 2));
  twice(context, '#fff', 1, () => {
    context.moveTo(cx - 7, cy);
    context.lineTo(cx + 7, cy);
    context.moveTo(cx, cy - 7);
    context.lineTo(cx, cy + 7);
  });
}
