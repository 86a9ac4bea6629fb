// The worker: computes what would keep the page from painting.
import { spectrum } from "./fft.js";
import { profile } from "./profile.js";
import { region } from "./region.js";

const KINDS = { fft: spectrum, profile, region };

self.onmessage = ({ data: { kind, job } }) => {
  self.postMessage({ kind, answer: KINDS[kind](job) });
};
