// The editor's face: it shows tiles of an image and marks on it, and sends what a person does to Python, which answers
// with what has changed. Nothing is decided here but how things look.
//
// Positions are the image's: pixel centres at whole numbers, y down; angles run counter-clockwise as one sees them.

const COLOURS = ["#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#D55E00", "#FFFFFF"];
const REJECTED = "#FF5A4D";
const HIT = 6; // screen px around a mark or a handle that belong to it
const MODES = [
  ["judge", "Judge", "j", "click: accept or reject"],
  ["adjust", "Adjust", "v", "click: select; drag: move, resize by the handles, turn by the ends of the long axis"],
  ["draw", "Draw", "d", "drag along the long axis (points: click)"],
  ["look", "Area +", "a", "draw around what you looked at"],
  ["leave", "Area −", "s", "draw around what you did not look at"],
];
const HELP = `<b>J V D A S</b> modes · <b>drag</b> moves the image in Judge and Adjust, with <b>Space</b> or the middle
button in all · <b>wheel</b> (after a click) or <b>+ −</b> zooms · <b>F</b> whole image · <b>Ctrl+Z</b>, <b>Ctrl+Y</b>
undo, redo · <b>X</b> or <b>Delete</b> reject, <b>Y</b> accept the selected · <b>1 … 9</b> its kind · <b>arrows</b>
nudge it · <b>R</b> refit it, <b>Enter</b> take, <b>Esc</b> leave · <b>C</b> show what was turned down`;

function make(tag, parent, properties = {}, style = "") {
  const element = Object.assign(document.createElement(tag), properties);
  if (style) element.className = style;
  parent.append(element);
  return element;
}

// ---------------------------------------------------------------------------------------------- geometry

// Where a place lies in an ellipse's own axes: along and across, px.
function inAxes(mark, y, x) {
  const angle = (mark.axes[2] * Math.PI) / 180;
  const right = x - mark.x, up = mark.y - y;
  return [right * Math.cos(angle) + up * Math.sin(angle), up * Math.cos(angle) - right * Math.sin(angle)];
}

function holds(mark, y, x, tolerance, reach) {
  if (!mark.axes) return Math.hypot(mark.y - y, mark.x - x) <= Math.max(tolerance, reach);
  const [along, across] = inAxes(mark, y, x);
  return Math.hypot(along / (mark.axes[0] / 2 + tolerance), across / (mark.axes[1] / 2 + tolerance)) <= 1;
}

// The ends of both axes: [y, x, which].
function handles(mark) {
  const angle = (mark.axes[2] * Math.PI) / 180;
  const [major, minor] = mark.axes;
  const end = (length, turn) => [mark.y - (length / 2) * Math.sin(turn), mark.x + (length / 2) * Math.cos(turn)];
  return [
    [...end(major, angle), "major"], [...end(-major, angle), "major"],
    [...end(minor, angle + Math.PI / 2), "minor"], [...end(-minor, angle + Math.PI / 2), "minor"],
  ];
}

function roundLength(about) {
  const power = 10 ** Math.floor(Math.log10(about));
  return Math.max(...[1, 2, 5].map((step) => step * power).filter((length) => length <= about * (1 + 1e-9)));
}

function short(value) {
  return Math.abs(value) >= 0.01 && Math.abs(value) < 1e5 ? +value.toPrecision(3) : value.toExponential(2);
}

// ---------------------------------------------------------------------------------------------- the image

// The tiles of an image: those at hand are drawn, those that are missing asked for.
class Tiles {
  constructor(scene, model, redraw) {
    Object.assign(this, { scene, model, redraw, at: new Map(), asked: new Set() });
    this.overview = null;
    const bytes = model.get("overview");
    createImageBitmap(new Blob([bytes])).then((bitmap) => ((this.overview = bitmap), redraw()));
  }

  async receive({ level, row, column }, buffer) {
    const key = `${level}/${row}/${column}`;
    this.at.set(key, await createImageBitmap(new Blob([buffer])));
    this.asked.delete(key);
    // The oldest go first; what is shown is asked for again.
    if (this.at.size > 400) this.at.delete(this.at.keys().next().value);
    this.redraw();
  }

