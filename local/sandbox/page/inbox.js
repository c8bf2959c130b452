"use strict";
const CHANNELS = { email: "E-mail", sms: "Text", webpush: "Push" };
const PLURALS = { email: "E-mails", sms: "Texts", webpush: "Notifications" };
const EVENTS = {
  processed: ["Accepted"], queued: ["Queued"], sent: ["Sent"], deferred: ["Put off"], delivered: ["Delivered", "good"],
  open: ["Opened", "good"], machine_open: ["Opened by a machine"], click: ["Clicked", "good"], bounce: ["Bounced", "bad"],
  blocked: ["Refused", "bad"], dropped: ["Dropped", "bad"], failed: ["Failed", "bad"], undelivered: ["Not delivered", "bad"],
  unsubscribe: ["Unsubscribed", "bad"], spamreport: ["Reported as spam", "bad"], stop: ["Answered STOP", "bad"],
};
const TELLING = ["spamreport", "stop", "unsubscribe", "bounce", "blocked", "dropped", "failed", "undelivered", "click", "open", "machine_open"];
const AUDIENCES = { customers: "To customers", team: "Alerts to the team", test: "Tests (winback send-test)" };
const state = { channel: "", audience: "", day: "", came: "", q: "", offset: 0, current: 0, tab: "desktop", last: -1, clock: null, summary: null };
const at = (id) => document.getElementById(id);

/** An element: el("p.quiet", {title: "x"}, child, "text"). Text is never read as HTML. */
function el(spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
function glyph(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "glyph");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", "#i-" + name);
  svg.append(use);
  return svg;
}
const number = (value) => (value || 0).toLocaleString("en-US");
/* Times come in the shop's zone and are shown as they are, whatever zone the browser is in. */
const wall = (iso) => new Date(iso.slice(0, 19) + "Z");
const shown = (iso, options) => wall(iso).toLocaleString("en-US", { ...options, timeZone: "UTC" });
const hour = (iso) => shown(iso, { hour: "numeric", minute: "2-digit" });
const day = (iso) => shown(iso.slice(0, 10) + "T00:00:00", { weekday: "short", month: "short", day: "numeric", year: "numeric" });
const place = (zone) => zone.split("/").pop().replace(/_/g, " ");
const person = (to, channel) => channel === "webpush" ? "Browser " + to.split("/").pop().slice(0, 8) : phone(to);
const phone = (to) => to.replace(/^\+1(\d{3})(\d{3})(\d{4})$/, "+1 $1 $2 $3");
const initials = (name) => name.split(/[\s@.]+/).filter(Boolean).slice(0, 2).map((word) => word[0].toUpperCase()).join("");

async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(path + ": " + answer.status);
  return answer.json();
}
function toast(text) {
  at("toast").textContent = text;
  at("toast").classList.add("on");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => at("toast").classList.remove("on"), 5000);
}

/** How many messages of each channel went to an audience; to any, where none is chosen. */
function counts(summary, audience) {
  const chosen = audience ? [summary.audiences[audience]] : Object.values(summary.audiences);
  return Object.fromEntries(Object.keys(CHANNELS).map((name) => [name, chosen.reduce((sum, one) => sum + (one[name] || 0), 0)]));
}
const total = (counted) => Object.values(counted).reduce((sum, count) => sum + count, 0);

