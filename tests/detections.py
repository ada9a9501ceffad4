"""Makes detections of people as various detectors write them."""

import json

import numpy as np

from semgcn_jax.prepare import views as view_lib

# By hand: where each of our joints is in COCO's 17.
COCO = {
  'Pelvis': (11, 12),
  'RHip': (12,),
  'RKnee': (14,),
  'RAnkle': (16,),
  'LHip': (11,),
  'LKnee': (13,),
  'LAnkle': (15,),
  'Spine': (5, 6, 11, 12),
  'Thorax': (5, 6),
  'Head': (1, 2, 3, 4),
  'LShoulder': (5,),
  'LElbow': (7,),
  'LWrist': (9,),
  'RShoulder': (6,),
  'RElbow': (8,),
  'RWrist': (10,),
}


def people(frames, joints, seed=0):
  """`[frames, joints, 3]`, x, y, confidence."""
  rng = np.random.default_rng(seed)
  points = rng.uniform(100, 900, (frames, joints, 2))
  return np.concatenate(
    [points, rng.uniform(0.5, 1, (frames, joints, 1))], axis=-1
  )


def coco(person):
  """What of 17 joints is expected of the 16."""
  return np.stack(
    [person[:, list(source)].mean(axis=1) for source in COCO.values()], axis=1
  )


def as_coco(person, first=0):
  return [
    {'image_id': i + first, 'category_id': 1, 'keypoints': p.ravel().tolist()}
    for i, p in enumerate(person)
  ]


def as_annotations(person):
  ids = [100 - i for i in range(len(person))]  # In any order.
  return {
    'images': [{'id': n, 'file_name': f'{i}.jpg'} for i, n in enumerate(ids)],
    'annotations': [
      {'image_id': n, 'keypoints': p.ravel().tolist()}
      for n, p in zip(ids, person, strict=True)
    ],
  }


def as_alphapose(person):
  return [
    {
      'image_id': f'{i}.jpg',
      'category_id': 1,
      'keypoints': p.ravel().tolist(),
      'score': 2.9,
      'box': [0, 0, 9, 9],
      'idx': 1,
    }
    for i, p in enumerate(person)
  ]


def as_mmpose(person):
  return {
    'meta_info': {'dataset_name': 'coco'},
    'instance_info': [
      {
        'frame_id': i + 1,
        'instances': [
          {
            'keypoints': p[:, :2].tolist(),
            'keypoint_scores': p[:, 2].tolist(),
            'bbox': [[0, 0, 9, 9]],
            'bbox_score': 0.9,
          }
        ],
      }
      for i, p in enumerate(person)
    ],
  }


def openpose(person):
  return {
    'version': 1.3,
    'people': [
      {'person_id': [-1], 'pose_keypoints_2d': p.ravel().tolist()}
      for p in person
    ],
  }


def write(path, content):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(content))
  return path


def as_mmpose_inferencer(person):
  frames = as_mmpose(person)['instance_info']
  return [{**frame, 'frame_id': i} for i, frame in enumerate(frames)]


def as_alphapose_open(person):
  return {f'{i}.jpg': openpose(p[None]) for i, p in enumerate(person)}


def as_alphapose_cmu(person):
  return {
    f'{i}.jpg': {'version': 0.1, 'bodies': [{'joints': p.ravel().tolist()}]}
    for i, p in enumerate(person)
  }


FORMS = [
  *(as_coco, as_annotations, as_alphapose, as_mmpose),
  *(as_mmpose_inferencer, as_alphapose_open, as_alphapose_cmu),
]


def read_view(paths, joint_set=''):
  """Reads a view that is all there is of a clip, `[T, 16, 3]`."""
  view = view_lib.read_view(paths, joint_set)
  return view_lib.align({0: view})[0][0]
