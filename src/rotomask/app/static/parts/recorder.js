/** Recording from the camera, with a countdown and a limit. */

import { html, useEffect, useRef, useSignal } from '../core/lib.js';
import { recordSeconds } from '../core/preferences.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { Button, Dialog, Icon, Select } from './basics.js';
import { openFiles } from './home.js';

/** Browsers give the camera only to localhost and https; elsewhere a phone's own camera is asked. */
export const canRecord = () => Boolean(window.isSecureContext && navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

const TYPES = ['video/webm;codecs=vp9,opus', 'video/webm;codecs=vp8,opus', 'video/webm', 'video/mp4'];

export function Recorder() {
  const video = useRef(null);
  const phase = useSignal('opening'); // opening, ready, counting, recording, done, failed
  const message = useSignal('');
  const count = useSignal(3);
  const passed = useSignal(0);
  const facing = useSignal('environment');
  const take = useRef({ stream: null, recorder: null, blob: null, timers: [] }).current;
  const limit = recordSeconds.value ?? S.status.value?.record_seconds ?? 10;

  const stopTracks = () => take.stream?.getTracks().forEach((track) => track.stop());
  const clear = () => {
    take.timers.forEach(clearInterval);
    take.timers = [];
  };

  async function openCamera() {
    stopTracks();
    phase.value = 'opening';
    try {
      const wishes = { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: facing.value };
      take.stream = await navigator.mediaDevices.getUserMedia({ video: wishes, audio: true })
        .catch(() => navigator.mediaDevices.getUserMedia({ video: wishes }));
      video.current.srcObject = take.stream;
      video.current.muted = true;
      await video.current.play();
      phase.value = 'ready';
    } catch (error) {
      phase.value = 'failed';
      message.value = error.name === 'NotAllowedError' ? T.record.denied : T.record.noCamera;
    }
  }

  useEffect(() => {
    openCamera();
    return () => {
      clear();
      if (take.recorder?.state === 'recording') take.recorder.stop();
      stopTracks();
      if (take.url) URL.revokeObjectURL(take.url);
    };
  }, []);

  function begin() {
    phase.value = 'counting';
    count.value = 3;
    take.timers.push(setInterval(() => {
      count.value -= 1;
      if (count.value > 0) return;
      clear();
      record();
    }, 700));
  }

  function record() {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const chunks = [];
    take.recorder = new MediaRecorder(take.stream, { mimeType, videoBitsPerSecond: 8e6 });
    take.recorder.ondataavailable = (event) => event.data.size && chunks.push(event.data);
    take.recorder.onstop = () => {
      clear();
      const type = take.recorder.mimeType.split(';')[0];
      take.blob = new Blob(chunks, { type });
      if (!video.current) return;
      video.current.srcObject = null;
      take.url = URL.createObjectURL(take.blob);
      video.current.src = take.url;
      video.current.loop = true;
      video.current.play().catch(() => {});
      phase.value = 'done';
    };
    take.recorder.start(500);
    phase.value = 'recording';
    const began = performance.now();
    take.timers.push(setInterval(() => {
      passed.value = (performance.now() - began) / 1000;
      if (passed.value >= limit) stop();
    }, 100));
  }

  const stop = () => take.recorder?.state === 'recording' && take.recorder.stop();

  function again() {
    URL.revokeObjectURL(take.url);
    video.current.removeAttribute('src');
    passed.value = 0;
    openCamera();
  }

  function use() {
    const stamp = new Date().toISOString().slice(0, 19).replace('T', ' ').replaceAll(':', '.');
    const ending = take.blob.type.includes('mp4') ? 'mp4' : 'webm';
    S.dialog.value = null;
    openFiles([new File([take.blob], `${T.record.fileName} ${stamp}.${ending}`, { type: take.blob.type })]);
  }

  const ring = 2 * Math.PI * 30;
  return html`<${Dialog} title=${T.record.title} onClose=${() => { S.dialog.value = null; }} kind="wide">
    <div class="recorder" data-phase=${phase.value}>
      <div class="viewfinder">
        <video ref=${video} playsinline aria-label=${T.record.preview} />
        ${phase.value === 'opening' && html`<p>${T.record.opening}</p>`}
        ${phase.value === 'failed' && html`<p role="alert"><${Icon} name="warn" />${message.value}</p>`}
        ${phase.value === 'counting' && html`<p class="countdown" aria-live="assertive">${count.value}</p>`}
        ${phase.value === 'recording' && html`<span class="rec-dot" aria-hidden="true" />`}
      </div>
      <div class="row centre">
        ${phase.value === 'ready' && html`
          <${Button} icon="flip" label=${T.record.flip} onClick=${() => { facing.value = facing.value === 'user' ? 'environment' : 'user'; openCamera(); }} />
          <button type="button" class="shutter" aria-label=${T.record.start} onClick=${begin}><span /></button>
          <${Select} label=${T.record.limit} hideLabel value=${String(limit)} onChange=${(v) => { recordSeconds.value = Number(v); }}
            choices=${[5, 10, 20, 30, 60].map((s) => ({ value: String(s), text: T.seconds(s) }))} />`}
        ${phase.value === 'recording' && html`<button type="button" class="shutter on" aria-label=${T.record.stop} onClick=${stop}>
          <svg viewBox="0 0 68 68" aria-hidden="true"><circle cx="34" cy="34" r="30" stroke-dasharray=${ring} stroke-dashoffset=${ring * (1 - passed.value / limit)} /></svg><span /></button>
          <output class="numbers">${passed.value.toFixed(1)} / ${limit} s</output>`}
        ${phase.value === 'done' && html`<${Button} icon="undo" text=${T.record.again} onClick=${again} />
          <${Button} icon="check" text=${T.record.use} kind="primary" onClick=${use} />`}
        ${phase.value === 'failed' && html`<${Button} text=${T.record.retry} onClick=${openCamera} />`}
      </div>
    </div>
  </${Dialog}>`;
}
