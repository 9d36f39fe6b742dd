/** Mouse, pen, fingers and keys on the stage, turned into strokes, zoom and pan. */

import { actions, run, safely } from '../core/actions.js';
import * as doc from '../core/document.js';
import { signal } from '../core/lib.js';
import * as S from '../core/state.js';
import { draft } from '../core/stroke.js';
import { centreOn, clampPoint, minimap, panBy, toVideo, videoSize, zoomAt } from './geometry.js';
import * as tools from './tools.js';
import { T } from '../texts.js';

export const pointer = signal(null); // where the mouse is, on the stage
export const loupe = signal(null); // where the finger is
export const crosshair = signal(null); // keyboard pointer, in pixels of the video
export const panning = signal(false);

const CLICK_PX = 5;
const LONG_PRESS_MS = 500;
let penSeen = false;
let spaceHeld = false;
let spaceUsed = false;

const editable = () => S.step.value === 'mark' || S.step.value === 'check';

/** Connects a stage; answers with the function that disconnects it. */
export function connect(stage) {
  const fingers = new Map();
  let stroke = null; // {id, start, last, minus, moved, kind}
  let pinch = null;
  let timer = 0;

  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  function begin(event) {
    if (event.target.closest('button, .floating')) return;
    const point = at(event);
    crosshair.value = null;
    if (event.pointerType === 'pen') penSeen = true;
    stage.setPointerCapture(event.pointerId);
    if (event.pointerType === 'touch') {
      fingers.set(event.pointerId, point);
      if (fingers.size > 1) return beginPinch(event);
    }
    const map = minimap();
    if (map && point[0] >= map.x && point[0] <= map.x + map.width && point[1] >= map.y && point[1] <= map.y + map.height) {
      stroke = { id: event.pointerId, kind: 'map', map };
      return centreOn(point, map);
    }
    const pans = event.button === 1 || spaceHeld || S.tool.value === 'hand' || !editable()
      || (event.pointerType === 'touch' && penSeen);
    const minus = event.button === 2;
    if (spaceHeld) spaceUsed = true;
    stroke = { id: event.pointerId, start: point, last: point, minus, moved: false, kind: pans ? 'pan' : 'tool', touch: event.pointerType === 'touch' };
    panning.value = pans;
    if (pans) return;
    S.rate.value = 0; // marks belong to one frame
    if (stroke.touch) {
      loupe.value = point;
      if (S.tool.value === 'click') {
        timer = setTimeout(() => {
          stroke.long = true;
          navigator.vibrate?.(10);
          S.heldMinus.value = true;
        }, LONG_PRESS_MS);
      }
    }
    if (S.tool.value === 'click' && S.dots.value && !minus) stroke.dot = tools.dotAt(point, stroke.touch ? 20 : 9);
    if (S.tool.value !== 'click' && !(S.tool.value === 'polygon' && stroke.touch)) tools.down(toVideo(point), minus);
  }

  function move(event) {
    const point = at(event);
    if (event.pointerType !== 'touch') pointer.value = point;
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, point);
    if (pinch) return movePinch();
    if (!stroke || stroke.id !== event.pointerId) return;
    if (stroke.kind === 'map') return centreOn(point, stroke.map);
    if (Math.hypot(point[0] - stroke.start[0], point[1] - stroke.start[1]) > (stroke.touch ? 10 : CLICK_PX)) stroke.moved = true;
    if (stroke.kind === 'pan') {
      panBy(point[0] - stroke.last[0], point[1] - stroke.last[1]);
    } else {
      if (stroke.touch) loupe.value = point;
      if (stroke.dot && stroke.moved) {
        clearTimeout(timer);
        tools.dragDot(stroke.dot, toVideo(point));
      }
      const coalesced = event.getCoalescedEvents?.() ?? [];
      for (const e of coalesced.length ? coalesced : [event]) tools.move(toVideo(at(e)));
    }
    stroke.last = point;
  }

  function end(event) {
    clearTimeout(timer);
    fingers.delete(event.pointerId);
    if (pinch) return endPinch(event);
    if (!stroke || stroke.id !== event.pointerId) return;
    const { kind, minus, moved, long, dot } = stroke;
    const point = toVideo(at(event));
    const touch = stroke.touch;
    stroke = null;
    panning.value = false;
    loupe.value = null;
    if (kind !== 'tool') return;
    if (dot && moved) tools.dropDot(dot, point);
    else if (S.tool.value === 'click') tools.click(point, S.positive.value !== minus);
    else if (S.tool.value === 'polygon') touch && tools.down(point, minus);
    else tools.up(point, moved);
    if (long) S.heldMinus.value = false;
  }

  function drop() {
    clearTimeout(timer);
    fingers.clear();
    stroke = null;
    pinch = null;
    loupe.value = null;
    panning.value = false;
    S.heldMinus.value = false;
    tools.cancel();
  }

  function beginPinch(event) {
    clearTimeout(timer);
    if (stroke && S.tool.value !== 'polygon') tools.cancel();
    stroke = null;
    loupe.value = null;
    S.heldMinus.value = false;
    const points = [...fingers.values()];
    pinch = { ...spread(points), time: pinch?.time ?? event.timeStamp, most: Math.max(pinch?.most ?? 0, fingers.size), travel: pinch?.travel ?? 0 };
  }

  function spread([a, b]) {
    return { middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], distance: Math.hypot(a[0] - b[0], a[1] - b[1]) };
  }

  function movePinch() {
    const points = [...fingers.values()];
    if (points.length < 2) return;
    const now = spread(points);
    const [dx, dy] = [now.middle[0] - pinch.middle[0], now.middle[1] - pinch.middle[1]];
    pinch.travel += Math.hypot(dx, dy) + Math.abs(now.distance - pinch.distance);
    if (pinch.travel > 12) {
      panBy(dx, dy);
      zoomAt(now.distance / Math.max(1, pinch.distance), now.middle);
    }
    Object.assign(pinch, now);
  }

  function endPinch(event) {
    if (fingers.size) return;
    const quick = event.timeStamp - pinch.time < 350 && pinch.travel < 12;
    const { most } = pinch;
    pinch = null;
    if (quick && most === 2) run('undo');
    if (quick && most === 3) run('redo');
  }

  function wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    if (event.shiftKey && !event.ctrlKey) return panBy(-(event.deltaX || event.deltaY) * unit, 0);
    if (event.altKey) return run(event.deltaY > 0 ? 'smaller' : 'larger');
    const speed = event.ctrlKey ? 0.01 : 0.0016; // a trackpad's pinch arrives as Ctrl and wheel
    zoomAt(Math.exp(-event.deltaY * unit * speed), at(event));
  }

  function double(event) {
    if (S.tool.value === 'polygon' && draft.value) actions.get('accept').run();
    else if (S.tool.value === 'hand') tools.pick(toVideo(at(event)));
  }

  const keys = (event) => keyDown(event, stage);
  const listeners = [
    ['pointerdown', begin], ['pointermove', move], ['pointerup', end], ['pointercancel', drop],
    ['pointerleave', () => { pointer.value = null; }], ['wheel', wheel, { passive: false }],
    ['contextmenu', (event) => event.preventDefault()], ['dblclick', double], ['keydown', keys],
    ['keyup', keyUp], ['blur', () => { crosshair.value = null; }],
  ];
  for (const [name, handle, options] of listeners) stage.addEventListener(name, handle, options);
  return () => {
    for (const [name, handle, options] of listeners) stage.removeEventListener(name, handle, options);
  };
}