function tools(summary) {
  const counted = counts(summary, state.audience);
  const buttons = [["", "All", total(counted)], ...Object.keys(CHANNELS).map((name) => [name, CHANNELS[name], counted[name]])];
  at("channels").replaceChildren(...buttons.map(([name, label, count]) =>
    el("button", { type: "button", "aria-pressed": String(state.channel === name), onclick: () => filter({ channel: name }) }, label, el("b", {}, number(count)))));
  at("day").replaceChildren(el("option", { value: "" }, "Every day"), ...summary.days.map((one) => el("option", { value: one.day }, day(one.day))));
  at("day").value = state.day;
  const present = Object.keys(AUDIENCES).filter((name) => total(counts(summary, name)));
  at("audience").hidden = present.length < 2 && !state.audience;
  at("audience").replaceChildren(el("option", { value: "" }, "To everybody"), ...Object.keys(AUDIENCES).map((name) => el("option", { value: name }, `${AUDIENCES[name]} (${number(total(counts(summary, name)))})`)));
  at("audience").value = state.audience;
  at("clock").hidden = !summary.clock;
  if (summary.clock) at("clock").replaceChildren(el("span.wide", {}, "Simulated time "), el("b", {}, day(summary.clock) + ", " + hour(summary.clock)), " in " + place(summary.zone));
}
function filter(change) {
  Object.assign(state, change, { offset: 0 });
  tools(state.summary);
  list();
}
async function list(append) {
  const query = new URLSearchParams({ channel: state.channel, audience: state.audience, day: state.day, came: state.came, q: state.q, offset: state.offset });
  const asked = String(query);
  list.asked = asked;
  const found = await get("/inbox/messages?" + asked);
  if (list.asked !== asked) return;
  const rows = at("rows");
  rows.querySelector(".more")?.remove();
  if (!append) { rows.replaceChildren(); list.day = ""; }
  for (const message of found.messages) {
    const its = message.at.slice(0, 10);
    if (its !== list.day) rows.append(el("div.day", {}, day(its)));
    list.day = its;
    rows.append(row(message));
  }
  if (found.more) rows.append(el("button.more", { type: "button", onclick: () => { state.offset += found.messages.length; list(true); } }, "Show more"));
  if (!found.messages.length && !append) {
    rows.append(el("p.nothing", {}, state.last ? "No message fits this search." : "No messages yet."));
  }
}
function mark(came) {
  const kind = TELLING.find((one) => came.includes(one)) || (came.includes("delivered") ? "delivered" : "");
  if (!kind) return null;
  const [label, tone] = kind === "machine_open" ? ["Machine open"] : EVENTS[kind];
  return el("span.mark" + (kind === "delivered" || !tone ? "" : "." + tone), {}, label);
}
function row(message) {
  return el("button.row", { type: "button", "data-seq": message.seq, "aria-current": String(message.seq === state.current), onclick: () => { location.hash = message.seq; } },
    el("span.badge." + message.channel, { title: CHANNELS[message.channel] }, glyph(message.channel)),
    el("span.who", {}, person(message.to, message.channel)), el("time", {}, hour(message.at)),
    el("span.title", {}, message.title), el("span.preview", {}, message.preview || " "),
    message.audience === "customers" ? mark(message.came) : el("span.mark", {}, message.audience === "team" ? "To the team" : "Test"));
}

async function read(seq) {
  state.current = seq;
  document.body.classList.add("open");
  for (const one of document.querySelectorAll(".row")) one.setAttribute("aria-current", String(Number(one.dataset.seq) === seq));
  let message;
  try { message = await get("/inbox/messages/" + seq); } catch { location.hash = ""; return; }
  if (state.current !== seq) return;
  const sheet = el("div.sheet", {}, el("button.back", { type: "button", onclick: () => { location.hash = ""; } }, glyph("back"), "All messages"));
  sheet.append({ email: mail, sms: text, webpush: push }[message.channel](message));
  at("reading").replaceChildren(sheet);
  at("reading").scrollTop = 0;
}
function answers(message) {
  if (!message.events.length) return el("p.quiet", {}, "Nothing came back yet.");
  return el("ul.came", {}, message.events.map((event) => {
    const [label, tone] = message.channel === "webpush" && event.kind === "delivered" ? ["Shown", "good"] : EVENTS[event.kind] || [event.kind];
    const waiting = event.state === "due" ? " (waits for the webhook service)" : event.state === "lost" ? " (webhook lost on command)" : event.state === "refused" ? " (not taken by the webhook service, and Twilio does not come again)" : "";
    const note = event.url || (tone === "bad" || event.kind === "deferred" ? event.reason : "");
    return el("li" + (tone ? "." + tone : ""), {}, el("b", {}, label), el("span", {}, hour(event.at) + (event.at.slice(0, 10) === message.at.slice(0, 10) ? "" : ", " + day(event.at)) + waiting), note ? el("em", { title: note }, note) : null);
  }));
}
function mail(message) {
  const name = message.from.name || message.from.email;
  const body = el("div");
  const show = () => {
    for (const button of tabs.children) button.setAttribute("aria-pressed", String(button.dataset.tab === state.tab));
    body.replaceChildren({ desktop: () => frame(message, false), phone: () => frame(message, true), plain: () => plain(message), headers: () => headers(message) }[state.tab]());
  };
  const names = [["desktop", window.matchMedia("(max-width: 860px)").matches ? "Mail" : "Desktop"], ["phone", "Phone"], ["plain", "Plain text"], ["headers", "Headers"]];
  const tabs = el("div.segments.tabs", { role: "group", "aria-label": "View" }, names.map(([key, label]) =>
    el("button" + (key === "phone" ? ".wide" : ""), { type: "button", "data-tab": key, onclick: () => { state.tab = key; show(); } }, label)));
  show();
  const part = document.createDocumentFragment();
  part.append(
    el("div", {}, el("h2.subject", {}, message.title),
      el("div.parties", {}, el("span.face", {}, initials(name)),
        el("div.lines", {}, el("div", {}, el("b", {}, name), el("span.quiet", {}, "  " + message.from.email)), el("div.quiet", {}, "to " + message.to)),
        el("time", {}, day(message.at) + ", " + hour(message.at)))),
    answers(message), tabs, body);
  return part;
}
function frame(message, phone) {
  if (!message.has_html) return plain(message);
  const iframe = el("iframe", { src: "/inbox/messages/" + message.seq + "/mail", title: "The mail", sandbox: "allow-same-origin allow-popups allow-popups-to-escape-sandbox" });
  iframe.addEventListener("load", () => {
    const page = iframe.contentDocument;
    if (!page) return;
    const fit = () => { if (!phone) iframe.style.height = Math.max(page.documentElement.scrollHeight, 300) + "px"; };
    fit();
    for (const image of page.images) image.addEventListener("load", fit);
    new ResizeObserver(fit).observe(page.documentElement);
    page.addEventListener("click", (event) => {
      const link = event.target.closest("a[href]");
      if (!link || /^(127\.0\.0\.1|localhost)$/.test(link.hostname)) return;
      event.preventDefault();
      toast("The shop is made up. This link leads to " + link.href);
    });
  });
  return el("div.frame" + (phone ? ".phone" : ""), {}, phone ? el("div.glass", {}, iframe) : iframe);
}
const plain = (message) => el("div.frame", {}, el("pre.plain", {}, message.text || "This message has no plain-text part."));
const headers = (message) => el("div.frame", {}, el("table.headers", {}, el("tbody", {}, message.headers.map(([name, value]) => el("tr", {}, el("td", {}, name), el("td", {}, value))))));

