// Shows the 3D poses of a frame: bodies on the ground.

// The extent of positions along x, y and z.
class Box {
  constructor() {
    this.low = [Infinity, Infinity, Infinity];
    this.high = [-Infinity, -Infinity, -Infinity];
  }

  extend(positions, start, end) {
    for (let i = start; i < end; i++) {
      const axis = (i - start) % 3, x = positions[i];
      if (x < this.low[axis]) this.low[axis] = x;
      if (x > this.high[axis]) this.high[axis] = x;
    }
  }

  add(box) {
    if (!box.middle(null)) return;  // It is empty.
    this.extend(box.low, 0, 3);
    this.extend(box.high, 0, 3);
  }

  middle(otherwise) {
    if (!(this.low[0] <= this.high[0])) return otherwise;
    return this.low.map((x, axis) => (x + this.high[axis]) / 2);
  }

  get reach() {
    const [x, y, z] = this.low.map((low, axis) =>
      Math.max(0, this.high[axis] - low));
    return Math.max(y, Math.hypot(x, z));
  }
}

class Room {
  constructor(element, names, content, redraw) {
    Object.assign(this, {element, names, content, bodies: [], follows: true, ease: 1});
    this.reach = 2;  // The extent of the scene, metres.
    this.renderer = new THREE.WebGLRenderer({antialias: true});
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    element.prepend(this.renderer.domElement);
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(38, 1, 0.05, 80);
    this.controls = new THREE.OrbitControls(
        this.camera, this.renderer.domElement);
    this.controls.maxPolarAngle = 0.52 * Math.PI;
    this.controls.minDistance = 0.5;
    this.controls.addEventListener('change', redraw);
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0xb0b4bc, 2.2));
    this.sun = new THREE.DirectionalLight(0xffffff, 2.2);
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.set(1024, 1024);
    this.sun.shadow.radius = 5;
    this.scene.add(this.sun, this.sun.target);
    this.shade = new THREE.Mesh(new THREE.CircleGeometry(60, 48),
        new THREE.ShadowMaterial({opacity: 0.22}));
    this.shade.rotation.x = -Math.PI / 2;
    this.shade.receiveShadow = true;
    this.scene.add(this.shade);
    this.grid = new THREE.Mesh(new THREE.PlaneGeometry(400, 400),
        new THREE.MeshBasicMaterial());
    this.grid.rotation.x = -Math.PI / 2;
    this.grid.position.y = -0.003;
    this.scene.add(this.grid);
    this.paint();
  }

  // Draws the texture of the ground: tiles of half a metre.
  tiles() {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 128;
    const context = canvas.getContext('2d');
    context.fillStyle = color('back');
    context.fillRect(0, 0, 128, 128);
    context.strokeStyle = color('grid');
    context.lineWidth = 3;
    context.strokeRect(0, 0, 128, 128);
    const texture = new THREE.CanvasTexture(canvas);
    texture.colorSpace = THREE.SRGBColorSpace;
    texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
    texture.repeat.set(800, 800);
    texture.anisotropy = 8;
    return texture;
  }

  // Sets the colors of the page's theme.
  paint() {
    this.scene.background = new THREE.Color(color('back'));
    this.grid.material.map?.dispose();
    this.setFog();
    this.grid.material.map = this.tiles();
    this.grid.material.needsUpdate = true;
    this.bodies.forEach(({own, truth, trail}) => {
      own.paint();
      truth?.paint();
      trail.paint();
    });
  }

  // Builds the bodies of a clip, and frames all of them.
  open(clip) {
    this.cast(clip);
    this.measure(clip);
    this.look(0.42, 0.16);
  }

  // Builds the bodies of the people in a clip.
  cast(clip) {
    this.bodies.forEach((body) => this.dismiss(body));
    this.clip = clip;
    this.bodies = clip.people.map((person) => this.make(person));
  }

  // Shows other poses, and builds the bodies of those who are new.
  recast(clip) {
    const known = new Map(this.bodies.map((body) => [body.person.name, body]));
    this.bodies = clip.people.map((person) => {
      const body = known.get(person.name) || this.make(person);
      known.delete(person.name);
      body.person = person;
      body.own.resize?.(person.positions);
      return body;
    });
    known.forEach((body) => this.dismiss(body));
    this.clip = clip;
  }

  make(person) {
    const name = document.createElement('span');
    name.textContent = person.name;
    this.names.append(name);
    return {
      person, name,
      own: this.content.body
        ? new Skin(this.content, this.scene, person.positions)
        : new Sticks(this.content, this.scene, false),
      truth: person.truth && new Sticks(this.content, this.scene, true),
      trail: new Trail(this.content, this.scene),
    };
  }

  dismiss({own, truth, name, trail}) {
    own.remove(this.scene);
    trail.remove(this.scene);
    truth?.remove(this.scene);
    name.remove();
  }

  // Finds the middle of what is shown and its extent: of all frames, or of the
  // largest one if the camera follows the people.
  measure(clip) {
    const all = new Box();
    let widest = 0;
    const step = Math.max(1, Math.ceil(clip.count / 2000));
    for (let frame = 0; frame < clip.count; frame += step) {
      const box = this.box(clip, frame);
      all.add(box);
      widest = Math.max(widest, box.reach);
    }
    this.middle = all.middle([0, 0.9, 0]);
    this.reach = Math.max(1.9, this.follows ? widest : all.reach);
    this.center(...this.middle);
    this.limit();
  }

  // Sets how far one sees.
  limit() {
    this.controls.maxDistance = 10 * this.reach;
    this.camera.far = 40 * this.reach;
    this.camera.updateProjectionMatrix();
    this.setFog();
  }

  setFog() {
    this.scene.fog = new THREE.Fog(
        this.scene.background, 4 * this.reach, 12 * this.reach);
  }

  // The box around everybody in a frame.
  box(clip, frame) {
    const box = new Box(), size = 3 * this.content.joints.length;
    for (const {rows, positions} of clip.people) {
      const row = rows[frame];
      if (row >= 0) box.extend(positions, row * size, (row + 1) * size);
    }
    return box;
  }

  // Puts floor and light around a place.
  center(x, y, z) {
    this.shade.position.set(x, 0, z);
    this.grid.position.set(Math.round(x), -0.003, Math.round(z));
    this.sun.position.set(x - 2, y + 5, z + 3);
    this.sun.target.position.set(x, 0, z);
    const box = this.sun.shadow.camera;
    box.left = box.bottom = -this.reach;
    box.right = box.top = this.reach;
    box.far = 12 + this.reach;
    box.updateProjectionMatrix();
  }

  // Switches following the people on or off.
  follow(follows) {
    if (follows === this.follows) return;
    this.follows = follows;
    if (!this.clip) return;
    const offset = this.camera.position.clone().sub(this.controls.target);
    const before = this.reach;
    this.measure(this.clip);
    this.controls.target.set(...this.middle);
    this.camera.position.copy(this.controls.target)
        .addScaledVector(offset, this.reach / before);
    this.controls.update();
  }

  // Moves towards an extent of what is shown.
  widen(reach) {
    const before = this.reach;
    this.reach += this.ease * (Math.max(1.9, reach) - before);
    if (Math.abs(this.reach / before - 1) < 1e-3) return;
    this.camera.position.sub(this.controls.target)
        .multiplyScalar(this.reach / before).add(this.controls.target);
    this.limit();
  }

  // Moves along with the middle of the people, averaged over a second, or less
  // near the ends of the clip.
  moveTo(frame) {
    const reach = Math.min(Math.round(this.clip.fps / 2), frame,
        this.clip.count - 1 - frame);
    const step = Math.max(1, Math.floor(reach / 8)), sum = [0, 0];
    let count = 0;
    for (let at = frame - reach; at <= frame + reach; at += step) {
      const middle = this.box(this.clip, at).middle(null);
      if (!middle) continue;
      sum[0] += middle[0];
      sum[1] += middle[2];
      count++;
    }
    if (!count) return;
    if (this.ease < 1) this.widen(this.box(this.clip, frame).reach);
    const move = Sticks.a.set(sum[0] / count - this.middle[0], 0,
        sum[1] / count - this.middle[2]).multiplyScalar(this.ease);
    if (move.length() < 1e-4) return;
    this.middle = move.toArray().map((x, axis) => this.middle[axis] + x);
    this.controls.target.add(move);
    this.camera.position.add(move);
    this.center(...this.middle);
  }

  // Looks at the middle from this azimuth and elevation, radians.
  look(azimuth, elevation) {
    if (!this.middle) return;  // There is no clip.
    const [x, y, z] = this.middle;
    const aspect = this.element.clientWidth / (this.element.clientHeight || 1);
    const distance = this.reach * 1.85 / Math.min(1, aspect * 1.1);
    this.controls.target.set(x, y, z);
    this.camera.position.set(
        x + distance * Math.sin(azimuth) * Math.cos(elevation),
        y + distance * Math.sin(elevation),
        z + distance * Math.cos(azimuth) * Math.cos(elevation));
    this.controls.update();
  }

  draw(frame, {truth: withTruth, trails, follow}) {
    this.follow(follow);
    if (follow) this.moveTo(frame);
    const width = this.element.clientWidth, height = this.element.clientHeight;
    const ratio = this.renderer.getPixelRatio(), canvas = this.renderer.domElement;
    if (canvas.width !== Math.floor(width * ratio) ||
        canvas.height !== Math.floor(height * ratio)) {
      this.renderer.setSize(width, height, false);
      this.camera.aspect = width / Math.max(1, height);
      this.camera.updateProjectionMatrix();
    }
    const size = 3 * this.content.joints.length;
    for (const {person, own, truth, trail} of this.bodies) {
      const row = person.rows[frame];
      const of = (array) =>
        row < 0 ? null : array.subarray(row * size, (row + 1) * size);
      const toes = person.toes && row >= 0
          ? person.toes.subarray(6 * row, 6 * row + 6) : null;
      own.show(of(person.positions), toes);
      truth?.show(withTruth ? of(person.truth) : null);
      trail.show(trails ? person : null, frame, this.clip.fps);
    }
    this.renderer.render(this.scene, this.camera);
    for (const {person, name} of this.bodies) {
      const row = person.rows[frame];
      this.label(name, person.positions, row * size, size);
    }
  }

  // Places a person's name above the head, for the current camera.
  label(name, positions, start, size) {
    name.hidden = this.bodies.length < 2 || start < 0 ||
        Number.isNaN(positions[start]);
    if (name.hidden) return;
    let top = start;
    for (let i = start; i < start + size; i += 3) {
      if (positions[i + 1] > positions[top + 1]) top = i;
    }
    const place = Sticks.a.fromArray(positions, top);
    place.y += 0.15;
    place.project(this.camera);
    name.hidden = place.z > 1;
    name.style.left = `${(place.x + 1) * this.element.clientWidth / 2}px`;
    name.style.top = `${(1 - place.y) * this.element.clientHeight / 2}px`;
  }
}
