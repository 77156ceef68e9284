// From any picture to the 28 × 28 grey levels that the network wants, step by step: what helpers/photo.py does.
//
// Here a picture is { width, height, channels, data }. `data` has the pixels row by row, `channels` numbers from 0 to
// 255 for each: three of a colour, one of a grey level.

export const SIZE = 28;
const LONGEST = 1024; // pixels of the longest edge that are kept of a large photo
const CLOSE = 0.05; // of the distance from black to white: what still counts as background

/** A picture that cannot be used. The message says what happened, why, and what to do. */
export class PhotoError extends Error {}

/** Round as Python does: a half goes to the even neighbour. */
function round(value) {
  const whole = Math.round(value);
  return whole - value === 0.5 && whole % 2 !== 0 ? whole - 1 : whole;
}

const limit = (value) => Math.min(255, Math.max(0, round(value)));

/** Read an image file: upright, in colour, on white where it is transparent, a huge one made smaller. */
export async function readPhoto(file, name = "The picture") {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new PhotoError(
      `${name} cannot be shown by this browser: it is no picture, it is damaged, or its format is unknown here, as ` +
        "HEIC is to most. Save it as JPEG or PNG, and choose it again.",
    );
  }
  const factor = Math.max(1, Math.floor(Math.max(bitmap.width, bitmap.height) / LONGEST));
  return pixelsOf(bitmap, Math.ceil(bitmap.width / factor), Math.ceil(bitmap.height / factor));
}

/** Return the pixels of a bitmap, a canvas or a video as a picture in colour. */
export function pixelsOf(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  const withOpacity = context.getImageData(0, 0, width, height).data;
  const data = new Uint8ClampedArray(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) data[3 * pixel + channel] = withOpacity[4 * pixel + channel];
  }
  return { width, height, channels: 3, data };
}

/** Weigh red, green and blue as bright as they look. */
export function toGrey(picture) {
  const { width, height, channels, data } = picture;
  if (channels === 1) return picture;
  const grey = new Uint8ClampedArray(width * height);
  for (let pixel = 0; pixel < grey.length; pixel += 1) {
    grey[pixel] = round(0.299 * data[3 * pixel] + 0.587 * data[3 * pixel + 1] + 0.114 * data[3 * pixel + 2]);
  }
  return { width, height, channels: 1, data: grey };
}

/** Replace each number of a line by the mean of the `size` numbers around it; beyond its ends the line is mirrored. */
function smooth(line, size) {
  const number = line.length;
  const at = (place) => {
    const inside = ((place % (2 * number)) + 2 * number) % (2 * number);
    return line[inside < number ? inside : 2 * number - 1 - inside];
  };
  const first = -Math.floor(size / 2);
  let sum = 0;
  for (let place = first; place < first + size; place += 1) sum += at(place);
  const means = new Float32Array(number);
  for (let place = 0; place < number; place += 1) {
    means[place] = sum / size;
    sum += at(place + first + size) - at(place + first);
  }
  return means;
}

/** Average grey levels over squares of `size` × `size` pixels: down the columns, then along the rows. */
function averaged(values, width, height, size) {
  const result = Float32Array.from(values);
  const line = new Float32Array(height);
  for (let column = 0; column < width; column += 1) {
    for (let row = 0; row < height; row += 1) line[row] = result[row * width + column];
    const means = smooth(line, size);
    for (let row = 0; row < height; row += 1) result[row * width + column] = means[row];
  }
  for (let row = 0; row < height; row += 1) {
    result.set(smooth(result.slice(row * width, (row + 1) * width), size), row * width);
  }
  return result;
}

/** Fit value = a + b · down + c · right to some pixels by least squares; return [a, b, c]. */
function fitPlane(pixels, values, down, right) {
  // The normal equations: three rows of three numbers, and what they are to give.
  const rows = [0, 1, 2].map(() => [0, 0, 0, 0]);
  for (const pixel of pixels) {
    const [x, y, value] = [down(pixel), right(pixel), values[pixel]];
    rows[0][0] += 1;
    rows[0][1] += x;
    rows[0][2] += y;
    rows[0][3] += value;
    rows[1][1] += x * x;
    rows[1][2] += x * y;
    rows[1][3] += x * value;
    rows[2][2] += y * y;
    rows[2][3] += y * value;
  }
  [rows[1][0], rows[2][0], rows[2][1]] = [rows[0][1], rows[0][2], rows[1][2]];
  for (let i = 0; i < 3; i += 1) rows[i][i] += 1e-6; // a picture of a single row or column has no slope across
  for (let i = 0; i < 3; i += 1) {
    for (let other = 0; other < 3; other += 1) {
      if (other === i) continue;
      const times = rows[other][i] / rows[i][i];
      for (let j = 0; j < 4; j += 1) rows[other][j] -= times * rows[i][j];
    }
  }
  return rows.map((row, i) => row[3] / row[i]);
}

