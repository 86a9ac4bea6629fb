// Numbers and times as people read them.
export function figure(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en").replaceAll(",", " ");
  if (size === 0) return "0";
  if (size < 0.001) return value.toExponential(1);
  return String(Number(value.toPrecision(digits)));
}

// A count that stays narrow: 9 999, 12.3 k, 4.56 M.
export function count(value) {
  if (value < 10000) return figure(value);
  return value < 1e6 ? `${(value / 1e3).toPrecision(3)} k` : `${(value / 1e6).toPrecision(3)} M`;
}

export function rate(value) {
  return value === undefined ? "–" : value >= 100 ? Math.round(value).toString() : value.toFixed(1);
}

export function milliseconds(value) {
  return value === undefined ? "–" : value >= 10 ? Math.round(value).toString() : value.toFixed(1);
}

export function since(unixS, nowS = Date.now() / 1000) {
  const s = Math.max(0, nowS - unixS);
  if (s < 5) return "now";
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return `${Math.round(s / 3600)} h`;
}

export const sum = (counts) => Object.values(counts ?? {}).reduce((total, count) => total + count, 0);

export const words = (code) => code.replaceAll("_", " ");

// Whose word a problem is, where it is not the service's own.
export const reporter = ({ reported_by, client }) =>
  reported_by === "microscope" ? `(reported by the microscope’s software${client ? `, ${client}` : ""})` : "";

// A size with three digits in powers of 1000, as disks are sold.
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes ?? 0;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit ? value.toPrecision(3) : value} ${units[unit]}`;
}
