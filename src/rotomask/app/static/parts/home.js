/** The first screen: record, open, recent projects, the example. */

import { getJson, sendJson, upload } from '../core/api.js';
import { html, useEffect, useRef, useSignal } from '../core/lib.js';
import { exampleId, recordSeconds } from '../core/preferences.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { Button, Icon, Progress, bytes } from './basics.js';
import { canRecord } from './recorder.js';

let uploadNumber = 0;

/** Uploads files one after another; the first opens when it is there. */
export async function openFiles(list) {
  const files = [...list];
  let opened = false;
  for (const file of files) {
    const limit = S.status.value?.limits?.upload_bytes;
    if (limit && file.size > limit) {
      S.toast(T.home.tooLarge(file.name, bytes(file.size)), { kind: 'error', advice: T.home.tooLargeAdvice(bytes(limit)) });
      continue;
    }
    if (!file.size) {
      S.toast(T.home.emptyFile(file.name), { kind: 'error' });
      continue;
    }
    const control = new AbortController();
    const key = (uploadNumber += 1);
    const set = (fields) => { S.uploads.value = S.uploads.value.map((u) => (u.key === key ? { ...u, ...fields } : u)); };
    S.uploads.value = [...S.uploads.value, { key, name: file.name, progress: 0, abort: () => control.abort() }];
    try {
      const told = await upload(file, { signal: control.signal, onProgress: (progress) => set({ progress }) });
      if (!opened && S.route.value.name === 'home') {
        opened = true;
        location.hash = `#/p/${told.id}`;
      }
    } catch (error) {
      S.complain(error);
    } finally {
      S.uploads.value = S.uploads.value.filter((u) => u.key !== key);
    }
  }
  loadProjects();
}

export async function openExample() {
  try {
    const { id } = await sendJson('POST', '/api/projects', { example: true });
    exampleId.value = id;
    location.hash = `#/p/${id}`;
  } catch (error) {
    S.complain(error);
  }
}

export async function loadProjects() {
  try {
    S.projects.value = (await getJson('/api/projects')).projects;
  } catch (error) {
    S.complain(error);
  }
}

export function Home() {
  const picker = useRef(null);
  const camera = useRef(null);
  useEffect(() => { loadProjects(); }, []);
  const list = S.projects.value;
  const pick = (event) => {
    openFiles(event.currentTarget.files);
    event.currentTarget.value = '';
  };
  return html`<main class="home" id="main">
    <header class="home-top">
      <h1><${Icon} name="logo" size="large" />rotomask</h1>
      <div class="row">
        <${Button} icon="help" label=${T.actions.help} onClick=${() => { S.dialog.value = 'help'; }} kind="quiet" />
        <${Button} icon="settings" label=${T.settings.title} onClick=${() => { S.dialog.value = 'settings'; }} kind="quiet" />
      </div>
    </header>
    <section class="hero">
      <p class="claim">${T.home.claim}</p>
      <p class="muted">${T.home.local}</p>
      <div class="drop">
        <${Icon} name="film" size="huge" />
        <p class="drop-line">${T.home.drop}</p>
        <div class="row centre">
          <${Button} icon="folder" text=${T.home.open} kind="primary large" onClick=${() => picker.current.click()} />
          <${Button} icon="record" text=${T.home.record(recordSeconds.value ?? S.status.value?.record_seconds ?? 10)} kind="large record"
            onClick=${() => (canRecord() ? (S.dialog.value = 'record') : camera.current.click())} />
        </div>
        <p class="muted small">${T.home.formats}</p>
        <input ref=${picker} type="file" hidden multiple accept="video/*,.mkv,.mxf,.mts,.gif" onChange=${pick} />
        <input ref=${camera} type="file" hidden accept="video/*" capture="environment" onChange=${pick} />
      </div>
      <button type="button" class="example" onClick=${openExample}>
        <${Icon} name="sparkle" /><span><strong>${T.home.example}</strong><small>${T.home.exampleHint}</small></span><${Icon} name="right" />
      </button>
      ${S.status.value?.open_dirs && html`<${DiskForm} />`}
    </section>
    ${S.uploads.value.length > 0 && html`<section class="recent" aria-label=${T.home.uploads}>
      <h2>${T.home.uploads}</h2>
      ${S.uploads.value.map((u) => html`<div class="upload" key=${u.key}>
        <span class="name">${u.name}</span><${Progress} value=${u.progress} label=${u.name} />
        <output>${Math.floor(u.progress * 100)} %</output>
        <${Button} icon="close" label=${T.cancel} small kind="quiet" onClick=${u.abort} /></div>`)}
    </section>`}
    <section class="recent">
      <h2>${T.home.recent}</h2>
      ${list === null ? html`<div class="grid">${[0, 1, 2].map((i) => html`<div class="card ghost" key=${i} />`)}</div>`
    : list.length === 0 ? html`<p class="muted">${T.home.none}</p>`
      : html`<ul class="grid">${list.map((p) => html`<${Card} key=${p.id} project=${p} />`)}</ul>`}
    </section>
    <footer class="muted small">${S.status.value && T.home.free(bytes(S.status.value.data_free_bytes))}</footer>
  </main>`;
}

