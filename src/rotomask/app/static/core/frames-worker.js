/** Fetches packs of frames and decodes them off the main thread. */

import { readFramePack } from './packs.js';

self.onmessage = async ({ data: { pack, url } }) => {
  try {
    const response = await fetch(url, { credentials: 'same-origin' });
    if (!response.ok) throw new Error(`status ${response.status}`);
    for (const { frame, bytes } of readFramePack(await response.arrayBuffer())) {
      const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
      self.postMessage({ pack, frame, bitmap }, [bitmap]);
    }
    self.postMessage({ pack, finished: true });
  } catch (error) {
    self.postMessage({ pack, failed: String(error) });
  }
};
