/** Dialogs over every screen: keys, jobs, settings, go to a frame. */

import { actions, keyName, keysOf, nameOf } from '../core/actions.js';
import * as doc from '../core/document.js';
import { html, useEffect, useLayoutEffect, useRef, useSignal } from '../core/lib.js';
import * as player from '../core/player.js';
import { coached, keyChanges, recordSeconds, singleKeys, theme } from '../core/preferences.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { Button, Dialog, Icon, Progress, Segments, Select, Switch, bytes, left } from './basics.js';
import { Recorder } from './recorder.js';

const close = () => { S.dialog.value = null; };

export function Dialogs() {
  const Part = { help: Help, jobs: Jobs, settings: Settings, goto: GoTo, record: Recorder }[S.dialog.value];
  return Part ? html`<${Part} key=${S.dialog.value} />` : null;
}

const GROUPS = ['play', 'tools', 'objects', 'cut', 'look', 'steps'];

function Help() {
  const asking = useSignal(null); // id of the action whose key is being changed
  useEffect(() => {
    const listen = (event) => {
      if (!asking.value || ['Shift', 'Control', 'Alt', 'Meta'].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key !== 'Escape') {
        const name = nameOf(event);
        const taken = [...actions.keys()].filter((id) => id !== asking.value && keysOf(id).includes(name));
        const without = Object.fromEntries(taken.map((id) => [id, keysOf(id).filter((k) => k !== name)]));
        keyChanges.value = { ...keyChanges.value, ...without, [asking.value]: [name] };
      }
      asking.value = null;
    };
    window.addEventListener('keydown', listen, true);
    return () => window.removeEventListener('keydown', listen, true);
  }, []);
  return html`<${Dialog} title=${T.help.title} onClose=${close} kind="wide">
    <p class="muted">${T.help.hint}</p>
    <div class="row"><${Switch} label=${T.help.single} checked=${singleKeys.value} onChange=${(v) => { singleKeys.value = v; }} />
      <${Button} text=${T.help.reset} small disabled=${!Object.keys(keyChanges.value).length} onClick=${() => { keyChanges.value = {}; }} /></div>
    <div class="help-columns">
      ${GROUPS.map((group) => html`<section key=${group}><h3>${T.help.groups[group]}</h3><dl>
        ${[...actions.values()].filter((a) => a.group === group).map((a) => html`<div key=${a.id}><dt>${T.actions[a.id]}</dt>
          <dd><button type="button" class="keys" onClick=${() => { asking.value = a.id; }}>
            <span class="hidden">${T.help.change(T.actions[a.id])}</span>
            ${asking.value === a.id ? html`<em>${T.help.press}</em>` : keysOf(a.id).length ? keysOf(a.id).map((k) => html`<kbd>${keyName(k)}</kbd>`) : '–'}</button></dd></div>`)}
      </dl></section>`)}
      <section><h3>${T.help.mouse}</h3><dl>${T.help.gestures.map(([what, how]) => html`<div><dt>${what}</dt><dd>${how}</dd></div>`)}</dl></section>
      <section><h3>${T.help.touch}</h3><dl>${T.help.touches.map(([what, how]) => html`<div><dt>${what}</dt><dd>${how}</dd></div>`)}</dl></section>
    </div>
  </${Dialog}>`;
}

function Jobs() {
  const live = S.liveJobs.value;
  const over = S.jobs.value.filter((j) => ['done', 'failed', 'cancelled'].includes(j.state)).toSorted((a, b) => (a.created < b.created ? 1 : -1)).slice(0, 12);
  return html`<${Dialog} title=${T.jobs.title} onClose=${close} kind="drawer">
    ${live.length === 0 && over.length === 0 && html`<p class="muted">${T.jobs.none}</p>`}
    <ul class="jobs">${live.map((job, i) => html`<${JobRow} key=${job.id} job=${job} before=${live[i - 1]} after=${live[i + 1]} />`)}</ul>
    ${over.length > 0 && html`<h3>${T.jobs.over}</h3><ul class="jobs">${over.map((job) => html`<${JobRow} key=${job.id} job=${job} />`)}</ul>`}
    <p class="muted small">${S.status.value && T.home.free(bytes(S.status.value.data_free_bytes))}</p>
  </${Dialog}>`;
}