function linked(source) {
  return source.split(/(https?:\/\/[^\s]+)/).map((piece, place) => place % 2 ? el("a", { href: piece, onclick: (event) => { event.preventDefault(); toast("The shop is made up. This link leads to " + piece); } }, piece) : piece);
}
function text(message) {
  const stop = message.events.find((event) => event.kind === "stop");
  const part = document.createDocumentFragment();
  part.append(
    el("div", {}, el("h2.subject", {}, "Text to " + phone(message.to)), el("p.quiet", {}, day(message.at) + ", " + hour(message.at))),
    answers(message),
    el("div.frame.phone", {}, el("div.glass", {}, el("div.thread", {},
      el("div.contact", {}, el("div.face", {}, "#"), phone(message.from || "Messaging service")),
      el("div.stamp", {}, day(message.at) + ", " + hour(message.at)),
      el("div.bubble.theirs", {}, linked(message.body)),
      stop ? el("div.stamp", {}, hour(stop.at)) : null, stop ? el("div.bubble.mine", {}, "STOP") : null))),
    el("p.facts", {},
      el("span", {}, el("b", {}, message.segments + (message.segments === 1 ? " segment" : " segments")), " in " + message.encoding),
      el("span", {}, el("b", {}, number(message.characters)), " characters"),
      el("span", {}, "may arrive for ", el("b", {}, Math.round(message.validity_period / 36) / 100 + " h"))));
  return part;
}
function push(message) {
  const note = message.notification || {};
  const site = note.url ? new URL(note.url, "https://shop.example.com").hostname : "shop.example.com";
  const part = document.createDocumentFragment();
  part.append(
    el("div", {}, el("h2.subject", {}, "Notification to " + person(message.to, "webpush")), el("p.quiet", {}, day(message.at) + ", " + hour(message.at))),
    answers(message));
  if (!message.decrypted) {
    part.append(el("p.nothing", {}, "This payload could not be decrypted with the subscription's keys: the browser would have dropped it."));
    return part;
  }
  part.append(
    el("div.frame.phone", {}, el("div.glass", { style: "padding-top:0" }, el("div.wall", {},
      el("div.date", {}, shown(message.at, { weekday: "long", month: "long", day: "numeric" })),
      el("div.hour", {}, hour(message.at).replace(/ [AP]M/, "")),
      el("div.note", {}, el("div.tile", {}, site.replace(/^www\./, "")[0].toUpperCase()),
        el("div", {}, el("div.site", {}, el("span", {}, site), el("span", {}, "now")), el("div.head", {}, note.title || ""), el("div.body", {}, note.body || "")))))),
    el("p.facts", {},
      note.url ? el("span", {}, "opens ", el("b", {}, note.url)) : null,
      el("span", {}, "waits for the browser for ", el("b", {}, Math.round(message.ttl / 36) / 100 + " h")),
      message.topic ? el("span", {}, "topic ", el("b", {}, message.topic)) : null));
  return part;
}