/** Keep of a mask only what a square of `size` × `size` pixels covers without leaving it: specks vanish. */
function withoutSpecks(mask, width, height, size) {
  // sums[row, column] counts what is set above and to the left of there, so any rectangle takes four look-ups.
  const across = width + 1;
  const counted = (values) => {
    const sums = new Int32Array(across * (height + 1));
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const here = (row + 1) * across + column + 1;
        sums[here] = values[row * width + column] + sums[here - 1] + sums[here - across] - sums[here - across - 1];
      }
    }
    return (top, left, bottom, right) =>
      sums[bottom * across + right] - sums[top * across + right] - sums[bottom * across + left] + sums[top * across + left];
  };
  const inMask = counted(mask);
  const corners = new Uint8Array(width * height); // upper left corners of squares that fit into the mask
  for (let top = 0; top + size <= height; top += 1) {
    for (let left = 0; left + size <= width; left += 1) {
      corners[top * width + left] = inMask(top, left, top + size, left + size) === size * size ? 1 : 0;
    }
  }
  const ofCorners = counted(corners);
  const kept = new Uint8Array(width * height);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const [top, left] = [Math.max(0, row - size + 1), Math.max(0, column - size + 1)];
      kept[row * width + column] = ofCorners(top, left, row + 1, column + 1) > 0 ? 1 : 0;
    }
  }
  return kept;
}

const rootMeanSquare = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

/** Make the background white: fit a plane to the brightness along the border, and compare every pixel with it. */
export function evenBackground(picture, border = 0.06) {
  const { width, height, channels } = picture;
  const size = Math.max(1, round(Math.max(height, width) / 40));
  const grey = averaged(toGrey(picture).data, width, height, size);
  // From -0.5 to 0.5, rounded to 32 bits as NumPy does.
  const places = (side) => new Float32Array(side).map((_, place) => Math.fround(place / Math.max(1, side - 1)) - 0.5);
  const [rows, columns] = [places(height), places(width)];
  const down = (pixel) => rows[Math.floor(pixel / width)];
  const right = (pixel) => columns[pixel % width];
  const edge = Math.fround(0.5 - border);
  const outside = [];
  for (let pixel = 0; pixel < grey.length; pixel += 1) {
    if (Math.abs(down(pixel)) >= edge || Math.abs(right(pixel)) >= edge) outside.push(pixel);
  }

  let kept = outside;
  let plane;
  const background = (pixel) => plane[0] + plane[1] * down(pixel) + plane[2] * right(pixel);
  for (let turn = 0; turn < 3; turn += 1) {
    plane = fitPlane(kept, grey, down, right);
    const distance = (pixel) => Math.abs(grey[pixel] - background(pixel));
    const most = Math.max(8, 2 * rootMeanSquare(kept.map(distance)));
    kept = outside.filter((pixel) => distance(pixel) <= most);
    if (kept.length < 3) break;
  }

  // At least 16, so that no noise is blown up.
  const away = grey.map((value, pixel) => Math.abs(value / Math.max(16, background(pixel)) - 1));
  const noise = kept.length ? rootMeanSquare(kept.map((pixel) => away[pixel])) : 0;
  const least = Math.max(CLOSE, 3 * noise);
  const mask = new Uint8Array(away.length).map((_, pixel) => (away[pixel] >= least ? 1 : 0));
  const garment = withoutSpecks(mask, width, height, size);
  const data = new Uint8ClampedArray(channels * width * height).map((_, place) => {
    const pixel = Math.floor(place / channels);
    return garment[pixel] ? limit(255 * (1 - away[pixel])) : 255;
  });
  return { width, height, channels, data };
}

/** Find the smallest box around all that differs from the corners: [top, bottom, left, right], or null. */
export function findBox({ width, height, channels, data }) {
  const at = (row, column) => channels * (row * width + column);
  const corners = [at(0, 0), at(0, width - 1), at(height - 1, 0), at(height - 1, width - 1)];
  const most = (CLOSE * 255) ** 2 * channels;
  const differs = (pixel) =>
    corners.every((corner) => {
      let distance = 0;
      for (let channel = 0; channel < channels; channel += 1) {
        distance += (data[pixel + channel] - data[corner + channel]) ** 2;
      }
      return distance > most;
    });
  let [top, bottom, left, right] = [height, 0, width, 0];
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      if (!differs(at(row, column))) continue;
      [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
      [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
    }
  }
  return bottom === 0 ? null : [top, bottom, left, right];
}

