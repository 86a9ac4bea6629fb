// The little Markdown that model cards are written in, as elements: headings, paragraphs, lists, tables, code, bold,
// italics. Links stay text where they do not lead to this service. Never markup from text.
import { make } from "./dom.js";

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|\[([^\]]+)\]\(([^)]+)\)/;

function inline(text) {
  const parts = [];
  let rest = text;
  for (let match = INLINE.exec(rest); match; match = INLINE.exec(rest)) {
    const [all, code, bold, slanted, words, address] = match;
    parts.push(rest.slice(0, match.index));
    if (code) parts.push(make("code", {}, code));
    else if (bold) parts.push(make("b", {}, ...inline(bold)));
    else if (slanted) parts.push(make("em", {}, ...inline(slanted)));
    else parts.push(address.startsWith("https://") ? `${words} (${address})` : words);
    rest = rest.slice(match.index + all.length);
  }
  return [...parts, rest].filter((part) => part !== "");
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));

function table(lines) {
  const [head, , ...rows] = lines;
  return make("div", { className: "table", tabIndex: 0, role: "region", "aria-label": "Table" }, make("table", {},
    make("thead", {}, make("tr", {}, ...cells(head).map((cell) => make("th", { scope: "col" }, ...inline(cell))))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells(row).map((cell) => make("td", {}, ...inline(cell))))))));
}

// Headings begin at `level`.
export function markdown(text, level = 3) {
  const made = [];
  const lines = text.replaceAll("\r", "").split("\n");
  const while_ = (test) => {
    const taken = [];
    while (lines.length && test(lines[0])) taken.push(lines.shift());
    return taken;
  };
  while (lines.length) {
    const line = lines[0];
    const heading = /^(#{1,6})\s+(.*)/.exec(line);
    if (!line.trim()) lines.shift();
    else if (heading) made.push(make(`h${Math.min(6, level + heading[1].length - 1)}`, {}, ...inline(lines.shift().replace(/^#+\s+/, ""))));
    else if (line.startsWith("```")) {
      lines.shift();
      made.push(make("pre", {}, while_((each) => !each.startsWith("```")).join("\n")));
      lines.shift();
    } else if (line.trim().startsWith("|") && /^[\s|:-]+$/.test(lines[1] ?? "")) made.push(table(while_((each) => each.trim().startsWith("|"))));
    else if (/^\s*([-*]|\d+\.)\s/.test(line)) made.push(list(while_((each) => /^\s*([-*]|\d+\.)\s/.test(each) || /^\s{2,}\S/.test(each))));
    else made.push(make("p", {}, ...inline(while_((each) => each.trim() && !/^(#{1,6}\s|```|\||\s*[-*]\s)/.test(each)).concat(lines[0] === line ? [lines.shift()] : []).join(" "))));
  }
  return made;
}

function list(lines) {
  const items = [];
  for (const line of lines) {
    const begin = /^\s*(?:[-*]|\d+\.)\s+(.*)/.exec(line);
    if (begin) items.push(begin[1]);
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  return make(/^\s*\d/.test(lines[0]) ? "ol" : "ul", {}, ...items.map((item) => make("li", {}, ...inline(item))));
}
