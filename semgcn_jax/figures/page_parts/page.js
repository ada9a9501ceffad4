// The page: its state (the clip and frame shown), and its controls.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const find = (id) => document.getElementById(id);

class Page {
  constructor(content) {
    this.content = content;
    this.state = {clip: 0, frame: 0, playing: false, speed: 1};
    this.times = [];  // Script time of recent frames, milliseconds.
    this.wanted = false;
    const redraw = () => this.request();
    this.picture = new Picture(find('picture'), content, redraw);
    try {
      this.room = new Room(find('room'), find('names'), content, redraw);
    } catch (error) {
      this.tell('The 3D view needs WebGL, which this browser does not support.');
    }
    find('title').textContent = content.title;
    content.clips.forEach((clip, i) =>
      find('clip').append(new Option(clip.name, i)));
    SPEEDS.forEach((speed) => find('speed').append(
        new Option(`${speed}×`, speed, speed === 1, speed === 1)));
    find('clip-label').hidden = content.clips.length < 2;
    this.listen();
    this.open(0);
  }

  get clip() { return this.content.clips[this.state.clip]; }

  tell(message) {
    find('message').textContent = message;
    find('message').hidden = !message;
  }

  open(index) {
    Object.assign(this.state, {clip: index, frame: 0});
    find('clip').value = index;
    const {clip} = this;
    const has = (name) => clip?.people.some((person) => person[name]);
    find('flat').hidden = !has('keypoints') && !clip?.pictures.length;
    find('truth-label').hidden = find('legend-truth').hidden = !has('truth');
    find('legend-sides').hidden = !this.content.left.length;
    find('trails-label').hidden =
      !this.content.joints.some((name) => /Ankle$/.test(name));
    find('errors-label').hidden = !has('truth') && !has('expected');
    find('scrub').max = Math.max(0, (clip?.count || 0) - 1);
    for (const id of ['play', 'scrub']) {
      find(id).disabled = !clip || clip.count < 2;
    }
    find('note').textContent = clip?.note || '';
    if (!clip?.people.length || !clip.count) this.tell('There is nobody in this clip.');
    else if (this.room) this.tell('');
    if (clip) this.room?.open(clip);
    this.seek(0);
  }

  seek(frame) {
    const last = Math.max(0, (this.clip?.count || 0) - 1);
    this.state.frame = Math.min(last, Math.max(0, Math.floor(frame)));
    this.clock = this.state.frame;
    this.request();
  }

  play(playing) {
    this.state.playing = playing && this.clip?.count > 1;
    find('play').textContent = this.state.playing ? '❚❚' : '▶';
    find('play').ariaLabel = this.state.playing ? 'Pause' : 'Play';
    this.before = null;
    this.request();
  }

  setSpeed(speed) {
    this.state.speed = speed;
    find('speed').value = speed;
  }

  // Draws once in the browser's next frame, however often it is called.
  request() {
    if (this.wanted) return;
    this.wanted = true;
    requestAnimationFrame((now) => {
      this.wanted = false;
      const began = performance.now();
      this.advance(now);
      this.draw();
      this.times.push(performance.now() - began);
      if (this.times.length > 1000) this.times.shift();
      if (this.state.playing) this.request();
    });
  }

  advance(now) {
    const {state, clip} = this;
    if (!state.playing) return;
    if (this.before !== null) {
      const passed = Math.min(now - this.before, 200) / 1000;
      this.clock += passed * clip.fps * state.speed;
      if (this.clock >= clip.count) this.clock %= clip.count;
      state.frame = Math.floor(this.clock);
    }
    this.before = now;
  }

  draw() {
    const {state, clip} = this;
    if (!clip) return;
    find('scrub').value = state.frame;
    find('frame').textContent = clip.count ?
      `${clip.first + state.frame}  ·  ${(state.frame / clip.fps).toFixed(2)} s`
      : '';
    if (!find('flat').hidden) this.picture.draw(clip, state.frame);
    this.room?.draw(state.frame, {
      truth: find('truth').checked, trails: find('trails').checked,
      follow: find('follow').checked,
    });
    this.drawErrors();
  }

