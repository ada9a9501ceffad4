// Bodies: a skin that moves with a person's joints, or rods and balls where
// joints are not a person's.

const LIMB = 0.042, TRUNK = 0.065, HEAD = 0.105, THIN = 0.022;  // Metres.

// Rods for bones and balls for joints.
class Sticks {
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
    const slim = this.content.radius;
    if (this.isTruth) return slim ? Math.min(THIN, slim / 2) : THIN;
    if (slim) return Math.min(LIMB, slim);
    return sideOf(this.content, joint) === 'trunk' ? TRUNK : LIMB;
  }

  // Takes the positions of a frame, or null to hide the body.
  show(positions) {
    const visible = positions !== null && !Number.isNaN(positions[0]);
    this.rods.visible = this.balls.visible = visible;
    if (!visible) return;
    const {a, b, up, turn, size, matrix} = Sticks;
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
      mesh.material.dispose();
      mesh.dispose();
    }
  }
}
Sticks.a = new THREE.Vector3();
Sticks.b = new THREE.Vector3();
Sticks.up = new THREE.Vector3(0, 1, 0);
Sticks.turn = new THREE.Quaternion();
Sticks.size = new THREE.Vector3();
Sticks.matrix = new THREE.Matrix4();

// Dots where the feet were in the last seconds.
const TRAIL = 2, DOTS = 240, DOT = 0.011;  // Seconds; dots a foot; metres.

class Trail {
  constructor(content, scene) {
    this.feet = content.joints.flatMap((name, joint) =>
      /Ankle$/.test(name) ? [joint] : []);
    this.count = content.joints.length;
    this.content = content;
    this.dots = this.feet.map(() => {
      const mesh = new THREE.InstancedMesh(new THREE.SphereGeometry(DOT, 8, 6),
          new THREE.MeshBasicMaterial(), DOTS);
      mesh.frustumCulled = false;
      mesh.count = 0;
      scene.add(mesh);
      return mesh;
    });
    this.paint();
  }

  paint() {
    this.dots.forEach((mesh, i) =>
      mesh.material.color.set(color(sideOf(this.content, this.feet[i]))));
  }

  // Takes the person, or null to hide the trail.
  show(person, frame, fps) {
    const last = person ? person.rows[frame] : -1;
    const step = Math.max(1, Math.ceil(TRAIL * fps / DOTS));
    this.dots.forEach((mesh, i) => {
      mesh.count = 0;
      for (let t = frame; last >= 0 && t > frame - TRAIL * fps && t >= 0; t -= step) {
        const row = person.rows[t];
        if (row < 0 || mesh.count === DOTS) break;
        const at = 3 * (row * this.count + this.feet[i]);
        if (Number.isNaN(person.positions[at])) continue;
        Sticks.matrix.makeTranslation(...person.positions.subarray(at, at + 3));
        mesh.setMatrixAt(mesh.count++, Sticks.matrix);
      }
      mesh.instanceMatrix.needsUpdate = true;
    });
  }

  remove(scene) {
    for (const mesh of this.dots) {
      scene.remove(mesh);
      mesh.geometry.dispose();
      mesh.material.dispose();
      mesh.dispose();
    }
  }
}

// The body of `content.body`, whose bones turn as those of the rig (rig.py), and
// are stretched to the positions.
class Skin {
  // Takes positions from which to measure the person's size.
  constructor(content, scene, positions) {
    const {body} = content;
    this.body = body;
    this.bones = body.joints.map(() => new THREE.Bone());
    this.turns = body.joints.map(() => new THREE.Quaternion());
    this.rest = body.rest.map((place) => new THREE.Vector3(...place));
    // From each joint to the one at which it aims, in the rest pose.
    this.aims = body.targets.map((target, joint) =>
      target < 0 ? null : this.rest[target].clone().sub(this.rest[joint]));
    const at = (name) => body.joints.indexOf(name);
    this.named = Object.fromEntries(
        ['LHip', 'RHip', 'LShoulder', 'RShoulder', 'Pelvis', 'Spine'].map(
            (name) => [name, at(name)]));
    this.ankles = ['RAnkle', 'LAnkle'].map(at);
    this.toes = new THREE.Vector3(...body.toes).normalize();
    this.length = body.parents.reduce((sum, parent, joint) =>
      parent < 0 ? sum : sum + this.rest[joint].distanceTo(this.rest[parent]), 0);
    this.size = this.measure(positions);
    this.materials = body.parts.map(() =>
      new THREE.MeshStandardMaterial({roughness: 0.65, metalness: 0}));
    const geometry = new THREE.BufferGeometry();
    const count = body.points.length / 3;
    geometry.setAttribute('position', new THREE.BufferAttribute(body.points, 3));
    const joints = new Uint8Array(4 * count);
    const weights = new Float32Array(4 * count);
    for (let i = 0; i < count; i++) {
      joints[4 * i] = body.owners[i];
      weights[4 * i] = 1;
    }
    geometry.setAttribute('skinIndex', new THREE.BufferAttribute(joints, 4));
    geometry.setAttribute('skinWeight', new THREE.BufferAttribute(weights, 4));
    geometry.setIndex(
        new THREE.BufferAttribute(Uint16Array.from(body.triangles), 1));
    geometry.computeVertexNormals();
    body.parts.forEach(([, start, length], i) =>
      geometry.addGroup(start, length, i));
    this.mesh = new THREE.SkinnedMesh(geometry, this.materials);
    const still = this.bones.map(() => new THREE.Matrix4());
    this.mesh.bind(new THREE.Skeleton(this.bones, still), new THREE.Matrix4());
    this.mesh.castShadow = true;
    this.mesh.frustumCulled = false;
    scene.add(this.mesh);
    this.paint();
  }

