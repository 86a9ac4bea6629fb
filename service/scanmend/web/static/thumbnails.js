// Small pictures that need the token: fetched when they come into sight, a few at a time, kept while the view is shown.
import { make } from "./dom.js";
import { objectUrl } from "./api.js";

const AT_ONCE = 3;

export class Thumbnails {
  constructor() {
    this.waiting = [];
    this.busy = 0;
    this.urls = new Map(); // address → object URL
    this.sight = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.want(target);
    });
  }

  // The picture is beside its name and its figures, so it says nothing to a screen reader.
  image(address, alt = "") {
    const image = make("img", { alt, width: 72, height: 72, className: "thumbnail" });
    image.dataset.address = address;
    if (this.urls.has(address)) image.src = this.urls.get(address);
    else this.sight.observe(image);
    return image;
  }

  want(image) {
    this.sight.unobserve(image);
    this.waiting.push(image);
    this.go();
  }

  async go() {
    while (this.busy < AT_ONCE && this.waiting.length) {
      const image = this.waiting.shift();
      if (!image.isConnected) continue;
      this.busy++;
      this.load(image).finally(() => {
        this.busy--;
        this.go();
      });
    }
  }

  async load(image) {
    const { address } = image.dataset;
    try {
      if (!this.urls.has(address)) this.urls.set(address, await objectUrl(address));
      image.src = this.urls.get(address);
    } catch {
      // a recording without a picture
    }
  }

  forget() {
    this.waiting = [];
    for (const url of this.urls.values()) URL.revokeObjectURL(url);
    this.urls.clear();
  }
}
