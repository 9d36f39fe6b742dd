/** What the user prefers in this browser. */

import { effect } from './lib.js';
import { kept } from './store.js';

export const theme = kept('theme', 'auto'); // auto, dark, light
export const singleKeys = kept('single-keys', true); // WCAG 2.1.4: letters can be switched off
export const keyChanges = kept('keys', {}); // action id -> list of keys
export const coached = kept('coached', []); // hints that were followed or skipped
export const exportChoice = kept('export', { formats: ['overlay', 'webm'], feather: 0, choke: 0, zip: true });
export const cutQuality = kept('quality', 'normal');
export const recordSeconds = kept('record-seconds', null);

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
export const exampleId = kept('example', null); // the project of the example, which has hints
