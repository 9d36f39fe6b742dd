/** The one stream of news from the server, and what each event changes. */

import { T } from '../texts.js';
import { getJson } from './api.js';
import * as doc from './document.js';
import { hear } from './news.js';
import * as S from './state.js';

let source = null;
let patience = 0;
let timer = 0;
let lost = false;

let listening = false;

export function start() {
  if (listening) return connect();
  listening = true;
  document.addEventListener('visibilitychange', () => {
    // Browsers allow six connections a host: a hidden page gives its own back unless it shows progress.
    if (!document.hidden) connect();
    else if (!S.liveJobs.value.length) stop();
  });
  return connect();
}

export function stop() {
  source?.close();
  source = null;
  clearTimeout(timer);
}

export function connect() {
  if (source || S.session.value !== 'open') return;
  clearTimeout(timer);
  source = new EventSource('/api/events');
  source.onopen = opened;
  source.onerror = () => {
    lost = true;
    S.connection.value = 'lost';
    if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    source = null;
    patience = Math.min(patience + 1, 8);
    timer = setTimeout(async () => {
      // A server that was started again knows no sessions: the 401 shows the page that asks for its new link.
      await getJson('/api/status').then((told) => { S.status.value = told; }, () => {});
      connect();
    }, 400 * patience);
  };
  const on = (name, handle) => source.addEventListener(name, (event) => hear(() => handle(JSON.parse(event.data))));
  on('snapshot', ({ jobs, projects }) => {
    S.jobs.value = jobs;
    S.projects.value = projects;
    catchUp(projects);
  });
  on('job', job);
  on('masks', newMasks);
  on('project', project);
  on('gone', ({ project: id }) => {
    S.projects.value = S.projects.value?.filter((p) => p.id !== id) ?? null;
    if (S.project.value?.id === id) location.hash = '#/';
  });
  on('disk', ({ free_bytes }) => { S.status.value = { ...S.status.value, data_free_bytes: free_bytes }; });
  on('notice', ({ message, advice, kind }) => S.toast(message, { advice, kind: kind ?? 'info' }));
}

async function opened() {
  patience = 0;
  S.connection.value = 'open';
  if (!lost) return;
  lost = false;
  S.announcement.value = T.live.reconnected;
  try {
    S.jobs.value = (await getJson('/api/jobs')).jobs;
    S.projects.value = (await getJson('/api/projects')).projects;
    await doc.refresh();
  } catch (error) {
    S.complain(error);
  }
}

/** Brings the open project up to date: what happened to it before the stream began was told to nobody. */
function catchUp(projects) {
  const mine = S.project.value;
  const listed = projects.find((p) => p.id === mine?.id);
  if (!listed) return;
  if (listed.rev > mine.rev || listed.state !== mine.state) doc.refresh().catch(S.complain);
  else doc.take(listed);
}

let told = 0;

function job(event) {
  const news = event.job ?? event;
  const before = S.jobs.value.find((j) => j.id === news.id);
  doc.takeJob(news);
  const mine = news.project === S.project.value?.id;
  if (before?.state !== news.state) {
    if (news.state === 'done' && mine) finished(news);
    if (news.state === 'failed') {
      S.toast(T.jobs.failed(T.jobs.kinds[news.kind] ?? news.kind), {
        kind: 'error',
        advice: news.error?.message ?? '',
        action: { text: T.jobs.retry, run: () => doc.patchJob(news.id, { state: 'queued' }).catch(S.complain) },
      });
    }
  } else if (news.state === 'running' && mine && performance.now() - told > 5000) {
    told = performance.now();
    S.announcement.value = T.live.progress(T.jobs.kinds[news.kind] ?? news.kind, news.done, news.total);
  }
}

async function finished(news) {
  if (news.kind !== 'import') S.toast(T.jobs.finished(T.jobs.kinds[news.kind] ?? news.kind), { kind: 'good' }); // the picture says it
  try {
    if (news.kind === 'propose') await doc.loadProposals();
    if (news.kind !== 'import') await doc.refresh();
  } catch (error) {
    S.complain(error);
  }
}

function newMasks({ project: id, rev, frames, removed = [] }) {
  if (S.project.value?.id !== id) return;
  const own = rev === S.project.value.rev && frames.length === 1; // the answer to our own mark came first
  const known = S.frameStates.value;
  const anew = frames.filter((f) => !(f.stale && known.get(f.frame) && !known.get(f.frame).stale)); // going stale changes no pixel
  if (rev > S.project.value.rev) S.project.value = { ...S.project.value, rev };
  doc.takeStates([...frames, ...removed.map((frame) => ({ frame, source: null }))]);
  if (removed.length) doc.masks.drop(removed);
  if (!own && anew.length) doc.masks.fetch(anew.map((f) => f.frame)).catch(S.complain);
}

async function project(event) {
  const news = event.project ?? event;
  const list = S.projects.value;
  if (list) {
    S.projects.value = list.some((p) => p.id === news.id)
      ? list.map((p) => (p.id === news.id ? { ...p, ...news } : p)) : [news, ...list];
  }
  const mine = S.project.value;
  if (mine?.id !== news.id) return;
  const ready = mine.state !== 'ready' && news.state === 'ready';
  if (news.rev > mine.rev) lookAgain(news.rev);
  doc.take(news);
  if (ready) await doc.refresh().catch(S.complain);
}

/** Objects and marks come with the whole project only: fetch it unless the change was our own. */
function lookAgain(rev) {
  clearTimeout(lookAgain.timer);
  lookAgain.timer = setTimeout(() => {
    if (doc.own.rev < rev && S.project.value) doc.refresh({ pixels: false }).catch(S.complain);
  }, 400);
}
