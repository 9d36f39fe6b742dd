/** Small preferences of this browser; a private window without storage works too. */

import { effect, signal } from './lib.js';

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(`rotomask.${key}`));
  } catch {
    return null;
  }
}

/** A signal that is kept over reloads. */
export function kept(key, initial) {
  const value = signal(read(key) ?? initial);
  effect(() => {
    const json = JSON.stringify(value.value);
    try {
      localStorage.setItem(`rotomask.${key}`, json);
    } catch {
      // storage is full or forbidden: the preference lasts for this page
    }
  });
  return value;
}
