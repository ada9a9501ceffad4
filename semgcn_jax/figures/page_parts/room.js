// Shows the 3D poses of a frame: bodies of rounded bones on the ground.

const LIMB = 0.042, TRUNK = 0.065, HEAD = 0.105, THIN = 0.022;  // Metres.

// A body, drawn as instanced meshes: rods for bones, balls for joints.
class Body {
  constructor(content, scene, isTruth) {
    this.content = content;
    this.bones = content.parents.map((p, joint) => [p, joint])
        .filter(([parent]) => parent >= 0);
    const isLeaf = (joint) => !content.parents.includes(joint);
    this.head = content.joints.findIndex((n, j) => n === 'Head' && isLeaf(j));
    const material = new THREE.MeshStandardMaterial({
      roughness: 0.6, metalness: 0, transparent: isTruth,
      opacity: isTruth ? 0.5 : 1, depthWrite: !isTruth,
      depthTest: !isTruth,  // The truth shows through the body.
    });
    const make = (geometry, count) => {
      const mesh = new THREE.InstancedMesh(geometry, material, count);
      mesh.castShadow = !isTruth;
      mesh.frustumCulled = false;
      scene.add(mesh);
      return mesh;
    };
    this.rods = make(new THREE.CylinderGeometry(1, 1, 1, 20, 1, true),
        this.bones.length);
    this.balls = make(new THREE.SphereGeometry(1, 20, 14),
        content.joints.length);
    this.isTruth = isTruth;
    this.paint();
  }

  paint() {
    const {content, isTruth} = this;
    const tint = (joint) => new THREE.Color(
        color(isTruth ? 'truth' : sideOf(content, joint)));
    this.bones.forEach(([, joint], i) => this.rods.setColorAt(i, tint(joint)));
    content.joints.forEach((_, j) => this.balls.setColorAt(j, tint(j)));
    this.rods.instanceColor.needsUpdate = true;
    this.balls.instanceColor.needsUpdate = true;
  }

  radius(joint) {
    if (this.isTruth) return THIN;
    return sideOf(this.content, joint) === 'trunk' ? TRUNK : LIMB;
  }

  // Takes the positions of a frame, or null to hide the body.
  show(positions) {
    const visible = positions !== null && !Number.isNaN(positions[0]);
    this.rods.visible = this.balls.visible = visible;
    if (!visible) return;
    const {a, b, up, turn, size, matrix} = Body;
    this.bones.forEach(([parent, joint], i) => {
      a.fromArray(positions, 3 * parent);
      b.fromArray(positions, 3 * joint).sub(a);
      // The head's bone ends inside the head.
      if (joint === this.head && !this.isTruth) b.multiplyScalar(0.65);
      const length = b.length();
      a.addScaledVector(b, 0.5);
      turn.setFromUnitVectors(up, b.divideScalar(length || 1));
      const radius = joint === this.head && !this.isTruth ? LIMB
          : this.radius(joint);
      size.set(radius, length, radius);
      this.rods.setMatrixAt(i, matrix.compose(a, turn, size));
    });
    turn.identity();
    this.content.joints.forEach((_, joint) => {
      a.fromArray(positions, 3 * joint);
      let radius = this.radius(joint);
      if (joint === this.head && !this.isTruth) {
        b.fromArray(positions, 3 * this.content.parents[joint]);
        a.lerp(b, 0.35);
        radius = HEAD;
      }
      size.set(radius, radius * (radius === HEAD ? 1.15 : 1), radius);
      this.balls.setMatrixAt(joint, matrix.compose(a, turn, size));
    });
    this.rods.instanceMatrix.needsUpdate = true;
    this.balls.instanceMatrix.needsUpdate = true;
  }

  remove(scene) {
    for (const mesh of [this.rods, this.balls]) {
      scene.remove(mesh);
      mesh.geometry.dispose();
      mesh.dispose();
    }
  }
}
Body.a = new THREE.Vector3();
Body.b = new THREE.Vector3();
Body.up = new THREE.Vector3(0, 1, 0);
Body.turn = new THREE.Quaternion();
Body.size = new THREE.Vector3();
Body.matrix = new THREE.Matrix4();