/** Opens a clip that lies on the server's disk, below the folder it was started with. */
function DiskForm() {
  const path = useSignal('');
  const submit = async (event) => {
    event.preventDefault();
    try {
      location.hash = `#/p/${(await sendJson('POST', '/api/projects', { path: path.value })).id}`;
    } catch (error) {
      S.complain(error);
    }
  };
  return html`<form class="disk" onSubmit=${submit}>
    <label class="field"><span>${T.home.onDisk}</span>
      <input type="text" value=${path.value} placeholder="clips/dog.mp4" onInput=${(e) => { path.value = e.currentTarget.value; }} /></label>
    <button class="button" disabled=${!path.value}>${T.home.openPath}</button>
  </form>`;
}

function Card({ project }) {
  const asked = useSignal(false);
  const { id, name, state, seconds, width, height, bytes: size } = project;
  const running = S.liveJobs.value.find((j) => j.project === id && j.state === 'running');
  const remove = async () => {
    if (!asked.value) {
      asked.value = true;
      setTimeout(() => { asked.value = false; }, 4000);
      return;
    }
    try {
      await sendJson('DELETE', `/api/projects/${id}`);
      S.projects.value = S.projects.value.filter((p) => p.id !== id);
      S.toast(T.home.deleted(name));
    } catch (error) {
      S.complain(error);
    }
  };
  return html`<li class="card">
    <a href=${`#/p/${id}`} class="card-link">
      <span class="thumb">${state === 'ready'
    ? html`<img src=${`/api/projects/${id}/thumb.jpg`} alt="" loading="lazy" />` : html`<${Icon} name="film" size="large" />`}
        ${state !== 'ready' && html`<span class=${`chip ${state}`}>${T.home.states[state] ?? state}</span>`}
        ${seconds > 0 && html`<span class="time">${T.home.duration(seconds)}</span>`}</span>
      <span class="card-text"><strong>${name}</strong>
        <small class="muted">${[width && `${width}×${height}`, bytes(size)].filter(Boolean).join(' · ')}</small></span>
    </a>
    ${running && html`<${Progress} value=${running.done / (running.total || 1)} label=${T.jobs.kinds[running.kind]} />`}
    <${Button} icon=${asked.value ? 'trash' : 'trash'} label=${asked.value ? T.home.reallyDelete(name) : T.home.remove(name)} hint=${asked.value ? T.home.sure : undefined}
      text=${asked.value ? T.home.sure : undefined} small kind=${asked.value ? 'danger corner' : 'quiet corner'} onClick=${remove} />
  </li>`;
}

/** Files dropped or pasted anywhere on the page. */
export function listenForFiles() {
  let depth = 0;
  const over = (on) => document.documentElement.classList.toggle('dropping', on);
  const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
  window.addEventListener('dragenter', (event) => { if (hasFiles(event)) over(Boolean(depth += 1)); });
  window.addEventListener('dragleave', (event) => { if (hasFiles(event) && (depth -= 1) <= 0) over(false); });
  window.addEventListener('dragover', (event) => { if (hasFiles(event)) event.preventDefault(); });
  window.addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    openFiles(event.dataTransfer.files);
  });
  window.addEventListener('paste', (event) => {
    if (event.clipboardData?.files.length) openFiles(event.clipboardData.files);
  });
}
