// What this browser remembers between visits: theme, sound, the operator's name. A browser that forbids storage forgets.
const PREFIX = "scanmend-";

export function recall(key, otherwise) {
  try {
    return localStorage.getItem(PREFIX + key) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // forbidden: it holds for this visit
  }
}
