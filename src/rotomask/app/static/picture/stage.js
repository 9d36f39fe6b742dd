/** The picture with its masks and marks. */

import { html, useEffect, useRef, signal } from '../core/lib.js';
import { zooming } from '../core/actions.js';
import * as doc from '../core/document.js';
import { framesTick } from '../core/frames.js';
import { coached, exampleId } from '../core/preferences.js';
import { draft } from '../core/stroke.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { palette } from './colours.js';
import { flatRenderer } from './flat.js';
import { place, stageSize, unit, zoomAt } from './geometry.js';
import { glRenderer } from './gl.js';
import { drawOverlay } from './overlay.js';
import { local } from './paint.js';
import { connect, crosshair, loupe, panning, pointer } from './pointer.js';
import { touched } from './tools.js';
import { effect } from '../core/lib.js';

export const shown = signal(-1); // number of the frame that is on the canvas
const still = signal(null); // {frame, image}: the frame in its own size, once the playhead rests

function watchStill() {
  let timer = 0;
  let control = null;
  return effect(() => {
    const frame = S.playhead.value;
    const id = S.project.value?.id;
    const scale = place().scale * devicePixelRatio;
    framesTick.value;
    const small = doc.frames?.bitmaps.get(frame);
    clearTimeout(timer);
    if (still.peek()?.frame !== frame) control?.abort();
    if (!id || S.rate.value || !small || still.peek()?.frame === frame) return;
    if (S.project.value.width < small.width * 1.1 || scale * S.project.value.width < small.width * 1.1) return;
    timer = setTimeout(async () => {
      control = new AbortController();
      try {
        const response = await fetch(`/api/projects/${id}/frames/${frame}.jpg?w=full`, { signal: control.signal });
        if (!response.ok) return;
        const image = await createImageBitmap(await response.blob());
        still.peek()?.image.close();
        still.value = { frame, image };
      } catch {
        // the small picture stays
      }
    }, 150);
  });
}

function Canvas() {
  const base = useRef(null);
  const top = useRef(null);
  useEffect(() => {
    let canvas = base.current;
    const force2d = new URLSearchParams(location.search).get('draw') === '2d';
    let renderer = force2d ? null : glRenderer(canvas);
    const overlay = top.current.getContext('2d');
    let request = 0;
    let isGone = false; // a context can be lost after the canvas has left the page
    const schedule = () => { if (!isGone) request ||= requestAnimationFrame(draw); };
    const fallback = () => { // a canvas that had WebGL gives no 2D: a fresh one takes its place
      const fresh = canvas.cloneNode();
      canvas.replaceWith(fresh);
      canvas = fresh;
      renderer = flatRenderer(canvas);
      canvas.dataset.renderer = renderer.kind;
      schedule();
    };
    if (renderer) canvas.dataset.renderer = renderer.kind;
    else fallback();
    canvas.addEventListener('webglcontextlost', fallback);
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      stageSize.value = { width, height };
      schedule();
    });
    observer.observe(top.current.parentElement);

    function draw() {
      request = 0;
      const { width, height } = stageSize.value;
      if (!width || !height) return; // not laid out yet; the observer's first news draws
      const ratio = devicePixelRatio;
      const coarse = Math.min(ratio, Math.sqrt(renderer.mostPixels / Math.max(1, width * height)));
      for (const [c, r] of [[canvas, coarse], [top.current, ratio]]) {
        const [w, h] = [Math.round(width * r), Math.round(height * r)];
        if (c.width !== w || c.height !== h) Object.assign(c, { width: w, height: h });
      }
      drawPicture(renderer, coarse, canvas);
      drawOverlay(overlay, { ratio, pointer: pointer.value, crosshair: crosshair.value, loupe: loupe.value, source: canvas });
    }

    touched.rows = (map, from, to) => {
      renderer.touch(map, from, to);
      schedule();
    };
    const stops = [watchStill(), effect(() => {
      for (const s of [S.playhead, S.zoom, S.view, S.maskHidden, S.objects, S.active, S.maskTick, S.marks,
        S.pending, S.dots, S.step, S.cropPath, S.effectPreview, S.brush, S.tool, S.positive, S.project,
        framesTick, local, draft, pointer, loupe, crosshair, still, stageSize]) s.value;
      schedule();
    })];
    return () => {
      isGone = true;
      observer.disconnect();
      cancelAnimationFrame(request);
      stops.forEach((stop) => stop());
      shown.value = -1;
    };
  }, []);
  return html`<canvas ref=${base} class="base" aria-hidden="true" />
    <canvas ref=${top} class="over" aria-hidden="true" />`;
}

let kept = null; // what was drawn last, for the moment while a frame is on its way

function drawPicture(renderer, ratio, canvas) {
  const frame = S.playhead.value;
  const p = place();
  const small = doc.frames?.get(frame);
  const effectShown = S.effectPreview.value?.frame === frame ? S.effectPreview.value.image : null;
  const full = still.value?.frame === frame ? still.value.image : null;
  const image = effectShown ?? full ?? small;
  const drawn = image ? {
    frame: image,
    map: local.value?.frame === frame ? local.value.map : doc.masks?.get(frame) ?? null,
    before: S.view.value === 'difference' ? doc.masks?.before(frame) : null,
    view: effectShown || S.step.value === 'frame' ? 'original' : S.view.value,
  } : kept;
  if (!drawn || !S.project.value) return renderer.draw({ frame: null });
  if (image) {
    kept = drawn;
    if (shown.peek() !== frame) shown.value = frame;
    canvas.dataset.frame = frame;
    canvas.dataset.place = `${p.x},${p.y},${p.scale}`;
    canvas.dataset.size = full ? 'full' : 'small';
  }
  if (drawn.frame.width === 0) return; // closed by the cache
  renderer.draw({
    ...drawn,
    colours: palette(),
    place: { x: p.x * ratio, y: p.y * ratio, width: p.width * ratio, height: p.height * ratio },
    ratio: ratio * unit(),
    active: S.active.value,
    sharp: p.scale * ratio > 4,
  });
}

export function Stage() {
  const stage = useRef(null);
  useEffect(() => {
    zooming.by = (factor) => zoomAt(factor);
    zooming.fit = () => { S.zoom.value = { fit: true, scale: 1, x: 0, y: 0 }; };
    return connect(stage.current);
  }, []);
  const { project: { value: project } } = S;
  const tool = S.step.value === 'mark' || S.step.value === 'check' ? S.tool.value : 'hand';
  const isCoached = project.id === exampleId.value && !coached.value.includes('click'); // its first hint says the same
  const empty = !isCoached && S.frameCount.value > 0 && !S.frameStates.value.size && !S.pending.value.length && S.step.value === 'mark' && !draft.value;
  return html`<div class="stage" ref=${stage} tabindex="0" role="application" aria-label=${T.stage.label(project.name)}
      aria-describedby="stage-help" data-tool=${panning.value ? 'panning' : tool} data-ready=${String(shown.value === S.playhead.value)}>
    <${Canvas} />
    <p id="stage-help" class="hidden">${T.stage.help}</p>
    ${empty && !crosshair.value && html`<p class="stage-hint floating"><span>${T.stage.empty}</span></p>`}
    ${S.frameCount.value > 0 && shown.value !== S.playhead.value && html`<span class="stage-wait" aria-hidden="true" />`}
    ${S.pending.value.length > 0 && html`<span class="stage-busy" role="status">${T.stage.thinking}</span>`}
  </div>`;
}
