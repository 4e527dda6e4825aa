// What is asked for: it stands in the address after #, so that a view can be sent.

const TEXTS = ["name", "params", "gmacs", "top1", "input", "licence", "from"];
const UNITS = { params: 1, gmacs: 1e9, top1: 1 }; // of the texts that are numbers
const CHOICES = {
  input: "is the side of no pictures that these models take.",
  licence: "is the licence of no weights here.",
  from: "is the origin of no model here.",
};
const CHECKS = ["default", "installed", "front"];
const HIGHEST_FIRST = ["top1", ...DEVICES.map((device) => `speed-${device}`)];
const USUAL = { sort: "top1", by: "gmacs", open: "" };

let wanted; // what the fields and the address say

function fromAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const read = { ...USUAL };
  TEXTS.forEach((key) => { read[key] = said.get(key) || ""; });
  read.licence = read.licence.toLowerCase();
  CHECKS.forEach((key) => { read[key] = said.get(key) === "yes"; });
  if (Object.hasOwn(COSTS, said.get("by"))) read.by = said.get("by");
  if (Object.hasOwn(SORTS, (said.get("sort") || "").replace(/^-/, ""))) read.sort = said.get("sort");
  read.open = said.get("open") || "";
  return read;
}

function toAddress() {
  const said = new URLSearchParams();
  TEXTS.forEach((key) => { if (wanted[key]) said.set(key, wanted[key]); });
  CHECKS.forEach((key) => { if (wanted[key]) said.set(key, "yes"); });
  Object.keys(USUAL).forEach((key) => {
    if (wanted[key] !== USUAL[key]) said.set(key, wanted[key]);
  });
  const hash = `#${said}`;
  if (hash === (location.hash || "#")) return;
  try {
    history.replaceState(null, "", hash);
  } catch { // some browsers allow only so many in a while: the next change brings it
  }
}

// What cannot be asked for, and why not: each is named, and asks for nothing meanwhile.
function faults() {
  const found = new Map();
  Object.keys(UNITS).filter((key) => wanted[key] && limit(key) === null).forEach((key) => {
    found.set(key, key === "top1" ? "is no percentage above 0 and up to 100: write 80 or 78.5%."
      : "is no number above 0: write 80, 30M or 4.5G.");
  });
  Object.keys(CHOICES).filter((key) => !isOffered(key)).forEach((key) => found.set(key, CHOICES[key]));
  return found;
}

// Whether a list has what is wanted of it: an address may say anything.
function isOffered(key) {
  return !Object.hasOwn(CHOICES, key) || [...at(key).options].some((option) => option.value === wanted[key]);
}

const chosen = (key) => (isOffered(key) ? wanted[key] : "");

function limit(key) {
  const number = key === "top1" ? percentage(wanted[key]) : amount(wanted[key], UNITS[key]);
  return isNaN(number) ? null : number;
}

// The rows that fit, and how many lack a figure to tell.
function fitting() {
  const words = wanted.name.toLowerCase().split(/\s+/).filter(Boolean);
  const params = limit("params"), gmacs = limit("gmacs"), top1 = limit("top1");
  const [side, licence, from] = ["input", "licence", "from"].map(chosen);
  let untold = 0;
  const rows = ROWS.filter((row) => {
    const plain = words.every((word) => row.found.includes(word))
      && (!side || row.side <= Number(side))
      && (!licence || row.terms === licence)
      && (!from || row.kind.name === from)
      && (!wanted.default || row.default || row.licence === null) && (!wanted.installed || row.installed);
    if (!plain) return false;
    const bounds = [[row.params, params], [row.gmacs, gmacs], [top1 === null ? 0 : top1, row.top1]];
    const asked = [params !== null, gmacs !== null, top1 !== null];
    const held = bounds.map(([less, more], n) => !asked[n] || (less === null || more === null ? null : less <= more));
    if (held.includes(false)) return false;
    if (held.includes(null)) untold += 1;
    return !held.includes(null);
  });
  const best = frontier(rows);
  return { rows: wanted.front ? best : rows, best: new Set(best), untold };
}

const SORTS = {
  name: (row) => row.place, // the page has them in natural order
  params: (row) => row.params,
  gmacs: (row) => row.gmacs,
  top1: (row) => row.top1,
  input: (row) => row.side,
  licence: (row) => row.licence || null,
};
DEVICES.forEach((device) => { SORTS[`speed-${device}`] = (row) => row.speed[device] ?? null; });

// Best or smallest first. Accuracies on other data cannot be compared, and come after.
function sorted(rows) {
  const key = wanted.sort.replace(/^-/, ""), value = SORTS[key];
  const sign = HIGHEST_FIRST.includes(key) !== wanted.sort.startsWith("-") ? -1 : 1;
  const group = (row) => (value(row) === null ? 2 : key === "top1" && row.data !== DATA.main ? 1 : 0);
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return [...rows].sort((a, b) =>
    group(a) - group(b) || sign * order(value(a), value(b)) || a.place - b.place);
}

// The Pareto front, from cheap to dear: no other row is as accurate for as little.
function frontier(rows) {
  const cost = COSTS[wanted.by], price = (row) => (cost.less ? cost.of(row) : -cost.of(row));
  const listed = drawn(rows).sort((a, b) => price(a) - price(b) || b.top1 - a.top1);
  let best = -Infinity;
  return listed.filter((row) => {
    if (row.top1 <= best) return false;
    best = row.top1;
    return true;
  });
}

// Rows with both figures, measured on the data that most are measured on.
function drawn(rows) {
  const of = COSTS[wanted.by].of;
  return rows.filter((row) => row.top1 !== null && row.data === DATA.main && of(row) > 0);
}
