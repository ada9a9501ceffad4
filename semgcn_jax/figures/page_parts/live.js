// Shows the poses that a server on this computer sends, as they come.

class Live {
  constructor(page) {
    this.page = page;
    this.clip = page.clip;
    this.count = 0;
    this.source = new EventSource('poses');
    this.source.onmessage = (event) => this.take(JSON.parse(event.data));
    this.source.onerror = () => page.tell('The camera is off.');
  }

  take(message) {
    const {page, clip} = this;
    const numbers = (people) => people.map((person) => person.name).join();
    const before = numbers(clip.people);
    clip.size = message.size;
    clip.pictures = [message.picture];
    clip.people = message.people.map((person) => ({
      name: person.name, rows: Int32Array.of(0),
      positions: Float32Array.from(person.positions, (x) => x / 1000),
      keypoints: Float32Array.from(person.keypoints, (x) => x ?? NaN),
      confidence: Float32Array.from(person.confidence),
      expected: Float32Array.from(person.expected, (x) => x / 1000),
    }));
    if (numbers(clip.people) !== before) page.room?.cast(clip);
    else page.room?.recast(clip);
    find('note').textContent = message.note;
    page.tell('');
    page.request();
    this.count++;
    this.delay = Date.now() - message.taken;  // Milliseconds.
  }
}

readClips().then((content) => {
  content.clips = [{
    name: '', fps: 1, first: 0, count: 1, size: [16, 9], note: '', people: [],
    pictures: [], step: 1,
  }];
  window.page = new Page(content);
  window.page.room && (window.page.room.ease = 0.15);
  find('bar').hidden = find('flat').hidden = false;
  for (const id of ['bar', 'trails-label', 'speed-label']) find(id).hidden = true;
  find('errors-label').hidden = false;
  window.live = new Live(window.page);
}, (error) => {
  find('message').textContent = `The page cannot be read: ${error}`;
  find('message').hidden = false;
});
