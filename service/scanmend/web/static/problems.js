// What an operator must know: level, sentence, mend, since when. Errors first, as the service sorts them.
import { since } from "./format.js";

export function showProblems(problems, session) {
  const list = document.getElementById("problems");
  const shown = (problems ?? []).filter((problem) => !problem.session || problem.session === session);
  const rows = shown.map((problem) => {
    const row = document.createElement("li");
    row.className = problem.level;
    const text = document.createElement("b");
    text.textContent = problem.text;
    const mend = document.createElement("span");
    mend.textContent = problem.mend;
    const time = document.createElement("time");
    time.textContent = (problem.count > 1 ? `${problem.count} times, ` : "") + since(problem.since_unix_s);
    const level = document.createElement("span");
    level.className = "unseen";
    level.textContent = `${problem.level}: `;
    row.append(level, text, mend, time);
    return row;
  });
  const same = rows.length === list.children.length && rows.every((row, i) => row.textContent === list.children[i].textContent);
  if (!same) list.replaceChildren(...rows); // a screen reader hears only what changed
}
