// The page: the ways in, what the network says, and what it saw.

import { inWords, loadNetwork, percent } from "./network.js";
import { PhotoError, SIZE, convertSteps, pixelsOf, readPhoto, toGrey } from "./photo.js";

const byId = (id) => document.getElementById(id);
const paper = byId("paper");
const ink = paper.getContext("2d", { willReadFrequently: true });
const SQUARE = paper.width / SIZE; // one step of the keyboard's cursor

export let network; // tests ask it directly
let shown = null; // what the answer on the page is about: { image, best }
let again = () => {}; // shows the last photo anew, when its background is to be treated otherwise

// What the network says ------------------------------------------------------------------------------------------

/** Make an element with a text or with children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Show the one message of the page, or none. */
function say(message, wrong = false) {
  const line = byId("message");
  line.textContent = message;
  line.className = wrong ? "wrong" : "";
}

/** Ask the network about 28 × 28 grey levels, and show what it says. */
export async function answer(image) {
  const { classes, threshold } = network.settings;
  const probabilities = await network.probabilities(image);
  const best = probabilities.indexOf(Math.max(...probabilities));
  const words = inWords(probabilities, classes);
  const sure = probabilities[best] >= threshold;
  byId("answer").textContent = sure ? `${words[0].toUpperCase()}${words.slice(1)}.` : "I would rather not say.";
  byId("reason").textContent = sure
    ? ""
    : `It is ${words}. Below ${percent(threshold)}, the line that lesson 05 draws between sure and unsure, a person ` +
      "should look.";
  const rows = classes.map((name, number) => {
    const bar = make("div", { className: "bar" });
    bar.style.width = `${100 * probabilities[number]}%`;
    return make(
      "tr",
      { className: number === best ? "best" : "" },
      make("th", { scope: "row" }, name),
      make("td", { className: "track", ariaHidden: "true" }, bar),
      make("td", { className: "number" }, percent(probabilities[number])),
    );
  });
  byId("bars").tBodies[0].replaceChildren(...rows);
  shown = { image, best };
  byId("bars").hidden = byId("explain").hidden = false;
  byId("map").hidden = true;
}

