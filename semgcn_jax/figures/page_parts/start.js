readClips().then((content) => { window.page = new Page(content); },
    (error) => {
      find('message').textContent = `The page cannot be read: ${error}`;
      find('message').hidden = false;
    });
