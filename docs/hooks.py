"""What the site does beyond MkDocs: pages of the root, and equations."""

import pathlib
import re

import latex2mathml.converter
from mkdocs.structure.files import File

_ROOT = pathlib.Path(__file__).parent.parent
# Files outside of docs/ that pages link to, and pages that stand there.
_PAGES = ('CONTRIBUTING.md', 'CHANGELOG.md')
_FILES = tuple(
  str(path.relative_to(_ROOT))
  for path in sorted((_ROOT / 'examples').iterdir())
  if path.suffix in ('.py', '.ipynb') or path.name == 'Containerfile'
)
_LINKS = (
  ('](docs/', ']('),  # From a page of the root.
  ('](../examples/', '](examples/'),
  ('](../CONTRIBUTING.md', '](CONTRIBUTING.md'),
  ('](../CHANGELOG.md', '](CHANGELOG.md'),
)


def on_files(files, config):
  """Adds what stands outside of docs/."""
  for path in (*_PAGES, *_FILES):
    text = (_ROOT / path).read_text()
    files.append(File.generated(config, path, content=text))
  return files


def on_page_markdown(markdown, **_):
  """Rewrites links to what was added, and equations to MathML."""
  for old, new in _LINKS:
    markdown = markdown.replace(old, new)
  return re.sub(r'```math\n(.*?)```', _equation, markdown, flags=re.S)


def _equation(match):
  return latex2mathml.converter.convert(match[1].strip(), display='block')