/** Draw a picture of photo.js on a canvas. */
function draw(canvas, { width, height, channels, data }) {
  [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const colour = [0, 1, 2].map((channel) => data[channels * pixel + (channels === 3 ? channel : 0)]);
    pixels.data.set([...colour, 255], 4 * pixel);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Show the steps from a picture to what the network sees. */
function showSteps(steps) {
  byId("steps-words").hidden = true;
  const items = steps.map(({ name, words, picture }) => {
    const size = `${picture.width}\u00a0×\u00a0${picture.height}`;
    const canvas = make("canvas", { role: "img", ariaLabel: `The picture, ${name}, ${size} pixels` });
    draw(canvas, picture);
    return make("li", {}, canvas, make("strong", {}, `${name}, ${size}`), make("span", {}, words));
  });
  byId("steps").replaceChildren(...items);
}

/** Convert a picture in colour, ask the network about it, and show all of it. */
async function classify(photo, even) {
  try {
    const steps = convertSteps(photo, even);
    say("");
    showSteps(steps);
    await answer(steps.at(-1).picture.data);
  } catch (error) {
    if (!(error instanceof PhotoError)) throw error;
    say(error.message, true);
  }
}

/** Read a file, from wherever it came, and classify it. */
async function classifyFile(file) {
  if (!file) return;
  try {
    const photo = await readPhoto(file, file.name || "The picture");
    again = () => classify(photo, byId("even").checked);
    await again();
  } catch (error) {
    if (!(error instanceof PhotoError)) throw error;
    say(error.message, true);
  }
}

/** Cover parts of the picture in turn, and draw where the answer needed them: blue and + where it did. */
async function explain() {
  const { image, best } = shown;
  const falls = await network.occlusionMap(image, best);
  const [seen, canvas] = byId("map").querySelectorAll("canvas");
  draw(seen, { width: SIZE, height: SIZE, channels: 1, data: image });
  const context = canvas.getContext("2d");
  const side = canvas.width / SIZE;
  const most = Math.max(...falls.map(Math.abs)) || 1;
  falls.forEach((fall, pixel) => {
    const [row, column] = [Math.floor(pixel / SIZE), pixel % SIZE];
    const pale = Math.round(255 * (1 - Math.abs(fall) / most));
    context.fillStyle = fall > 0 ? `rgb(${pale} ${Math.max(pale, 90)} 255)` : `rgb(255 ${pale} ${pale})`;
    context.fillRect(column * side, row * side, side, side);
  });
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = `bold ${2 * side}px sans-serif`;
  context.fillStyle = "black";
  for (let row = 0; row < SIZE; row += 4) {
    for (let column = 0; column < SIZE; column += 4) {
      let mean = 0;
      for (let pixel = 0; pixel < 16; pixel += 1) {
        mean += falls[(row + Math.floor(pixel / 4)) * SIZE + column + (pixel % 4)] / 16;
      }
      if (Math.abs(mean) < most / 4) continue;
      context.fillText(mean > 0 ? "+" : "−", (column + 2) * side, (row + 2) * side);
    }
  }
  const top = falls.indexOf(Math.max(...falls));
  const [row, column] = [Math.floor(top / SIZE), top % SIZE];
  const third = (place, names) => names[Math.floor((3 * place) / SIZE)];
  const where = `${third(row, ["upper", "middle", "lower"])} ${third(column, ["left", "centre", "right"])}`;
  const raised = falls.filter((fall) => fall < 0).length / falls.length;
  byId("map-words").textContent =
    `Blue and + mark what “${network.settings.classes[best]}” rests on, red and − what speaks against it. It costs ` +
    `most to cover the ${where}: ${falls[top].toFixed(2)} in the logit. On ${percent(raised)} of the pixels covering ` +
    "raises it.";
  byId("map").hidden = false;
}

// Ways in: examples, a file, the clipboard, the camera ---------------------------------------------------------------

/** Ask about an image of the data set, which is 28 × 28 already. */
async function showExample(image, { name }) {
  const picture = toGrey(pixelsOf(image, SIZE, SIZE));
  say("");
  const words = "As published: an image of the data set needs no steps.";
  showSteps([{ name, words, picture }]);
  again = () => {};
  await answer(picture.data);
}

function offerExamples() {
  for (const example of network.settings.examples) {
    const image = make("img", { src: example.file, alt: example.name, width: SIZE, height: SIZE });
    const button = make("button", { type: "button", title: example.name }, image);
    button.addEventListener("click", () => image.decode().then(() => showExample(image, example)));
    byId("examples").append(make("li", {}, button));
  }
}

function offerFiles() {
  byId("file").addEventListener("change", (event) => {
    classifyFile(event.target.files[0]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  byId("even").addEventListener("change", () => again());
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData.files[0];
    if (file) classifyFile(file);
    else say("There is no picture to paste. Copy a picture itself, not its address or its file, and paste again.", true);
  });
  byId("paste").addEventListener("click", async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const kind = item.types.find((type) => type.startsWith("image/"));
        if (kind) return await classifyFile(await item.getType(kind));
      }
      say("There is no picture to paste. Copy a picture, and paste again.", true);
    } catch {
      say("This browser lets no button read what you copied. Press Ctrl and V (Cmd and V on a Mac) instead.", true);
    }
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const file = event.dataTransfer.files[0];
    if (file) classifyFile(file);
    else say("What was dropped is no file. Save the picture first, and drop its file, or paste the picture.", true);
  });
}

function offerCamera() {
  const video = byId("video");
  const close = () => {
    video.srcObject?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    byId("viewfinder").hidden = true;
    byId("shoot").disabled = true;
    byId("camera").disabled = false;
    byId("camera").focus();
  };
  byId("camera").addEventListener("click", async () => {
    byId("camera").disabled = true; // a second stream would stay open
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      byId("viewfinder").hidden = false;
      await video.play();
      byId("shoot").disabled = false;
      byId("shoot").focus();
    } catch (error) {
      if (error.name === "AbortError" && !video.srcObject) return; // closed before its first image
      close();
      say("The camera cannot be used: there is none, or it is not allowed. Allow it, or choose a file instead.", true);
    }
  });
  byId("shoot").addEventListener("click", () => {
    const photo = pixelsOf(video, video.videoWidth, video.videoHeight);
    close();
    again = () => classify(photo, byId("even").checked);
    again();
  });
  byId("close").addEventListener("click", close);
}

// Ways in: drawing -----------------------------------------------------------------------------------------------

function classifyDrawing() {
  again = () => {};
  classify(pixelsOf(paper, paper.width, paper.height), false);
}

function clearPaper() {
  ink.fillStyle = "white";
  ink.fillRect(0, 0, paper.width, paper.height);
}

