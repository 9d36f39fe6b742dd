/** What each tool does with a stroke; points are pixels of the video, whatever made them. */

import * as doc from '../core/document.js';
import * as S from '../core/state.js';
import { draft, stroke } from '../core/stroke.js';
import { follow } from '../parts/coach-state.js';
import { clampPoint, inside, place, toStage } from './geometry.js';
import * as paint from './paint.js';
import { T } from '../texts.js';

export const touched = { rows: () => {} }; // the stage uploads rows that a brush changed

const whole = ([x, y]) => clampPoint([Math.floor(x), Math.floor(y)]);
const tenth = (point) => clampPoint(point).map((v) => Math.round(v * 10) / 10);

async function send(list, after = () => {}) {
  try {
    await doc.sendMarks(list);
    follow('click');
  } catch (error) {
    S.complain(error);
  } finally {
    after();
  }
}

export function click(point, positive) {
  if (!inside(point)) return;
  const [x, y] = whole(point);
  const twin = S.marks.value.some(({ frame, object, mark }) => frame === S.playhead.value
    && object === S.active.value && mark.kind === 'click' && mark.x === x && mark.y === y && mark.positive === positive);
  if (!twin) send([{ kind: 'click', x, y, positive }]);
}

/** The click of the active object at a point of the stage: an entry of `S.marks`, or undefined. */
export function dotAt([x, y], reach) {
  return S.marks.value.findLast(({ id, frame, object, mark }) => {
    if (!id || frame !== S.playhead.value || object !== S.active.value || mark.kind !== 'click') return false;
    const [dx, dy] = toStage([mark.x + 0.5, mark.y + 0.5]);
    return Math.hypot(dx - x, dy - y) <= reach;
  });
}

/** Shows a dot where it is dragged to. */
export function dragDot(entry, point) {
  draft.value = { kind: 'dot', entry, points: [clampPoint(point)], positive: entry.mark.positive };
}

/** Leaves a dragged dot at a point. */
export async function dropDot(entry, point) {
  draft.value = null;
  const [x, y] = whole(point);
  try {
    await doc.moveMark(entry, { kind: 'click', x, y, positive: entry.mark.positive });
  } catch (error) {
    S.complain(error);
  }
}

/** Selects the object under a point. */
export function pick(point) {
  const map = doc.masks?.get(S.playhead.value);
  if (!map || !inside(point)) return false;
  const label = map.labels[Math.floor(point[1]) * map.width + Math.floor(point[0])];
  if (!label || label === S.active.value) return false;
  S.active.value = label;
  S.announcement.value = T.live.object(S.activeObject.value?.name ?? label);
  return true;
}

function finishBox([ax, ay], [bx, by]) {
  const [x0, y0] = whole([Math.min(ax, bx), Math.min(ay, by)]);
  const [x1, y1] = whole([Math.max(ax, bx), Math.max(ay, by)]);
  draft.value = null;
  if (x1 - x0 < 2 || y1 - y0 < 2) return;
  send([{ kind: 'box', x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0 + 1 }]);
}

function closePolygon() {
  const { points, positive } = draft.value;
  draft.value = null;
  if (points.length < 3) return;
  send([{ kind: 'polygon', points: points.map(tenth), positive }]);
}

let painted = null;

const paints = (tool) => tool === 'brush' || tool === 'eraser';

/** Begins a stroke at a point; `minus` is the right button or a long press. */
export function down(point, minus) {
  const tool = S.tool.value;
  const positive = S.positive.value !== minus;
  if (tool === 'box') {
    if (draft.value?.kind === 'box') finishBox(draft.value.points[0], point); // the second of two clicks
    else draft.value = { kind: 'box', points: [clampPoint(point)], positive: true };
  } else if (tool === 'polygon') addVertex(point, positive);
  else if (tool === 'scribble') {
    draft.value = { kind: 'scribble', points: [clampPoint(point)], positive, width: scribbleWidth() };
  } else if (paints(tool)) {
    if (S.activeObject.value?.locked) return S.toast(T.errors.locked(S.activeObject.value.name), { kind: 'warn' });
    const adds = tool === 'brush' && positive;
    painted = { points: [clampPoint(point)], adds, map: paint.begin(), label: S.objects.value.length ? S.active.value : 1 };
    dabTo(point, point);
    draft.value = { kind: 'brush', points: painted.points, positive: adds };
  }
}

/** Lines of five pixels on the screen, whatever the zoom. */
const scribbleWidth = () => Math.max(1, Math.round(5 / place().scale));

function dabTo(from, to) {
  const { map, label, adds } = painted;
  const [top, bottom] = paint.dab(map, from, to, S.brush.value, label, adds);
  if (bottom > top) touched.rows(map, top, bottom);
}

export function move(point) {
  const tool = S.tool.value;
  if (painted) {
    const at = painted.points.at(-1);
    const next = clampPoint(point);
    if (Math.hypot(next[0] - at[0], next[1] - at[1]) < 0.5) return;
    painted.points.push(next);
    dabTo(at, next);
  } else if (tool === 'box' && draft.value) draft.value = { ...draft.value, points: [draft.value.points[0], clampPoint(point)] };
  else if (tool === 'scribble' && draft.value) {
    const at = draft.value.points.at(-1);
    if (Math.hypot(point[0] - at[0], point[1] - at[1]) * place().scale < 2) return;
    draft.value = { ...draft.value, points: [...draft.value.points, clampPoint(point)] };
  }
}

/** Ends a stroke; `moved` is whether the pointer went further than a click does. */
export function up(point, moved) {
  const tool = S.tool.value;
  if (painted) {
    const { points, adds } = painted;
    painted = null;
    draft.value = null;
    const mark = { kind: 'brush', points: thin(points.map(tenth)), width: S.brush.value, positive: adds };
    send([mark], paint.end);
  } else if (tool === 'box' && draft.value && moved) finishBox(draft.value.points[0], point);
  else if (tool === 'box' && draft.value) draft.value = { ...draft.value, points: [draft.value.points[0]] };
  else if (tool === 'scribble' && draft.value) {
    const { points, positive, width } = draft.value;
    draft.value = null;
    send([{ kind: 'scribble', points: thin(points.map(tenth)), width, positive, method: S.scribbleMethod.value }]);
  }
}

/** At most 4,000 points: every second one goes until it fits. */
function thin(points) {
  let kept = points;
  while (kept.length > 4000) kept = kept.filter((_, i) => i % 2 === 0 || i === kept.length - 1);
  return kept;
}

function addVertex(point, positive) {
  const p = place();
  const d = draft.value?.kind === 'polygon' ? draft.value : { kind: 'polygon', points: [], positive };
  const first = d.points[0];
  const near = first && Math.hypot(first[0] - point[0], first[1] - point[1]) * p.scale < 10;
  draft.value = d;
  if (near && d.points.length > 2) closePolygon();
  else draft.value = { ...d, points: [...d.points, clampPoint(point)] };
}

/** Gives up the stroke without sending it; false if there was none. */
export function cancel() {
  const was = draft.value !== null || painted !== null;
  painted = null;
  draft.value = null;
  paint.end();
  return was;
}

/** Takes the last corner of a polygon back. */
export function back() {
  const d = draft.value;
  if (d?.kind !== 'polygon') return false;
  draft.value = d.points.length > 1 ? { ...d, points: d.points.slice(0, -1) } : null;
  return true;
}

stroke.cancel = cancel;
stroke.accept = () => {
  if (draft.value?.kind === 'polygon') closePolygon();
};
