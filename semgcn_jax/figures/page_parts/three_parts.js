// The parts of three.js that the page uses; make_three.sh bundles them.
export {
  Bone, BufferAttribute, BufferGeometry, CanvasTexture, CircleGeometry, Color,
  CylinderGeometry, DirectionalLight, Fog, HemisphereLight, InstancedMesh,
  Matrix4, Mesh, MeshBasicMaterial, MeshStandardMaterial, PCFShadowMap,
  PerspectiveCamera, PlaneGeometry, Quaternion, RepeatWrapping, SRGBColorSpace,
  Scene, ShadowMaterial, Skeleton, SkinnedMesh, SphereGeometry, Vector3,
  WebGLRenderer,
} from 'three';
export {OrbitControls} from 'three/examples/jsm/controls/OrbitControls.js';
