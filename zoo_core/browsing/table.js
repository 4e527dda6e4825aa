// The table: a screenful of rows and more on request, so that typing is quick in any number.

const FIRST = 50, MORE = 400;
const LONG = 400; // letters of a fact: zoo show has them all
const COLUMNS = [
  ["name", "Model"], ["params", "Parameters"], ["gmacs", "Multiply-adds"], ["top1", "Top-1"],
  ["input", "Input"], ...DEVICES.map((device) => [`speed-${device}`, "Pictures/s, ", device.slice(0, 24)]),
  ["licence", "Licence"],
];
const LEFT = ["name", "input", "licence"];

let many = FIRST; // rows that are in the page

function makeHeader() {
  COLUMNS.forEach(([key, title, device]) => {
    const on = device ? make("span", { class: "nowrap" }, device) : null;
    const button = make("button", { type: "button", "data-key": key }, title, on);
    button.addEventListener("click", () => {
      wanted.sort = wanted.sort === key ? `-${key}` : key;
      update();
    });
    at("header").append(make("th", { scope: "col", class: LEFT.includes(key) ? `of-${key}` : "number" }, button));
  });
}

function showHeader() {
  const key = wanted.sort.replace(/^-/, ""), back = wanted.sort.startsWith("-");
  const down = HIGHEST_FIRST.includes(key) !== back;
  at("header").querySelectorAll("button").forEach((button) => {
    const sorting = button.dataset.key === key;
    if (sorting) button.parentNode.setAttribute("aria-sort", down ? "descending" : "ascending");
    else button.parentNode.removeAttribute("aria-sort");
  });
}

function showRows(rows, best) {
  const lines = [];
  rows.slice(0, many).forEach((row) => {
    lines.push(line(row, best.has(row)));
    if (row.name === wanted.open) lines.push(details(row));
  });
  at("rows").replaceChildren(...lines);
  const left = rows.length - Math.min(many, rows.length);
  at("more").hidden = left === 0;
  at("more").textContent = `Show ${Math.min(left, MORE).toLocaleString("en")} more of ${left.toLocaleString("en")}`;
}

function line(row, isBest) {
  const open = row.name === wanted.open;
  const button = make("button", {
    type: "button", class: "name", "aria-expanded": String(open), "data-place": row.place,
  }, ...breakable(row.name));
  const marks = [
    row.default ? make("span", { class: "soft" }, "default") : null,
    row.kind.third ? make("span", { class: "third" }, `third party: ${row.kind.name}`) : null,
    isBest ? make("span", { class: "best" }, "front") : null,
  ];
  const other = row.top1 !== null && row.data !== DATA.main;
  const top1 = other ? [percent(row.top1), make("small", {}, row.data)] : [percent(row.top1)];
  const numbers = [
    [short(row.params)], [short(row.gmacs === null ? null : row.gmacs * 1e9)], top1,
  ];
  const licence = row.licence === null ? "no weights" : row.licence || "not known";
  return make("tr", {},
    make("th", { scope: "row", class: "of-name" }, button, " ", ...marks),
    ...numbers.map((cell) => make("td", { class: "number" }, ...cell)),
    make("td", { class: "of-input" }, shape(row)),
    ...DEVICES.map((device) => make("td", { class: "number" }, short(row.speed[device]))),
    make("td", { class: "of-licence", title: licence.length > 24 ? licence : null }, licence));
}

// A long name breaks after its marks, not within a word.
function breakable(name) {
  return name.split(/(?<=[_./])/).flatMap((part, n) => (n ? [make("wbr"), part] : [part]));
}

// --- what is known of one, and the commands for it ---

function details(row) {
  const facts = [
    ["about", row.summary],
    ["parameters", row.params === null ? "" : row.params.toLocaleString("en")],
    ["multiply-adds", row.gmacs === null ? "" : `${row.gmacs} G for a picture of ${shape(row)}`],
    ["activations", row.macts === null ? "" : `${row.macts} M`],
    ["classes", String(row.classes)],
    ...Object.entries(row.metrics || {}).map(([name, value]) => [name, `${value}%`]),
    ...Object.entries(row.speed).map(([device, value]) => [`pictures/s, ${device}`, String(value)]),
    ["figures from", row.measured === null ? "" : DATA.measured[row.measured]],
    ["licence", row.licence || ""],
    ["paper", row.paper || ""],
    ["weights", row.licence === null ? "none" : row.installed ? "on this machine" : ""],
    ["from", row.kind.third ? `${row.kind.name} (third party)` : ""],
  ].filter(([, value]) => value);
  const list = make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, cut(name)), make("dd", {}, cut(value))]));
  const cell = make("td", { colspan: COLUMNS.length }, list, ...commands(row).map(command));
  return make("tr", { class: "details" }, cell);
}

const cut = (text) => (text.length > LONG ? `${text.slice(0, LONG)} …` : text);

function commands(row) {
  const told = [`zoo show ${quoted(row.name)}`];
  if (row.install) told.push(`pip install ${quoted(row.install)}`);
  if (row.licence !== null) told.push(`zoo fetch ${quoted(row.name)}`);
  told.push(`zoo finetune ${quoted(row.name)} --data folder:PICTURES`);
  told.push(`model = zoo.create(${JSON.stringify(row.name)}, num_classes=10)`);
  return told;
}

// As a shell takes it, whatever is in a name.
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'"'"'`)}'`;
}

function command(text) {
  const code = make("code", {}, text);
  const button = make("button", { type: "button", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", () => copy(text, code, button));
  return make("div", { class: "command" }, code, button);
}

async function copy(text, code, button) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied: ${text}`);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } catch { // not allowed here: it is selected, to copy by hand
    getSelection().selectAllChildren(code);
    say("Selected: press Ctrl+C to copy.");
  }
}

function say(text) {
  at("said").textContent = text;
}
