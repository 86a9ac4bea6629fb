// From a value's share of the way from black to white to its place on the colour map: by gamma, or logarithmic.
export const LOG_REACH = 100; // a hundredth of the way from black to white is shown at 15 % of the map

export function tone(share, { gamma, log }) {
  return log ? Math.log1p(LOG_REACH * share) / Math.log1p(LOG_REACH) : share ** (1 / gamma);
}
