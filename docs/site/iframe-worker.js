// Pages that are read as files (file://) may start no workers, and the search of the site is one: here its script runs in a hidden
// frame of the page instead.  The name is what the plugin `offline` of the theme looks for, which would load such a script from a
// server otherwise.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = inner.document.createElement("script");
      script.src = String(url);
      script.onload = () => {
        const late = this.waiting;
        this.waiting = null;
        late.forEach((data) => this.postMessage(data));
      };
      inner.document.body.appendChild(script);
    }

    postMessage(data) {
      const inner = this.frame.contentWindow;
      if (this.waiting) this.waiting.push(data);
      else inner.dispatchEvent(new inner.MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
