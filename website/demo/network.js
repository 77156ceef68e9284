// The network in the browser: it is loaded, asked for logits, and asked again with parts of the picture covered.

import { SIZE } from "./photo.js";

const PIXELS = SIZE * SIZE;
const CLASSES = 10;

const address = (name) => new URL(name, import.meta.url).href;

/** Fetch a file that lies beside this page. */
async function fetchFile(name) {
  let response;
  try {
    response = await fetch(address(name));
  } catch {
    throw new Error(`${name} cannot be fetched`);
  }
  if (!response.ok) throw new Error(`${name} is missing`);
  return response;
}

/** Fetch a file and unpack it. The program that computes is packed: a plain web server would send it four times as large. */
async function fetchUnpacked(name) {
  const { body } = await fetchFile(name);
  try {
    return await new Response(body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  } catch {
    throw new Error(`${name} is damaged, or this browser is from before 2023 and cannot unpack it`);
  }
}

/** The network, ready to be asked. */
class Network {
  constructor(ort, session, settings) {
    Object.assign(this, { ort, session, settings });
  }

  /** Return the logits, ten for each image, of images that lie one behind the other, 784 grey levels each. */
  async logits(images) {
    const number = images.length / PIXELS;
    const tensor = new this.ort.Tensor("uint8", Uint8Array.from(images), [number, 1, SIZE, SIZE]);
    const { logits } = await this.session.run({ images: tensor });
    return logits.data;
  }

  /** Return the ten probabilities of an image: its logits, divided by the temperature, go through softmax. */
  async probabilities(image) {
    return softmax(await this.logits(image), this.settings.temperature);
  }

  /** Cover a square of 4 × 4 pixels with black, everywhere in turn; say by how much the logit of a class falls. */
  async occlusionMap(image, answer, size = 4, stride = 2) {
    const corners = [];
    for (let top = 0; top + size <= SIZE; top += stride) {
      for (let left = 0; left + size <= SIZE; left += stride) corners.push([top, left]);
    }
    const images = new Uint8Array((corners.length + 1) * PIXELS); // the last one stays uncovered
    for (let number = 0; number <= corners.length; number += 1) images.set(image, number * PIXELS);
    corners.forEach(([top, left], number) => {
      for (let row = top; row < top + size; row += 1) {
        const start = number * PIXELS + row * SIZE + left;
        images.fill(0, start, start + size);
      }
    });
    const logits = await this.logits(images);
    const before = logits[corners.length * CLASSES + answer];
    const [total, times] = [new Float64Array(PIXELS), new Float64Array(PIXELS)];
    corners.forEach(([top, left], number) => {
      for (let row = top; row < top + size; row += 1) {
        for (let column = left; column < left + size; column += 1) {
          total[row * SIZE + column] += before - logits[number * CLASSES + answer];
          times[row * SIZE + column] += 1;
        }
      }
    });
    return total.map((fall, pixel) => fall / times[pixel]);
  }
}

/** Turn logits into probabilities that sum to 1. A temperature below 1 moves them apart. */
export function softmax(logits, temperature) {
  const highest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp((logit - highest) / temperature));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map((power) => power / sum);
}

/** Load settings, program and model, and ask for the logits of a known image before anybody relies on them. */
export async function loadNetwork() {
  try {
    const settings = await (await fetchFile("settings.json")).json();
    const [program, model] = await Promise.all([
      fetchUnpacked("ort/ort-wasm-simd-threaded.wasm.packed"),
      fetchFile("model.onnx").then((response) => response.arrayBuffer()),
    ]);
    const ort = await import("./ort/ort.wasm.min.mjs").catch(() => {
      throw new Error("ort/ort.wasm.min.mjs is missing or damaged");
    });
    ort.env.wasm.wasmBinary = program;
    ort.env.wasm.wasmPaths = address("ort/");
    ort.env.wasm.numThreads = 1; // more would need a web server with special headers
    ort.env.logLevel = "fatal"; // the message below is the one
    const session = await ort.InferenceSession.create(new Uint8Array(model)).catch(() => {
      throw new Error("model.onnx is damaged, or the program that runs it does not start in this browser");
    });
    const network = new Network(ort, session, settings);
    const known = Uint8Array.from({ length: PIXELS }, (_, pixel) => (37 * pixel) % 256);
    const logits = await network.logits(known).catch(() => {
      throw new Error("model.onnx is not the network that this page was made for");
    });
    // A NaN is further away than anything, so this asks for closeness.
    const close = settings.known_logits.every((logit, name) => Math.abs(logits[name] - logit) < 1e-3);
    if (!close) throw new Error("model.onnx gives other numbers than it gave when this page was made");
    return network;
  } catch (error) {
    throw new Error(
      `The network cannot answer: ${error.message}. Reload the page. If that does not help, make it anew with ` +
        "“make demo” and open it as that command says.",
    );
  }
}

const percent = (share) => {
  if (share > 0 && share < 0.005) return "under 1 %";
  return share >= 0.995 && share < 1 ? "over 99 %" : `${Math.round(100 * share)} %`;
};

/** Say which class ten probabilities speak for, and how firmly. */
export function inWords(probabilities, classes) {
  const order = probabilities.map((_, name) => name).sort((a, b) => probabilities[b] - probabilities[a]);
  const [best, next] = order.map((name) => `${classes[name]} (${percent(probabilities[name])})`);
  const highest = probabilities[order[0]];
  if (highest >= 0.99) return `almost certain: ${best}`;
  if (highest >= 0.9) return `sure: ${best}`;
  return highest >= 0.5 ? `leaning towards ${best}, then ${next}` : `undecided: ${best} or ${next}`;
}

export { percent };