function overview(summary) {
  state.current = 0;
  document.body.classList.remove("open");
  for (const one of document.querySelectorAll(".row[aria-current=true]")) one.setAttribute("aria-current", "false");
  if (!summary.last) {
    at("reading").replaceChildren(el("div.empty", {}, glyph("all"), el("h2", {}, "Nothing was sent yet"),
      el("p", {}, "Every e-mail, text and notification that Winback hands to the sandbox shows up here, as its recipient would see it. Run a day:"),
      el("code", {}, ".venv/bin/winback load complete-journey\n.venv/bin/winback run --as-of 2017-10-01"), el("p", {}, "This page notices by itself.")));
    return;
  }
  const cards = Object.keys(CHANNELS).filter((name) => summary.channels[name]).map((name) => {
    const count = summary.channels[name], came = summary.answers[name] || {};
    const bars = { email: [["Delivered", "delivered"], ["Opened by a person", "opened"], ["Opened by a machine", "machine"], ["Clicked", "clicked"], ["Not delivered", "failed"]],
      sms: [["Delivered", "delivered"], ["Not delivered", "failed"], ["Answered STOP", "left"]], webpush: [["Shown", "delivered"], ["Clicked", "clicked"]] }[name];
    return el("div.card", {}, el("div.top-line", {}, el("span.badge." + name, {}, glyph(name)), PLURALS[name]), el("div.big", {}, number(count)),
      bars.map(([label, key]) => el("div.bar", { style: `--share:${100 * (came[key] || 0) / count}%;--tone:var(--${key === "failed" || key === "left" ? "bad" : name})` },
        el("span", {}, label), el("span", {}, `${number(came[key])} · ${(100 * (came[key] || 0) / count).toFixed(1)} %`), el("i"))));
  });
  const others = [["team", "alert to the team", "alerts to the team"], ["test", "test", "tests"]].map(([name, one, many]) => [total(counts(summary, name)), one, many]).filter(([count]) => count);
  const sum = (one) => Object.keys(CHANNELS).reduce((total, name) => total + (one[name] || 0), 0);
  const written = summary.days.filter(sum), most = Math.max(...written.map(sum));
  const days = written.map((one) => el("button", { type: "button", onclick: () => filter({ day: one.day }) }, day(one.day),
    el("span.stack", {}, Object.keys(CHANNELS).filter((name) => one[name]).map((name) => el("i", { title: `${one[name]} ${PLURALS[name]}`, style: `width:${100 * one[name] / most}%;background:var(--${name})` }))),
    el("span.sum", {}, number(sum(one)))));
  at("reading").replaceChildren(el("div.sheet", {}, el("h2.subject", {}, "What was sent to customers, and what came back"), el("div.cards", {}, cards),
    others.length ? el("p.quiet", {}, "Not counted here: " + others.map(([count, one, many]) => number(count) + " " + (count === 1 ? one : many)).join(", ") + ".") : null, el("h3", {}, "Day by day"),
    el("div.days", {}, el("div.legend", {}, Object.keys(CHANNELS).map((name) => el("span", {}, el("i", { style: `background:var(--${name})` }), PLURALS[name]))), days)));
}

async function refresh() {
  const summary = await get("/inbox/summary");
  const changed = summary.last !== state.last || summary.clock !== state.clock;
  Object.assign(state, { last: summary.last, clock: summary.clock, summary });
  if (!changed) return;
  tools(summary);
  if (state.offset === 0) await list();
  if (!state.current) overview(summary);
}
function route() {
  const [seq, tab] = location.hash.slice(1).split("/");
  if (["desktop", "phone", "plain", "headers"].includes(tab)) state.tab = tab;
  if (Number(seq)) read(Number(seq));
  else if (state.summary) overview(state.summary);
}
let typing;
at("q").addEventListener("input", (event) => { clearTimeout(typing); typing = setTimeout(() => filter({ q: event.target.value }), 200); });
at("day").addEventListener("change", (event) => filter({ day: event.target.value }));
at("audience").addEventListener("change", (event) => filter({ audience: event.target.value }));
at("came").addEventListener("change", (event) => filter({ came: event.target.value }));
window.addEventListener("hashchange", route);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || !["ArrowDown", "ArrowUp", "j", "k"].includes(event.key)) return;
  const rows = [...document.querySelectorAll(".row")], now = rows.findIndex((one) => Number(one.dataset.seq) === state.current);
  const next = rows[now + (["ArrowDown", "j"].includes(event.key) ? 1 : -1)];
  if (next) { event.preventDefault(); location.hash = next.dataset.seq; next.scrollIntoView({ block: "nearest" }); }
});
refresh().then(route).catch((error) => toast("The sandbox does not answer: " + error.message));
setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, 4000);
