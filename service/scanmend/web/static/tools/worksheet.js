// Hands heavy work to a worker, one piece of a kind at a time: what is asked meanwhile waits, and only the newest of it.
const LEAST_MS = 200; // between two pieces of one kind; more a second nobody reads

export class Worksheet {
  constructor() {
    this.kinds = {};
    this.worker = null;
  }

  // Compute `kind` of work.js from {planes: {name: plane}, …}; `done(answer)` is called once for each that is not overtaken.
  ask(kind, job, done) {
    const line = (this.kinds[kind] ??= { busy: false, next: null, at: 0, timer: 0 });
    line.next = { job, done };
    this.go(kind);
  }

  go(kind) {
    const line = this.kinds[kind];
    if (line.busy || !line.next || line.timer) return;
    const wait = line.at + LEAST_MS - performance.now();
    if (wait > 0) {
      line.timer = setTimeout(() => {
        line.timer = 0;
        this.go(kind);
      }, wait);
      return;
    }
    const { job, done } = line.next;
    Object.assign(line, { busy: true, next: null, at: performance.now(), done });
    // Copies: the plane is a view of the whole message, all of which would be sent with it.
    const planes = Object.fromEntries(Object.entries(job.planes).filter(([, plane]) => plane)
      .map(([name, plane]) => [name, { ...plane, numbers: plane.numbers.slice() }]));
    this.open().postMessage({ kind, job: { ...job, planes } }, Object.values(planes).map(({ numbers }) => numbers.buffer));
  }

  open() {
    if (this.worker) return this.worker;
    this.worker = new Worker("/static/tools/work.js", { type: "module" });
    this.worker.onmessage = ({ data: { kind, answer } }) => {
      const line = this.kinds[kind];
      line.busy = false;
      line.done(answer);
      this.go(kind);
    };
    return this.worker;
  }
}
