/** Requests to the server; every failure arrives as a `Failure` with text for people. */

import { T } from '../texts.js';
import { connection, session } from './state.js';

export class Failure extends Error {
  /** @param {{code: string, message: string, advice?: string, status?: number, body?: any}} parts */
  constructor({ code, message, advice = '', status = 0, body = null }) {
    super(message);
    Object.assign(this, { code, advice, status, body });
  }
}

/** 128 random bits as hex; `crypto.randomUUID` is missing on plain http. */
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** The raw response of a request; rejects with a Failure when it is not 2xx. */
export async function request(method, path, { json, bytes, headers = {}, signal } = {}) {
  const options = { method, headers: { ...headers }, credentials: 'same-origin', signal };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers['Content-Type'] = 'application/json';
  } else if (bytes !== undefined) {
    options.body = bytes;
    options.headers['Content-Type'] = 'application/octet-stream';
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    connection.value = 'lost';
    throw new Failure({ code: 'offline', message: T.errors.offline, advice: T.errors.offlineAdvice });
  }
  if (response.ok || response.status === 304) {
    if (connection.value === 'lost') connection.value = 'back';
    return response;
  }
  if (response.status === 401) session.value = 'none';
  const body = await response.json().catch(() => null);
  const told = body?.error ?? {};
  throw new Failure({
    code: told.code ?? `http-${response.status}`,
    message: told.message ?? T.errors.unknown(response.status),
    advice: told.advice ?? '',
    status: response.status,
    body,
  });
}

export async function getJson(path, options) {
  return (await request('GET', path, options)).json();
}

export async function sendJson(method, path, json = {}, options = {}) {
  const response = await request(method, path, { json, ...options });
  return response.status === 204 ? null : response.json();
}

/** Uploads a file in chunks and goes on after a break; answers with the new project. */
export async function upload(file, { onProgress, signal, finish = true }) {
  const started = await sendJson('POST', '/api/uploads', { name: file.name, size: file.size });
  let { offset } = started;
  const path = `/api/uploads/${started.id}`;
  let patience = 0;
  while (offset < file.size) {
    const bytes = file.slice(offset, offset + Math.min(started.chunk, 8388608));
    try {
      const response = await request('PATCH', path, {
        bytes, signal, headers: { 'Upload-Offset': String(offset) },
      });
      offset = Number(response.headers.get('Upload-Offset'));
      patience = 0;
    } catch (error) {
      if (error.name === 'AbortError') {
        request('DELETE', path).catch(() => {});
        throw error;
      }
      const told = error.status === 409 && error.body?.offset;
      if (Number.isInteger(told)) {
        offset = told;
        continue;
      }
      if (error.code !== 'offline' || (patience += 1) > 60) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(500 * patience, 5000)));
      offset = await request('HEAD', path)
        .then((r) => Number(r.headers.get('Upload-Offset')))
        .catch((e) => { if (e.code !== 'offline') throw e; return offset; });
    }
    onProgress?.(offset / file.size);
  }
  return finish ? sendJson('POST', `${path}/finish`) : started;
}
