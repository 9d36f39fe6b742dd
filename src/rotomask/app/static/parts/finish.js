/** Finishing: effects with live previews, formats, results. */

import { safely } from '../core/actions.js';
import { getJson, request, upload } from '../core/api.js';
import * as doc from '../core/document.js';
import { html, signal, useEffect, useSignal } from '../core/lib.js';
import { exportChoice } from '../core/preferences.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { Button, Icon, Progress, Segments, Select, Slider, Switch, bytes } from './basics.js';

const effects = signal(null);
const chosen = signal(null); // name of the open effect
const settings = signal({}); // effect -> setting -> value
const effectFormat = signal(null); // the user's choice; null: the first that the effect can have
const OPAQUE = ['mp4', 'webm', 'mov', 'gif', 'webp', 'png'];
const TRANSPARENT = ['webm', 'mov', 'gif', 'webp', 'png'];
const FORMATS = ['overlay', 'outline', 'side-by-side', 'webm', 'prores', 'rgba', 'mattes', 'masks', 'coco', 'youtube-vis', 'polygons', 'contact-sheet', 'gif', 'webp'];

const valuesOf = (one) => ({ ...Object.fromEntries(one.settings.map((s) => [s.name, s.default])), ...settings.value[one.name] });

export function FinishPanel() {
  useEffect(() => {
    if (!effects.value) getJson('/api/effects').then((told) => { effects.value = told.effects; }).catch(S.complain);
  }, []);
  const open = effects.value?.find((e) => e.name === chosen.value);
  return html`${open ? html`<${EffectSettings} one=${open} key=${open.name} />` : html`<${EffectCards} />`}
    <${Export} /><${Stills} /><${Files} />`;
}

function EffectCards() {
  const list = effects.value;
  const masked = S.frameStates.value.size > 0;
  return html`<section class="panel"><h2>${T.finish.effects}</h2>
    ${!masked && html`<p class="warn-line">${T.finish.noMasks}</p>`}
    ${list === null ? html`<p class="muted">${T.loading}</p>` : html`<div class="cards" role="list">
      ${list.map((one) => html`<button type="button" role="listitem" class="effect-card" key=${one.name} data-effect=${one.name} aria-label=${`${one.title}. ${one.description}`}
        onClick=${() => { chosen.value = one.name; }} data-tip=${one.description}>
        <${Thumb} one=${one} /><span>${one.title}</span></button>`)}</div>`}
  </section>`;
}

/**
 * Previews are asked for one after another, the large one of an open effect before all cards; what
 * nobody waits for any more, because the playhead moved on, is left out.
 */
const waiting = [];
let asking = false;
const cache = new Map(); // key -> {made: promise of a picture, wanted: [whether somebody waits]}

async function ask() {
  if (asking) return;
  asking = true;
  while (waiting.length) {
    waiting.sort((a, b) => b.width - a.width);
    const next = waiting.shift();
    if (next.wanted.some((isWanted) => isWanted())) await next.run().then(next.resolve, next.reject);
    else next.reject(new Error('not wanted any more'));
  }
  asking = false;
}

function preview(one, values, { frame, width, isWanted }) {
  const { id, rev } = S.project.value;
  const key = JSON.stringify([id, rev, one.name, values, frame, width]);
  if (!cache.has(key)) {
    const wanted = [];
    const made = new Promise((resolve, reject) => {
      const run = async () => (await request('POST', `/api/projects/${id}/preview`, {
        json: { effect: one.name, settings: values, frame, width },
      })).blob();
      waiting.push({ width, run, resolve, reject, wanted });
    });
    made.catch(() => cache.delete(key));
    cache.set(key, { made, wanted });
    if (cache.size > 60) cache.delete(cache.keys().next().value);
    queueMicrotask(ask); // once it is known who waits for it
  }
  const { made, wanted } = cache.get(key);
  wanted.push(isWanted);
  return made;
}

function Thumb({ one }) {
  const url = useSignal(null);
  const failed = useSignal(false);
  const frame = S.playhead.value;
  const ready = S.rate.value === 0 && S.frameStates.value.has(frame);
  useEffect(() => {
    if (!ready) return undefined;
    let gone = false;
    const timer = setTimeout(async () => {
      if (gone) return;
      try {
        const blob = await preview(one, valuesOf(one), { frame, width: 240, isWanted: () => !gone });
        if (gone) return;
        if (url.value) URL.revokeObjectURL(url.value);
        url.value = URL.createObjectURL(blob);
        failed.value = false;
      } catch {
        if (!gone) failed.value = true; // the card keeps its icon
      }
    }, one.needs?.includes('plate') ? 3000 : 400); // reads the whole clip: last
    return () => { gone = true; clearTimeout(timer); };
  }, [frame, ready, S.project.value.rev]);
  useEffect(() => () => { if (url.value) URL.revokeObjectURL(url.value); }, []);
  return html`<span class=${`effect-thumb ${ready && !url.value && !failed.value ? 'waiting' : ''}`}>${url.value ? html`<img src=${url.value} alt="" />` : html`<${Icon} name="sparkle" size="large" />`}</span>`;
}

