// Draws the 2D keypoints of a frame, on its image if there is one.

function color(name) {
  return getComputedStyle(document.documentElement)
      .getPropertyValue(`--${name}`).trim();
}

// The side of the body that a joint is on.
function sideOf(content, joint) {
  if (content.left.includes(joint)) return 'left';
  return content.right.includes(joint) ? 'right' : 'trunk';
}

class Picture {
  constructor(canvas, content, redraw) {
    Object.assign(this, {canvas, content, redraw, images: new Map()});
  }

  // Returns the image of a frame once it is decoded; only a few are kept.
  image(clip, frame) {
    if (!clip.pictures.length) return null;
    const at = Math.floor(frame / clip.step);
    const key = clip.pictures[Math.min(at, clip.pictures.length - 1)];
    if (!this.images.has(key)) {
      if (this.images.size > 60) {
        this.images.delete(this.images.keys().next().value);
      }
      const image = new Image();
      image.onload = () => { this.last = image; this.redraw(); };
      image.src = key;
      this.images.set(key, image);
    }
    const image = this.images.get(key);
    return image.complete && image.naturalWidth ? image : this.last;
  }

  draw(clip, frame) {
    const {canvas, content} = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) ||
        canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const [w, h] = clip.size;
    const scale = Math.min((width - 16) / w, (height - 16) / h);
    const x0 = (width - w * scale) / 2, y0 = (height - h * scale) / 2;
    this.layout = {x0, y0, scale};
    const image = this.image(clip, frame);
    if (image) {
      context.drawImage(image, x0, y0, w * scale, h * scale);
      context.fillStyle = 'rgba(0, 0, 0, 0.15)';
      context.fillRect(x0, y0, w * scale, h * scale);
    } else {
      context.fillStyle = color('back');
      context.fillRect(x0, y0, w * scale, h * scale);
    }
    context.strokeStyle = color('line');
    context.strokeRect(x0, y0, w * scale, h * scale);
    context.save();
    context.beginPath();
    context.rect(x0 - 8, y0 - 8, w * scale + 16, h * scale + 16);
    context.clip();
    context.lineCap = 'round';
    for (const person of clip.people) {
      const row = person.rows[frame];
      if (row < 0 || !person.keypoints) continue;
      const count = content.parents.length;
      const at = (joint) => {
        const i = row * count + joint;
        const x = person.keypoints[2 * i], y = person.keypoints[2 * i + 1];
        if (Number.isNaN(x)) return null;
        return [x0 + x * scale, y0 + y * scale, person.confidence[i]];
      };
      content.parents.forEach((parent, joint) => {
        const end = at(joint);
        if (!end) return;
        const side = sideOf(content, joint);
        const ink = side === 'trunk' && image ? '#ffffff' : color(side);
        const start = parent < 0 ? null : at(parent);
        const alpha = 0.35 + 0.65 * Math.min(1, end[2]);
        context.globalAlpha = alpha;
        if (start) {
          for (const [style, thick] of [[color('panel'), 6], [ink, 3.5]]) {
            context.strokeStyle = style;
            context.lineWidth = thick;
            context.beginPath();
            context.moveTo(start[0], start[1]);
            context.lineTo(end[0], end[1]);
            context.stroke();
          }
        }
        context.fillStyle = ink;
        context.beginPath();
        context.arc(end[0], end[1], 3.5, 0, 2 * Math.PI);
        context.fill();
      });
      context.globalAlpha = 1;
    }
    context.restore();
  }
}