  draw(context, view) {
    const { height, width, side, levels } = this.scene;
    context.imageSmoothingEnabled = view.scale < 1.5;
    const place = (bitmap, y, x, factor) =>
      context.drawImage(bitmap, (x - view.left) * view.scale, (y - view.top) * view.scale,
        bitmap.width * factor * view.scale, bitmap.height * factor * view.scale);
    if (this.overview) place(this.overview, 0, 0, 2 ** (levels - 1));
    const level = Math.min(Math.max(0, Math.floor(Math.log2(1 / view.scale))), levels - 1);
    if (level === levels - 1) return; // The overview is this level.
    const step = side * 2 ** level;
    const last = (length, start, shown) => Math.min(Math.ceil(length / step), Math.ceil((start + shown / view.scale) / step));
    for (let row = Math.max(0, Math.floor(view.top / step)); row < last(height, view.top, view.height); row++) {
      for (let column = Math.max(0, Math.floor(view.left / step)); column < last(width, view.left, view.width); column++) {
        const key = `${level}/${row}/${column}`;
        if (this.at.has(key)) place(this.at.get(key), row * step, column * step, 2 ** level);
        else if (!this.asked.has(key)) {
          this.asked.add(key);
          this.model.send({ type: "tile", level, row, column });
        }
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------- the editor

class Workbench {
  constructor(model, element) {
    this.model = model;
    this.scene = model.get("scene");
    this.marks = new Map();
    this.rest = null;
    this.mode = "judge";
    this.selected = this.hovered = this.proposal = this.drag = null;
    this.showsTurnedDown = this.holdsSpace = false;
    this.view = { top: 0, left: 0, scale: 1, width: 1, height: 1 };
    this.build(element);
    this.tiles = new Tiles(this.scene, model, () => this.redraw());
    this.onMessage = (content, buffers) => this.receive(content, buffers);
    model.on("msg:custom", this.onMessage);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.stage);
    // How it began is shown until Python, which may be busy, says how it is now.
    this.receive(model.get("start"));
    model.send({ type: "hello" });
  }

  destroy() {
    this.sizes.disconnect();
    clearTimeout(this.patience);
    this.model.off("msg:custom", this.onMessage);
  }

  step(name, at = [], options = {}) {
    this.ask({ type: "step", name, at, with: options });
  }

  // Send what Python has to do, and say so if it does not come to it at once.
  ask(message) {
    this.model.send(message);
    clearTimeout(this.patience);
    this.patience = setTimeout(() => (this.error.textContent = "Python is busy with other cells: your step follows when it is free"), 1500);
  }

  receive(content, buffers) {
    if (content.type === "tile") return void this.tiles.receive(content, buffers[0]);
    if (content.type === "error") {
      clearTimeout(this.patience);
      return void (this.error.textContent = content.text);
    }
    clearTimeout(this.patience);
    this.error.textContent = "";
    if (content.type === "proposal") {
      this.proposal = content;
    } else {
      if (content.type === "all") this.marks.clear();
      for (const number of content.gone ?? []) this.marks.delete(number);
      for (const [number, y, x, axes, kind, score, verdict, byHand, inside, bar] of content.marks)
        this.marks.set(number, { number, y, x, axes, kind, score, verdict, byHand, inside, bar });
      // What was just drawn is what comes next to be adjusted.
      if (this.selectsNext && content.marks.length === 1) this.selected = content.marks[0][0];
      this.selectsNext = false;
      this.rest = content.rest;
      this.proposal = null;
      if (!this.marks.has(this.selected)) this.selected = null;
    }
    this.refresh();
  }

  // What counts, by the threshold that the slider shows.
  counts(mark) {
    const threshold = this.slider.dragged ? this.threshold() : this.rest.threshold;
    return mark.verdict === -1 ? mark.score === null || mark.score >= threshold * mark.bar : mark.verdict === 1;
  }

  isShown(mark) {
    return this.counts(mark) || mark.verdict === 0 || this.showsTurnedDown || mark.number === this.selected;
  }

  // The slider is finer at low scores, where most of what was turned down lies.
  threshold() {
    const [low, high] = this.scene.scores;
    return low + (high - low) * (this.slider.value / 1000) ** 2;
  }

  // ------------------------------------------------------------------------------------------ what is there

  build(element) {
    const root = make("div", element, { tabIndex: 0 }, "stemlib-workbench");
    root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys stay quiet in here.
    const bar = make("div", root, {}, "bar");
    const modes = make("span", bar, {}, "group");
    this.modeButtons = MODES.map(([name, text, key, what]) => {
      const title = `${what} (${key.toUpperCase()})`;
      return [name, make("button", modes, { textContent: text, title, onclick: () => this.setMode(name) }, `mode-${name}`)];
    });
    const button = (parent, text, title, style, onclick) => make("button", parent, { textContent: text, title, onclick }, style);
    const steps = make("span", bar, {}, "group");
    this.undoButton = button(steps, "↶", "undo (Ctrl+Z)", "undo", () => this.step("undo"));
    this.redoButton = button(steps, "↷", "redo (Ctrl+Y)", "redo", () => this.step("redo"));
    const one = make("span", bar, {}, "group");
    this.kindChoice = make("select", one, { title: "kind of the selected, and of what is drawn next" }, "kind");
    this.kindChoice.onchange = () => this.setKind(this.kindChoice.selectedIndex);
    this.refitButton = button(one, "Refit", "measure the selected loop again (R)", "refit", () => this.refit());
    const all = make("span", bar, {}, "group");
    this.wholeButton = button(all, "Whole area", "forget all outlines", "whole", () => this.step("look_everywhere"));
    button(all, "Fit", "show the whole image (F)", "fit", () => this.fit());
    button(all, "?", "what keys do", "ask", () => this.help.classList.toggle("shown"));

    const second = make("div", root, {}, "bar");
    const slider = (text, title, value, style) => {
      const label = make("label", second, { title });
      make("span", label, { textContent: text });
      return make("input", label, { type: "range", min: 0, max: 1000, value }, style);
    };
    this.slider = slider("threshold", "score from which on an object counts that you have not judged", 0, "threshold");
    this.slider.oninput = () => ((this.slider.dragged = true), this.refresh());
    this.slider.onchange = () => {
      const value = this.threshold();
      this.ask({ type: "step", name: "threshold", value });
    };
    this.thresholdText = make("span", second, {}, "threshold-text");
    this.brightness = slider("brightness", "of the picture alone", 500, "brightness");
    this.contrast = slider("contrast", "of the picture alone", 500, "contrast");
    this.brightness.oninput = this.contrast.oninput = () => this.setContrast();
    const turnedDown = make("label", second, { title: "what was turned down (C)" });
    this.turnedDown = make("input", turnedDown, { type: "checkbox" }, "turned-down");
    this.turnedDown.onchange = () => ((this.showsTurnedDown = this.turnedDown.checked), this.redraw());
    make("span", turnedDown, { textContent: "turned down" });
    this.help = make("div", root, { innerHTML: HELP }, "help");

    this.stage = make("div", root, {}, "stage");
    this.image = make("canvas", this.stage, {}, "image");
    this.overlay = make("canvas", this.stage, {}, "overlay");
    const box = (this.proposalBox = make("div", this.stage, {}, "proposal"));
    make("span", box, { textContent: "measured anew:" });
    button(box, "Take", "Enter", "take", () => this.take());
    button(box, "Leave", "Esc", "leave", () => this.leave());
    const foot = make("div", root, {}, "bar");
    this.countsText = make("span", foot, {}, "counts");
    this.where = make("span", foot, {}, "where");
    this.error = make("div", root, {}, "error");

    // Keys go on working after a button, which may be gone.
    root.addEventListener("click", (event) => event.target.closest("button") && root.focus({ preventScroll: true }));
    root.addEventListener("keydown", (event) => this.onKey(event));
    root.addEventListener("keyup", (event) => event.key === " " && (this.holdsSpace = false));
    this.overlay.addEventListener("pointerdown", (event) => this.onDown(event));
    this.overlay.addEventListener("pointermove", (event) => this.onMove(event));
    this.overlay.addEventListener("pointerup", (event) => this.onUp(event));
    this.overlay.addEventListener("pointercancel", () => ((this.drag = null), this.redraw()));
    this.overlay.addEventListener("contextmenu", (event) => event.preventDefault());
    this.overlay.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.root = root;
    this.setMode("judge");
  }

  setMode(mode) {
    this.mode = mode;
    for (const [name, button] of this.modeButtons) button.classList.toggle("on", name === mode);
    this.overlay.style.cursor = { judge: "pointer", adjust: "default" }[mode] ?? "crosshair";
    if (this.rest) this.redraw();
  }

  setContrast() {
    const factor = (slider) => 4 ** (slider.value / 500 - 1);
    this.image.style.filter = `brightness(${factor(this.brightness)}) contrast(${factor(this.contrast)})`;
  }

  resize() {
    const width = Math.max(this.stage.clientWidth, 200);
    const height = Math.round(Math.min(640, Math.max(240, (width * this.scene.height) / this.scene.width)));
    const first = this.view.width === 1;
    if (width === this.view.width && height === this.view.height) return;
    this.stage.style.height = `${height}px`;
    const dots = window.devicePixelRatio || 1;
    for (const canvas of [this.image, this.overlay]) {
      Object.assign(canvas, { width: width * dots, height: height * dots });
      Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
      canvas.getContext("2d").setTransform(dots, 0, 0, dots, 0, 0);
    }
    Object.assign(this.view, { width, height });
    if (first) this.fit();
    this.redraw();
  }

  fit() {
    const { height, width } = this.scene;
    const view = this.view;
    view.scale = Math.min(view.width / width, view.height / height);
    view.left = (width - view.width / view.scale) / 2;
    view.top = (height - view.height / view.scale) / 2;
    this.redraw();
  }

  zoom(factor, y = this.view.height / 2, x = this.view.width / 2) {
    const view = this.view;
    const least = 0.5 * Math.min(view.width / this.scene.width, view.height / this.scene.height);
    const scale = Math.min(Math.max(view.scale * factor, least), 40);
    view.left += x / view.scale - x / scale;
    view.top += y / view.scale - y / scale;
    view.scale = scale;
    this.redraw();
  }

  // ------------------------------------------------------------------------------------------ what it looks like

  refresh() {
    const { rest, scene } = this;
    if (this.kindChoice.length !== rest.kinds.length)
      this.kindChoice.replaceChildren(...rest.kinds.map((kind) => new Option(kind)));
    const mark = this.marks.get(this.selected);
    if (mark) this.kindChoice.selectedIndex = mark.kind;
    this.undoButton.disabled = !rest.can_undo;
    this.redoButton.disabled = !rest.can_redo;
    this.wholeButton.disabled = !rest.region.length;
    this.refitButton.style.display = scene.refits ? "" : "none";
    this.refitButton.disabled = !mark;
    this.proposalBox.style.display = this.proposal ? "flex" : "none";
    const [low, high] = scene.scores;
    if (this.slider.dragged && Math.abs(this.threshold() - rest.threshold) < 1e-9 * Math.max(1, high)) this.slider.dragged = false;
    if (!this.slider.dragged) this.slider.value = 1000 * Math.sqrt(Math.min(Math.max((rest.threshold - low) / (high - low || 1), 0), 1));
    const threshold = this.slider.dragged ? this.threshold() : rest.threshold;
    this.thresholdText.textContent = `${short(threshold)} (found with ${short(scene.found)})`;
    this.countsText.textContent = this.slider.dragged ? this.liveText() : rest.text;
    this.tellWhere();
    this.redraw();
  }

  // While the slider moves: how many there are, before Python has said how sure that is.
  liveText() {
    let count = 0;
    for (const mark of this.marks.values()) count += mark.inside && this.counts(mark);
    const size = this.scene.pixel_size_nm;
    const name = count === 1 ? this.scene.name.replace(/s$/, "") : this.scene.name;
    return `${count} ${name} · ${short(count / (this.rest.area * (size ?? 1) ** 2))} ${size ? "nm⁻²" : "px⁻²"}`;
  }

  tellWhere(y, x) {
    const mark = this.marks.get(this.hovered) ?? this.marks.get(this.selected);
    const parts = [];
    if (mark) {
      const said = { 1: "accepted by you", 0: "rejected by you" }[mark.verdict] ?? (this.counts(mark) ? "found" : "turned down");
      parts.push(`${this.rest.kinds[mark.kind]}, ${mark.score === null ? "drawn" : `score ${short(mark.score)}`}, ${said}`);
    }
    if (y !== undefined) parts.push(`y ${y.toFixed(1)}, x ${x.toFixed(1)}`);
    else parts.push(this.rest.path ? `saved in ${this.rest.path}` : "not saved: the image came from no file");
    this.where.textContent = parts.join(" · ");
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      const { width, height } = this.view;
      for (const canvas of [this.image, this.overlay]) canvas.getContext("2d").clearRect(0, 0, width, height);
      this.tiles.draw(this.image.getContext("2d"), this.view);
      if (!this.rest) return;
      const context = this.overlay.getContext("2d");
      this.shade(context);
      for (const mark of this.marks.values()) if (this.isShown(mark)) this.drawMark(context, mark);
      this.drawDrag(context);
      if (this.proposal) this.drawOutline(context, this.proposal, { colour: "#FFFFFF", width: 2.5, dash: [5, 4] });
      if (this.scene.pixel_size_nm) this.drawScaleBar(context);
    });
  }

  toScreen(y, x) {
    return [(y + 0.5 - this.view.top) * this.view.scale, (x + 0.5 - this.view.left) * this.view.scale];
  }

  // What was not looked at is dark.
  shade(context) {
    const { region } = this.rest;
    if (!region.length) return;
    const { width, height } = this.view;
    this.shadow ??= document.createElement("canvas");
    Object.assign(this.shadow, { width, height });
    const dark = this.shadow.getContext("2d");
    if (region[0].adds) dark.fillRect(0, 0, width, height);
    for (const { adds, vertices } of region) {
      dark.globalCompositeOperation = adds ? "destination-out" : "source-over";
      dark.beginPath();
      for (const [y, x] of vertices) dark.lineTo(...this.toScreen(y, x).reverse());
      dark.fill();
    }
    context.globalAlpha = 0.5;
    context.drawImage(this.shadow, 0, 0);
    context.globalAlpha = 1;
  }

  drawMark(context, mark) {
    const [y, x] = this.toScreen(mark.y, mark.x);
    const radius = ((mark.axes ? mark.axes[0] / 2 : this.scene.reach) + 1) * this.view.scale + 10;
    if (y < -radius || x < -radius || y > this.view.height + radius || x > this.view.width + radius) return;
    const counts = this.counts(mark);
    const colour = mark.verdict === 0 ? REJECTED : COLOURS[mark.kind % COLOURS.length];
    const selected = mark.number === this.selected;
    context.globalAlpha = mark.inside && (counts || mark.verdict === 0 || selected) ? 1 : 0.45;
    const look = { colour, width: selected ? 3 : mark.number === this.hovered ? 2.6 : 1.8, dash: counts ? [] : [3, 3] };
    this.drawOutline(context, mark, look);
    if (selected && mark.axes && this.mode !== "judge")
      for (const [hy, hx] of handles(mark)) {
        const [sy, sx] = this.toScreen(hy, hx);
        context.fillStyle = "#FFFFFF";
        context.strokeStyle = "#000000";
        context.lineWidth = 1;
        context.fillRect(sx - 4, sy - 4, 8, 8);
        context.strokeRect(sx - 4, sy - 4, 8, 8);
      }
    context.globalAlpha = 1;
  }

  drawOutline(context, mark, { colour, width, dash }) {
    const [y, x] = this.toScreen(mark.y, mark.x);
    const { scale } = this.view;
    const small = Math.max(this.scene.reach * scale, 3.5);
    const [major, minor, angle] = mark.axes ? [mark.axes[0] * scale / 2, mark.axes[1] * scale / 2, mark.axes[2]] : [small, small, 0];
    context.setLineDash(dash);
    context.beginPath();
    context.ellipse(x, y, major, minor, (-angle * Math.PI) / 180, 0, 2 * Math.PI);
    // A dark rim keeps it visible on any grey.
    for (const [stroke, lineWidth] of [["#000000A0", width + 1.6], [colour, width]]) {
      Object.assign(context, { strokeStyle: stroke, lineWidth });
      context.stroke();
    }
    context.setLineDash([]);
  }

  drawDrag(context) {
    const drag = this.drag;
    if (drag?.mark) this.drawOutline(context, drag.mark, { colour: "#FFFFFF", width: 2, dash: [6, 3] });
    if (drag?.path) {
      context.beginPath();
      for (const [y, x] of drag.path) context.lineTo(...this.toScreen(y, x).reverse());
      Object.assign(context, { strokeStyle: this.mode === "look" ? "#7CFC9A" : REJECTED, lineWidth: 2 });
      context.stroke();
    }
  }

  drawScaleBar(context) {
    const { scale, width, height } = this.view;
    const size = this.scene.pixel_size_nm;
    const length = roundLength((width / scale) * size / 5);
    const across = (length / size) * scale;
    context.fillStyle = "#000000A0";
    context.fillRect(10, height - 42, across + 16, 32);
    context.fillStyle = "#FFFFFF";
    context.fillRect(18, height - 18, across, 4);
    context.font = "bold 13px sans-serif";
    context.textAlign = "center";
    context.fillText(length >= 1000 ? `${length / 1000} µm` : `${+length.toPrecision(1)} nm`, 18 + across / 2, height - 24);
  }

  // ------------------------------------------------------------------------------------------ what a person does

  place(event) {
    const box = this.overlay.getBoundingClientRect();
    const y = (event.clientY - box.top) / this.view.scale + this.view.top - 0.5;
    return [y, (event.clientX - box.left) / this.view.scale + this.view.left - 0.5];
  }

  // The mark at a place: what counts before what does not, the nearest first.
  markAt(y, x) {
    const tolerance = HIT / this.view.scale;
    let best = null;
    for (const mark of this.marks.values()) {
      if (!this.isShown(mark) || !holds(mark, y, x, tolerance, this.scene.reach)) continue;
      const key = [this.counts(mark) ? 0 : 1, Math.hypot(mark.y - y, mark.x - x)];
      if (!best || key[0] < best.key[0] || (key[0] === best.key[0] && key[1] < best.key[1])) best = { mark, key };
    }
    return best?.mark ?? null;
  }

  onDown(event) {
    this.root.focus({ preventScroll: true });
    if (!this.rest || event.button === 2) return;
    this.overlay.setPointerCapture(event.pointerId);
    const [y, x] = this.place(event);
    const drag = { y, x, clientY: event.clientY, clientX: event.clientX, moved: false };
    const selected = this.marks.get(this.selected);
    if (event.button === 1 || this.holdsSpace) drag.pans = true;
    else if (this.mode === "look" || this.mode === "leave") drag.path = [[y, x]];
    else if (this.mode !== "judge" && selected?.axes) {
      const near = handles(selected).find(([hy, hx]) => Math.hypot(hy - y, hx - x) * this.view.scale <= HIT + 3);
      if (near) Object.assign(drag, { handle: near[2], from: selected });
    }
    if (this.mode === "draw" && !drag.handle && !drag.pans) drag.draws = true;
    if (this.mode === "adjust" && !drag.handle && !drag.pans) {
      const mark = this.markAt(y, x);
      this.selected = mark?.number ?? null;
      if (mark) drag.from = mark;
      else drag.pans = true;
    }
    if (this.mode === "judge") drag.pans = true;
    this.drag = drag;
    this.refresh();
  }

  onMove(event) {
    if (!this.rest) return;
    const [y, x] = this.place(event);
    const drag = this.drag;
    if (!drag) {
      const hovered = this.markAt(y, x)?.number ?? null;
      if (hovered !== this.hovered) this.redraw();
      this.hovered = hovered;
      return this.tellWhere(y, x);
    }
    if (Math.hypot(event.clientY - drag.clientY, event.clientX - drag.clientX) > 3) drag.moved = true;
    if (!drag.moved) return;
    if (drag.pans) {
      // The place under the pointer stays there.
      this.view.top += drag.y - y;
      this.view.left += drag.x - x;
    } else if (drag.path) drag.path.push([y, x]);
    else if (drag.draws && this.scene.elliptic) drag.mark = this.drawnFrom(drag, y, x);
    else if (drag.from) drag.mark = this.movedTo(drag, y, x);
    this.redraw();
  }

  drawnFrom(drag, y, x) {
    const major = Math.hypot(y - drag.y, x - drag.x);
    const angle = (Math.atan2(drag.y - y, x - drag.x) * 180) / Math.PI;
    return { y: (y + drag.y) / 2, x: (x + drag.x) / 2, axes: [major, major * this.rest.aspect, angle] };
  }

  movedTo(drag, y, x) {
    const { from } = drag;
    if (!drag.handle) return { y: from.y + y - drag.y, x: from.x + x - drag.x, axes: from.axes };
    let [major, minor, angle] = from.axes;
    if (drag.handle === "minor") minor = 2 * Math.abs(inAxes(from, y, x)[1]);
    else {
      major = 2 * Math.hypot(y - from.y, x - from.x);
      angle = (Math.atan2(from.y - y, x - from.x) * 180) / Math.PI;
    }
    return { y: from.y, x: from.x, axes: [major, minor, angle] };
  }

  onUp(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    const [y, x] = this.place(event);
    if (!drag.moved && this.mode === "judge") {
      const mark = this.markAt(y, x);
      this.selected = mark?.number ?? null;
      if (mark) this.step("toggle", [mark.number]);
    } else if (drag.path) {
      if (drag.path.length > 2) this.step("look_at", [drag.path], { adds: this.mode === "look" });
    } else if (drag.draws && (drag.mark || !this.scene.elliptic)) {
      const kind = this.rest.kinds[Math.max(this.kindChoice.selectedIndex, 0)];
      this.selectsNext = true;
      this.step("draw", drag.mark ? [drag.mark.y, drag.mark.x, ...drag.mark.axes] : [y, x], { kind });
    } else if (drag.draws) this.error.textContent = "drag along the long axis of the loop";
    else if (drag.mark) this.move(drag.from.number, drag.mark);
    this.refresh();
  }

  move(number, { y, x, axes }) {
    this.step("move", [number], axes ? { y, x, major: axes[0], minor: axes[1], angle_deg: axes[2] } : { y, x });
  }

  onWheel(event) {
    // Without a click into it first, the wheel scrolls the notebook.
    if (!this.root.contains(document.activeElement) && !event.ctrlKey) return;
    event.preventDefault();
    const box = this.overlay.getBoundingClientRect();
    this.zoom(1.0015 ** -event.deltaY, event.clientY - box.top, event.clientX - box.left);
  }

  onKey(event) {
    if (event.target.matches("select, input:not([type=range])") && event.key !== "Escape") return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const command = event.ctrlKey || event.metaKey;
    const mode = MODES.find(([, , letter]) => letter === key);
    const mark = this.marks.get(this.selected);
    const nudge = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
    let done = true;
    if (command && key === "z") this.step(event.shiftKey ? "redo" : "undo");
    else if (command && key === "y") this.step("redo");
    else if (command) return;
    else if (mode) this.setMode(mode[0]);
    else if (key === " ") this.holdsSpace = true;
    else if (key === "f") this.fit();
    else if (key === "+" || key === "=") this.zoom(1.25);
    else if (key === "-") this.zoom(0.8);
    else if (key === "c") this.turnedDown.click();
    else if (key === "Escape") this.proposal ? this.leave() : ((this.selected = null), this.refresh());
    else if (key === "Enter" && this.proposal) this.take();
    else if (mark && ["x", "Delete", "Backspace"].includes(key)) this.step("reject", [mark.number]);
    else if (mark && key === "y") this.step("accept", [mark.number]);
    else if (mark && key === "r") this.refit();
    else if (mark && nudge && event.target.type !== "range") this.step("move", [mark.number], { y: mark.y + nudge[0], x: mark.x + nudge[1] });
    else if (mark && key >= "1" && key <= "9" && key <= this.rest.kinds.length) this.setKind(key - 1);
    else done = false;
    // No key that is pressed in here does anything else in the notebook.
    event.stopPropagation();
    if (done) event.preventDefault();
  }

  setKind(index) {
    if (this.marks.has(this.selected)) this.step("set_kind", [this.selected, this.rest.kinds[index]]);
    this.root.focus({ preventScroll: true });
  }

  refit() {
    if (this.scene.refits && this.marks.has(this.selected)) this.ask({ type: "refit", number: this.selected });
  }

  take() {
    const { number, y, x, axes } = this.proposal;
    this.move(number, { y, x, axes });
  }

  leave() {
    this.proposal = null;
    this.refresh();
  }
}

export default {
  render({ model, el }) {
    const workbench = new Workbench(model, el);
    return () => workbench.destroy();
  },
};