function EffectSettings({ one }) {
  const busy = useSignal(false);
  const problem = useSignal('');
  const values = valuesOf(one);
  const frame = S.playhead.value;
  const json = JSON.stringify(values);
  const masked = S.frameStates.value.has(frame);
  useEffect(() => {
    if (S.rate.value !== 0 || !masked) return undefined;
    let gone = false;
    const timer = setTimeout(async () => {
      busy.value = true;
      try {
        const width = Math.min(S.project.value.width, Math.max(480, Math.round(innerWidth * 0.6)));
        const image = await createImageBitmap(await preview(one, values, { frame, width, isWanted: () => !gone }));
        if (!gone) S.effectPreview.value = { frame, image };
        problem.value = '';
      } catch (error) {
        if (!gone && error.code !== 'offline') problem.value = `${error.message} ${error.advice ?? ''}`.trim();
      } finally {
        busy.value = false;
      }
    }, 250);
    return () => { gone = true; clearTimeout(timer); };
  }, [json, frame, masked, S.rate.value, S.project.value.rev]);
  useEffect(() => () => { S.effectPreview.value = null; }, []);
  const set = (name, value) => { settings.value = { ...settings.value, [one.name]: { ...settings.value[one.name], [name]: value } }; };
  const job = S.projectJobs.value.find((j) => j.kind === 'effect');
  const formats = one.transparent ? TRANSPARENT : OPAQUE;
  const format = formats.includes(effectFormat.value) ? effectFormat.value : formats[0];
  return html`<section class="panel effect-open">
    <header><${Button} icon="back" label=${T.finish.allEffects} small kind="quiet" onClick=${() => { chosen.value = null; }} /><h2>${one.title}</h2>
      ${busy.value && html`<span class="spinner small" />`}</header>
    <p class="muted">${one.description}</p>
    ${one.settings.map((s) => html`<${Setting} key=${s.name} setting=${s} value=${values[s.name]} onChange=${(v) => set(s.name, v)} />`)}
    ${problem.value && html`<p class="warn-line" role="alert">${problem.value}</p>`}
    ${!masked && html`<p class="warn-line">${T.finish.noMaskHere}</p>`}
    <${Select} label=${T.finish.format} value=${format} choices=${formats.map((f) => ({ value: f, text: T.finish.effectFormats[f] ?? f }))}
      onChange=${(v) => { effectFormat.value = v; }} />
    ${job ? html`<${Progress} value=${job.total ? job.done / job.total : 0} label=${T.jobs.kinds.effect} />` : ''}
    <${Button} icon="play" text=${T.finish.render} kind="primary wide" data-action="render-effect"
      onClick=${() => safely(() => doc.startJob('effect', { effect: one.name, settings: values, format }))} />
  </section>`;
}

/** "glow_colour" as "Glow colour". */
const titled = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll('_', ' ');

const shownNumber = (v) => (Number.isInteger(v) ? String(v) : Number(v).toFixed(2));

/** One setting of an effect, as its kind asks: slider, number, switch, choice, colour, file. */
function Setting({ setting, value, onChange }) {
  const { kind, choices, unit } = setting;
  const [low, high] = [setting.min ?? setting.low, setting.max ?? setting.high];
  const label = setting.title ?? titled(setting.name);
  const id = `setting-${setting.name}`;
  const help = html`<small class="muted setting-help" id=${id}>${setting.help}</small>`;
  if (kind === 'number' || kind === 'integer') {
    if (high > 1000) {
      return html`<label class="field"><span>${label}</span>
        <input type="number" min=${low} max=${high} step="1" value=${value} aria-describedby=${id} onChange=${(e) => onChange(Number(e.currentTarget.value))} />${help}</label>`;
    }
    return html`<div class="setting"><${Slider} label=${label} min=${low} max=${high} step=${kind === 'integer' ? 1 : (high - low) / 100} value=${value}
      unit=${unit && ` ${T.finish.units[unit] ?? unit}`} show=${shownNumber} onChange=${onChange} />${help}</div>`;
  }
  if (kind === 'choice') {
    return html`<div class="setting"><span class="muted setting-name">${label}</span><${Segments} label=${label} value=${value} choices=${choices.map((c) => ({ value: c, text: titled(c) }))} onChange=${onChange} />${help}</div>`;
  }
  if (kind === 'colour') {
    return html`<div class="setting"><label class="field inline"><span>${label}</span>
      <input type="color" value=${value} aria-describedby=${id} onChange=${(e) => onChange(e.currentTarget.value)} /></label>${help}</div>`;
  }
  if (kind === 'switch') return html`<div class="setting"><${Switch} label=${label} checked=${Boolean(value)} onChange=${onChange} />${help}</div>`;
  if (kind === 'text') {
    return html`<label class="field"><span>${label}</span><input type="text" value=${value ?? ''} onChange=${(e) => onChange(e.currentTarget.value)} />${help}</label>`;
  }
  return html`<${MediaSetting} label=${label} value=${value} onChange=${onChange} help=${help} />`;
}

