// From what is asked to what is shown, and from what people do to what is asked.

function update() {
  const { rows, best, untold } = fitting();
  const ordered = sorted(rows);
  const wrong = faults();
  TEXTS.forEach((key) => {
    if (wrong.has(key)) at(key).setAttribute("aria-invalid", "true");
    else at(key).removeAttribute("aria-invalid");
  });
  at("fault").textContent = [...wrong].map(([key, fault]) => `"${wanted[key].slice(0, 40)}" ${fault}`).join(" ");
  const more = untold ? `; ${untold.toLocaleString("en")} more lack a figure to tell` : "";
  at("count").textContent = `${rows.length.toLocaleString("en")} of ${ROWS.length.toLocaleString("en")}${more}`;
  showPlot(rows, best); // first, since it asks how wide it is: one layout is enough
  showHeader();
  showRows(ordered, best);
  toAddress();
}

function showWanted() {
  TEXTS.forEach((key) => { at(key).value = isOffered(key) ? wanted[key] : ""; });
  CHECKS.forEach((key) => { at(key).checked = wanted[key]; });
  at("by").value = wanted.by;
}

function choices() {
  const count = (values) => {
    const many = new Map();
    values.forEach((value) => many.set(value, (many.get(value) || 0) + 1));
    return many;
  };
  const add = (id, value, text) => at(id).append(make("option", { value }, text));
  const sides = [...count(ROWS.map((row) => row.side)).keys()].sort((a, b) => a - b);
  sides.forEach((side) => add("input", side, `${side} pixels`));
  const licences = [...count(ROWS.map((row) => row.terms).filter(Boolean))].sort((a, b) => b[1] - a[1]);
  licences.forEach(([name, many]) => add("licence", name, `${name.slice(0, 40)} (${many})`));
  count(ROWS.map((row) => row.kind)).forEach((many, kind) => {
    add("from", kind.name, `${kind.name.slice(0, 40)}${kind.third ? ", third party" : ""} (${many})`);
  });
  Object.entries(COSTS).forEach(([key, cost]) => add("by", key, cost.name));
}

function toggle(name) {
  wanted.open = wanted.open === name ? "" : name;
  update();
  const button = [...document.querySelectorAll("button.name")].find((one) => one.textContent === name);
  if (button) button.focus({ preventScroll: true });
  return button;
}

function listen() {
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").addEventListener("input", () => {
    TEXTS.forEach((key) => { wanted[key] = at(key).value; });
    CHECKS.forEach((key) => { wanted[key] = at(key).checked; });
    many = FIRST;
    update();
  });
  at("by").addEventListener("change", () => { wanted.by = at("by").value; update(); });
  at("reset").addEventListener("click", () => {
    wanted = { ...USUAL, by: wanted.by, sort: wanted.sort };
    TEXTS.forEach((key) => { wanted[key] = ""; });
    CHECKS.forEach((key) => { wanted[key] = false; });
    many = FIRST;
    showWanted();
    update();
  });
  at("more").addEventListener("click", () => { many += MORE; update(); });
  at("rows").addEventListener("click", (event) => {
    const button = event.target.closest("button.name");
    if (button) toggle(ROWS[button.dataset.place].name);
  });
  at("plot").addEventListener("pointermove", (event) => point(nearest(event)));
  at("plot").addEventListener("pointerleave", () => point(null));
  at("plot").addEventListener("click", (event) => {
    const dot = nearest(event);
    if (!dot) return;
    many = Math.max(many, sorted(fitting().rows).indexOf(dot.row) + 1);
    wanted.open = "";
    toggle(dot.row.name).scrollIntoView({ block: "center" });
  });
  window.addEventListener("resize", () => { const { rows, best } = fitting(); showPlot(rows, best); });
  window.addEventListener("hashchange", () => { wanted = fromAddress(); showWanted(); showOpened(); });
}

// A view that was sent with a row open: the row is there, and in sight.
function showOpened() {
  const place = sorted(fitting().rows).findIndex((row) => row.name === wanted.open);
  many = Math.max(many, place + 1);
  update();
  const row = at("rows").querySelector(".details");
  if (row) row.scrollIntoView({ block: "center" });
}

choices();
wanted = fromAddress();
showKey();
makeHeader();
showWanted();
listen();
showOpened();
