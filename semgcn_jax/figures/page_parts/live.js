// Shows the poses that a server on this computer sends, as they come.

class Live {
  constructor(page) {
    this.page = page;
    this.clip = page.clip;
    this.count = 0;
    this.tell('Waiting for the camera.');
    this.source = new EventSource('poses');
    this.source.onmessage = (event) => this.take(JSON.parse(event.data));
    this.source.onerror = () => {
      this.show([]);
      this.tell('The program has ended.');
    };
  }

  tell(message) {
    if (this.page.room) this.page.tell(message);
  }

  take(message) {
    const {clip} = this;
    clip.size = message.size;
    clip.pictures = [message.picture];
    this.show(message.people.map((person) => ({
      name: person.name, rows: Int32Array.of(0),
      positions: Float32Array.from(person.positions, (x) => x / 1000),
      keypoints: Float32Array.from(person.keypoints, (x) => x ?? NaN),
      confidence: Float32Array.from(person.confidence),
      expected: Float32Array.from(person.expected, (x) => x / 1000),
    })));
    find('note').textContent = message.note;
    this.tell(clip.people.length ? '' : 'Nobody is in view.');
    this.count++;
    this.delay = Date.now() - message.taken;  // Milliseconds.
  }

  show(people) {
    const {page, clip} = this;
    clip.people = people;
    // The room is made for those who come first.
    if (people.length && !this.framed) page.room?.open(clip);
    else page.room?.recast(clip);
    this.framed ||= people.length > 0;
    page.request();
  }
}

readClips().then((content) => {
  content.clips = [{
    name: '', fps: 1, first: 0, count: 1, size: [16, 9], note: '', people: [],
    pictures: [], step: 1,
  }];
  window.page = new Page(content);
  if (window.page.room) window.page.room.ease = 0.15;
  find('flat').hidden = find('errors-label').hidden = false;
  for (const id of ['bar', 'trails-label', 'speed-label']) find(id).hidden = true;
  window.live = new Live(window.page);
}, (error) => {
  find('message').textContent = `The page cannot be read: ${error}`;
  find('message').hidden = false;
});
