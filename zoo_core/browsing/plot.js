// Accuracy against cost: a path of dots for each kind of model, and the Pareto front as a line.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 340, MARGIN = { left: 44, right: 16, top: 14, bottom: 40 }, REACH = 24;
const KINDS = ["others", "official", "third"]; // drawn in this order

let dots = []; // what is in the plot: {row, x, y}

function svgElement(tag, attributes, text = "") {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.textContent = text;
  return element;
}

function showPlot(rows, best) {
  const cost = COSTS[wanted.by], listed = drawn(rows);
  const width = Math.max(at("plot").clientWidth, 260);
  const svg = svgElement("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img" });
  const front = listed.filter((row) => best.has(row)).sort((a, b) => cost.of(a) - cost.of(b));
  svg.setAttribute("aria-label", `${listed.length} rows: top-1 accuracy against ${cost.name}. `
    + `${front.length} are on the Pareto front; "On the Pareto front only" lists them.`);
  dots = [];
  if (listed.length) {
    const x = scale(listed.map(cost.of), MARGIN.left, width - MARGIN.right, true);
    const y = scale(listed.map((row) => row.top1), HEIGHT - MARGIN.bottom, MARGIN.top, false);
    dots = listed.map((row) => ({ row, x: x(cost.of(row)), y: y(row.top1) }));
    svg.append(...axes(x, y, width, cost), ...frontLine(front), ...clouds(), ...labels(front, width));
  } else {
    svg.append(svgElement("text", { class: "tick", x: width / 2, y: HEIGHT / 2, "text-anchor": "middle" },
      "None of these has both figures."));
  }
  at("plot").replaceChildren(svg);
  at("undrawn").textContent = undrawn(rows, cost);
  point(null);
}

// What fits and is no dot, and why: nothing is left out unsaid.
function undrawn(rows, cost) {
  const lacking = rows.filter((row) => row.top1 === null || !(cost.of(row) > 0));
  const elsewhere = rows.length - lacking.length - drawn(rows).length;
  const told = [
    lacking.length && `${lacking.length.toLocaleString("en")} for want of top-1 or ${cost.name}`,
    elsewhere && `${elsewhere.toLocaleString("en")} measured on other data`,
  ].filter(Boolean);
  return told.length ? `Rows that fit and are not drawn: ${told.join(", ")}.` : "";
}

function scale(values, start, end, log) {
  const f = log ? Math.log10 : (value) => value;
  let low = Infinity, high = -Infinity;
  values.forEach((value) => { low = Math.min(low, f(value)); high = Math.max(high, f(value)); });
  const room = 0.04 * (high - low) || (log ? 0.2 : 1);
  [low, high] = [low - room, high + room];
  const to = (value) => Math.round(10 * (start + (f(value) - low) / (high - low) * (end - start))) / 10;
  to.ticks = log ? logTicks(10 ** low, 10 ** high) : ticks(low, high);
  return to;
}

function ticks(low, high) {
  const raw = (high - low) / 6, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw);
  const first = Math.ceil(low / step), count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, n) => Number(((first + n) * step).toPrecision(10)));
}

function logTicks(low, high) {
  for (const factors of [[1, 2, 5], [1, 3], [1]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      factors.forEach((factor) => found.push(factor * 10 ** power));
    }
    const inside = found.filter((value) => value >= low && value <= high);
    if (inside.length <= 8) return inside;
  }
  return [];
}

function* axes(x, y, width, cost) {
  for (const value of y.ticks) {
    yield svgElement("path", { class: "grid", d: `M${MARGIN.left} ${y(value)}H${width - MARGIN.right}` });
    yield svgElement("text", { class: "tick", x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, `${value}%`);
  }
  const floor = HEIGHT - MARGIN.bottom;
  for (const value of x.ticks) {
    yield svgElement("text", { class: "tick", x: x(value), y: floor + 16, "text-anchor": "middle" }, short(value * cost.unit));
  }
  yield svgElement("path", { class: "axis", d: `M${MARGIN.left} ${floor}H${width - MARGIN.right}` });
  const middle = (MARGIN.left + width - MARGIN.right) / 2;
  yield svgElement("text", { class: "tick", x: middle, y: HEIGHT - 6, "text-anchor": "middle" }, cost.name);
}

function showKey() {
  const there = new Set(ROWS.map(kindOf));
  const others = new Set(ROWS.filter((row) => kindOf(row) === "others").map((row) => row.kind.name));
  const names = { others: [...others].join(", "), official: "official", third: "third parties" };
  KINDS.filter((kind) => there.has(kind)).forEach((kind) => {
    at("key").append(make("span", {}, make("i", { class: `spot ${kind}`, "aria-hidden": "true" }), names[kind]));
  });
}

function kindOf(row) {
  return row.kind.third ? "third" : row.kind.name === "official" ? "official" : "others";
}

function clouds() {
  const paths = Object.fromEntries(KINDS.map((kind) => [kind, []]));
  dots.forEach((dot) => paths[kindOf(dot.row)].push(`M${dot.x} ${dot.y}h0`));
  return KINDS.map((kind) => svgElement("path", { class: `cloud ${kind}`, d: paths[kind].join("") }));
}

const dotOf = (row) => dots.find((dot) => dot.row === row);

function frontLine(front) {
  const found = front.map(dotOf);
  const path = found.map((dot) => `${dot.x} ${dot.y}`).join("L");
  const marks = found.map((dot) => svgElement("circle", { class: "front", cx: dot.x, cy: dot.y, r: 5.5 }));
  return [svgElement("path", { class: "front", d: `M${path}` }), ...marks];
}

// Names on the front where there is room: to the left of it nothing is better, so it is empty.
function labels(front, width) {
  const taken = [], found = [];
  front.map(dotOf).reverse().forEach((dot) => {
    const name = dot.row.name.split("/").pop().split(".")[0].slice(0, 28), length = 6.2 * name.length;
    const right = COSTS[wanted.by].less ? dot.x - 8 : dot.x + 8 + length, top = dot.y - 9;
    const free = right - length > MARGIN.left && right < width && top > 2
      && taken.every((box) => right < box.left - 6 || right - length > box.right + 6 || Math.abs(top - box.top) > 14);
    if (!free) return;
    taken.push({ left: right - length, right, top });
    found.push(svgElement("text", { class: "label", x: right, y: top + 6, "text-anchor": "end" }, name));
  });
  return found;
}

// --- pointing at a dot ---

function nearest(event) {
  const box = at("plot").firstChild.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let found = null, least = REACH;
  dots.forEach((dot) => {
    const far = Math.hypot(dot.x - x, dot.y - y);
    if (far < least) [found, least] = [dot, far];
  });
  return found;
}

function point(dot) {
  const plain = `Top-1 on ${DATA.main || "no data"} against ${COSTS[wanted.by].name}; the line is the Pareto front. Point at a dot for its name, choose it for its row.`;
  at("plot").querySelectorAll(".pointed").forEach((mark) => mark.remove());
  at("pointed").textContent = dot
    ? `${dot.row.name}: ${percent(dot.row.top1)}%, ${figure(dot.row)}, ${dot.row.licence || "licence not known"}`
    : plain;
  if (dot) at("plot").firstChild.append(svgElement("circle", { class: "pointed", cx: dot.x, cy: dot.y, r: 7 }));
}

function figure(row) {
  const cost = COSTS[wanted.by];
  return `${short(cost.of(row) * cost.unit)} ${cost.name}`;
}