/** Keys while the stage has the focus: a crosshair that arrows move, Space and X that click. */
function keyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const done = () => { event.preventDefault(); event.stopPropagation(); };
  if (event.key === 'Backspace' && tools.back()) return done();
  if (!crosshair.value) {
    if (event.key === 'Enter' && !draft.value && editable()) {
      const [w, h] = videoSize();
      crosshair.value = [Math.floor(w / 2), Math.floor(h / 2)];
      S.announcement.value = T.live.crosshair(crosshair.value);
      done();
    } else if (event.code === 'Space') {
      done();
      if (!event.repeat) {
        spaceHeld = true;
        spaceUsed = false;
      }
    }
    return;
  }
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (moves) {
    const far = event.shiftKey ? 10 : 1;
    crosshair.value = clampPoint([crosshair.value[0] + moves[0] * far, crosshair.value[1] + moves[1] * far]);
    S.announcement.value = T.live.crosshair(crosshair.value);
    done();
  } else if (event.code === 'Space' || event.key === 'x' || event.key === 'X') {
    done();
    act(crosshair.value, event.key.toLowerCase() === 'x');
  } else if (event.key === 'Escape' && !draft.value) {
    crosshair.value = null;
    done();
  }
}

/** One press of the keyboard pointer: a click, a corner, a dab. */
function act(point, minus) {
  if (!doc.masks) return;
  const tool = S.tool.value;
  if (tool === 'click') tools.click(point, S.positive.value !== minus);
  else if (tool === 'hand') tools.pick(point);
  else {
    safely(() => {
      tools.down(point, minus);
      if (tool !== 'polygon' && !(tool === 'box')) tools.up(point, false);
    });
  }
}

function keyUp(event) {
  if (event.code !== 'Space' || !spaceHeld) return;
  spaceHeld = false;
  if (!spaceUsed) run('play');
}