  // Lists the joint errors of the first person in the frame.
  drawErrors() {
    const panel = find('errors'), {clip, state, content} = this;
    const person = clip.people.find((p) => p.rows[state.frame] >= 0);
    panel.hidden = !find('list').checked || !person ||
      !(person.truth || person.expected);
    if (panel.hidden) return;
    const count = content.joints.length, row = person.rows[state.frame];
    const errors = content.joints.map((_, joint) => {
      const i = row * count + joint;
      if (!person.truth) return 1000 * person.expected[i];
      return 1000 * this.content.unit * Math.hypot(...[0, 1, 2].map((axis) =>
        person.positions[3 * i + axis] - person.truth[3 * i + axis]));
    });
    const digits = content.unit < 1 ? 1 : 0;
    const mean = errors.reduce((sum, x) => sum + x, 0) / count;
    const title = document.createElement('b');
    title.textContent = (person.truth ? 'Error' : 'Expected error') +
      `: ${Number.isNaN(mean) ? '–' : mean.toFixed(digits)} mm` +
      (clip.people.length > 1 ? ` (${person.name})` : '');
    panel.replaceChildren(title, ...errors.map((error, joint) => {
      const line = document.createElement('div');
      const [name, track, bar, number] =
        ['span', 'span', 'i', 'span'].map((tag) => document.createElement(tag));
      name.textContent = content.joints[joint];
      track.className = 'track';
      track.append(bar);
      bar.style.width = `${Math.min(100, error / 2 / content.unit) || 0}%`;
      bar.style.background = `var(--${sideOf(content, joint)})`;
      number.textContent = Number.isNaN(error) ? '–' : error.toFixed(digits);
      line.append(name, track, number);
      return line;
    }));
  }

  toggle(id) {
    find(id).checked = !find(id).checked;
    this.request();
  }

  listen() {
    find('play').onclick = () => this.play(!this.state.playing);
    find('scrub').oninput = () => {
      this.play(false);
      this.seek(+find('scrub').value);
    };
    find('speed').onchange = () => this.setSpeed(+find('speed').value);
    find('clip').onchange = () => this.open(+find('clip').value);
    for (const id of ['truth', 'list', 'follow', 'trails']) {
      find(id).onchange = () => this.request();
    }
    const views = {
      front: [0, 0.02], side: [Math.PI / 2, 0.05], top: [0, 1.5],
    };
    for (const [id, view] of Object.entries(views)) {
      find(id).onclick = () => this.room?.look(...view);
    }
    const step = (frames) => () => {
      this.play(false);
      this.seek(this.state.frame + frames);
    };
    const faster = (by) => () => {
      const at = SPEEDS.indexOf(this.state.speed) + by;
      this.setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at))]);
    };
    const other = (by) => () => {
      const count = this.content.clips.length;
      if (count > 1) this.open((this.state.clip + by + count) % count);
    };
    const keys = {
      ' ': () => this.play(!this.state.playing),
      ArrowLeft: step(-1), ArrowRight: step(1), Home: step(-Infinity),
      PageUp: step(-10), PageDown: step(10), End: step(Infinity),
      '+': faster(1), '-': faster(-1), n: other(1), p: other(-1),
      g: () => this.toggle('truth'), e: () => this.toggle('list'),
      f: () => this.toggle('follow'), w: () => this.toggle('trails'),
      c: () => find('front').click(), s: () => find('side').click(),
      t: () => find('top').click(),
    };
    window.addEventListener('keydown', (event) => {
      const act = keys[event.key] || keys[event.key.toLowerCase()];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      const {tagName, type, id} = event.target;
      if (tagName === 'SELECT') return;
      // The space bar activates the focused control.
      const presses = tagName === 'BUTTON' || type === 'checkbox';
      if (event.key === ' ' && presses && id !== 'play') return;
      event.preventDefault();
      act();
    });
    window.addEventListener('resize', () => this.request());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.room?.paint();
      this.request();
    });
  }
}
