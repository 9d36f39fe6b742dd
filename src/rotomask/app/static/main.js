/** The page: opens the session, follows the address, draws the screen. */

import { listen } from './core/actions.js';
import { getJson, sendJson } from './core/api.js';
import * as doc from './core/document.js';
import * as events from './core/events.js';
import { effect, html, render, useSignal } from './core/lib.js';
import * as S from './core/state.js';
import { Button, Icon } from './parts/basics.js';
import { Dialogs } from './parts/dialogs.js';
import { Editor } from './parts/editor.js';
import { Home, listenForFiles } from './parts/home.js';
import { T } from './texts.js';

const tokenOf = (text) => new URLSearchParams(text.replace(/^[^#]*#/, '')).get('token');

async function openSession(token = tokenOf(location.hash)) {
  if (tokenOf(location.hash)) { // it stays out of the history
    const { project } = S.route.value;
    history.replaceState(null, '', `${location.pathname}${location.search}#/${project ? `p/${project}` : ''}`);
  }
  try {
    if (token) await sendJson('POST', '/api/session', { token });
    S.status.value = await getJson('/api/status');
    S.session.value = 'open';
  } catch (error) {
    if (error.code === 'offline') {
      setTimeout(() => openSession(token), 1500);
      return;
    }
    S.session.value = 'none';
    if (token) S.complain(error);
  }
}

function follow() {
  const found = /^#\/p\/([0-9A-Z]{26})/.exec(location.hash);
  S.route.value = found ? { name: 'project', project: found[1] } : { name: 'home', project: null };
}

let opening = null;

async function openRoute() {
  const { name, project } = S.route.value;
  if (S.session.value !== 'open') return;
  S.dialog.value = null;
  if (name === 'home') {
    opening = null;
    doc.closeProject();
    return;
  }
  if (opening === project) return;
  opening = project;
  try {
    await doc.open(project);
  } catch (error) {
    S.complain(error);
    opening = null;
    if (error.status === 404) location.hash = '#/';
  }
}

/** The tab's title: progress of the running job, then the name. */
function title() {
  const running = S.liveJobs.value.find((j) => j.state === 'running');
  const name = S.project.value?.name ?? 'rotomask';
  const share = running?.total ? `${Math.floor((running.done / running.total) * 100)} % ` : '';
  document.title = `${share}${name}${S.project.value ? ' – rotomask' : ''}`;
}

function Locked() {
  const token = useSignal('');
  const submit = async (event) => {
    event.preventDefault();
    const text = token.value.trim();
    await openSession(tokenOf(text) ?? text);
  };
  return html`<main class="failed" id="main"><${Icon} name="lock" size="huge" /><h1>${T.locked.title}</h1>
    <p>${T.locked.text}</p><form class="row" onSubmit=${submit}><label class="field"><span>${T.locked.label}</span>
      <input type="password" autocomplete="off" value=${token.value} onInput=${(e) => { token.value = e.currentTarget.value; }} /></label>
      <button class="button primary" disabled=${!token.value}>${T.locked.open}</button></form></main>`;
}

function Toasts() {
  return html`<div class="toasts">${S.toasts.value.map((t) => html`<div key=${t.id} class=${`toast ${t.kind}`} role=${t.kind === 'error' ? 'alert' : 'status'}>
    <${Icon} name=${{ error: 'warn', warn: 'warn', good: 'check' }[t.kind] ?? 'info'} />
    <p>${t.text}${t.advice && html`<small>${t.advice}</small>`}</p>
    ${t.action && html`<${Button} text=${t.action.text} small onClick=${() => { t.action.run(); S.dismiss(t.id); }} />`}
    <${Button} icon="close" label=${T.close} small kind="quiet" onClick=${() => S.dismiss(t.id)} /></div>`)}</div>`;
}

function App() {
  const session = S.session.value;
  const lost = S.connection.value === 'lost';
  return html`<a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.querySelector('#main')?.querySelector('button, [tabindex], input, a')?.focus(); }}>${T.skip}</a>
    ${lost && html`<div class="lost" role="alert"><${Icon} name="warn" /><strong>${T.lost.title}</strong> <span>${T.lost.text}</span></div>`}
    ${session === 'none' ? html`<${Locked} />`
    : session === 'unknown' ? html`<main class="editor-loading" id="main"><span class="spinner" /><p class="hidden">${T.loading}</p></main>`
      : S.route.value.name === 'project' ? html`<${Editor} />` : html`<${Home} />`}
    <${Dialogs} /><${Toasts} />
    <div class="hidden" role="status" aria-live="polite">${S.announcement.value}</div>
    <div class="drop-cover" aria-hidden="true"><${Icon} name="film" size="huge" /><p>${T.home.dropHere}</p></div>`;
}

window.addEventListener('hashchange', () => {
  if (location.hash.startsWith('#token=')) openSession();
  else follow();
});
effect(() => {
  S.route.value;
  S.session.value;
  openRoute();
});
effect(title);
effect(() => {
  for (const s of [S.playhead, S.tool, S.view, S.step, S.brush, S.active, S.zoom]) s.value;
  if (S.project.peek()) doc.saveUi();
});
effect(() => {
  if (S.session.value === 'open') events.start();
});
listen();
listenForFiles();
render(html`<${App} />`, document.querySelector('#app'));
await openSession();
follow();
