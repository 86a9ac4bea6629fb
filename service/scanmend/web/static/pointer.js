// Mouse, pen and fingers on a pane: drag pans or draws, wheel and pinch zoom, a double click fits.
export function follow(pane, view, hover, shapes) {
  const down = new Map();
  const at = (event) => {
    const box = pane.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  pane.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    const { x, y } = at(event);
    view.zoomBy(Math.exp(-event.deltaY * lines * 0.0016), x, y);
  }, { passive: false });

  pane.addEventListener("pointerdown", (event) => {
    pane.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    if (down.size === 1 && shapes.begin(at(event))) return;
    pane.classList.add("dragged");
  });

  pane.addEventListener("pointermove", (event) => {
    const now = at(event);
    hover(now);
    const before = down.get(event.pointerId);
    if (!before || shapes.drag(now)) return;
    if (down.size === 1) view.panBy(now.x - before.x, now.y - before.y);
    else {
      const other = [...down].find(([id]) => id !== event.pointerId)[1];
      const span = (a) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
      view.panBy((now.x - before.x) / 2, (now.y - before.y) / 2);
      view.zoomBy(span(now) / span(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    }
    down.set(event.pointerId, now);
  });

  const up = (event) => {
    down.delete(event.pointerId);
    shapes.end();
    if (!down.size) pane.classList.remove("dragged");
  };
  pane.addEventListener("pointerup", up);
  pane.addEventListener("pointercancel", up);
  pane.addEventListener("pointerleave", () => hover(null));
  pane.addEventListener("dblclick", () => view.fit());
}