function JobRow({ job, before, after }) {
  const patch = (fields) => doc.patchJob(job.id, fields).catch(S.complain);
  const name = S.projects.value?.find((p) => p.id === job.project)?.name ?? (S.project.value?.id === job.project ? S.project.value.name : '');
  const live = ['queued', 'running', 'paused'].includes(job.state);
  const what = job.kind === 'effect' ? `${T.jobs.kinds.effect}: ${job.params?.effect}` : T.jobs.kinds[job.kind] ?? job.kind;
  return html`<li class=${`job ${job.state}`} data-job=${job.kind}>
    <div class="job-text"><strong>${what}</strong><small class="muted">${name}</small></div>
    <span class=${`chip ${job.state}`}>${T.jobs.states[job.state]}</span>
    ${live && html`<${Progress} value=${job.total ? job.done / job.total : 0} label=${what} />
      <small class="muted numbers">${[job.total && `${job.done} / ${job.total}`, job.fps && T.jobs.speed(job.fps), job.state === 'running' && left(job.seconds_left)].filter(Boolean).join(', ')}</small>
      <div class="row tight">
        ${job.state !== 'running' && before && html`<${Button} icon="up" label=${T.jobs.up} small kind="quiet" onClick=${() => patch({ position: Math.max(0, before.position - 0.5) })} />`}
        ${job.state !== 'running' && after && html`<${Button} icon="down" label=${T.jobs.down} small kind="quiet" onClick=${() => patch({ position: after.position + 0.5 })} />`}
        ${job.state === 'paused' ? html`<${Button} icon="play" text=${T.jobs.resume} small onClick=${() => patch({ state: 'queued' })} />`
    : html`<${Button} icon="pause" text=${T.jobs.pause} small onClick=${() => patch({ state: 'paused' })} />`}
        <${Button} icon="close" text=${T.cancel} small kind="quiet-line" onClick=${() => patch({ state: 'cancelled' })} />
      </div>`}
    ${job.state === 'failed' && html`<p class="job-error"><${Icon} name="warn" />${job.error?.message}</p>
      <${Button} icon="loop" text=${T.jobs.retry} small onClick=${() => patch({ state: 'queued' })} />`}
    ${job.files?.map((f) => html`<a key=${f.id} class="file" href=${`/api/projects/${job.project}/files/${f.id}`} download=${f.name}><${Icon} name="download" />${f.name} <small class="muted">${bytes(f.bytes)}</small></a>`)}
  </li>`;
}

function Settings() {
  return html`<${Dialog} title=${T.settings.title} onClose=${close}>
    <h3>${T.settings.theme}</h3>
    <${Segments} label=${T.settings.theme} value=${theme.value} onChange=${(v) => { theme.value = v; }}
      choices=${['auto', 'dark', 'light'].map((v) => ({ value: v, text: T.settings.themes[v] }))} />
    <${Select} label=${T.record.limit} value=${String(recordSeconds.value ?? S.status.value?.record_seconds ?? 10)} onChange=${(v) => { recordSeconds.value = Number(v); }}
      choices=${[5, 10, 20, 30, 60].map((s) => ({ value: String(s), text: T.seconds(s) }))} />
    <${Switch} label=${T.help.single} checked=${singleKeys.value} onChange=${(v) => { singleKeys.value = v; }} />
    <div class="row"><${Button} text=${T.settings.hints} small onClick=${() => { coached.value = []; close(); }} />
      <${Button} icon="keyboard" text=${T.help.title} small onClick=${() => { S.dialog.value = 'help'; }} /></div>
    <p class="muted small">${S.status.value && `rotomask ${S.status.value.version}`} · <a href="/api/docs" target="_blank" rel="noopener">${T.settings.api}</a></p>
  </${Dialog}>`;
}

function GoTo() {
  const value = useRef(null);
  const last = Math.max(0, S.frameCount.value - 1);
  useLayoutEffect(() => { // after the dialog's own: keys typed at once are the number
    value.current.focus();
    value.current.select();
  }, []);
  const submit = (event) => {
    event.preventDefault();
    player.pause();
    player.seek(Number(value.current.value));
    close();
  };
  return html`<${Dialog} title=${T.actions['go-to']} onClose=${close} kind="narrow">
    <form onSubmit=${submit} class="row"><label class="field"><span>${T.timeline.frameOf(last)}</span>
      <input ref=${value} type="number" min="0" max=${last} value=${S.playhead.value} /></label>
      <button class="button primary">${T.timeline.go}</button></form>
  </${Dialog}>`;
}