/** A colour, or a picture or video from this computer; of a file the value is its upload's id. */
function MediaSetting({ label, value, onChange, help }) {
  const sending = useSignal(null);
  const name = useSignal('');
  const isColour = String(value).startsWith('#');
  const send = async (event) => {
    const file = event.currentTarget.files[0];
    if (!file) return;
    sending.value = 0;
    try {
      const told = await upload(file, { finish: false, onProgress: (p) => { sending.value = p; } });
      name.value = file.name;
      onChange(told.id);
    } catch (error) {
      S.complain(error);
    } finally {
      sending.value = null;
    }
  };
  return html`<fieldset class="field media"><legend>${label}</legend>
    <div class="row"><input type="color" aria-label=${T.finish.mediaColour} value=${isColour ? value : '#1f6f54'} onChange=${(e) => { name.value = ''; onChange(e.currentTarget.value); }} />
      <label class="button small"><${Icon} name="folder" />${name.value || T.finish.mediaFile}
        <input type="file" class="hidden" accept="image/*,video/*" onChange=${send} /></label></div>
    ${sending.value !== null && html`<${Progress} value=${sending.value} label=${label} />`}${help}</fieldset>`;
}

function Export() {
  const choice = exportChoice.value;
  const set = (fields) => { exportChoice.value = { ...exportChoice.value, ...fields }; };
  const formats = S.status.value?.formats ?? FORMATS;
  const picked = choice.formats.filter((f) => formats.includes(f));
  const { missing, stale } = S.toCut.value;
  const job = S.projectJobs.value.find((j) => j.kind === 'export');
  const make = () => safely(() => doc.startJob('export', {
    formats: picked, feather: choice.feather, choke: choice.choke, zip: choice.zip,
  }));
  return html`<section class="panel"><h2>${T.finish.export}</h2>
    <div class="formats">${formats.map((f) => html`<label class="format" key=${f}><input type="checkbox" checked=${picked.includes(f)} data-format=${f}
      onChange=${(e) => set({ formats: e.currentTarget.checked ? [...picked, f] : picked.filter((p) => p !== f) })} />
      <span><strong>${T.formats[f]?.[0] ?? f}</strong><small class="muted">${T.formats[f]?.[1] ?? ''}</small></span></label>`)}</div>
    <details class="edges"><summary>${T.finish.edges}</summary>
      <${Slider} label=${T.finish.feather} min="0" max="10" step="0.5" value=${choice.feather} unit=" px" onChange=${(v) => set({ feather: v })} />
      <${Slider} label=${T.finish.choke} min="-10" max="10" step="0.5" value=${choice.choke} unit=" px" onChange=${(v) => set({ choke: v })} />
    </details>
    <${Switch} label=${T.finish.zip} checked=${choice.zip} onChange=${(v) => set({ zip: v })} />
    ${missing + stale > 0 && S.frameStates.value.size > 0 && html`<p class="warn-line">${T.finish.incomplete(missing, stale)}</p>`}
    ${job && html`<${Progress} value=${job.total ? job.done / job.total : 0} label=${T.jobs.kinds.export} />`}
    <${Button} icon="download" text=${T.finish.make} kind="primary wide" disabled=${!picked.length || !S.frameStates.value.size} onClick=${make} data-action="export" />
  </section>`;
}

function Stills() {
  const frame = S.playhead.value;
  if (!S.frameStates.value.has(frame)) return null;
  const base = `/api/projects/${S.project.value.id}/still?frame=${frame}`;
  return html`<section class="panel"><h2>${T.finish.still(frame)}</h2>
    <div class="row"><a class="button small" href=${`${base}&format=png`} download><${Icon} name="download" />PNG</a>
      <a class="button small" href=${`${base}&format=webp`} download><${Icon} name="download" />WebP</a></div></section>`;
}

export function Files({ kinds }) {
  const list = S.files.value.filter((f) => !kinds || kinds.includes(f.kind)).toSorted((a, b) => (a.created < b.created ? 1 : -1));
  if (!list.length) return null;
  return html`<section class="panel files"><h2>${T.finish.files}</h2>
    <ul>${list.map((f) => html`<li key=${f.id}><a href=${`/api/projects/${S.project.value.id}/files/${f.id}`} download=${f.name} data-file=${f.kind}>
      <${Icon} name="download" /><span>${f.name}<small class="muted">${bytes(f.bytes)}</small></span></a>
      <${Button} icon="trash" label=${T.finish.removeFile(f.name)} small kind="quiet" onClick=${() => safely(() => doc.deleteFile(f.id))} /></li>`)}</ul></section>`;
}
