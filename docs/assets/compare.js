// Players that show a clip beside its overlay. Each plays one video whose upper half is the clip
// and whose lower half is the overlay, and draws both over each other, so that they never differ in
// time. Without JavaScript the picture stays.
document.querySelectorAll(".compare").forEach((figure) => {
  const still = figure.querySelector("img");
  const video = document.createElement("video");
  Object.assign(video, { muted: true, loop: true, playsInline: true, preload: "none", src: figure.dataset.video });
  const canvas = document.createElement("canvas");
  const split = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 1000, value: 350 });
  split.setAttribute("aria-label", `${figure.dataset.name}: where the clip ends and the overlay begins`);
  const play = Object.assign(document.createElement("button"), { type: "button", className: "compare-play" });
  const stage = document.createElement("div");
  stage.className = "compare-stage";
  still.replaceWith(stage);
  stage.append(still, canvas, split);
  stage.after(play);

  const draw = () => {
    const width = video.videoWidth, height = video.videoHeight / 2;
    if (!width) return;
    if (canvas.width !== width) [canvas.width, canvas.height] = [width, height];
    const at = (split.value / 1000) * width;
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, width, height, 0, 0, width, height);
    if (at < width) context.drawImage(video, at, height, width - at, height, at, 0, width - at, height);
    context.fillStyle = "#fff";
    context.fillRect(at - 1, 0, 2, height);
    still.hidden = true;
  };
  const name = () => {
    play.textContent = video.paused ? "Play" : "Pause";
    play.setAttribute("aria-label", `${play.textContent} ${figure.dataset.name}`);
  };
  const step = () => {
    draw();
    if (!video.paused) requestAnimationFrame(step);
  };
  const start = () => video.play().catch(() => {});
  video.addEventListener("play", () => { name(); step(); });
  video.addEventListener("pause", name);
  video.addEventListener("loadeddata", draw);
  split.addEventListener("input", () => (video.readyState > 1 ? draw() : start()));
  play.addEventListener("click", () => { figure.dataset.chosen = "yes"; if (video.paused) start(); else video.pause(); });
  name();

  // Play what is in view, unless the reader wants less motion or has pressed a button.
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  new IntersectionObserver(([entry]) => {
    if (figure.dataset.chosen) return;
    if (entry.isIntersecting) start(); else video.pause();
  }, { threshold: 0.6 }).observe(stage);
});
