"use strict";
// The models as the page brings them, and how their figures are written. All text goes into the
// page as text: names are other people's.

const DATA = JSON.parse(document.getElementById("models").textContent);
const ROWS = DATA.rows.map((values, place) => {
  const row = { place };
  DATA.keys.forEach((key, at) => { row[key] = values[at]; });
  row.kind = DATA.kinds[row.kind];
  row.side = Math.max(row.input[1], row.input[2]);
  row.found = row.name.toLowerCase();
  row.terms = (row.licence || "").toLowerCase(); // licences are compared without case
  row.speed = row.speed || {};
  return row;
});
const DEVICES = mostUsed(ROWS.flatMap((row) => Object.keys(row.speed))).slice(0, 3);

function mostUsed(names) {
  const many = new Map();
  names.forEach((name) => many.set(name, (many.get(name) || 0) + 1));
  return [...many.keys()].sort((a, b) => many.get(b) - many.get(a));
}

// What a picture costs: a figure, its name, and whether less of it is better.
const COSTS = {
  gmacs: { name: "multiply-adds", of: (row) => row.gmacs, less: true, unit: 1e9 },
  params: { name: "parameters", of: (row) => row.params, less: true, unit: 1 },
};
DEVICES.forEach((device) => {
  COSTS[`speed-${device}`] = {
    name: `pictures/s, ${device.slice(0, 24)}`, of: (row) => row.speed[device] ?? null, less: false, unit: 1,
  };
});

const at = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  });
  element.append(...children.filter((child) => child !== null));
  return element;
}

// 28,589,128 as 28.6M: three digits, as people say it.
function short(number) {
  if (number === null || number === undefined) return "–";
  const [factor, letter] =
    number >= 1e12 ? [1e12, "T"] : number >= 1e9 ? [1e9, "G"] : number >= 1e6 ? [1e6, "M"] : number >= 1e4 ? [1e3, "k"] : [1, ""];
  const value = number / factor;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return letter || value < 100 ? `${Number(value.toFixed(digits))}${letter}` : value.toFixed(0);
}

const percent = (number) => (number === null ? "–" : number.toFixed(2));
const shape = (row) => row.input.join("x");

// 30M, 4.5G, 25,557,032: the same that zoo list takes. NaN for what is none.
function amount(text, unit = 1) {
  const found = /^(\d+(?:[_,]\d{3})*(?:\.\d+)?|\.\d+) ?([kmgbt]?)$/i.exec(text.trim());
  const number = found ? Number(found[1].replace(/[_,]/g, "")) : 0;
  if (!(number > 0)) return NaN;
  const factor = { k: 1e3, m: 1e6, g: 1e9, b: 1e9, t: 1e12 }[found[2].toLowerCase()];
  return factor ? (number * factor) / unit : number;
}

// 80 or 80%, up to 100. NaN for what is none.
function percentage(text) {
  const number = amount(text.trim().replace(/ ?%$/, ""));
  return number <= 100 ? number : NaN;
}