/** Make a picture of the pixels that `place` finds for each row and column of it: [row, column] of the old one. */
function rearranged({ width: oldWidth, channels, data: old }, width, height, place) {
  const data = new Uint8ClampedArray(channels * width * height);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const [oldRow, oldColumn] = place(row, column);
      const from = channels * (oldRow * oldWidth + oldColumn);
      data.set(old.subarray(from, from + channels), channels * (row * width + column));
    }
  }
  return { width, height, channels, data };
}

/** Bring the longest edge to 28 by leaving out rows and columns, or repeating them. */
export function subsample(picture) {
  const { width, height } = picture;
  const scale = SIZE / Math.max(height, width);
  const [newHeight, newWidth] = [height, width].map((side) => Math.max(1, round(side * scale)));
  return rearranged(picture, newWidth, newHeight, (row, column) => [
    Math.floor(((row + 0.5) * height) / newHeight), // the middle of each strip
    Math.floor(((column + 0.5) * width) / newWidth),
  ]);
}

/** Sharpen: take away a Gaussian of standard deviation 1 from a centre twice as strong as the whole of it. */
export function sharpen({ width, height, channels, data }) {
  const [beside, across] = [-Math.exp(-0.5), -Math.exp(-1)];
  const centre = -2 * (4 * (beside + across) - 1);
  const kernel = [across, beside, across, beside, centre, beside, across, beside, across];
  const total = kernel.reduce((sum, weight) => sum + weight, 0);
  const result = new Uint8ClampedArray(data.length);
  const inside = (place, side) => Math.min(side - 1, Math.max(0, place));
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = 0;
        kernel.forEach((weight, number) => {
          const oldRow = inside(row + Math.floor(number / 3) - 1, height);
          const oldColumn = inside(column + (number % 3) - 1, width);
          sum += (weight / total) * data[channels * (oldRow * width + oldColumn) + channel];
        });
        result[channels * (row * width + column) + channel] = limit(sum);
      }
    }
  }
  return { width, height, channels, data: result };
}

/** Put a picture in the middle of a white square of 28 × 28. */
export function extend({ width, height, channels, data }) {
  const square = new Uint8ClampedArray(channels * SIZE * SIZE).fill(255);
  const [top, left] = [Math.floor((SIZE - height) / 2), Math.floor((SIZE - width) / 2)];
  for (let row = 0; row < height; row += 1) {
    const line = data.subarray(channels * row * width, channels * (row + 1) * width);
    square.set(line, channels * ((top + row) * SIZE + left));
  }
  return { width: SIZE, height: SIZE, channels, data: square };
}

/** Turn bright into dark and dark into bright. */
export function negate(picture) {
  return { ...picture, data: picture.data.map((value) => 255 - value) };
}

/** Turn a photo into 28 × 28 grey levels; return every step as { name, words, picture }, the last is for the network. */
export function convertSteps(photo, even) {
  const steps = [];
  let picture = photo;
  const step = (name, words, change) => {
    picture = change(picture);
    steps.push({ name, words, picture });
  };

  step("photo", "The picture as it came, upright.", (same) => same);
  if (even) {
    step("background evened", "What is as bright as the border becomes white. Colour goes, too.", (old) =>
      evenBackground(old),
    );
  }
  const box = findBox(picture);
  if (box === null) {
    throw new PhotoError(
      `Nothing stands out in this picture of ${photo.height} × ${photo.width} pixels: all of it is within 5 % of the ` +
        "colour in its corners. Lay the garment on a background that is lighter or darker, and take it again.",
    );
  }
  const [top, bottom, left, right] = box;
  step("trimmed", "Edges that have the colour of the corners are cut off, so the garment fills the frame.", (old) =>
    rearranged(old, right - left, bottom - top, (row, column) => [top + row, left + column]),
  );
  step("subsampled", "The longest edge comes down to 28 pixels: the other rows and columns are left out.", subsample);
  step("sharpened", "Edges get more contrast.", sharpen);
  step("extended", "White on both sides makes it square.", extend);
  step("negated", "Bright on black, as all the training images are.", negate);
  step("grey", "One number a pixel: these 784 are all that the network sees.", toGrey);
  return steps;
}
