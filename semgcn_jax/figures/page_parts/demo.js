// Lifts dragged and recorded keypoints; the exported network runs in the page.

const REACH = 16;  // The reach of a keypoint's handle, screen pixels.

class Demo {
  // The settings are the recorded keypoints, their names, the keypoints that
  // each joint derives from, the image size, the frame rate, and the size of the
  // state of a stream, or 0.
  constructor(page, settings) {
    Object.assign(this, {page, settings, waiting: false, runs: 0});
    this.reset();
    const draw = page.picture.draw.bind(page.picture);
    page.picture.draw = (clip, frame) => {
      draw(clip, frame);
      this.drawHandles();
    };
    this.listen(page.picture.canvas);
  }

  async load() {
    const bundle = new Blob([new TextDecoder().decode(await unpack('runtime'))],
        {type: 'text/javascript'});
    this.ort = await import(URL.createObjectURL(bundle));
    this.ort.env.wasm.numThreads = 1;
    this.ort.env.wasm.wasmBinary = await unpack('wasm');
    this.session = await this.ort.InferenceSession.create(await unpack('model'));
    await this.lift();
    this.page.room?.open(this.page.clip);  // Centers on the lifted pose.
    if (this.settings.state || this.isRecorded) {
      setInterval(() => this.tick(), 1000 / this.settings.rate);
    }
  }

  get isRecorded() { return this.settings.recording.length > 1; }

  reset() {
    this.frame = 0;
    this.show(0);
    this.state = new Float32Array(this.settings.state);
    this.play(this.isRecorded);
  }

  show(frame) {
    this.points = this.settings.recording[frame].map((point) => [...point]);
  }

  play(playing) {
    this.playing = playing;
    find('recording').textContent = playing ? 'Pause' : 'Play the recording';
  }

  // A stream goes on when nothing moves; it misses frames if it is late.
  tick() {
    if (this.waiting) return;
    if (this.playing) {
      this.frame = (this.frame + 1) % this.settings.recording.length;
      this.show(this.frame);
      if (!this.frame) this.state.fill(0);
    }
    if (this.playing || this.settings.state) this.lift();
  }

  // Lifts what was dragged, at once if there is no stream that will.
  moved() {
    this.play(false);
    if (this.settings.state) this.page.request();
    else this.lift();
  }

  // Lifts the current keypoints, and again if they move meanwhile.
  async lift() {
    if (!this.session) return;  // `load` lifts once it is ready.
    if (this.waiting) {
      this.again = true;
      return;
    }
    this.waiting = true;
    try {
      do {
        this.again = false;
        await this.run();
      } while (this.again);
    } finally {
      this.waiting = false;
    }
  }

  async run() {
    const [width, height] = this.settings.size, {ort} = this;
    const tensor = (values, shape) =>
      new ort.Tensor('float32', Float32Array.from(values), shape);
    const feeds = {
      keypoints: tensor(this.points.flat(), [1, this.points.length, 3]),
      image_size: tensor([width, height], [1, 2]),
      focal_length: tensor([0], [1]),
      center: tensor([width / 2, height / 2], [1, 2]),
    };
    const {state} = this;
    if (state.length) feeds.state = tensor(state, [1, state.length]);
    const {poses, errors, next_state} = await this.session.run(feeds);
    // Unless it was reset meanwhile.
    if (next_state && state === this.state) this.state = next_state.data;
    if (Number.isNaN(poses.data[0])) return;  // Too few keypoints are shown.
    this.pose = poses.data;
    this.runs++;
    const person = this.page.clip.people[0];
    // For a level camera: y up, z towards it, the lowest joint on the ground.
    const lowest = Math.max(
        ...this.pose.filter((_, i) => i % 3 === 1));
    person.positions = this.pose.map((value, i) =>
      [value, this.settings.sole + lowest - value, -value][i % 3]);
    person.expected = errors.data;
    person.keypoints = new Float32Array(2 * this.settings.sources.length);
    person.confidence = new Float32Array(this.settings.sources.length);
    this.settings.sources.forEach((sources, joint) => {
      const found = sources.map((i) => this.points[i]).filter((p) => p[2] > 0);
      const mean = (axis) =>
        found.reduce((sum, p) => sum + p[axis], 0) / found.length;
      person.keypoints[2 * joint] = mean(0);  // NaN if none was found.
      person.keypoints[2 * joint + 1] = mean(1);
      person.confidence[joint] = found.length / sources.length;
    });
    this.page.request();
  }

  drawHandles() {
    const {canvas, layout} = this.page.picture;
    const context = canvas.getContext('2d');
    this.points.forEach(([x, y, sure], i) => {
      context.beginPath();
      context.arc(layout.x0 + x * layout.scale, layout.y0 + y * layout.scale,
          i === this.held ? 8 : 6, 0, 2 * Math.PI);
      context.fillStyle = sure > 0 ? color('panel') : 'transparent';
      context.strokeStyle = color(sure > 0 ? 'ink' : 'truth');
      context.lineWidth = 2;
      context.fill();
      context.stroke();
    });
    if (this.held !== undefined) {
      const [x, y] = this.points[this.held];
      context.fillStyle = color('ink');
      context.font = '13px system-ui, sans-serif';
      context.fillText(this.settings.names[this.held].replaceAll('_', ' '),
          layout.x0 + x * layout.scale + 12, layout.y0 + y * layout.scale - 8);
    }
  }

  // Returns the pointer's position in the image, and the keypoint under it.
  at(event) {
    const {canvas, layout} = this.page.picture;
    const box = canvas.getBoundingClientRect();
    const x = (event.clientX - box.left - layout.x0) / layout.scale;
    const y = (event.clientY - box.top - layout.y0) / layout.scale;
    let nearest, least = REACH / layout.scale;
    this.points.forEach(([px, py], i) => {
      const distance = Math.hypot(px - x, py - y);
      if (distance < least) [nearest, least] = [i, distance];
    });
    return {x, y, nearest};
  }

  listen(canvas) {
    canvas.style.touchAction = 'none';
    canvas.style.cursor = 'grab';
    canvas.onpointerdown = (event) => {
      this.held = this.at(event).nearest;
      if (this.held !== undefined) canvas.setPointerCapture(event.pointerId);
      this.page.request();
    };
    canvas.onpointermove = (event) => {
      if (this.held === undefined) return;
      const {x, y} = this.at(event), [width, height] = this.settings.size;
      const point = this.points[this.held];
      point[0] = Math.min(width, Math.max(0, x));
      point[1] = Math.min(height, Math.max(0, y));
      this.moved();
    };
    canvas.onpointerup = canvas.onpointercancel = () => {
      this.held = undefined;
      this.page.request();
    };
    canvas.ondblclick = (event) => {
      const {nearest} = this.at(event);
      if (nearest === undefined) return;
      const point = this.points[nearest];
      point[2] = point[2] > 0 ? 0 : 1;
      this.moved();
    };
    find('recording').hidden = !this.isRecorded;
    find('recording').onclick = () => this.play(!this.playing);
    find('reset').onclick = () => {
      this.reset();
      this.lift();
    };
  }
}

readClips().then(async (content) => {
  window.page = new Page(content);
  find('bar').hidden = true;
  find('speed-label').hidden = true;
  const settings = JSON.parse(find('settings').textContent);
  window.demo = new Demo(window.page, settings);
  await window.demo.load();
}).catch((error) => {
  find('message').textContent = `The network cannot be run: ${error}`;
  find('message').hidden = false;
});
