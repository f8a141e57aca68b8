// Paints a picture as the pruned model was left to see it. Knows pixels and a grid, nothing else.

const LONG_SIDE = 640; // of the canvas in pixels: sharp on a phone's and a desk's screen alike
const BLUR_CELLS = 1.6; // blurred parts keep about this many samples per patch
const OUTLINE_FROM = 0.5; // a patch is outlined where at least half of the layers kept it

/** `grid[row][column]` is how often a patch was kept, 0 to 1; `mode`: seen, heat or picture. */
export function paint(canvas, bitmap, grid, mode) {
  const scale = LONG_SIDE / Math.max(bitmap.width, bitmap.height);
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const { width, height } = canvas;
  const brush = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const tone = style.color;
  const veil = style.borderTopColor;
  const fine = scale > 3; // a tiny picture stays crisp: its pixels are shown as they are
  const whole = (to) => { to.imageSmoothingEnabled = !fine; to.imageSmoothingQuality = "high"; to.drawImage(bitmap, 0, 0, width, height); };
  if (mode === "picture" || !grid.length) { whole(brush); return; }
  const mask = maskOf(grid);
  if (mode === "heat") {
    whole(brush);
    drain(brush, width, height, veil, 0.5);
    brush.globalAlpha = 0.82;
    brush.drawImage(cut(width, height, mask, (to) => { to.fillStyle = tone; to.fillRect(0, 0, width, height); }), 0, 0);
    brush.globalAlpha = 1;
    return;
  }
  blur(brush, bitmap, grid, width, height);
  drain(brush, width, height, veil, 0.32);
  brush.drawImage(cut(width, height, mask, whole), 0, 0);
  outline(brush, grid, width, height, tone);
}

function maskOf(grid) {
  const mask = new OffscreenCanvas(grid[0].length, grid.length);
  const brush = mask.getContext("2d");
  const pixels = brush.createImageData(mask.width, mask.height);
  grid.flat().forEach((share, at) => { pixels.data[4 * at + 3] = Math.round(255 * Math.min(1, share)); });
  brush.putImageData(pixels, 0, 0);
  return mask;
}

/** What `draw` draws, seen through the mask. */
function cut(width, height, mask, draw) {
  const layer = new OffscreenCanvas(width, height);
  const brush = layer.getContext("2d");
  draw(brush);
  brush.globalCompositeOperation = "destination-in";
  brush.imageSmoothingEnabled = false;
  brush.drawImage(mask, 0, 0, width, height);
  return layer;
}

function blur(brush, bitmap, grid, width, height) {
  const small = new OffscreenCanvas(Math.max(4, Math.round(grid[0].length * BLUR_CELLS)), Math.max(4, Math.round(grid.length * BLUR_CELLS)));
  const shrink = small.getContext("2d");
  shrink.imageSmoothingQuality = "high";
  shrink.drawImage(bitmap, 0, 0, small.width, small.height);
  brush.imageSmoothingEnabled = true;
  brush.imageSmoothingQuality = "high";
  brush.drawImage(small, 0, 0, width, height);
}

/** Takes colour and contrast away, towards the colour of the page. */
function drain(brush, width, height, veil, strength) {
  brush.globalCompositeOperation = "saturation";
  brush.globalAlpha = 0.75;
  brush.fillStyle = "#808080";
  brush.fillRect(0, 0, width, height);
  brush.globalCompositeOperation = "source-over";
  brush.globalAlpha = strength;
  brush.fillStyle = veil;
  brush.fillRect(0, 0, width, height);
  brush.globalAlpha = 1;
}

function outline(brush, grid, width, height, tone) {
  const rows = grid.length;
  const columns = grid[0].length;
  // Beyond the rim nothing was pruned: no line there.
  const held = (row, column) => (grid[row]?.[column] ?? 1) >= OUTLINE_FROM;
  const x = (column) => (column * width) / columns;
  const y = (row) => (row * height) / rows;
  const path = new Path2D();
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      if (!held(row, column)) continue;
      const edge = (open, ...line) => { if (open) { path.moveTo(line[0], line[1]); path.lineTo(line[2], line[3]); } };
      edge(!held(row - 1, column), x(column), y(row), x(column + 1), y(row));
      edge(!held(row + 1, column), x(column), y(row + 1), x(column + 1), y(row + 1));
      edge(!held(row, column - 1), x(column), y(row), x(column), y(row + 1));
      edge(!held(row, column + 1), x(column + 1), y(row), x(column + 1), y(row + 1));
    }
  }
  brush.lineCap = "square";
  for (const [color, thick] of [["#fffd", 6], [tone, 3]]) {
    brush.strokeStyle = color;
    brush.lineWidth = thick;
    brush.stroke(path);
  }
}

/** The pictures no larger than they are drawn; one after the other, since 64 photos are gigabytes. */
export async function bitmapsOf(asked) {
  const made = [];
  for (const { name, file } of asked) {
    const whole = await createImageBitmap(file);
    const scale = LONG_SIDE / Math.max(whole.width, whole.height);
    const size = { resizeWidth: Math.max(1, Math.round(whole.width * scale)), resizeHeight: Math.max(1, Math.round(whole.height * scale)), resizeQuality: "high" };
    made.push({ name, bitmap: scale < 1 ? await createImageBitmap(whole, size) : whole });
  }
  return made;
}