class Room {
  constructor(element, names, content, redraw) {
    Object.assign(this, {element, names, content, bodies: []});
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
    const back = new THREE.Color(color('back'));
    this.scene.background = back;
    this.scene.fog = new THREE.Fog(back, 4 * this.reach, 12 * this.reach);
    this.grid.material.map = this.tiles();
    this.grid.material.needsUpdate = true;
    this.bodies.forEach(({own, truth}) => { own.paint(); truth?.paint(); });
  }

  // Builds the bodies of a clip, and frames all of them.
  open(clip) {
    this.bodies.forEach(({own, truth, name}) => {
      own.remove(this.scene);
      truth?.remove(this.scene);
      name?.remove();
    });
    this.bodies = clip.people.map((person) => {
      let name = null;
      if (clip.people.length > 1) {
        name = document.createElement('span');
        name.textContent = person.name;
        this.names.append(name);
      }
      return {
        person, name, own: new Body(this.content, this.scene, false),
        truth: person.truth && new Body(this.content, this.scene, true),
      };
    });
    const low = [Infinity, Infinity, Infinity], high = low.map((x) => -x);
    for (const person of clip.people) {
      const step = 3 * Math.max(1, Math.ceil(person.positions.length / 60000));
      for (let i = 0; i < person.positions.length; i += step) {
        for (let axis = 0; axis < 3; axis++) {
          const x = person.positions[i + axis];
          if (x < low[axis]) low[axis] = x;
          if (x > high[axis]) high[axis] = x;
        }
      }
    }
    this.middle = low.map((x, axis) =>
      x <= high[axis] ? (x + high[axis]) / 2 : [0, 0.9, 0][axis]);
    const extent = low.map((x, axis) => Math.max(0, high[axis] - x));
    this.reach = Math.max(1.9, extent[1], Math.hypot(extent[0], extent[2]));
    const [x, y, z] = this.middle;
    this.shade.position.set(x, 0, z);
    this.grid.position.set(Math.round(x), -0.003, Math.round(z));
    this.sun.position.set(x - 2, y + 5, z + 3);
    this.sun.target.position.set(x, 0, z);
    const box = this.sun.shadow.camera;
    box.left = box.bottom = -this.reach;
    box.right = box.top = this.reach;
    box.far = 12 + this.reach;
    box.updateProjectionMatrix();
    this.controls.maxDistance = 10 * this.reach;
    this.camera.far = 40 * this.reach;
    this.camera.updateProjectionMatrix();
    this.paint();
    this.look(0.42, 0.16);
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

  draw(frame, withTruth) {
    const width = this.element.clientWidth, height = this.element.clientHeight;
    const ratio = this.renderer.getPixelRatio(), canvas = this.renderer.domElement;
    if (canvas.width !== Math.floor(width * ratio) ||
        canvas.height !== Math.floor(height * ratio)) {
      this.renderer.setSize(width, height, false);
      this.camera.aspect = width / Math.max(1, height);
      this.camera.updateProjectionMatrix();
    }
    const size = 3 * this.content.joints.length;
    for (const {person, own, truth} of this.bodies) {
      const row = person.rows[frame];
      const of = (array) =>
        row < 0 ? null : array.subarray(row * size, (row + 1) * size);
      own.show(of(person.positions));
      truth?.show(withTruth ? of(person.truth) : null);
    }
    this.renderer.render(this.scene, this.camera);
    for (const {person, name} of this.bodies) {
      const row = person.rows[frame];
      if (name) this.label(name, person.positions, row * size, size);
    }
  }

  // Places a person's name above the head, for the current camera.
  label(name, positions, start, size) {
    name.hidden = start < 0 || Number.isNaN(positions[start]);
    if (name.hidden) return;
    let top = start;
    for (let i = start; i < start + size; i += 3) {
      if (positions[i + 1] > positions[top + 1]) top = i;
    }
    const place = Body.a.fromArray(positions, top);
    place.y += 0.15;
    place.project(this.camera);
    name.hidden = place.z > 1;
    name.style.left = `${(place.x + 1) * this.element.clientWidth / 2}px`;
    name.style.top = `${(1 - place.y) * this.element.clientHeight / 2}px`;
  }
}