  paint() {
    this.body.parts.forEach(([side], i) =>
      this.materials[i].color.set(color(`solid-${side}`)));
  }

  // The median size of a person over some of their poses; 1 is the rest pose's.
  measure(positions) {
    const {parents, sources} = this.body, sizes = [];
    const count = 3 * (1 + Math.max(...sources));
    const step = count * Math.max(1, Math.floor(positions.length / count / 50));
    const a = new THREE.Vector3(), b = new THREE.Vector3();
    for (let start = 0; start < positions.length; start += step) {
      const size = parents.reduce((sum, parent, joint) => parent < 0 ? sum :
        sum + a.fromArray(positions, start + 3 * sources[joint]).distanceTo(
            b.fromArray(positions, start + 3 * sources[parent])), 0);
      if (!Number.isNaN(size)) sizes.push(size / this.length);
    }
    return sizes.sort((x, y) => x - y)[Math.floor(sizes.length / 2)] || 1;
  }

  // Moves towards the size of another pose, as a single one may be wrong.
  resize(positions) {
    this.size += 0.1 * (this.measure(positions) - this.size);
  }

  // Takes the positions of a frame, or null to hide the body, and the right and
  // left toes, or null if they are not known.
  show(positions, toes) {
    this.mesh.visible = positions !== null && !Number.isNaN(positions[0]);
    if (!this.mesh.visible) return;
    const {sources, parents, targets, joints} = this.body, {named} = this;
    const at = (joint, vector) => vector.fromArray(positions, 3 * sources[joint]);
    const between = (from, to, vector) =>
      at(to, vector).sub(at(from, Skin.spare));
    const {a, b, c, turn, basis} = Skin;
    const {size} = this;
    const across = between(named.RHip, named.LHip, Skin.across);
    const shoulders =
        between(named.RShoulder, named.LShoulder, Skin.shoulders);
    joints.forEach((name, joint) => {
      const world = this.turns[joint], aim = this.aims[joint];
      let stretch = size, along = aim;
      if (parents[joint] < 0) {
        // Along the hips, and then upwards along the spine.
        a.copy(across);
        stretch = a.length() / this.rest[named.LHip].distanceTo(
            this.rest[named.RHip]);
        along = Skin.left;
        c.crossVectors(a, between(named.Pelvis, named.Spine, b));
        if (c.length() < 1e-9) c.set(0, 0, 1);
        b.crossVectors(c, a);
        basis.makeBasis(a.normalize(), b.normalize(), c.normalize());
        world.setFromRotationMatrix(basis);
      } else {
        world.copy(this.turns[parents[joint]]);
      }
      if (aim) {
        between(joint, targets[joint], a);
        stretch = a.length() / aim.length();
        b.copy(aim).normalize().applyQuaternion(world);
        world.premultiply(turn.setFromUnitVectors(b, a.normalize()));
      }
      const foot = toes ? this.ankles.indexOf(joint) : -1;
      if (foot >= 0) {
        a.fromArray(toes, 3 * foot).sub(at(joint, b));
        if (a.length() > 1e-6) {  // Not so if it is NaN.
          b.copy(this.toes).applyQuaternion(world);
          world.premultiply(turn.setFromUnitVectors(b, a.normalize()));
        }
      }
      if (joint === named.Spine) {
        // The chest turns about the spine to face along the shoulders.
        a.copy(shoulders).applyQuaternion(turn.copy(world).invert());
        const angle = Math.hypot(a.x, a.z) > 1e-6 ? Math.atan2(-a.z, a.x) : 0;
        world.multiply(turn.setFromAxisAngle(Skin.up, angle));
      }
      this.place(joint, at(joint, c), size, stretch, along);
    });
  }

  // Moves a bone to a place; it is `size` times as large as at rest, and
  // `stretch` times as long along a vector.
  place(joint, place, size, stretch, along) {
    const {a, basis} = Skin, matrix = this.bones[joint].matrixWorld;
    a.set(0, 0, 0);
    if (along) a.copy(along).normalize();
    const more = stretch - size, [x, y, z] = [a.x, a.y, a.z];
    basis.set(
        size + more * x * x, more * x * y, more * x * z, 0,
        more * y * x, size + more * y * y, more * y * z, 0,
        more * z * x, more * z * y, size + more * z * z, 0,
        0, 0, 0, 1);
    matrix.makeRotationFromQuaternion(this.turns[joint]).multiply(basis);
    a.copy(this.rest[joint]).applyMatrix4(matrix);
    matrix.setPosition(place.sub(a));
  }

  remove(scene) {
    scene.remove(this.mesh);
    this.mesh.geometry.dispose();
    this.mesh.skeleton.dispose();
    this.materials.forEach((material) => material.dispose());
  }
}
for (const name of ['a', 'b', 'c', 'across', 'shoulders', 'spare']) Skin[name] = new THREE.Vector3();
Skin.up = new THREE.Vector3(0, 1, 0);
Skin.left = new THREE.Vector3(1, 0, 0);
Skin.turn = new THREE.Quaternion();
Skin.basis = new THREE.Matrix4();
