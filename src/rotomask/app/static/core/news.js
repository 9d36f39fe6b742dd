/** The order of news and answers: news that an answer may not contain yet is handled after it. */

let holds = 0;
const waiting = [];

function drain() {
  while (!holds && waiting.length) waiting.shift()();
}

/** Handles a piece of news now, or after the work that holds it up; always in order. */
export function hear(handle) {
  waiting.push(handle);
  drain();
}

/** What `work` gives; news waits until it has ended. */
export async function holdNews(work) {
  holds += 1;
  try {
    return await work();
  } finally {
    holds -= 1;
    drain();
  }
}