/** Paint a line with round ends; from a place to itself it is a dot. */
function paint(from, to) {
  ink.strokeStyle = byId("pen").value;
  ink.lineWidth = Number(byId("thickness").value);
  ink.lineCap = "round";
  ink.beginPath();
  ink.moveTo(...from);
  ink.lineTo(...to);
  ink.stroke();
}

/** Fill with the pen's colour every white part that the edge of the paper cannot be reached from. */
function fillClosed() {
  const { width, height } = paper;
  const pixels = ink.getImageData(0, 0, width, height);
  const white = (pixel) => pixels.data[4 * pixel] > 250;
  const open = new Uint8Array(width * height); // what can be reached from the edge over white
  const waiting = [];
  const reach = (row, column) => {
    const pixel = row * width + column;
    if (row < 0 || column < 0 || row >= height || column >= width || open[pixel] || !white(pixel)) return;
    open[pixel] = 1;
    waiting.push([row, column]);
  };
  for (let place = 0; place < width; place += 1) {
    reach(0, place);
    reach(height - 1, place);
    reach(place, 0);
    reach(place, width - 1);
  }
  while (waiting.length) {
    const [row, column] = waiting.pop();
    reach(row - 1, column);
    reach(row + 1, column);
    reach(row, column - 1);
    reach(row, column + 1);
  }
  const level = byId("pen").value === "#888" ? 0x88 : 0x22; // a rubber would fill white with white
  open.forEach((isOpen, pixel) => {
    if (!isOpen && white(pixel)) pixels.data.set([level, level, level], 4 * pixel);
  });
  ink.putImageData(pixels, 0, 0);
  classifyDrawing();
}

function offerDrawing() {
  clearPaper();
  let last = null; // where the pen is, while it is down
  const place = (event) => [event.offsetX, event.offsetY];
  paper.addEventListener("pointerdown", (event) => {
    paper.setPointerCapture(event.pointerId);
    last = place(event);
    paint(last, last);
  });
  paper.addEventListener("pointermove", (event) => {
    if (last === null) return;
    const next = place(event);
    paint(last, next);
    last = next;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    paper.addEventListener(end, () => {
      if (last !== null) classifyDrawing();
      last = null;
    });
  }

  const cursor = byId("cursor");
  let [row, column] = [SIZE / 2, SIZE / 2];
  const middle = () => [(column + 0.5) * SQUARE, (row + 0.5) * SQUARE];
  const showCursor = () => {
    const [x, y] = middle();
    const width = `${byId("thickness").value}px`;
    Object.assign(cursor.style, { left: `${x}px`, top: `${y}px`, width, height: width });
    byId("place").textContent = `Cursor: row ${row + 1}, column ${column + 1} of ${SIZE}`;
  };
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  paper.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault(); // or the page would scroll
    const from = middle();
    if (move) {
      const inside = (number) => Math.min(SIZE - 1, Math.max(0, number));
      [row, column] = [inside(row + move[0]), inside(column + move[1])];
      showCursor();
    }
    if (move && !event.shiftKey) return;
    paint(from, middle());
    classifyDrawing();
  });
  paper.addEventListener("focus", () => {
    cursor.hidden = !paper.matches(":focus-visible");
    if (!cursor.hidden) showCursor();
  });
  paper.addEventListener("blur", () => {
    cursor.hidden = true;
    byId("place").textContent = "";
  });
  byId("fill").addEventListener("click", fillClosed);
  byId("clear").addEventListener("click", () => {
    clearPaper();
    paper.focus();
  });
}

// Start ----------------------------------------------------------------------------------------------------------

/** Keep the page for a time without network, where the browser can. */
async function keepOffline() {
  try {
    await navigator.serviceWorker.register("service_worker.js");
    await navigator.serviceWorker.ready;
    byId("offline").textContent = "This page is kept in your browser now: it also works without a network.";
  } catch {
    byId("offline").textContent = "This browser, or this address, lets no page be kept: it needs the network each time.";
  }
}

try {
  network = await loadNetwork();
  const { parameters, images, answered, right } = network.settings;
  byId("limits").textContent =
    `The network has ${parameters.toLocaleString("en")} numbers. Tried on ${images.toLocaleString("en")} garments of the ` +
    `data set that it had never seen, it answered ${percent(answered)} of them and would rather not say of the others. ` +
    `Of its answers ${percent(right)} were right. Photos are harder.`;
  byId("explain").addEventListener("click", explain);
  offerExamples();
  offerDrawing();
  offerFiles();
  offerCamera();
  document.querySelector("main").inert = false;
  say("");
} catch (error) {
  say(error.message, true);
}
keepOffline();
